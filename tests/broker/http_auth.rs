//! An HTTP server that is asked about clients: one that answers, and one that does everything else.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use nanomq::{
    config::{AuthRequest, AuthRequests, Config, HttpMethod},
    mqtt::{Packet, Properties, QoS, ReasonCode, Will},
    stats::Metric,
};

use crate::kit::{Client, Got, Hello, TestBroker, subscribe_bytes};

const Q1: QoS = QoS::AtLeastOnce;

/// What the server does with a request.
pub type Behaviour = fn(&Request, &mut TcpStream);

pub struct Request {
    pub path: String,
    pub body: String,
}

/// A server on a port of its own. It ends with the process.
pub struct AuthServer {
    pub port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    open: Arc<AtomicUsize>,
}

impl AuthServer {
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            open: Arc::default(),
        };
        let (requests, open) = (server.requests.clone(), server.open.clone());
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (requests, open) = (requests.clone(), open.clone());
                thread::spawn(move || {
                    open.fetch_add(1, Ordering::SeqCst);
                    serve(socket, &requests, behaviour);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// All three requests to this server.
    fn configure(&self, config: &mut Config, which: &[&str]) {
        let request = |path: &str, params: &[(&str, &str)]| match which.contains(&path) {
            false => AuthRequest::default(),
            true => AuthRequest {
                url: format!("http://127.0.0.1:{}/{path}", self.port),
                method: HttpMethod::Post,
                params: params
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                ..AuthRequest::default()
            },
        };
        config.auth.max_failed_logins = 0;
        config.auth.http_auth = AuthRequests {
            auth_req: request("auth", &[("c", "%c"), ("u", "%u"), ("p", "%P")]),
            super_req: request("super", &[("u", "%u")]),
            acl_req: request("acl", &[("a", "%A"), ("c", "%c"), ("t", "%t")]),
            ..AuthRequests::default()
        };
    }
}

fn serve(socket: TcpStream, requests: &Mutex<Vec<String>>, behaviour: Behaviour) {
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let mut socket = socket;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 {
                return;
            }
            let header = header.trim().to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if header.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let body = String::from_utf8(body).unwrap();
        requests.lock().unwrap().push(format!("{path} {body}"));
        behaviour(&Request { path, body }, &mut socket);
    }
}

pub fn status(socket: &mut TcpStream, code: u16) {
    let _ = write!(socket, "HTTP/1.1 {code} X\r\nContent-Length: 2\r\n\r\nok");
}

/// Lets in who has the right password; `root` may do anything, others what is below `open`.
fn sensible(request: &Request, socket: &mut TcpStream) {
    let yes = match request.path.as_str() {
        "/auth" => request.body.contains("p=right") || request.body.contains("u=root"),
        "/super" => request.body == "u=root",
        _ => request.body.contains("t=open"),
    };
    status(socket, if yes { 200 } else { 403 });
}

fn connack(broker: &TestBroker, hello: Hello<'_>) -> (Client, ReasonCode) {
    let mut client = Client::open(broker.address);
    client.hello(hello);
    match client.next() {
        Got::ConnAck(_, reason) => (client, reason),
        other => panic!("no CONNACK but {other:?}"),
    }
}

