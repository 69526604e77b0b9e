//! The HTTP API as it shows real clients. Left out when another broker is tested, which has no such API.

use serde_json::{Value, json};

use crate::clients::{Subscriber, publish, until};
use crate::harness::{Broker, unique};
use crate::http::{Response, get};
use crate::raw::{Connect, RawClient};

const LOGIN: Option<(&str, &str)> = Some(("admin", "public"));

/// A broker with an API, its HTTP port, and the way to ask it.
struct Api {
    broker: Broker,
    port: u16,
}

impl Api {
    /// `None` when another broker is tested.
    fn start() -> Option<Api> {
        let broker = Broker::start("");
        let port = broker.http_port()?;
        Some(Api { broker, port })
    }

    fn get(&self, path: &str) -> Response {
        get(self.port, &format!("/api/v4{path}"), LOGIN)
    }

    /// The `data` of a successful answer.
    fn data(&self, path: &str) -> Value {
        let response = self.get(path);
        assert_eq!(
            (response.status, &response.body["code"]),
            (200, &json!(0)),
            "{path}: {response:?}"
        );
        assert_eq!(
            response.header("content-type"),
            Some("application/json"),
            "{path}"
        );
        response.body["data"].clone()
    }
}

/// The row of a client in a list.
fn row<'a>(rows: &'a Value, key: &str, id: &str) -> Option<&'a Value> {
    rows.as_array()
        .expect("data is a list")
        .iter()
        .find(|row| row[key] == id)
}

#[test]
fn wrong_or_missing_credentials_are_refused() {
    let Some(api) = Api::start() else { return };
    let cases = [
        (None, 104),
        (Some(("admin", "wrong")), 103),
        (Some(("nobody", "public")), 103),
        (Some(("admin", "")), 104),
    ];
    for (login, code) in cases {
        for path in ["/api/v4/brokers", "/api/v4/clients", "/api/v4/no/such/path"] {
            let response = get(api.port, path, login);
            assert_eq!(
                (response.status, &response.body["code"]),
                (401, &json!(code)),
                "{login:?} {path}"
            );
            let challenge = response.header("www-authenticate").unwrap_or_default();
            assert!(
                challenge.starts_with("Basic"),
                "{login:?} {path}: WWW-Authenticate is {challenge:?}"
            );
        }
    }
}

#[test]
fn brokers_describe_this_broker() {
    let Some(api) = Api::start() else { return };
    let data = api.data("/brokers");
    let broker = &data[0];
    assert_eq!(
        (&broker["node_status"], &broker["sysdescr"]),
        (&json!("Running"), &json!("NanoMQ Broker"))
    );
    let uptime: Vec<&str> = broker["uptime"].as_str().unwrap().split(' ').collect();
    assert_eq!(
        (uptime.len(), uptime[1], uptime[3], uptime[5]),
        (6, "Hours,", "minutes,", "seconds")
    );
    let datetime = broker["datetime"].as_str().unwrap();
    let shape: String = datetime
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00 00:00:00");
    assert!(!broker["version"].as_str().unwrap().is_empty());
}

#[test]
fn nodes_count_the_connected_clients() {
    let Some(api) = Api::start() else { return };
    let connections = || api.data("/nodes")[0]["connections"].clone();
    assert_eq!(connections(), 0);
    let first = Subscriber::start(&api.broker, "mqttv311", &["-t", "a"]);
    let second = Subscriber::start(&api.broker, "mqttv5", &["-t", "b", "-C", "1"]);
    until("both clients are counted", || connections() == 2);
    publish(&api.broker, "mqttv5", &["-t", "b", "-m", "leave"]);
    second.finish();
    until("one client is left", || connections() == 1);
    first.kill();
    until("no client is left", || connections() == 0);
}

