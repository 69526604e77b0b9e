//! The HTTP API v4 of a broker that runs in this process, seen from a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroU16,
    panic::resume_unwind,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use nanomq::{
    actors::ConfigSource,
    broker::Broker,
    config::{BindAddr, Config, HttpAuth, Secret},
    mqtt::{
        Connect, Packet, Properties, ProtocolVersion, Publish, QoS, Subscribe, SubscribeFiltersBuf,
        SubscribeOptions, Will, encode,
    },
};
use serde_json::{Value, json};

/// How long a peer may take to answer before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// admin:public
const ADMIN: &str = "Basic YWRtaW46cHVibGlj";

/// Where the broker of a test listens.
#[derive(Clone, Copy)]
struct At {
    mqtt: SocketAddr,
    http: SocketAddr,
}

/// Runs a test against a broker.
fn with_broker(change: impl FnOnce(&mut Config), test: impl FnOnce(At) + Send + 'static) {
    let mut config = local_config();
    change(&mut config);
    actix::System::new().block_on(async move {
        let broker = Broker::start(config, ConfigSource::default())
            .await
            .unwrap();
        let at = At {
            mqtt: broker.mqtt()[0].1,
            http: broker.http().unwrap(),
        };
        let result = tokio::task::spawn_blocking(move || test(at)).await;
        broker.stop().await;
        if let Err(failed) = result {
            resume_unwind(failed.into_panic());
        }
    });
}

fn local_config() -> Config {
    let mut config = Config::default();
    config.system.num_taskq_thread = 1;
    config.http_server.ip_addr = "127.0.0.1".to_owned();
    config.http_server.port = 0;
    for listener in config.listeners.tcp.values_mut() {
        listener.bind = BindAddr::new("127.0.0.1", 0).unwrap();
    }
    config
}

/// An answer of the HTTP server.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl At {
    /// One request on a connection of its own; `target` is below `/api/v4`.
    fn request(&self, method: &str, target: &str, authorization: Option<&str>) -> Answer {
        self.request_any(method, &format!("/api/v4{target}"), authorization)
    }

    fn request_any(&self, method: &str, target: &str, authorization: Option<&str>) -> Answer {
        let authorization =
            authorization.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
        let mut socket = connect(self.http);
        write!(
            socket,
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    fn get(&self, target: &str) -> Answer {
        self.request("GET", target, Some(ADMIN))
    }

    /// The body of an answer with 200.
    fn ok(&self, target: &str) -> String {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.body
    }

    /// The values of a member in the rows of an answer with 200.
    fn column(&self, target: &str, member: &str) -> Vec<String> {
        let body: Value = serde_json::from_str(&self.ok(target)).unwrap();
        assert_eq!(body["code"], 0);
        let rows = body["data"].as_array().unwrap();
        rows.iter()
            .map(|row| row[member].as_str().unwrap().to_owned())
            .collect()
    }

    /// Asks until the answer is as wanted; the broker has been told already and is to come to it by itself.
    fn await_ok(&self, target: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = self.ok(target);
            if wanted(&body) {
                return;
            }
            assert!(Instant::now() < deadline, "{target}: {body}");
        }
    }
}

fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A client with one packet under way at a time.
struct Mqtt {
    socket: TcpStream,
    version: ProtocolVersion,
}