#[test]
fn the_server_decides_who_comes_in_and_who_does_what() {
    let server = AuthServer::start(sensible);
    let broker = TestBroker::with(|config| server.configure(config, &["auth", "super", "acl"]));
    let (_, refused) = connack(&broker, Hello::v5("c").login("ann", "wrong"));
    assert_eq!(refused, ReasonCode::NotAuthorized);
    let (_, refused) = connack(&broker, Hello::v5("c"));
    assert_eq!(refused, ReasonCode::NotAuthorized);
    let (mut ann, reason) = connack(&broker, Hello::v5("a&c=b").login("ann", "right"));
    assert_eq!(reason, ReasonCode::Success);
    ann.send_bytes(&subscribe_bytes(
        nanomq::mqtt::ProtocolVersion::V5,
        1,
        &[("open/#", Q1), ("closed", Q1), ("open", Q1)],
    ));
    assert_eq!(ann.next(), Got::SubAck(1, vec![1, 0x87, 1]));
    // Packets behind one that is asked about wait, in order.
    ann.publish("closed", b"1", Q1, 2);
    ann.publish("open/x", b"2", Q1, 3);
    ann.publish("open/x", b"3", QoS::AtMostOnce, 0);
    ann.send(&Packet::PingReq);
    let mut acks = Vec::new();
    let mut payloads = Vec::new();
    while acks.last() != Some(&Got::PingResp) || payloads.len() < 2 {
        match ann.next() {
            Got::Publish(message) => payloads.push(message.payload),
            other => acks.push(other),
        }
    }
    let expected = [
        Got::PubAck(2, ReasonCode::NotAuthorized),
        Got::PubAck(3, ReasonCode::Success),
        Got::PingResp,
    ];
    assert_eq!(acks, expected);
    assert_eq!(payloads, [b"2", b"3"]);
    let (mut root, _) = connack(&broker, Hello::v5("r").login("root", "x"));
    root.publish("closed", b"", Q1, 1);
    assert_eq!(
        root.next(),
        Got::PubAck(1, ReasonCode::NoMatchingSubscribers)
    );
    let will = Will {
        topic: "closed",
        payload: b"",
        qos: Q1,
        retain: false,
        properties: Properties::EMPTY,
    };
    let hello = Hello {
        will: Some(will),
        ..Hello::v5("w").login("ann", "right")
    };
    assert_eq!(connack(&broker, hello).1, ReasonCode::NotAuthorized);
    assert_eq!(
        server.requests(),
        [
            "/auth c=c&p=wrong&u=ann",
            "/auth c=c&p=&u=",
            "/auth c=a%26c%3Db&p=right&u=ann",
            "/super u=ann",
            "/acl a=1&c=a%26c%3Db&t=open%2F%23",
            "/acl a=1&c=a%26c%3Db&t=closed",
            "/acl a=1&c=a%26c%3Db&t=open",
            "/acl a=2&c=a%26c%3Db&t=closed",
            "/acl a=2&c=a%26c%3Db&t=open%2Fx",
            "/acl a=2&c=a%26c%3Db&t=open%2Fx",
            "/auth c=r&p=x&u=root",
            "/super u=root",
            "/auth c=w&p=right&u=ann",
            "/super u=ann",
            "/acl a=2&c=w&t=closed",
        ]
    );
}

#[test]
fn answers_are_remembered_for_cache_ttl() {
    let server = AuthServer::start(sensible);
    let broker = TestBroker::with(|config| {
        server.configure(config, &["acl"]);
        config.auth.http_auth.cache_ttl = Duration::from_secs(3600);
    });
    let mut client = Client::v5(broker.address, "c");
    for id in 1..=3 {
        for (topic, code) in [
            ("open/x", ReasonCode::NoMatchingSubscribers),
            ("closed", ReasonCode::NotAuthorized),
        ] {
            client.publish(topic, b"", Q1, id);
            assert_eq!(client.next(), Got::PubAck(id, code));
        }
    }
    assert_eq!(server.requests().len(), 2);
}

