//! What is read again is what was committed, through any number of restarts and cleanings.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::{fake_disk::FakeDisk, *};

/// A random life of a store beside a model of it.
#[test]
fn a_store_read_again_is_the_same() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let disk = FakeDisk::default();
        let (mut store, _) = Store::open(Box::new(disk.clone()), LIMITS).unwrap();
        let mut live: BTreeMap<SessionNumber, Vec<u64>> = BTreeMap::new();
        for step in 0..600u32 {
            let some = |rng: &mut Rng, live: &BTreeMap<SessionNumber, Vec<u64>>| {
                live.keys().copied().nth(rng.usize(..live.len().max(1)))
            };
            let session = some(&mut rng, &live);
            match (rng.u8(..20), session) {
                (0..2, _) if live.len() < 8 => {
                    let number = store.next_session();
                    store.add(&Record::Opened(
                        number,
                        info(&format!("client{number}"), step.into()),
                    ));
                    live.insert(number, Vec::new());
                }
                (2, Some(session)) if rng.bool() => {
                    store.add(&Record::Ended(session));
                    live.remove(&session);
                }
                (3, Some(session)) => {
                    store.add(&Record::Subscribed(session, "a/+", subscription()));
                }
                (4, Some(session)) => store.add(&Record::Unsubscribed(session, "a/+")),
                (5, Some(session)) => store.add(&Record::Taken(session, vec![rng.u16(1..9)])),
                (6, Some(session)) => store.add(&Record::Released(session, vec![rng.u16(1..9)])),
                (7, _) => {
                    let topic = format!("r/{}", rng.u8(..5));
                    let payload = vec![b'r'; rng.usize(1..200)];
                    let message = message(&topic, &payload, QoS::AtLeastOnce);
                    store.add(&Record::Retained(Body::of(&message, None)));
                }
                (8, _) => store.add(&Record::Unretained(&format!("r/{}", rng.u8(..5)))),
                (9, Some(session)) => {
                    let queue = live.get_mut(&session).unwrap();
                    if !queue.is_empty() {
                        let at = queue[rng.usize(..queue.len())];
                        store.add(&Record::Received(session, vec![at]));
                    }
                }
                (10, Some(session)) if live.len() > 1 => {
                    let queue = live.get_mut(&session).unwrap();
                    if !queue.is_empty() {
                        let at = queue.remove(rng.usize(..queue.len()));
                        let to_whom = some(&mut rng, &live).unwrap();
                        let message = message("t", b"moved", QoS::AtLeastOnce);
                        store.commit(Sureness::Written).unwrap();
                        let to = vec![to(to_whom)];
                        let moved = store.transfer((session, at), &message, None, to);
                        let place = moved.sequences[0].unwrap();
                        live.get_mut(&to_whom).unwrap().push(place);
                    }
                }
                (10..14, Some(session)) => {
                    let queue = live.get_mut(&session).unwrap();
                    if !queue.is_empty() {
                        let at = queue.remove(rng.usize(..queue.len()));
                        store.add(&Record::Settled(session, vec![at]));
                    }
                }
                (14.., Some(session)) => {
                    let payload = vec![b'x'; rng.usize(..300)];
                    let message = message("t", &payload, QoS::ExactlyOnce);
                    let sessions: Vec<_> = live.keys().copied().filter(|_| rng.bool()).collect();
                    // As after a restart: what was opened is committed before anything is published to it.
                    store.commit(Sureness::Written).unwrap();
                    let origin = rng.bool().then_some((session, rng.u16(1..9)));
                    let recipients = sessions.iter().map(|session| to(*session)).collect();
                    let published = store.publish(&message, None, origin, recipients);
                    for (session, sequence) in sessions.iter().zip(published.sequences) {
                        live.get_mut(session).unwrap().push(sequence.unwrap());
                    }
                }
                _ => {}
            }
            if rng.u8(..3) == 0 {
                store.commit(Sureness::Synced).unwrap();
                while rng.bool() && store.wants_cleaning() {
                    store.clean(rng.usize(1..5000)).unwrap();
                }
            }
            if rng.u8(..40) == 0 {
                store.commit(Sureness::Written).unwrap();
                let before = contents(&store);
                let (again, report) = Store::open(Box::new(disk.after_kill()), LIMITS).unwrap();
                assert_eq!(contents(&again), before, "seed {seed} step {step}");
                assert_eq!(report.damages, [], "seed {seed} step {step}");
                assert_eq!(again.totals(), store.totals(), "seed {seed} step {step}");
            }
        }
    }
}

