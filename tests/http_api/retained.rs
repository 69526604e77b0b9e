//! Retained messages, shown and removed.

use std::io::{Read, Write};

use bytes::BytesMut;
use nanomq::mqtt::{Packet, PacketId, Properties, PropertiesBuf, Property, Publish, QoS, encode};
use serde_json::Value;

use crate::kit::{ADMIN, Mqtt, V5, client, with_broker};

/// Retains messages, and waits until the broker has them.
fn retain(mqtt: &mut Mqtt, messages: &[(&str, &[u8])], properties: Properties<'_>) {
    let mut bytes = BytesMut::new();
    let mut packet = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: true,
        topic: "",
        packet_id: None,
        properties,
        payload: b"",
    };
    for (topic, payload) in messages {
        packet.topic = topic;
        packet.payload = payload;
        encode(&Packet::Publish(packet), V5, &mut bytes).unwrap();
    }
    packet.topic = "sync";
    packet.payload = b"";
    packet.qos = QoS::AtLeastOnce;
    packet.packet_id = Some(PacketId::MIN);
    encode(&Packet::Publish(packet), V5, &mut bytes).unwrap();
    mqtt.socket.write_all(&bytes).unwrap();
    let mut header = [0; 2];
    mqtt.socket.read_exact(&mut header).unwrap();
    assert_eq!(header[0], 0x40, "PUBACK");
    let mut rest = vec![0; header[1].into()];
    mqtt.socket.read_exact(&mut rest).unwrap();
}

