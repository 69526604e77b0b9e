//! Publishing.

use nanomq::mqtt::QoS;
use serde_json::{Value, json};

use crate::kit::{At, Got, Mqtt, V5, V311, client, with_broker};

const DONE: &str = r#"{"code":0}"#;

fn publish(at: At, body: &Value) {
    let answer = at.post("/mqtt/publish", &body.to_string());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, DONE),
        "{body} {answer:?}"
    );
}

#[test]
fn messages_reach_their_subscribers() {
    with_broker(
        |_| {},
        |at| {
            let mut subscriber = Mqtt::connect(at, &client(V5, "s", None));
            subscriber.subscribe("a/#", QoS::ExactlyOnce);
            for (body, expected) in [
                (
                    json!({"topic": "a/1", "payload": "x"}),
                    vec![Got::plain("a/1", "x", 0, false)],
                ),
                (
                    json!({"topic": "a/1", "payload": "ü\n", "qos": 2, "clientid": "me", "more": 1}),
                    vec![Got::plain("a/1", "ü\n", 2, false)],
                ),
                (
                    json!({"topic": "a/1", "topics": "a/2", "payload": "", "qos": 1}),
                    vec![Got::plain("a/1", "", 1, false)],
                ),
                (
                    json!({"topics": "a/1,b,a/2", "payload": "x", "topic": null}),
                    vec![
                        Got::plain("a/1", "x", 0, false),
                        Got::plain("a/2", "x", 0, false),
                    ],
                ),
                (
                    json!({"topic": "a/1", "payload": "aGk=", "decoding": "base64", "encoding": "plain"}),
                    vec![Got::plain("a/1", "hi", 0, false)],
                ),
                (
                    json!({"topic": "a/1", "payload": "hi", "encoding": "base64"}),
                    vec![Got::plain("a/1", "aGk=", 0, false)],
                ),
            ] {
                publish(at, &body);
                for message in expected {
                    assert_eq!(subscriber.next_message(), message, "{body}");
                }
            }
        },
    );
}

#[test]
fn properties_reach_version_5_clients() {
    with_broker(
        |_| {},
        |at| {
            let mut subscriber = Mqtt::connect(at, &client(V5, "s", None));
            subscriber.subscribe("t", QoS::AtMostOnce);
            let mut old = Mqtt::connect(at, &client(V311, "o", None));
            old.subscribe("t", QoS::AtMostOnce);
            publish(
                at,
                &json!({"topic": "t", "payload": "x", "properties": {
                    "payload_format_indicator": 1,
                    "message_expiry_interval": 3600,
                    "response_topic": "r/t",
                    "correlation_data": "c",
                    "content_type": "text/plain",
                    "subscription_identifier": null,
                    "user_properties": {"a": "1", "b": 2, "c": true, "d": null},
                }}),
            );
            let got = subscriber.next_message();
            let (before, after) = got.properties.split_once("MessageExpiryInterval(").unwrap();
            let (_, behind) = after.split_once("), ").unwrap();
            assert_eq!(before, "[PayloadFormatIndicator(1), ");
            assert_eq!(
                behind,
                concat!(
                    r#"ResponseTopic("r/t"), CorrelationData([99]), ContentType("text/plain"), "#,
                    r#"UserProperty("a", "1"), UserProperty("b", "2"), UserProperty("c", "true")]"#
                )
            );
            assert_eq!(old.next_message(), Got::plain("t", "x", 0, false));
        },
    );
}

#[test]
fn a_retained_message_waits_for_subscribers() {
    with_broker(
        |_| {},
        |at| {
            publish(at, &json!({"topic": "r", "payload": "x", "retain": true}));
            let mut subscriber = Mqtt::connect(at, &client(V5, "s", None));
            subscriber.subscribe("r", QoS::AtMostOnce);
            assert_eq!(subscriber.next_message(), Got::plain("r", "x", 0, true));
            publish(at, &json!({"topic": "r", "payload": "", "retain": true}));
            assert_eq!(subscriber.next_message(), Got::plain("r", "", 0, false));
            let mut late = Mqtt::connect(at, &client(V5, "l", None));
            late.subscribe("r", QoS::AtMostOnce);
            publish(at, &json!({"topic": "r", "payload": "new"}));
            assert_eq!(late.next_message(), Got::plain("r", "new", 0, false));
        },
    );
}