#[test]
fn space_is_given_back() {
    let disk = FakeDisk::default();
    let (mut store, _) = Store::open(Box::new(disk.clone()), LIMITS).unwrap();
    store.add(&Record::Opened(1, info("a", 1)));
    store.add(&Record::Subscribed(1, "#", subscription()));
    store.commit(Sureness::Synced).unwrap();
    for _ in 0..50 {
        for _ in 0..100 {
            let message = message("topic", &[b'x'; 100], QoS::AtLeastOnce);
            let published = store.publish(&message, None, None, vec![to(1)]);
            store.commit(Sureness::Synced).unwrap();
            let sequence = published.sequences[0].unwrap();
            store.add(&Record::Settled(1, vec![sequence]));
        }
        store.commit(Sureness::Synced).unwrap();
        while store.wants_cleaning() {
            store.clean(1000).unwrap();
        }
        assert!(
            disk.bytes() < 4 * LIMITS.segment as usize,
            "{}",
            disk.bytes()
        );
    }
    assert_eq!(store.sessions()[0].subscriptions.len(), 1);
    let (again, _) = Store::open(Box::new(disk.after_kill()), LIMITS).unwrap();
    assert_eq!(contents(&again), contents(&store));
}

#[test]
fn a_new_session_of_a_client_is_there_beside_the_old_one_until_that_has_ended() {
    let (mut store, _) = Store::open(Box::new(FakeDisk::default()), LIMITS).unwrap();
    store.add(&Record::Opened(1, info("a", 1)));
    store.commit(Sureness::Synced).unwrap();
    store.publish(
        &message("t", b"1", QoS::AtLeastOnce),
        None,
        None,
        vec![to(1)],
    );
    store.add(&Record::Opened(2, info("a", 2)));
    store.commit(Sureness::Synced).unwrap();
    let sessions = store.sessions();
    let waiting = sessions.iter().map(|of| (of.number, of.queue.len()));
    assert_eq!(waiting.collect::<Vec<_>>(), [(1, 1), (2, 0)]);
    store.add(&Record::Ended(1));
    store.commit(Sureness::Synced).unwrap();
    let sessions = store.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!((sessions[0].number, sessions[0].queue.len()), (2, 0));
    assert_eq!(store.totals().messages, 0);
    // For the one that has ended nothing is kept.
    let published = store.publish(
        &message("t", b"1", QoS::AtLeastOnce),
        None,
        None,
        vec![to(1)],
    );
    assert_eq!(published.sequences, [None]);
    assert_eq!(store.pending(), 0);
}

#[test]
fn a_body_is_stored_once_for_all_sessions() {
    let disk = FakeDisk::default();
    let (mut store, _) = Store::open(Box::new(disk.clone()), LIMITS).unwrap();
    for number in 1..=100 {
        store.add(&Record::Opened(number, info(&number.to_string(), number)));
    }
    store.commit(Sureness::Synced).unwrap();
    let before = disk.bytes();
    let payload = vec![b'x'; 3000];
    let all = (1..=100).map(to).collect();
    let published = store.publish(&message("t", &payload, QoS::AtLeastOnce), None, None, all);
    store.commit(Sureness::Synced).unwrap();
    assert!(disk.bytes() - before < 4500, "{}", disk.bytes() - before);
    for number in 1..=100 {
        let body = store.read(published.message).unwrap().unwrap();
        assert_eq!(body.message.view().payload, payload);
        store.add(&Record::Settled(number, vec![1]));
        store.commit(Sureness::Written).unwrap();
    }
    assert!(store.read(published.message).unwrap().is_none());
}

#[test]
fn limits_refuse_and_say_so() {
    let limits = Limits {
        messages: 2,
        bytes: 5000,
        ..LIMITS
    };
    let (mut store, _) = Store::open(Box::new(FakeDisk::default()), limits).unwrap();
    store.add(&Record::Opened(1, info("a", 1)));
    store.commit(Sureness::Synced).unwrap();
    let publish = |store: &mut Store, payload: &[u8]| {
        let message = message("t", payload, QoS::AtLeastOnce);
        store.check(need(&[&message]))?;
        let published = store.publish(&message, None, None, vec![to(1)]);
        store.commit(Sureness::Synced).unwrap();
        Ok(published.sequences[0])
    };
    assert_eq!(publish(&mut store, &[0; 6000]), Err(Full));
    assert_eq!(publish(&mut store, b"1"), Ok(Some(1)));
    assert_eq!(publish(&mut store, b"2"), Ok(Some(2)));
    assert_eq!(publish(&mut store, b"3"), Err(Full));
    store.add(&Record::Settled(1, vec![1]));
    store.commit(Sureness::Synced).unwrap();
    assert_eq!(publish(&mut store, b"3"), Ok(Some(3)));
}