impl Mqtt {
    fn connect(at: At, connect_packet: &Connect<'_>) -> Self {
        let mut client = Self {
            socket: connect(at.mqtt),
            version: connect_packet.version,
        };
        client.send(&Packet::Connect(*connect_packet));
        assert_eq!(client.receive(0x20)[1], 0, "CONNACK");
        client
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) {
        let mut filters = SubscribeFiltersBuf::default();
        filters
            .push(filter, SubscribeOptions::with_qos(qos))
            .unwrap();
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: NonZeroU16::MIN,
            properties: Properties::EMPTY,
            filters: filters.as_filters(),
        }));
        assert_eq!(self.receive(0x90).last(), Some(&(qos as u8)), "SUBACK");
    }

    fn publish(&mut self, topic: &str) {
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic,
            packet_id: Some(NonZeroU16::MIN),
            properties: Properties::EMPTY,
            payload: b"x",
        }));
        self.receive(0x40);
    }

    fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = BytesMut::new();
        encode(packet, self.version, &mut bytes).unwrap();
        self.socket.write_all(&bytes).unwrap();
    }

    /// The body of the next packet, which has to be of a kind and shorter than 128 bytes.
    fn receive(&mut self, first_byte: u8) -> Vec<u8> {
        let mut header = [0; 2];
        self.socket.read_exact(&mut header).unwrap();
        assert_eq!(header[0], first_byte);
        assert!(header[1] < 128);
        let mut body = vec![0; header[1].into()];
        self.socket.read_exact(&mut body).unwrap();
        body
    }
}

fn client<'a>(
    version: ProtocolVersion,
    client_id: &'a str,
    username: Option<&'a str>,
) -> Connect<'a> {
    Connect {
        version,
        clean_start: true,
        keep_alive: 60,
        client_id,
        username,
        password: None,
        will: None,
        properties: Properties::EMPTY,
    }
}

const V31: ProtocolVersion = ProtocolVersion::V31;
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

#[test]
fn endpoints_are_listed_as_the_specification_does() {
    with_broker(
        |_| {},
        |at| {
            let expected = concat!(
                r#"{"code":0,"data":["#,
                r#"{"path":"/brokers/","name":"list_brokers","method":"GET","descr":"A list of brokers in the cluster"},"#,
                r#"{"path":"/nodes/","name":"list_nodes","method":"GET","descr":"A list of nodes in the cluster"},"#,
                r#"{"path":"/clients/","name":"list_clients","method":"GET","descr":"A list of clients on current node"},"#,
                r#"{"path":"/clients/:clientid","name":"lookup_client","method":"GET","descr":"Lookup a client in the cluster"},"#,
                r#"{"path":"/clients/username/:username","name":"lookup_client_via_username","method":"GET","descr":"Lookup a client via username in the cluster"},"#,
                r#"{"path":"/subscriptions/","name":"list_subscriptions","method":"GET","descr":"A list of subscriptions in the cluster"},"#,
                r#"{"path":"/subscriptions/:clientid","name":"lookup_client_subscriptions","method":"GET","descr":"A list of subscriptions of a client"}"#,
            );
            for target in ["", "/", "?x=1"] {
                assert!(at.ok(target).starts_with(expected), "{target}");
            }
            // What is listed is there.
            let listed: Value = serde_json::from_str(&at.ok("")).unwrap();
            for endpoint in listed["data"].as_array().unwrap() {
                let answer = at.request("PATCH", endpoint["path"].as_str().unwrap(), Some(ADMIN));
                let allow = answer.header("allow").unwrap_or_default();
                assert_eq!(answer.status, 405, "{endpoint}");
                assert!(
                    allow.contains(endpoint["method"].as_str().unwrap()),
                    "{endpoint} {allow}"
                );
            }
        },
    );
}

#[test]
fn brokers_and_nodes_show_this_broker() {
    with_broker(
        |_| {},
        |at| {
            let _client = Mqtt::connect(at, &client(V5, "a", None));
            let version = env!("CARGO_PKG_VERSION");
            for target in ["/brokers", "/brokers/"] {
                let body = at.ok(target);
                let row = &serde_json::from_str::<Value>(&body).unwrap()["data"][0];
                let datetime = row["datetime"].as_str().unwrap();
                let shape: String = datetime
                    .chars()
                    .map(|c| if c.is_ascii_digit() { '9' } else { c })
                    .collect();
                assert_eq!(shape, "9999-99-99 99:99:99");
                let uptime = row["uptime"].as_str().unwrap();
                assert!(uptime.starts_with("0 Hours, 0 minutes, ") && uptime.ends_with(" seconds"));
                assert_eq!(
                    body,
                    format!(
                        r#"{{"code":0,"data":[{{"datetime":"{datetime}","node_status":"Running","sysdescr":"NanoMQ Broker","uptime":"{uptime}","version":"{version}"}}]}}"#
                    )
                );
            }
            for target in ["/nodes", "/nodes/"] {
                let body = at.ok(target);
                let uptime =
                    serde_json::from_str::<Value>(&body).unwrap()["data"][0]["uptime"].clone();
                assert_eq!(
                    body,
                    format!(
                        r#"{{"code":0,"data":[{{"connections":1,"node_status":"Running","uptime":{uptime},"version":"{version}"}}]}}"#
                    )
                );
            }
        },
    );
}