#[test]
fn many_large_messages_arrive_in_order() {
    with_broker(
        |_| {},
        |at| {
            let mut subscriber = Mqtt::connect(at, &client(V5, "s", None));
            subscriber.subscribe("n/+", QoS::AtMostOnce);
            let topics: Vec<String> = (0..1000).map(|n| format!("n/{n}")).collect();
            let payload = "x".repeat(3000);
            publish(at, &json!({"topics": topics.join(","), "payload": payload}));
            for topic in topics {
                assert_eq!(subscriber.next_message().topic, topic);
            }
        },
    );
}

#[test]
fn wrong_messages_are_refused() {
    with_broker(
        |config| {
            config.mqtt.max_topic_length = 100;
            config.mqtt.max_topic_levels = 4;
            config.mqtt.max_properties = 3;
            config.mqtt.max_payload_size = 50;
        },
        |at| {
            let mut subscriber = Mqtt::connect(at, &client(V5, "s", None));
            subscriber.subscribe("#", QoS::AtMostOnce);
            let with =
                |properties: Value| json!({"topic": "t", "payload": "x", "properties": properties});
            // (body, code, what the message begins with)
            for (body, code, named) in [
                (json!({}), 107, "topic"),
                (json!({"payload": "x"}), 107, "topic"),
                (json!({"topic": "t"}), 107, "payload"),
                (json!({"topic": "t", "payload": null}), 107, "payload"),
                (json!({"topic": "t", "payload": 1}), 108, "payload"),
                (json!({"topic": "t", "payload": {}}), 108, "payload"),
                (
                    json!({"topic": "t", "payload": "x".repeat(51)}),
                    108,
                    "payload",
                ),
                (json!({"topic": 1, "payload": "x"}), 108, "topic"),
                (json!({"topics": ["t"], "payload": "x"}), 108, "topics"),
                (
                    json!({"topic": "t", "topics": 5, "payload": "x"}),
                    108,
                    "topics",
                ),
                (
                    json!({"topics": ",".repeat(1000), "payload": "x"}),
                    108,
                    "topics",
                ),
                (
                    json!({"topic": "t", "payload": "x", "clientid": 1}),
                    108,
                    "clientid",
                ),
                (json!({"topic": "t", "payload": "x", "qos": 3}), 108, "qos"),
                (json!({"topic": "t", "payload": "x", "qos": -1}), 108, "qos"),
                (
                    json!({"topic": "t", "payload": "x", "qos": 1.5}),
                    108,
                    "qos",
                ),
                (
                    json!({"topic": "t", "payload": "x", "qos": "1"}),
                    108,
                    "qos",
                ),
                (
                    json!({"topic": "t", "payload": "x", "retain": 1}),
                    108,
                    "retain",
                ),
                (
                    json!({"topic": "t", "payload": "x", "encoding": "utf8"}),
                    108,
                    "encoding",
                ),
                (
                    json!({"topic": "t", "payload": "x", "decoding": 1}),
                    108,
                    "decoding",
                ),
                (
                    json!({"topic": "t", "payload": "?", "decoding": "base64"}),
                    108,
                    "payload",
                ),
                (
                    json!({"topic": "t", "payload": "x", "properties": []}),
                    108,
                    "properties",
                ),
                (json!({"topic": "", "payload": "x"}), 115, "topic"),
                (json!({"topic": "a/+", "payload": "x"}), 115, "topic"),
                (json!({"topic": "#", "payload": "x"}), 115, "topic"),
                (json!({"topic": "a\0b", "payload": "x"}), 115, "topic"),
                (
                    json!({"topic": "x".repeat(101), "payload": "x"}),
                    115,
                    "topic",
                ),
                (
                    json!({"topic": "x".repeat(70_000), "payload": "x"}),
                    115,
                    "topic",
                ),
                (json!({"topic": "1/2/3/4/5", "payload": "x"}), 115, "topic"),
                (json!({"topic": "$SYS", "payload": "x"}), 115, "topic"),
                (
                    json!({"topic": "$SYS/brokers/x", "payload": "x"}),
                    115,
                    "topic",
                ),
                (json!({"topics": "a,b/#", "payload": "x"}), 115, "topics[1]"),
                (json!({"topics": "a,,b", "payload": "x"}), 115, "topics[1]"),
                (json!({"topics": "", "payload": "x"}), 115, "topics[0]"),
                (
                    with(json!({"payload_format_indicator": 2})),
                    108,
                    "properties.payload_format_indicator",
                ),
                (
                    with(json!({"payload_format_indicator": true})),
                    108,
                    "properties.payload_format_indicator",
                ),
                (
                    with(json!({"message_expiry_interval": 4_294_967_296_u64})),
                    108,
                    "properties.message_expiry_interval",
                ),
                (
                    with(json!({"response_topic": 1})),
                    108,
                    "properties.response_topic",
                ),
                (
                    with(json!({"response_topic": "a/#"})),
                    115,
                    "properties.response_topic",
                ),
                (
                    with(json!({"correlation_data": "x".repeat(65_536)})),
                    108,
                    "properties.correlation_data",
                ),
                (
                    with(json!({"subscription_identifier": 1})),
                    108,
                    "properties.subscription_identifier",
                ),
                (
                    with(json!({"content_type": "a\0"})),
                    108,
                    "properties.content_type",
                ),
                (
                    with(json!({"user_properties": []})),
                    108,
                    "properties.user_properties",
                ),
                (
                    with(json!({"user_properties": {"k": []}})),
                    108,
                    "properties.user_properties.k",
                ),
                (
                    with(json!({"user_properties": {"k": "\0"}})),
                    108,
                    "properties.user_properties.k",
                ),
                (
                    with(json!({"user_properties": {"\0": "v"}})),
                    108,
                    "properties.user_properties",
                ),
                (
                    with(json!({"user_properties": {"1": 1, "2": 2, "3": 3, "4": 4}})),
                    108,
                    "properties.user_properties",
                ),
                (
                    json!({"topic": "t", "payload": "/w==", "decoding": "base64", "properties": {"payload_format_indicator": 1}}),
                    108,
                    "properties.payload_format_indicator",
                ),
            ] {
                let answer = at.post("/mqtt/publish", &body.to_string());
                let what = format!("{named}: {answer:?}");
                assert_eq!(answer.status, 400, "{what}");
                let answer = answer.json();
                assert_eq!(answer["code"], code, "{what}");
                let message = answer["message"].as_str().unwrap();
                assert!(message.starts_with(&format!("{named}: ")), "{what}");
            }
            // None of them was published.
            publish(at, &json!({"topic": "last", "payload": "x"}));
            assert_eq!(subscriber.next_message().topic, "last");
        },
    );
}

#[test]
fn what_clients_may_not_do_the_api_may_not_either() {
    with_broker(
        |config| {
            config.mqtt.max_qos = 1;
            config.mqtt.retain_available = false;
            config.mqtt.max_packet_size = 64;
        },
        |at| {
            for (body, named) in [
                (json!({"topic": "t", "payload": "x", "qos": 2}), "qos"),
                (
                    json!({"topic": "t", "payload": "x", "retain": true}),
                    "retain",
                ),
                (
                    json!({"topic": "t", "payload": "x".repeat(57), "qos": 1}),
                    "payload",
                ),
            ] {
                let answer = at.post("/mqtt/publish", &body.to_string()).json();
                assert_eq!(answer["code"], 108, "{answer}");
                assert!(
                    answer["message"].as_str().unwrap().starts_with(named),
                    "{answer}"
                );
            }
            publish(
                at,
                &json!({"topic": "t", "payload": "x".repeat(56), "qos": 1}),
            );
        },
    );
}