/// What messages for one session each take.
fn need(messages: &[&MessageRef<'_>]) -> Need {
    let mut need = Need::default();
    messages.iter().for_each(|message| need.add(message, 1));
    need
}

#[test]
fn the_oldest_make_room_if_that_is_enough() {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    /// Messages of 1000 bytes, by the sessions that they are for.
    const STORED: [&[SessionNumber]; 6] = [&[1], &[2, 3], &[1, 2], &[3], &[1], &[2]];
    struct Case {
        what: &'static str,
        need: Need,
        from: &'static [(SessionNumber, usize)],
        evicted: Option<&'static [(SessionNumber, &'static [u64])]>,
    }
    let need = |places, bytes| Need { places, bytes };
    let cases = [
        Case {
            what: "there is room",
            need: need(2, 500),
            from: &[(1, 0)],
            evicted: Some(&[]),
        },
        Case {
            what: "the oldest of several sessions",
            need: need(5, 0),
            from: &[(1, 0), (2, 0)],
            evicted: Some(&[(1, &[1, 2]), (2, &[1])]),
        },
        Case {
            what: "not those that are on their way",
            need: need(4, 0),
            from: &[(1, 2)],
            evicted: None,
        },
        Case {
            what: "a session that is named twice",
            need: need(4, 0),
            from: &[(1, 0), (1, 0)],
            evicted: Some(&[(1, &[1, 2])]),
        },
        Case {
            what: "bytes come back with the last session that needs them",
            need: need(1, 2600),
            from: &[(2, 0), (3, 0)],
            evicted: Some(&[(2, &[1]), (3, &[1])]),
        },
        Case {
            what: "too few bytes would come back: the third message is for another session as well",
            need: need(1, 5700),
            from: &[(2, 0), (3, 0)],
            evicted: None,
        },
        Case {
            what: "more than there are",
            need: need(1, 1 << 40),
            from: &[(1, 0), (2, 0), (3, 0)],
            evicted: None,
        },
        Case {
            what: "a session that has ended",
            need: need(3, 0),
            from: &[(9, 0)],
            evicted: None,
        },
    ];
    for case in cases {
        let limits = Limits {
            messages: 10,
            bytes: 8700,
            segment: 1 << 20,
        };
        let disk = FakeDisk::default();
        let (mut store, _) = Store::open(Box::new(disk.clone()), limits).unwrap();
        for (name, number) in NAMES.iter().zip(1..) {
            store.add(&Record::Opened(number, info(name, number)));
        }
        store.commit(Sureness::Synced).unwrap();
        for sessions in STORED {
            let message = message("t", &[b'x'; 1000], QoS::AtLeastOnce);
            store.publish(
                &message,
                None,
                None,
                sessions.iter().copied().map(to).collect(),
            );
            store.commit(Sureness::Synced).unwrap();
        }
        let before = contents(&store);
        let evicted = store.evict(case.need, case.from);
        let expected = case.evicted.ok_or(Full).map(|evicted| {
            let places = evicted
                .iter()
                .map(|(number, places)| (*number, places.to_vec()));
            places.collect::<Vec<Places>>()
        });
        assert_eq!(evicted, expected, "{}", case.what);
        match evicted {
            Err(Full) => {
                assert_eq!(contents(&store), before, "{}", case.what);
                assert_eq!(store.pending(), 0, "{}", case.what);
            }
            Ok(_) => assert_eq!(
                store.check(Need {
                    bytes: case.need.bytes.saturating_sub(200),
                    ..case.need
                }),
                Ok(()),
                "{}",
                case.what
            ),
        }
        // They are gone after a restart as well.
        store.commit(Sureness::Synced).unwrap();
        let (again, _) = Store::open(Box::new(disk.after_kill()), limits).unwrap();
        assert_eq!(contents(&again), contents(&store), "{}", case.what);
    }
}

/// A message that moves is in one queue or in the other, at whichever byte the end comes.
#[test]
fn a_message_that_moves_is_with_one_session() {
    let disk = FakeDisk::default();
    let (mut store, _) = Store::open(Box::new(disk.clone()), LIMITS).unwrap();
    store.add(&Record::Opened(1, info("a", 1)));
    store.add(&Record::Opened(2, info("b", 2)));
    store.commit(Sureness::Synced).unwrap();
    let message = message("t", b"x", QoS::ExactlyOnce);
    store.publish(&message, None, None, vec![to(1)]);
    store.commit(Sureness::Synced).unwrap();
    let holders = |store: &Store| -> Vec<_> {
        let sessions = store.sessions().into_iter();
        let holding = sessions.filter(|session| !session.queue.is_empty());
        holding.map(|session| session.number).collect()
    };
    let moved = store.transfer((1, 1), &message, None, vec![to(2)]);
    assert_eq!(moved.sequences, [Some(1)]);
    let before = disk.bytes();
    store.commit(Sureness::Synced).unwrap();
    assert_eq!(holders(&store), [2]);
    let records = disk.bytes() - before;
    for cut in 0..=records {
        let torn = disk.after_kill();
        let mut state = torn.state();
        let head = &mut state.files.values_mut().last().unwrap().written;
        head.truncate(head.len() - cut);
        drop(state);
        let (again, _) = Store::open(Box::new(torn), LIMITS).unwrap();
        let expected = if cut == 0 { 2 } else { 1 };
        assert_eq!(holders(&again), [expected], "without the last {cut} bytes");
    }
    // It went to nobody who is there: it is settled.
    store.transfer((2, 1), &message, None, vec![to(3)]);
    store.commit(Sureness::Synced).unwrap();
    assert_eq!(holders(&store), [0; 0]);
}
