//! Statistics, metrics, listeners and health.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use nanomq::{actors::ConfigSource, broker::Broker, config::Listener, mqtt::QoS};
use serde_json::{Value, json};

use crate::kit::{ADMIN, At, Mqtt, V5, V311, client, local_config, with_broker};

/// One client that is gone and has two messages waiting, one that has not acknowledged one, a publisher, and one
/// connection that ended in a protocol error.
pub fn load(at: At) -> [Mqtt; 2] {
    let mut kept = client(V311, "away", None);
    kept.clean_start = false;
    let mut away = Mqtt::connect(at, &kept);
    away.subscribe("q", QoS::AtLeastOnce);
    drop(away);
    at.await_ok("/clients/away", |body| body.contains("disconnected"));
    let mut silent = Mqtt::connect(at, &client(V5, "silent", None));
    silent.subscribe("s/+", QoS::AtLeastOnce);
    let mut publisher = Mqtt::connect(at, &client(V5, "publisher", None));
    for topic in ["q", "q", "s/1", "nobody"] {
        publisher.publish(topic);
    }
    let mut broken = TcpStream::connect(at.mqtt).unwrap();
    broken.write_all(&[0x30, 0]).unwrap();
    broken.read_to_end(&mut Vec::new()).unwrap();
    at.await_ok("/stats", |body| {
        let data = &serde_json::from_str::<Value>(body).unwrap()["data"];
        data["queues"]["messages"] == 2
            && data["queues"]["inflight"] == 1
            && data["protocol_errors"] == json!({ "connect_expected": 1 })
            && data["messages"]["received"]["total"] == 4
    });
    [silent, publisher]
}

#[test]
fn statistics_are_numbers() {
    with_broker(
        |config| config.mqtt.sys_interval = Default::default(),
        |at| {
            let _clients = load(at);
            let stats = &at.get("/stats").json()["data"];
            for (pointer, expected) in [
                ("/connections", 2),
                ("/sessions", 3),
                ("/subscriptions", 2),
                ("/topics", 2),
                ("/retained/count", 0),
                ("/retained/bytes", 0),
                ("/messages/received/qos0", 0),
                ("/messages/received/qos1", 4),
                ("/messages/sent/qos1", 1),
                ("/messages/sent/total", 1),
                ("/messages/no_subscriber", 1),
                ("/messages/dropped", 0),
                ("/drops/queue_full", 0),
                ("/queues/sessions", 1),
                ("/queues/messages", 2),
                ("/queues/inflight", 1),
            ] {
                assert_eq!(stats.pointer(pointer), Some(&json!(expected)), "{pointer}");
            }
            for pointer in [
                "/sockets",
                "/packets_received",
                "/bytes/received",
                "/bytes/sent",
                "/queues/bytes",
                "/process/memory_bytes",
                "/process/open_files",
                "/process/open_files_limit",
            ] {
                let value = stats.pointer(pointer).and_then(Value::as_u64);
                assert!(value > Some(0), "{pointer}: {stats}");
            }
            for pointer in [
                "/uptime_seconds",
                "/rates/interval_seconds",
                "/rates/messages_received",
                "/rates/bytes_sent",
                "/process/cpu_seconds",
                "/process/cpu_percent",
            ] {
                let value = stats.pointer(pointer).and_then(Value::as_f64);
                assert!(value >= Some(0.0), "{pointer}: {stats}");
            }
        },
    );
}

#[test]
fn metrics_have_the_shape_of_nanomq_and_numbers_beside_it() {
    with_broker(
        |_| {},
        |at| {
            let _client = Mqtt::connect(at, &client(V5, "a", None));
            for target in ["/metrics", "/metrics/"] {
                let body = at.ok(target);
                let json: Value = serde_json::from_str(&body).unwrap();
                let (percent, memory) =
                    (&json["cpu_percent"], json["memory_bytes"].as_u64().unwrap());
                let cpuinfo = format!("{:.2}%", percent.as_f64().unwrap());
                assert_eq!(
                    body,
                    format!(
                        r#"{{"metrics":[],"cpuinfo":"{cpuinfo}","memory":"{memory}","connections":1,"cpu_percent":{percent},"memory_bytes":{memory}}}"#
                    )
                );
                assert!(memory > 0);
            }
        },
    );
}

