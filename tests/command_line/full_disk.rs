//! A disk that takes nothing, as the limit of file sizes of the process makes one.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::setup::{Broker, Setup, api, free_port, request};

/// A connection on which packets are bytes.
struct Raw(TcpStream);

impl Raw {
    fn open(address: &str) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Self(socket)
    }

    /// CONNECT of version 5 with a session expiry interval in seconds.
    fn connect(&mut self, client_id: &str, clean_start: bool, expiry: u8) {
        let mut rest = b"\0\x04MQTT\x05\0\0\0\x05\x11\0\0\0\0\0".to_vec();
        rest[7] = u8::from(clean_start) << 1;
        rest[15] = expiry;
        rest.push(u8::try_from(client_id.len()).unwrap());
        rest.extend_from_slice(client_id.as_bytes());
        self.send(0x10, &rest);
    }

    fn send(&mut self, first: u8, rest: &[u8]) {
        let mut packet = vec![first, u8::try_from(rest.len()).unwrap()];
        packet.extend_from_slice(rest);
        self.0.write_all(&packet).unwrap();
    }

    /// The first byte and the rest of a packet.
    fn next(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let mut rest = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut rest).unwrap();
        (head[0], rest)
    }

    /// Session present and the code of a CONNACK.
    fn connack(&mut self) -> (u8, u8) {
        let (first, rest) = self.next();
        assert_eq!(first, 0x20);
        (rest[0], rest[1])
    }

    fn has_nothing(&mut self) -> bool {
        self.0
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let read = self.0.read(&mut [0; 1]);
        self.0
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// A broker with a store on a disk whose room a test decides.
struct OnSmallDisk {
    setup: Setup,
    broker: Broker,
    http: String,
}

impl OnSmallDisk {
    fn start() -> Self {
        let setup = Setup::new();
        let (store, http) = (setup.folder.path().join("store"), free_port());
        let store = format!("store {{ enable = true, path = \"{}\" }}", store.display());
        setup.configure("127.0.0.1:0", &format!("{store}\n{}", api(&http)));
        let mut shell = std::process::Command::new("sh");
        // A write beyond the limit is to fail, not to end the process.
        shell
            .env_clear()
            .stdin(std::process::Stdio::null())
            .args([
                "-c",
                "trap '' XFSZ && exec \"$0\" start --conf \"$1\"",
                env!("CARGO_BIN_EXE_nanomq"),
            ])
            .arg(setup.conf());
        let broker = setup.start_with(shell);
        Self {
            setup,
            broker,
            http,
        }
    }

    /// No file grows beyond this many bytes.
    fn limit(&self, bytes: Option<u64>) {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Pid::from_raw(self.broker.pid()), Resource::Fsize, limit).unwrap();
    }

    fn post(&self, target: &str, body: &str) -> (u16, String) {
        request(&self.http, "POST", target, body)
    }
}

/// What cannot be stored is refused, or its answer waits: nothing is acknowledged that a restart would not know.
#[test]
fn nothing_leaves_before_it_is_stored() {
    let mut disk = OnSmallDisk::start();
    let at = disk.broker.address.clone();
    let mut kept = Raw::open(&at);
    kept.connect("kept", true, 60);
    assert_eq!(kept.connack(), (0, 0));
    kept.send(0x82, b"\0\x01\0\0\x01t\x01");
    assert_eq!(kept.next(), (0x90, b"\0\x01\0\x01".to_vec()));

    disk.limit(Some(1));
    let mut publisher = Raw::open(&at);
    publisher.connect("publisher", true, 0);
    assert_eq!(publisher.connack(), (0, 0), "a session that needs no store");
    publisher.send(0x32, b"\0\x01t\0\x02\0x");
    let (first, puback) = publisher.next();
    assert_eq!((first, puback[2]), (0x40, 0x97));
    disk.broker.wait_for("store: cannot write");
    // A new session and a new subscription.
    let mut new = Raw::open(&at);
    new.connect("new", true, 60);
    assert_eq!(new.connack(), (0, 0x97));
    let mut old_version = Raw::open(&at);
    old_version.send(0x10, b"\0\x04MQTT\x04\0\0\0\0\x03old");
    assert_eq!(old_version.connack(), (0, 3));
    kept.send(0x82, b"\0\x02\0\0\x01u\x01");
    let (first, suback) = kept.next();
    assert_eq!((first, suback.last()), (0x90, Some(&0x97)));
    // UNSUBACK and the CONNACK of a session that is resumed wait for the disk.
    kept.send(0xa2, b"\0\x03\0\0\x01t");
    assert!(kept.has_nothing());
    let mut again = Raw::open(&at);
    again.connect("kept", false, 60);
    assert!(again.has_nothing());

    disk.limit(None);
    assert_eq!(again.connack(), (1, 0));
    disk.broker.wait_for("takes what is written again");
    let mut new = Raw::open(&at);
    new.connect("new", true, 60);
    assert_eq!(new.connack(), (0, 0));
}