#[test]
fn a_client_is_shown_with_all_its_members() {
    with_broker(
        |_| {},
        |at| {
            let mut connect_packet = client(V5, "nanomq-f6d6fbfb", Some("alvin"));
            connect_packet.will = Some(Will {
                topic: "gone",
                payload: b"",
                qos: QoS::AtMostOnce,
                retain: false,
                properties: Properties::EMPTY,
            });
            let mut mqtt = Mqtt::connect(at, &connect_packet);
            let port = mqtt.socket.local_addr().unwrap().port();
            for _ in 0..3 {
                mqtt.publish("t");
            }
            let example = r#"{"code":0,"data":[{"client_id":"nanomq-f6d6fbfb","username":"alvin","keepalive":60,"conn_state":"connected","clean_start":true,"proto_name":"MQTT","proto_ver":5,"recv_msg":3,"clientid":"nanomq-f6d6fbfb","connected":true,"ip_address":"127.0.0.1","#;
            at.await_ok("/clients", |body| body.starts_with(example));
            let row = &at.get("/clients").json()["data"][0];
            let members: Vec<&str> = row
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(members.len(), 22);
            assert_eq!(row["port"], port);
            assert_eq!(row["listener"], "default");
            assert_eq!(row["will_topic"], "gone");
            for number in [
                "expiry_interval",
                "mqueue_len",
                "mqueue_dropped",
                "inflight",
                "send_msg",
            ] {
                assert_eq!(row[number], 0, "{number}");
            }
            assert!(row["recv_oct"].as_u64() > Some(0) && row["send_oct"].as_u64() > Some(0));
            assert_eq!(row["connected_at"].as_str().map(str::len), Some(19));
            for target in [
                "/clients/",
                "/clients/nanomq-f6d6fbfb",
                "/clients/nanomq-f6d6fbfb/",
                "/clients/username/alvin",
                "/clients/username/alvin/",
            ] {
                assert!(at.ok(target).starts_with(example), "{target}");
            }
        },
    );
}

