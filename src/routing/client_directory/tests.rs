use super::*;

#[derive(Debug)]
struct Place(u32);

impl Target for Place {
    fn is_online(&self) -> bool {
        true
    }
}

fn info(clean_start: bool, expiry_interval: u32) -> ClientInfo {
    ClientInfo {
        superuser: false,
        username: None,
        keep_alive: 60,
        version: ProtocolVersion::V5,
        clean_start,
        expiry_interval,
        will_topic: None,
        peer: SocketAddr::from(([127, 0, 0, 1], 1)).into(),
        listener: "default".into(),
        connected_at: 0,
        connected: true,
    }
}

fn open(
    directory: &mut ClientDirectory<Place>,
    id: &str,
    info: ClientInfo,
    place: u32,
) -> Opened<Place> {
    let anew = info.clean_start;
    directory
        .open(id.into(), info, anew, 10, |_| Arc::new(Place(place)))
        .unwrap()
}

fn subscribe(
    directory: &mut ClientDirectory<Place>,
    id: &str,
    generation: u64,
    filter: &str,
) -> Result<bool, SubscribeError> {
    let subscription = StoredSubscription {
        options: SubscribeOptions::default(),
        subscription_id: None,
    };
    directory.subscribe(id, generation, &filter.into(), subscription, 2)
}

#[test]
fn a_kept_session_goes_on_with_its_subscriptions() {
    let mut directory = ClientDirectory::new(Arc::default(), 0);
    let first = open(&mut directory, "a", info(true, 60), 1);
    assert_eq!(
        subscribe(&mut directory, "a", first.generation, "t/+"),
        Ok(true)
    );
    directory.keep("a", first.generation, 60);
    assert_eq!((directory.connected(), directory.len()), (0, 1));
    let second = open(&mut directory, "a", info(false, 60), 2);
    assert!(matches!(
        second.previous,
        Previous::Resumed { connected: false }
    ));
    assert_eq!(second.target.0, 1);
    assert_eq!(directory.routes().read().routes("t/x").deliveries.len(), 1);
    // The first connection has no say any more.
    directory.keep("a", first.generation, 60);
    assert!(!directory.end("a", first.generation));
    assert_eq!(
        subscribe(&mut directory, "a", first.generation, "u"),
        Err(SubscribeError::NotOwner)
    );
    assert_eq!((directory.connected(), directory.len()), (1, 1));
}

#[test]
fn a_session_ends_where_it_must() {
    // (expiry of the old session, its connection lasts, clean start of the new one, resumed)
    for (expiry, connected, clean_start, resumed) in [
        (60, true, false, true),
        (60, false, false, true),
        (60, true, true, false),
        (60, false, true, false),
        (0, true, false, false),
        (0, true, true, false),
    ] {
        let mut directory = ClientDirectory::new(Arc::default(), 0);
        let old = open(&mut directory, "a", info(true, expiry), 1);
        subscribe(&mut directory, "a", old.generation, "t").unwrap();
        if !connected {
            directory.keep("a", old.generation, expiry);
        }
        let new = open(&mut directory, "a", info(clean_start, 0), 2);
        match new.previous {
            Previous::Resumed { connected: was } => assert!(resumed && was == connected),
            Previous::Ended {
                target,
                connected: was,
            } => {
                assert!(!resumed && was == connected && target.0 == 1);
            }
            Previous::None => panic!("there was a session"),
        }
        assert_eq!(directory.subscriptions(), usize::from(resumed));
        assert_eq!(directory.routes().read().routes("t").is_empty(), !resumed);
        assert_eq!((directory.connected(), directory.len()), (1, 1));
    }
}

#[test]
fn an_evicted_session_is_gone_with_its_subscriptions() {
    for connected in [true, false] {
        let mut directory = ClientDirectory::new(Arc::default(), 0);
        let old = open(&mut directory, "a", info(true, 60), 1);
        subscribe(&mut directory, "a", old.generation, "t").unwrap();
        if !connected {
            directory.keep("a", old.generation, 60);
        }
        let evicted = directory.evict("a").unwrap();
        assert!(evicted.generation > old.generation);
        assert_eq!(evicted.target.0, 1);
        assert!(directory.is_empty() && directory.routes().read().routes("t").is_empty());
        assert_eq!((directory.connected(), directory.subscriptions()), (0, 0));
        assert!(directory.evict("a").is_none());
        // What its last owner still says changes nothing for a session of the same name.
        open(&mut directory, "a", info(true, 60), 2);
        directory.keep("a", old.generation, 60);
        assert!(!directory.end("a", old.generation));
        assert_eq!((directory.connected(), directory.len()), (1, 1));
    }
}

#[test]
fn limits_hold() {
    let mut directory = ClientDirectory::new(Arc::default(), 0);
    let opened = directory
        .open("a".into(), info(true, 0), true, 1, |_| Arc::new(Place(1)))
        .unwrap();
    assert!(
        directory
            .open("b".into(), info(true, 0), true, 1, |_| Arc::new(Place(2)))
            .is_err()
    );
    assert!(
        directory
            .open("a".into(), info(true, 0), true, 1, |_| Arc::new(Place(3)))
            .is_ok()
    );
    let generation = opened.generation + 1;
    assert_eq!(subscribe(&mut directory, "a", generation, "1"), Ok(true));
    assert_eq!(subscribe(&mut directory, "a", generation, "2"), Ok(true));
    assert_eq!(
        subscribe(&mut directory, "a", generation, "3"),
        Err(SubscribeError::TooMany)
    );
    assert_eq!(subscribe(&mut directory, "a", generation, "2"), Ok(false));
    assert!(directory.unsubscribe("a", generation, "1"));
    assert!(!directory.unsubscribe("a", generation, "1"));
    assert_eq!(directory.subscriptions(), 1);
    assert!(directory.end("a", generation));
    assert!(directory.is_empty() && directory.routes().read().routes("2").is_empty());
}

#[test]
fn clients_are_found_by_their_user_names() {
    let mut directory = ClientDirectory::new(Arc::default(), 0);
    let named = |name: Option<&str>| ClientInfo {
        username: name.map(Arc::from),
        ..info(false, 60)
    };
    for (id, name) in [("a", "u"), ("b", "u"), ("c", "v"), ("d", "u"), ("e", "u2")] {
        open(&mut directory, id, named(Some(name)), 1);
    }
    open(&mut directory, "x", named(None), 1);
    let found = |directory: &ClientDirectory<Place>, name: &str, after: Option<&str>| {
        let clients = directory.of_user_after(name, after);
        clients.map(|(id, _)| id.to_string()).collect::<String>()
    };
    for (name, after, expected) in [
        ("u", None, "abd"),
        ("u", Some("a"), "bd"),
        ("u", Some("d"), ""),
        ("v", None, "c"),
        ("w", None, ""),
        ("", None, ""),
    ] {
        assert_eq!(found(&directory, name, after), expected, "{name:?}");
    }
    // A session that is gone on with under another name, and one that ends.
    open(&mut directory, "b", named(Some("v")), 1);
    open(&mut directory, "a", named(None), 1);
    directory.evict("d").unwrap();
    assert_eq!(found(&directory, "u", None), "");
    assert_eq!(found(&directory, "v", None), "bc");
    assert_eq!(directory.users.len(), 3);
}