#[test]
fn messages_are_shown_in_pages_and_in_order() {
    with_broker(
        |_| {},
        |at| {
            let nothing =
                r#"{"code":0,"data":[],"meta":{"page":1,"limit":100,"count":0,"hasnext":false}}"#;
            assert_eq!(at.ok("/retained"), nothing);
            let mut mqtt = Mqtt::connect(at, &client(V5, "a", None));
            let messages: [(&str, &[u8]); 4] = [
                ("b", "é\"".as_bytes()),
                ("a/2", &[0xff, 0]),
                ("a/1", b"one"),
                ("a b%", b"x"),
            ];
            retain(&mut mqtt, &messages, Properties::EMPTY);
            assert_eq!(
                at.ok("/retained?topic=a/+&_limit=5"),
                concat!(
                    r#"{"code":0,"data":["#,
                    r#"{"topic":"a/1","qos":0,"payload":"one","payload_encoding":"text","payload_size":3,"expires_in":null},"#,
                    r#"{"topic":"a/2","qos":0,"payload":"/wA=","payload_encoding":"base64","payload_size":2,"expires_in":null}"#,
                    r#"],"meta":{"page":1,"limit":5,"count":2,"hasnext":false}}"#,
                )
            );
            // (query, payload, its encoding)
            for (query, payload, encoding) in [
                ("topic=b", r#""é\"""#, "text"),
                ("topic=b&payload=text", r#""é\"""#, "text"),
                ("topic=b&payload=base64", r#""w6ki""#, "base64"),
                ("topic=b&payload=none", "null", "none"),
                ("topic=a/2&payload=text", r#""/wA=""#, "base64"),
            ] {
                let body = at.ok(&format!("/retained?{query}"));
                let expected = format!(r#""payload":{payload},"payload_encoding":"{encoding}""#);
                assert!(body.contains(&expected), "{query}: {body}");
            }
            for (query, topics, count, hasnext) in [
                ("", vec!["a/1", "a/2", "a b%", "b"], 4, false),
                ("topic=%23", vec!["a/1", "a/2", "a b%", "b"], 4, false),
                ("topic=+", vec!["a b%", "b"], 2, false),
                ("topic=a/%23", vec!["a/1", "a/2"], 2, false),
                ("topic=a%2F2", vec!["a/2"], 1, false),
                ("topic=a%20b%25", vec!["a b%"], 1, false),
                ("topic=a+b%25", vec!["a b%"], 1, false),
                ("topic=nothing", vec![], 0, false),
                ("_limit=3", vec!["a/1", "a/2", "a b%"], 4, true),
                ("_limit=3&_page=2", vec!["b"], 4, false),
                ("_limit=3&_page=3", vec![], 4, false),
                ("_limit=3&_page=18446744073709551615", vec![], 4, false),
            ] {
                let target = format!("/retained?{query}");
                assert_eq!(at.column(&target, "topic"), topics, "{query}");
                let meta = &at.get(&target).json()["meta"];
                assert_eq!(
                    (&meta["count"], &meta["hasnext"]),
                    (&count.into(), &hasnext.into())
                );
            }
            // The broker's own messages have to be named.
            let own = at.column("/retained?topic=$SYS/%23", "topic");
            assert!(own.contains(&"$SYS/brokers/version".to_owned()), "{own:?}");

            let mut expiry = PropertiesBuf::default();
            expiry.push(Property::MessageExpiryInterval(1000));
            retain(&mut mqtt, &[("soon", b"x")], expiry.as_properties());
            let left = at.get("/retained?topic=soon").json()["data"][0]["expires_in"].as_u64();
            assert!((900..=1000).contains(&left.unwrap()), "{left:?}");
        },
    );
}

#[test]
fn messages_are_removed_by_filter() {
    with_broker(
        |_| {},
        |at| {
            let mut mqtt = Mqtt::connect(at, &client(V5, "a", None));
            let many: Vec<String> = (0..1500).map(|n| format!("many/{n}/x")).collect();
            let mut messages: Vec<(&str, &[u8])> = many
                .iter()
                .map(|topic| (topic.as_str(), &b"x"[..]))
                .collect();
            messages.extend([("many", &b"x"[..]), ("few/1", b"x"), ("few/2", b"x")]);
            retain(&mut mqtt, &messages, Properties::EMPTY);
            let count = |topic: &str| {
                at.get(&format!("/retained?topic={topic}")).json()["meta"]["count"].clone()
            };
            assert_eq!(count("%23"), 1503);
            for (topic, deleted, left) in [
                ("many/+/x", 1500, 3),
                ("many/+/x", 0, 3),
                ("many/%23", 1, 2),
                ("few/2", 1, 1),
                ("%23", 1, 0),
            ] {
                let answer = at.request("DELETE", &format!("/retained?topic={topic}"), Some(ADMIN));
                let expected = format!(r#"{{"code":0,"data":{{"deleted":{deleted}}}}}"#);
                assert_eq!((answer.status, answer.body), (200, expected), "{topic}");
                assert_eq!(count("%23"), left, "{topic}");
            }
            // "#" does not reach the broker's own messages.
            assert!(count("$SYS/%23").as_u64() > Some(0));
            at.await_ok("/stats", |body| {
                let stats: Value = serde_json::from_str(body).unwrap();
                stats["data"]["retained"]["count"] == count("$SYS/%23")
            });
        },
    );
}

#[test]
fn wrong_requests_are_refused() {
    with_broker(
        |_| {},
        |at| {
            for (method, query, code, named) in [
                ("GET", "topic=a%23", 115, "topic"),
                ("GET", "topic=%23/a", 115, "topic"),
                ("GET", "topic=a%2Bb", 115, "topic"),
                ("GET", "topic=a%00", 115, "topic"),
                ("GET", "topic=$share/g/a", 115, "topic"),
                ("GET", "payload=hex", 108, "payload"),
                ("GET", "_limit=0", 108, "_limit"),
                ("GET", "_limit=10001", 108, "_limit"),
                ("GET", "_page=0", 108, "_page"),
                ("GET", "filter=a", 108, "filter"),
                ("DELETE", "", 107, "topic"),
                ("DELETE", "topic=", 107, "topic"),
                ("DELETE", "topic=a%23", 115, "topic"),
                ("DELETE", "topic=$SYS/%23", 115, "topic"),
                ("DELETE", "topic=$share/g/a", 115, "topic"),
                ("DELETE", "topic=a&_limit=1", 108, "_limit"),
                ("DELETE", "topic=a&topic=b", 108, "topic"),
                ("GET", "topic=a&topic=b", 108, "topic"),
            ] {
                let answer = at.request(method, &format!("/retained?{query}"), Some(ADMIN));
                let body = answer.json();
                assert_eq!(
                    (answer.status, &body["code"]),
                    (400, &code.into()),
                    "{method} {query}"
                );
                assert!(
                    body["message"].as_str().unwrap().contains(named),
                    "{method} {query}"
                );
            }
        },
    );
}