#[test]
fn clients_are_filtered_and_paged() {
    with_broker(
        |_| {},
        |at| {
            let _a = Mqtt::connect(at, &client(V5, "a", Some("u")));
            let _b = Mqtt::connect(at, &client(V311, "b", Some("u")));
            let _c = Mqtt::connect(at, &client(V31, "c", None));
            let mut kept = client(V311, "d", Some("v w"));
            kept.clean_start = false;
            drop(Mqtt::connect(at, &kept));
            at.await_ok("/clients/d", |body| {
                body.contains(r#""conn_state":"disconnected""#)
            });
            let all = vec!["a", "b", "c", "d"];
            for (query, expected) in [
                ("", all.clone()),
                ("clientid=b", vec!["b"]),
                ("client_id=b", vec!["b"]),
                ("clientid=nobody", vec![]),
                ("username=u", vec!["a", "b"]),
                ("username=v%20w", vec!["d"]),
                ("username=v+w", vec!["d"]),
                ("username=", all.clone()),
                ("conn_state=connected", vec!["a", "b", "c"]),
                ("conn_state=disconnected", vec!["d"]),
                ("conn_state=idle", vec![]),
                ("clean_start=true", vec!["a", "b", "c"]),
                ("clean_start=false", vec!["d"]),
                ("proto_name=MQTT", vec!["a", "b", "d"]),
                ("proto_name=MQIsdp", vec!["c"]),
                ("proto_name=CoAP", vec![]),
                ("proto_ver=3", vec!["c"]),
                ("proto_ver=4", vec!["b", "d"]),
                ("proto_ver=5", vec!["a"]),
                ("proto_ver=4&username=u", vec!["b"]),
                ("clientid=a&username=v", vec![]),
                ("clientid=a&clientid=b", vec!["b"]),
                ("_page=2&_limit=3", vec!["d"]),
                ("proto_ver=4&_limit=1", vec!["b"]),
            ] {
                let target = format!("/clients?{query}");
                assert_eq!(at.column(&target, "client_id"), expected, "{query}");
            }
            let page = at.ok("/clients/?_page=1&_limit=3");
            let meta = r#","meta":{"page":1,"limit":3,"count":4,"hasnext":true}}"#;
            assert!(page.ends_with(meta), "{page}");
            assert!(!at.ok("/clients").contains("meta"));
            assert_eq!(
                at.column("/clients/username/u?_page=2&_limit=1", "client_id"),
                ["b"]
            );
            at.await_ok("/nodes", |body| body.contains(r#""connections":3"#));
        },
    );
}

#[test]
fn names_of_any_kind_are_found_in_path_and_query() {
    with_broker(
        |_| {},
        |at| {
            for (name, encoded) in [
                ("a/b", "a%2Fb"),
                ("a/b", "a%2fb"),
                ("/", "%2F"),
                ("with space", "with%20space"),
                ("a+b", "a%2Bb"),
                ("été-日本", "%C3%A9t%C3%A9-%E6%97%A5%E6%9C%AC"),
                ("50%", "50%25"),
                ("%2F", "%252F"),
                ("q?x=1&y#z", "q%3Fx%3D1%26y%23z"),
                ("\"'<\\", "%22%27%3C%5C"),
                ("username", "username"),
                ("..", "%2E%2E"),
            ] {
                let mut mqtt = Mqtt::connect(at, &client(V5, name, Some(name)));
                // A filter has these on levels of their own only.
                mqtt.subscribe(&name.replace(['+', '#'], "_"), QoS::AtLeastOnce);
                let topic = encoded.replace("%2B", "_").replace("%23", "_");
                for target in [
                    format!("/clients/{encoded}"),
                    format!("/clients/{encoded}/"),
                    format!("/clients/username/{encoded}"),
                    format!("/clients?clientid={encoded}"),
                    format!("/clients?username={encoded}&clientid={encoded}"),
                    format!("/subscriptions/{encoded}"),
                    format!("/subscriptions?clientid={encoded}&topic={topic}"),
                ] {
                    assert_eq!(at.column(&target, "clientid"), [name], "{target}");
                }
                drop(mqtt);
                at.await_ok("/clients", |body| body == r#"{"code":0,"data":[]}"#);
            }
        },
    );
}

#[test]
fn subscriptions_are_shown_and_filtered() {
    with_broker(
        |_| {},
        |at| {
            assert_eq!(at.ok("/subscriptions"), r#"{"code":0,"data":[]}"#);
            let mut first = Mqtt::connect(at, &client(V5, "nanomq-29978ec1", None));
            let mut second = Mqtt::connect(at, &client(V311, "nanomq-3020ffac", None));
            let _silent = Mqtt::connect(at, &client(V5, "silent", None));
            first.subscribe("topic123", QoS::ExactlyOnce);
            second.subscribe("topic123", QoS::ExactlyOnce);
            let example = r#"{"code":0,"data":[{"clientid":"nanomq-29978ec1","topic":"topic123","qos":2},{"clientid":"nanomq-3020ffac","topic":"topic123","qos":2}]}"#;
            assert_eq!(at.ok("/subscriptions"), example);
            assert_eq!(at.ok("/subscriptions/"), example);
            let of_first =
                r#"{"code":0,"data":[{"clientid":"nanomq-29978ec1","topic":"topic123","qos":2}]}"#;
            assert_eq!(at.ok("/subscriptions/nanomq-29978ec1"), of_first);
            assert_eq!(at.ok("/subscriptions/nanomq-29978ec1/"), of_first);
            assert_eq!(at.ok("/subscriptions/silent"), r#"{"code":0,"data":[]}"#);

            first.subscribe("$share/g/s/+", QoS::AtLeastOnce);
            second.subscribe("$share/h/s/+", QoS::AtMostOnce);
            second.subscribe("s/+", QoS::AtMostOnce);
            for (query, expected) in [
                ("clientid=nanomq-29978ec1", vec!["$share/g/s/+", "topic123"]),
                ("client_id=silent", vec![]),
                ("clientid=nobody", vec![]),
                ("topic=topic123", vec!["topic123", "topic123"]),
                ("topic=topic", vec![]),
                ("topic=s/+", vec!["s/+"]),
                ("topic=s%2F%2B", vec!["s/+"]),
                ("topic=s/x", vec![]),
                ("topic=$share/g/s/%2B", vec!["$share/g/s/+"]),
                ("qos=0", vec!["$share/h/s/+", "s/+"]),
                ("qos=1", vec!["$share/g/s/+"]),
                ("qos=2", vec!["topic123", "topic123"]),
                ("share=g", vec!["$share/g/s/+"]),
                ("share=g&topic=s/%2B", vec!["$share/g/s/+"]),
                ("share=g&topic=$share/g/s/%2B", vec!["$share/g/s/+"]),
                ("share=g&topic=topic123", vec![]),
                ("share=h&qos=1", vec![]),
                ("qos=2&clientid=nanomq-3020ffac", vec!["topic123"]),
                ("qos=2&_page=2&_limit=1", vec!["topic123"]),
            ] {
                let target = format!("/subscriptions?{query}");
                assert_eq!(at.column(&target, "topic"), expected, "{query}");
            }
            // The QoS that was granted last counts.
            second.subscribe("s/+", QoS::AtLeastOnce);
            let again = at.ok("/subscriptions?topic=s/%2B");
            assert_eq!(
                again,
                r#"{"code":0,"data":[{"clientid":"nanomq-3020ffac","topic":"s/+","qos":1}]}"#
            );
        },
    );
}

#[test]
fn wrong_requests_are_refused() {
    with_broker(
        |_| {},
        |at| {
            let _client = Mqtt::connect(at, &client(V5, "a", None));
            // (method, target, status, code, what the message names)
            for (method, target, status, code, named) in [
                ("GET", "/clients?conn_state=asleep", 400, 108, "conn_state"),
                ("GET", "/clients?clean_start=1", 400, 108, "clean_start"),
                ("GET", "/clients?proto_name=HTTP", 400, 108, "proto_name"),
                ("GET", "/clients?proto_ver=6", 400, 108, "proto_ver"),
                ("GET", "/clients?proto_ver=five", 400, 108, "proto_ver"),
                ("GET", "/clients?page=1", 400, 108, "page"),
                ("GET", "/clients?Clientid=a", 400, 108, "Clientid"),
                ("GET", "/clients?_page=0", 400, 108, "_page"),
                ("GET", "/clients?_limit=x", 400, 108, "_limit"),
                ("GET", "/clients/a?x=1", 400, 108, "x"),
                ("GET", "/clients/username/a?x=1", 400, 108, "x"),
                ("GET", "/subscriptions?qos=3", 400, 108, "qos"),
                ("GET", "/subscriptions?username=a", 400, 108, "username"),
                ("GET", "/subscriptions/a?x=1", 400, 108, "x"),
                ("GET", "/nothing", 404, 102, "/nothing"),
                ("GET", "/brokers//", 404, 102, "/brokers//"),
                ("GET", "//brokers", 404, 102, "//brokers"),
                ("GET", "/Brokers", 404, 102, "/Brokers"),
                ("GET", "/clients/a/b", 404, 102, "/clients/a/b"),
                (
                    "GET",
                    "/clients/username/a/b",
                    404,
                    102,
                    "/clients/username/a/b",
                ),
                ("POST", "/nothing", 404, 102, "/nothing"),
                ("POST", "/clients", 405, 102, "GET"),
                ("DELETE", "/clients/a", 405, 102, "GET"),
                ("PUT", "/subscriptions/", 405, 102, "GET"),
                ("OPTIONS", "", 405, 102, "GET"),
                ("NONSENSE", "/brokers/", 405, 102, "GET"),
            ] {
                let answer = at.request(method, target, Some(ADMIN));
                let what = format!("{method} {target}: {answer:?}");
                assert_eq!(answer.status, status, "{what}");
                assert_eq!(
                    answer.header("content-type"),
                    Some("application/json"),
                    "{what}"
                );
                let body = answer.json();
                assert_eq!(body["code"], code, "{what}");
                assert!(body["message"].as_str().unwrap().contains(named), "{what}");
                let allow = (status == 405).then_some("GET, HEAD");
                assert_eq!(answer.header("allow"), allow, "{what}");
            }
            for (target, body) in [
                ("/clients/nobody", r#"{"code":112,"data":[]}"#),
                ("/clients/username/", r#"{"code":112,"data":[]}"#),
                ("/clients/username/nobody", r#"{"code":105,"data":[]}"#),
                ("/subscriptions/nobody", r#"{"code":112,"data":[]}"#),
            ] {
                let answer = at.get(target);
                assert_eq!(
                    (answer.status, answer.body.as_str()),
                    (404, body),
                    "{target}"
                );
            }
            let outside = at.request_any("GET", "/", None);
            assert_eq!(
                (outside.status, outside.json()["code"].clone()),
                (404, json!(102))
            );
            let head = at.request("HEAD", "/nodes", Some(ADMIN));
            assert_eq!((head.status, head.body.as_str()), (200, ""));
        },
    );
}

#[test]
fn strangers_are_refused_before_routing() {
    with_broker(
        |config| {
            config.http_server.username = "böb".to_owned();
            config.http_server.password = Secret::new("se:cret");
        },
        |at| {
            let right = "Basic YsO2YjpzZTpjcmV0";
            assert_eq!(at.request("GET", "/brokers", Some(right)).status, 200);
            for (authorization, code) in [
                (Some(ADMIN), 103),
                (Some("Basic YsO2YjpzZQ=="), 103), // böb:se
                (Some("Basic !"), 103),
                (Some("Basic "), 104),
                (Some("Bearer x"), 104),
                (None, 104),
            ] {
                for (method, target) in [
                    ("GET", "/brokers"),
                    ("GET", "/nothing"),
                    ("DELETE", "/clients"),
                    ("GET", ""),
                ] {
                    let answer = at.request(method, target, authorization);
                    assert_eq!(answer.status, 401, "{authorization:?} {answer:?}");
                    assert_eq!(answer.json()["code"], code, "{authorization:?}");
                    let challenge = answer.header("www-authenticate").unwrap();
                    assert!(challenge.starts_with("Basic realm="), "{challenge}");
                    assert_eq!(answer.header("content-type"), Some("application/json"));
                }
            }
        },
    );
}

#[test]
fn without_authentication_everybody_is_answered() {
    with_broker(
        |config| config.http_server.auth_type = HttpAuth::NoAuth,
        |at| {
            for authorization in [None, Some("Basic !")] {
                assert_eq!(at.request("GET", "/nodes", authorization).status, 200);
            }
        },
    );
}

#[test]
fn a_broker_without_the_api_or_with_its_port_taken() {
    actix::System::new().block_on(async {
        let mut config = local_config();
        config.http_server.enable = false;
        let broker = Broker::start(config, ConfigSource::default())
            .await
            .unwrap();
        assert_eq!(broker.http(), None);
        broker.stop().await;

        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = local_config();
        config.http_server.port = taken.local_addr().unwrap().port();
        let started = Broker::start(config, ConfigSource::default()).await;
        let error = started.err().expect("the port is taken");
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    });
}