#[test]
fn clients_shows_both_ends_of_a_running_pair() {
    let Some(api) = Api::start() else { return };
    let (subscriber_id, publisher_id, topic) = (unique("sub"), unique("pub"), unique("pair"));
    let args = [
        "-i",
        &subscriber_id,
        "-t",
        &topic,
        "-k",
        "30",
        "-u",
        "alvin",
    ];
    let mut subscriber = Subscriber::start(&api.broker, "mqttv5", &args);
    let mut publisher = RawClient::open(&api.broker);
    publisher.send(
        &Connect {
            level: 4,
            client_id: &publisher_id,
            clean: true,
            keep_alive: 60,
            will: None,
        }
        .encode(),
    );
    publisher.receive().expect("a CONNACK");
    let mut packet = vec![0x30, 2 + topic.len() as u8 + 1, 0, topic.len() as u8];
    packet.extend(topic.as_bytes());
    packet.push(b'x');
    for _ in 0..3 {
        publisher.send(&packet);
    }
    subscriber.take(3);

    let expected = [
        json!({"client_id": subscriber_id, "username": "alvin", "keepalive": 30, "conn_state": "connected",
            "clean_start": true, "proto_name": "MQTT", "proto_ver": 5, "recv_msg": 0,
            "clientid": subscriber_id, "connected": true}),
        json!({"client_id": publisher_id, "username": "", "keepalive": 60, "conn_state": "connected",
            "clean_start": true, "proto_name": "MQTT", "proto_ver": 4, "recv_msg": 3,
            "clientid": publisher_id, "connected": true}),
    ];
    // Counters of a connection reach the list a little after the messages reach the subscriber.
    until("three messages are counted", || {
        row(&api.data("/clients"), "client_id", &publisher_id)
            .is_some_and(|row| row["recv_msg"] == 3)
    });
    let rows = api.data("/clients");
    assert_eq!(rows.as_array().map(Vec::len), Some(2));
    for client in &expected {
        let id = client["client_id"].as_str().unwrap();
        let alone = api.data(&format!("/clients/{id}"));
        assert_eq!(alone.as_array().map(Vec::len), Some(1), "{id}");
        for row in [
            row(&rows, "client_id", id).expect("the client is listed"),
            &alone[0],
        ] {
            for (field, value) in client.as_object().unwrap() {
                assert_eq!(&row[field], value, "{field} of {id}");
            }
        }
    }
    let alvin = api.data("/clients/username/alvin");
    assert_eq!(
        (alvin.as_array().map(Vec::len), &alvin[0]["client_id"]),
        (Some(1), &json!(subscriber_id))
    );
}

#[test]
fn a_kept_session_is_listed_as_disconnected() {
    let Some(api) = Api::start() else { return };
    let id = unique("away");
    let args = ["-c", "-x", "300", "-i", &id, "-t", "t", "-q", "1", "-E"];
    Subscriber::start(&api.broker, "mqttv5", &args).finish();
    until("the session is shown without its client", || {
        row(&api.data("/clients"), "client_id", &id)
            .is_some_and(|row| row["conn_state"] == "disconnected")
    });
    assert_eq!(
        row(&api.data("/clients"), "client_id", &id).unwrap()["connected"],
        json!(false)
    );
    assert_eq!(
        api.data("/nodes")[0]["connections"],
        0,
        "a kept session is not a connection"
    );
}

#[test]
fn what_does_not_exist_is_not_found() {
    let Some(api) = Api::start() else { return };
    let cases = [
        ("/clients/nobody", json!({"code": 112, "data": []})),
        ("/clients/username/nobody", json!({"code": 105, "data": []})),
        ("/subscriptions/nobody", json!({"code": 112, "data": []})),
    ];
    for (path, body) in cases {
        let response = api.get(path);
        assert_eq!((response.status, response.body), (404, body), "{path}");
    }
    let response = api.get("/no/such/path");
    assert_eq!(
        (response.status, &response.body["code"]),
        (404, &json!(102))
    );
}

#[test]
fn subscriptions_are_listed_per_client() {
    let Some(api) = Api::start() else { return };
    let (first, second) = (unique("first"), unique("second"));
    let _first = Subscriber::start(
        &api.broker,
        "mqttv5",
        &["-i", &first, "-t", "a/+", "-t", "b/#", "-q", "2"],
    );
    let _second = Subscriber::start(
        &api.broker,
        "mqttv311",
        &["-i", &second, "-t", "$share/g/c", "-q", "1"],
    );
    let expected_first = [json!([first, "a/+", 2]), json!([first, "b/#", 2])];
    let expected_second = [json!([second, "$share/g/c", 1])];
    let list = |path: &str| -> Vec<Value> {
        let data = api.data(path);
        let mut rows: Vec<Value> = data
            .as_array()
            .unwrap()
            .iter()
            .map(|row| json!([row["clientid"], row["topic"], row["qos"]]))
            .collect();
        rows.sort_by_key(ToString::to_string);
        rows
    };
    assert_eq!(list(&format!("/subscriptions/{first}")), expected_first);
    assert_eq!(list(&format!("/subscriptions/{second}")), expected_second);
    let mut all = [&expected_first[..], &expected_second[..]].concat();
    all.sort_by_key(ToString::to_string);
    assert_eq!(list("/subscriptions"), all);
}

#[test]
fn an_ended_clean_session_leaves_the_lists() {
    let Some(api) = Api::start() else { return };
    let id = unique("brief");
    publish(&api.broker, "mqttv311", &["-i", &id, "-t", "t", "-m", "x"]);
    until("the client is forgotten", || {
        api.get(&format!("/clients/{id}")).status == 404
    });
    assert_eq!(row(&api.data("/clients"), "client_id", &id), None);
}