/// So does the HTTP API: what it says was done is there after SIGKILL.
#[test]
fn the_api_says_done_when_it_is_stored() {
    let disk = OnSmallDisk::start();
    let done = (200, r#"{"code":0}"#.to_owned());
    let mut kept = Raw::open(&disk.broker.address);
    kept.connect("kept", true, 60);
    assert_eq!(kept.connack(), (0, 0));
    drop(kept);
    let subscribe = |topic| format!(r#"{{"clientid":"kept","topic":"{topic}","qos":1}}"#);
    let publish = |topic| format!(r#"{{"topic":"{topic}","payload":"x","qos":1,"retain":true}}"#);
    let remove = |topic| {
        request(
            &disk.http,
            "DELETE",
            &format!("/retained?topic={topic}"),
            "",
        )
    };
    assert_eq!(disk.post("/mqtt/subscribe", &subscribe("a")), done);
    assert_eq!(disk.post("/mqtt/subscribe", &subscribe("b")), done);
    assert_eq!(disk.post("/mqtt/publish", &publish("r/1")), done);
    assert_eq!(disk.post("/mqtt/publish", &publish("r/2")), done);
    assert_eq!(disk.post("/mqtt/unsubscribe", &subscribe("b")), done);
    assert_eq!(remove("r/2").0, 200);

    disk.limit(Some(1));
    for (what, (status, body)) in [
        ("publish", disk.post("/mqtt/publish", &publish("r/3"))),
        ("subscribe", disk.post("/mqtt/subscribe", &subscribe("c"))),
        (
            "unsubscribe",
            disk.post("/mqtt/unsubscribe", &subscribe("a")),
        ),
        ("remove", remove("r/1")),
    ] {
        assert_eq!(status, 503, "{what}: {body}");
        assert!(body.starts_with(r#"{"code":102,"#), "{what}: {body}");
    }
    let (_, subscriptions) = request(&disk.http, "GET", "/subscriptions/kept", "");
    assert!(!subscriptions.contains(r#""topic":"c""#), "{subscriptions}");

    let OnSmallDisk { setup, broker, .. } = disk;
    broker.signal(Signal::KILL);
    broker.wait();
    let http = free_port();
    let text = std::fs::read_to_string(setup.conf()).unwrap();
    let (store, _) = text.split_once("http_server { enable = true").unwrap();
    std::fs::write(setup.conf(), format!("{store}{}\n", api(&http))).unwrap();
    let _again = setup.start();
    let get = |target| request(&http, "GET", target, "");
    let (status, subscriptions) = get("/subscriptions/kept");
    assert_eq!(
        (status, subscriptions.as_str()),
        (
            200,
            r#"{"code":0,"data":[{"clientid":"kept","topic":"a","qos":1}]}"#
        )
    );
    let (_, retained) = get("/retained?payload=none");
    let retained: serde_json::Value = serde_json::from_str(&retained).unwrap();
    let topics: Vec<_> = retained["data"].as_array().unwrap().iter().collect();
    assert_eq!(topics.len(), 1, "{topics:?}");
    assert_eq!(topics[0]["topic"], "r/1");
}