#[test]
fn what_waits_for_clients_is_shown() {
    with_broker(
        |_| {},
        |at| {
            assert_eq!(at.ok("/slow_clients"), r#"{"code":0,"data":[]}"#);
            let _clients = load(at);
            let queue = at.ok("/clients/away/mqueue");
            let bytes = &at.get("/clients/away/mqueue").json()["data"]["bytes"];
            assert_eq!(
                queue,
                format!(
                    r#"{{"code":0,"data":{{"clientid":"away","connected":false,"count":2,"bytes":{bytes},"dropped":0}}}}"#
                )
            );
            for (target, expected) in [
                (
                    "/clients/silent/inflight",
                    r#"{"clientid":"silent","connected":true,"count":1}"#.to_owned(),
                ),
                (
                    "/clients/away/inflight/",
                    r#"{"clientid":"away","connected":false,"count":0}"#.to_owned(),
                ),
                (
                    "/clients/silent/mqueue",
                    r#"{"clientid":"silent","connected":true,"count":0,"bytes":0,"dropped":0}"#
                        .to_owned(),
                ),
                (
                    "/slow_clients?limit=1",
                    format!(
                        r#"[{{"clientid":"away","connected":false,"mqueue_len":2,"mqueue_bytes":{bytes},"mqueue_dropped":0,"inflight":0}}]"#
                    ),
                ),
            ] {
                assert_eq!(
                    at.ok(target),
                    format!(r#"{{"code":0,"data":{expected}}}"#),
                    "{target}"
                );
            }
        },
    );
}

#[test]
fn slow_clients_are_ordered_by_queue_and_then_by_drops() {
    with_broker(
        |config| config.mqtt.max_mqueue_len = 2,
        |at| {
            for (id, filter) in [
                ("a", "one/+"),
                ("b", "two/+"),
                ("c", "two/dropped"),
                ("d", "nothing"),
            ] {
                let mut kept = client(V311, id, None);
                kept.clean_start = false;
                let mut mqtt = Mqtt::connect(at, &kept);
                mqtt.subscribe(filter, QoS::AtLeastOnce);
                drop(mqtt);
                at.await_ok(&format!("/clients/{id}"), |body| {
                    body.contains("disconnected")
                });
            }
            let mut publisher = Mqtt::connect(at, &client(V5, "publisher", None));
            for topic in [
                "one/x",
                "two/dropped",
                "two/dropped",
                "two/dropped",
                "two/x",
            ] {
                publisher.publish(topic);
            }
            // b: two wait, two dropped; c: two wait, one dropped; a: one waits.
            at.await_ok("/slow_clients", |body| {
                let json: Value = serde_json::from_str(body).unwrap();
                let rows = json["data"].as_array().unwrap();
                let rows: Vec<(&str, u64, u64)> = rows
                    .iter()
                    .map(|row| {
                        let number = |member: &str| row[member].as_u64().unwrap();
                        let id = row["clientid"].as_str().unwrap();
                        (id, number("mqueue_len"), number("mqueue_dropped"))
                    })
                    .collect();
                rows == [("b", 2, 2), ("c", 2, 1), ("a", 1, 0)]
            });
            assert_eq!(at.column("/slow_clients?limit=2", "clientid"), ["b", "c"]);
        },
    );
}

#[test]
fn listeners_are_listed() {
    with_broker(
        |config| {
            let off = Listener {
                enable: false,
                max_connections: 7,
                max_connection_rate: 5,
                ..Listener::default()
            };
            config.listeners.tcp.insert("off".to_owned(), off);
        },
        |at| {
            let _client = Mqtt::connect(at, &client(V5, "a", None));
            let on = at.mqtt;
            assert_eq!(
                at.ok("/listeners"),
                format!(
                    r#"{{"code":0,"data":[{{"name":"default","protocol":"tcp","bind":"{on}","addresses":["{on}"],"enabled":true,"connections":1,"max_connections":1000000,"max_connection_rate":0}},{{"name":"off","protocol":"tcp","bind":"0.0.0.0:1883","addresses":[],"enabled":false,"connections":0,"max_connections":7,"max_connection_rate":5}},{{"name":"default","protocol":"ssl","bind":"0.0.0.0:8883","addresses":[],"enabled":false,"connections":0,"max_connections":1000000,"max_connection_rate":0}},{{"name":"default","protocol":"ws","bind":"0.0.0.0:8083","addresses":[],"enabled":false,"connections":0,"max_connections":1000000,"max_connection_rate":0}},{{"name":"default","protocol":"wss","bind":"0.0.0.0:8084","addresses":[],"enabled":false,"connections":0,"max_connections":1000000,"max_connection_rate":0}}]}}"#
                )
            );
        },
    );
}

#[test]
fn health_is_told_to_everybody_and_ends_with_the_broker() {
    actix::System::new().block_on(async {
        let broker = Broker::start(local_config(), ConfigSource::default())
            .await
            .unwrap();
        let at = At {
            mqtt: broker.mqtt()[0].1,
            http: broker.http().unwrap(),
        };
        let connect = move || {
            for (authorization, target) in [
                (None, "/health"),
                (None, "/health/"),
                (Some("Basic !"), "/health"),
                (Some(ADMIN), "/health"),
            ] {
                let answer = at.request("GET", target, authorization);
                let running = r#"{"code":0,"data":{"status":"running"}}"#;
                assert_eq!((answer.status, answer.body.as_str()), (200, running));
            }
            assert_eq!(at.request("POST", "/health", None).status, 405);
            assert_eq!(at.request("GET", "/health/x", None).status, 401);
            Mqtt::connect(at, &client(V5, "a", None))
        };
        let mut mqtt = tokio::task::spawn_blocking(connect).await.unwrap();
        let stopped = actix::spawn(broker.stop());
        // As long as this client has not closed its socket, the broker waits for it.
        let look = move || {
            let mut farewell = [0; 3];
            mqtt.socket.read_exact(&mut farewell).unwrap();
            assert_eq!((farewell[0], farewell[2]), (0xe0, 0x8b));
            let answer = at.request("GET", "/health", None);
            assert_eq!((answer.status, &answer.json()["code"]), (503, &json!(102)));
            assert_eq!(answer.header("content-type"), Some("application/json"));
        };
        tokio::task::spawn_blocking(look).await.unwrap();
        stopped.await.unwrap();
    });
}

#[test]
fn wrong_parameters_are_refused() {
    with_broker(
        |_| {},
        |at| {
            for (target, status, code, named) in [
                ("/topic-tree?depth=0", 400, 108, "depth"),
                ("/topic-tree?depth=129", 400, 108, "depth"),
                ("/topic-tree?limit=0", 400, 108, "limit"),
                ("/topic-tree?limit=x", 400, 108, "limit"),
                ("/topic-tree?Root=a", 400, 108, "Root"),
                ("/slow_clients?limit=0", 400, 108, "limit"),
                ("/slow_clients?limit=10001", 400, 108, "limit"),
                ("/stats?x=1", 400, 108, "x"),
                ("/metrics?x=1", 400, 108, "x"),
                ("/prometheus?x=1", 400, 108, "x"),
                ("/listeners?x=1", 400, 108, "x"),
                ("/clients/a/mqueue?x=1", 400, 108, "x"),
                ("/clients/a/inflight?x=1", 400, 108, "x"),
                ("/clients/a/queue", 404, 102, "/clients/a/queue"),
            ] {
                let answer = at.get(target);
                assert_eq!(answer.status, status, "{target}: {answer:?}");
                assert_eq!(answer.header("content-type"), Some("application/json"));
                let body = answer.json();
                assert_eq!(body["code"], code, "{target}");
                assert!(
                    body["message"].as_str().unwrap().contains(named),
                    "{target}"
                );
            }
            for target in ["/clients/nobody/mqueue", "/clients/nobody/inflight"] {
                let answer = at.get(target);
                let nobody = r#"{"code":112,"data":[]}"#;
                assert_eq!((answer.status, answer.body.as_str()), (404, nobody));
            }
        },
    );
}