/// A reload has the server asked again about live subscriptions; a server that fails takes nothing away.
#[test]
fn a_reload_asks_again_about_what_was_granted() {
    static MOOD: AtomicUsize = AtomicUsize::new(200);
    let server = AuthServer::start(|request, socket| {
        let mood = MOOD.load(Ordering::SeqCst);
        let about_lost = request.body.contains("t=lost");
        let code = u16::try_from(mood).unwrap();
        status(socket, if about_lost { code } else { 200 });
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nanomq.conf");
    let text = format!(
        "auth.http_auth.acl_req {{ url = \"http://127.0.0.1:{}/acl\", params {{ c = \"%c\", t = \"%t\" }} }}\n\
         auth.acl.rules = [{{permit = allow, topics = [\"ruled\"]}}, {{permit = allow, action = publish}}]\n",
        server.port
    );
    let broker = TestBroker::with_file(&file, &text);
    let mut client = Client::v5(broker.address, "c");
    for filter in ["lost/#", "$share/g/lost", "kept", "ruled"] {
        client.subscribe(filter, Q1);
    }
    let before = server.requests().len();
    assert_eq!(before, 3);
    let mut other = Client::v5(broker.address, "other");
    // What is received of one message each to all four.
    let mut received = |client: &mut Client| {
        for (id, topic) in (1..).zip(["lost/x", "lost", "kept", "ruled"]) {
            other.publish(topic, b"", Q1, id);
            other.next();
        }
        let mut topics = Vec::new();
        while topics.last().map(String::as_str) != Some("ruled") {
            let message = client.message();
            client.ack(Packet::PubAck, message.id.unwrap());
            topics.push(message.topic);
        }
        topics
    };
    // `lost/#` matches `lost`, too.
    assert_eq!(received(&mut client).len(), 5);
    for (mood, expected) in [(500, 5), (200, 5), (403, 2)] {
        MOOD.store(mood, Ordering::SeqCst);
        let asked = server.requests().len();
        broker.reload(&file, &text);
        let whole = if mood == 500 { 1 } else { 3 };
        broker.until("the server is asked again", |_| {
            server.requests().len() >= asked + whole
        });
        if expected == 2 {
            broker.until("the subscriptions are gone", |stats| {
                stats.totals.get(Metric::SubscribesDenied) == 2
            });
        }
        assert_eq!(received(&mut client).len(), expected, "{mood}");
    }
}

/// What the server has granted to one user is no other's, who goes on with the session.
#[test]
fn another_user_does_not_inherit_what_the_server_has_granted() {
    let server = AuthServer::start(|_, socket| status(socket, 200));
    let broker = TestBroker::with(|config| server.configure(config, &["acl"]));
    let mut other = Client::v5(broker.address, "other");
    for (user, present) in [("ann", true), ("eve", false)] {
        let kept = Hello::kept("c").login("ann", "");
        let (mut client, _) = Client::connect(broker.address, kept);
        client.subscribe("t", Q1);
        client.goodbye();
        other.publish("t", b"for ann", Q1, 1);
        assert_eq!(other.next(), Got::PubAck(1, ReasonCode::Success));
        let kept = Hello {
            clean_start: false,
            ..Hello::kept("c").login(user, "")
        };
        let (mut client, _) = Client::connect(broker.address, kept);
        if present {
            let message = client.message();
            assert_eq!(message.payload, b"for ann");
            client.ack(Packet::PubAck, message.id.unwrap());
        }
        client.send(&Packet::PingReq);
        assert_eq!(client.next(), Got::PingResp, "{user}");
        client.goodbye();
    }
}

#[test]
fn whatever_the_server_does_wrong_denies() {
    let cases: [(&str, Behaviour); 7] = [
        ("500", |_, socket| status(socket, 500)),
        ("redirect", |_, socket| {
            let _ = socket
                .write_all(b"HTTP/1.1 302 X\r\nLocation: /super\r\nContent-Length: 0\r\n\r\n");
        }),
        ("garbage", |_, socket| {
            let _ = socket.write_all(b"\x16\x03\x01 what? \r\n\r\n\r\n");
        }),
        ("10 MB", |_, socket| {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n");
            let _ = socket.write_all(&vec![b'x'; 10 << 20]);
        }),
        ("endless header", |_, socket| {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nX: ");
            let _ = socket.write_all(&vec![b'x'; 10 << 20]);
        }),
        ("cut off", |_, socket| {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }),
        ("silence", |_, _| {}),
    ];
    for (what, behaviour) in cases {
        let server = AuthServer::start(behaviour);
        let broker = TestBroker::with(|config| {
            server.configure(config, &["auth"]);
            config.auth.http_auth.timeout = Duration::from_millis(300);
        });
        let expected = match what {
            "redirect" => ReasonCode::NotAuthorized,
            _ => ReasonCode::ServerUnavailable,
        };
        let hello = Hello::v5("c").login("ann", "right");
        assert_eq!(connack(&broker, hello).1, expected, "{what}");
        let failed = u64::from(what != "redirect");
        let totals = broker.stats().totals;
        assert_eq!(totals.get(Metric::AuthRequestsFailed), failed, "{what}");
        assert_eq!(totals.get(Metric::AuthRequestsSent), 1, "{what}");
    }
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let broker = TestBroker::with(|config| {
        config.auth.http_auth.auth_req.url = format!("http://127.0.0.1:{port}/");
    });
    let refused = connack(&broker, Hello::v5("c")).1;
    assert_eq!(refused, ReasonCode::ServerUnavailable);
}

/// Opened when the request that hangs is to be answered.
static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// The server has not answered one request before all others have got what they came for.
#[test]
fn while_a_request_hangs_others_are_served_before_it_is_answered() {
    let server = AuthServer::start(|_, socket| {
        let open = GATE.1.wait_while(GATE.0.lock().unwrap(), |open| !*open);
        drop(open.unwrap());
        status(socket, 200);
    });
    let broker = TestBroker::with(|config| {
        server.configure(config, &["auth"]);
        config.auth.password = vec![("ann".to_owned(), nanomq::config::Secret::new("x"))];
        config.auth.http_auth.timeout = Duration::from_secs(60);
    });
    let mut asked = Client::open(broker.address);
    asked.hello(Hello::v5("asked"));
    while server.open.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    let ann = |id| Client::connect(broker.address, Hello::v5(id).login("ann", "x")).0;
    let mut subscriber = ann("sub");
    subscriber.subscribe("t", Q1);
    let mut publisher = ann("pub");
    for id in 1..=200_u16 {
        publisher.publish("t", &id.to_be_bytes(), Q1, id);
        assert_eq!(publisher.next(), Got::PubAck(id, ReasonCode::Success));
        let message = subscriber.message();
        assert_eq!(message.payload, id.to_be_bytes());
        subscriber.ack(Packet::PubAck, message.id.unwrap());
    }
    let ids: Vec<String> = (0..100).map(|n| format!("ann{n}")).collect();
    ids.iter().for_each(|id| drop(ann(id)));
    let totals = broker.stats().totals;
    assert_eq!(totals.get(Metric::AuthRequestsFailed), 0);
    assert_eq!(totals.get(Metric::ConnectsAccepted), 102);
    assert_eq!(server.open.load(Ordering::SeqCst), 1);
    *GATE.0.lock().unwrap() = true;
    GATE.1.notify_all();
    assert_eq!(asked.next(), Got::ConnAck(false, ReasonCode::Success));
}

#[test]
fn while_the_server_hangs_everybody_else_is_served() {
    const CLIENTS: usize = 1000;
    let server = AuthServer::start(|_, _| {});
    let broker = TestBroker::with(|config| {
        server.configure(config, &["auth"]);
        config.auth.password = vec![("ann".to_owned(), nanomq::config::Secret::new("x"))];
        config.auth.http_auth.pool_size = 8;
        config.auth.http_auth.max_waiting = 500;
        config.auth.http_auth.timeout = Duration::from_secs(2);
    });
    let ann = |id| Client::connect(broker.address, Hello::v5(id).login("ann", "x")).0;
    let mut subscriber = ann("sub");
    subscriber.subscribe("t", Q1);
    let mut publisher = ann("pub");
    let ids: Vec<String> = (0..CLIENTS).map(|n| format!("c{n}")).collect();
    let mut clients: Vec<Client> = Vec::new();
    for id in &ids {
        let mut client = Client::open(broker.address);
        client.hello(Hello::v5(id));
        clients.push(client);
    }
    // Those whom the server is not asked about come in, publish and receive.
    for id in 1..=200_u16 {
        publisher.publish("t", &id.to_be_bytes(), Q1, id);
        assert_eq!(publisher.next(), Got::PubAck(id, ReasonCode::Success));
        let message = subscriber.message();
        assert_eq!(message.payload, id.to_be_bytes());
        subscriber.ack(Packet::PubAck, message.id.unwrap());
    }
    drop(ann("new"));
    assert!(server.open.load(Ordering::SeqCst) <= 8);
    let mut denied = 0;
    for mut client in clients {
        match client.next() {
            Got::ConnAck(false, ReasonCode::ServerUnavailable) => denied += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(denied, CLIENTS);
    let totals = broker.stats().totals;
    let failed = totals.get(Metric::AuthRequestsFailed);
    let not_sent = totals.get(Metric::AuthRequestsNotSent);
    assert_eq!(failed + not_sent, CLIENTS as u64);
    assert!(
        not_sent >= (CLIENTS - 508) as u64 && failed >= 8,
        "{failed} {not_sent}"
    );
}
