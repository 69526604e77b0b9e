//! Subscribing and unsubscribing for clients.

use nanomq::mqtt::{Properties, PropertiesBuf, Property, QoS};
use serde_json::{Value, json};

use crate::kit::{At, Got, Mqtt, V5, V311, client, with_broker};

const DONE: &str = r#"{"code":0}"#;

fn post(at: At, target: &str, body: &Value) {
    let answer = at.post(target, &body.to_string());
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, DONE),
        "{target} {body} {answer:?}"
    );
}

fn publish(at: At, topic: &str, payload: &str, retain: bool) {
    let body = json!({"topic": topic, "payload": payload, "qos": 1, "retain": retain});
    post(at, "/mqtt/publish", &body);
}

#[test]
fn a_connected_client_is_subscribed_and_unsubscribed() {
    with_broker(
        |_| {},
        |at| {
            publish(at, "r/1", "old", true);
            let mut mqtt = Mqtt::connect(at, &client(V5, "c", None));
            post(
                at,
                "/mqtt/subscribe",
                &json!({"clientid": "c", "topics": "a/+,r/#", "qos": 1}),
            );
            assert_eq!(
                at.ok("/subscriptions/c"),
                r#"{"code":0,"data":[{"clientid":"c","topic":"a/+","qos":1},{"clientid":"c","topic":"r/#","qos":1}]}"#
            );
            assert_eq!(mqtt.next_message(), Got::plain("r/1", "old", 1, true));
            publish(at, "a/b", "x", false);
            assert_eq!(mqtt.next_message(), Got::plain("a/b", "x", 1, false));
            // Subscribed again: the QoS changes and the retained messages come again [MQTT-3.8.4-3].
            post(
                at,
                "/mqtt/subscribe",
                &json!({"clientid": "c", "topic": "r/#"}),
            );
            assert_eq!(mqtt.next_message(), Got::plain("r/1", "old", 0, true));
            for topic in ["r/#", "r/#", "never"] {
                post(
                    at,
                    "/mqtt/unsubscribe",
                    &json!({"clientid": "c", "topic": topic}),
                );
            }
            assert_eq!(at.column("/subscriptions/c", "topic"), ["a/+"]);
            publish(at, "r/1", "gone", false);
            publish(at, "a/c", "x", false);
            assert_eq!(mqtt.next_message().topic, "a/c");
        },
    );
}

#[test]
fn a_kept_session_is_subscribed_and_gets_what_comes_then() {
    with_broker(
        |_| {},
        |at| {
            publish(at, "r", "old", true);
            let mut kept = client(V311, "k", None);
            kept.clean_start = false;
            drop(Mqtt::connect(at, &kept));
            at.await_ok("/clients/k", |body| body.contains("disconnected"));
            post(
                at,
                "/mqtt/subscribe",
                &json!({"clientid": "k", "topics": "r,$share/g/s", "qos": 1}),
            );
            assert_eq!(at.column("/subscriptions/k", "topic"), ["$share/g/s", "r"]);
            publish(at, "r", "new", false);
            let mut mqtt = Mqtt::resume(at, &kept);
            assert_eq!(mqtt.next_message(), Got::plain("r", "new", 1, false));
        },
    );
}

#[test]
fn shared_subscriptions_get_no_retained_messages() {
    with_broker(
        |_| {},
        |at| {
            publish(at, "r", "old", true);
            let mut mqtt = Mqtt::connect(at, &client(V5, "c", None));
            post(
                at,
                "/mqtt/subscribe",
                &json!({"clientid": "c", "topic": "$share/g/r"}),
            );
            publish(at, "r", "new", false);
            assert_eq!(mqtt.next_message(), Got::plain("r", "new", 0, false));
        },
    );
}

#[test]
fn a_subscription_of_the_client_keeps_its_identifier_until_it_is_replaced() {
    with_broker(
        |_| {},
        |at| {
            let mut mqtt = Mqtt::connect(at, &client(V5, "c", None));
            let mut properties = PropertiesBuf::new();
            properties.push(Property::SubscriptionIdentifier(7));
            mqtt.subscribe_with("t", QoS::AtMostOnce, properties.as_properties());
            publish(at, "t", "x", false);
            assert_eq!(
                mqtt.next_message().properties,
                "[SubscriptionIdentifier(7)]"
            );
            post(
                at,
                "/mqtt/subscribe",
                &json!({"clientid": "c", "topic": "t"}),
            );
            publish(at, "t", "x", false);
            assert_eq!(mqtt.next_message(), Got::plain("t", "x", 0, false));
            mqtt.subscribe_with("t", QoS::AtMostOnce, Properties::EMPTY);
        },
    );
}

#[test]
fn wrong_subscriptions_are_refused() {
    with_broker(
        |config| {
            config.mqtt.max_topic_levels = 3;
            config.mqtt.max_subscriptions = 1;
            config.mqtt.shared_subscription_available = false;
        },
        |at| {
            let _client = Mqtt::connect(at, &client(V5, "c", None));
            // (body, status, code, what the message begins with); with true for unsubscribe as well
            for (body, both, code, named) in [
                (json!({"topic": "t"}), true, 107, "clientid"),
                (json!({"clientid": 1, "topic": "t"}), true, 108, "clientid"),
                (json!({"clientid": "c"}), true, 107, "topic"),
                (json!({"clientid": "c", "topic": ["t"]}), true, 108, "topic"),
                (json!({"clientid": "c", "topics": 1}), true, 108, "topics"),
                (json!({"clientid": "c", "topic": ""}), true, 115, "topic"),
                (json!({"clientid": "c", "topic": "a#"}), true, 115, "topic"),
                (json!({"clientid": "c", "topic": "#/a"}), true, 115, "topic"),
                (json!({"clientid": "c", "topic": "\0"}), true, 115, "topic"),
                (
                    json!({"clientid": "c", "topic": "$share/g"}),
                    true,
                    115,
                    "topic",
                ),
                (
                    json!({"clientid": "c", "topics": "a,+b"}),
                    true,
                    115,
                    "topics[1]",
                ),
                (
                    json!({"clientid": "c", "topic": "t", "qos": 3}),
                    false,
                    108,
                    "qos",
                ),
                (
                    json!({"clientid": "c", "topic": "1/2/3/4"}),
                    false,
                    115,
                    "topic",
                ),
                (
                    json!({"clientid": "c", "topic": "$share/g/t"}),
                    false,
                    108,
                    "topic",
                ),
            ] {
                for target in ["/mqtt/subscribe", "/mqtt/unsubscribe"] {
                    if target == "/mqtt/unsubscribe" && !both {
                        continue;
                    }
                    let answer = at.post(target, &body.to_string());
                    let what = format!("{target} {body}: {answer:?}");
                    assert_eq!(answer.status, 400, "{what}");
                    let answer = answer.json();
                    assert_eq!(answer["code"], code, "{what}");
                    let message = answer["message"].as_str().unwrap();
                    assert!(message.starts_with(&format!("{named}: ")), "{what}");
                }
            }
            for target in ["/mqtt/subscribe", "/mqtt/unsubscribe"] {
                let answer = at.post(target, r#"{"clientid":"nobody","topic":"t"}"#);
                assert_eq!(
                    (answer.status, answer.body.as_str()),
                    (404, r#"{"code":112,"data":[]}"#)
                );
            }
            assert_eq!(at.column("/subscriptions/c", "topic"), [""; 0]);
            let answer = at.post("/mqtt/subscribe", r#"{"clientid":"c","topics":"a,b"}"#);
            assert_eq!((answer.status, &answer.json()["code"]), (400, &108.into()));
            assert_eq!(at.column("/subscriptions/c", "topic"), ["a"]);
        },
    );
}

#[test]
fn each_entry_of_a_batch_is_answered() {
    with_broker(
        |_| {},
        |at| {
            let _client = Mqtt::connect(at, &client(V5, "c", None));
            let body = json!([
                {"clientid": "c", "topic": "a", "qos": 2},
                {"clientid": "c", "topics": "b,c"},
                {"clientid": "nobody", "topic": "a"},
                {"clientid": "c", "topic": "a+"},
            ])
            .to_string();
            let expected = concat!(
                r#"{"data":[{"clientid":"c","topic":"a","code":0},{"clientid":"c","topic":"b,c","code":0},"#,
                r#"{"clientid":"nobody","topic":"a","code":112,"message":"no client has this id"},"#,
                r#"{"clientid":"c","topic":"a+","code":115,"message":"topic: '+' is not a whole level [MQTT-4.7.1-2]"}],"code":0}"#
            );
            for (target, left) in [
                ("/mqtt/subscribe_batch", vec!["a", "b", "c"]),
                ("/mqtt/unsubscribe_batch", vec![]),
            ] {
                assert_eq!(at.post(target, &body).body, expected, "{target}");
                assert_eq!(at.column("/subscriptions/c", "topic"), left, "{target}");
                assert_eq!(at.post(target, "[]").body, r#"{"data":[],"code":0}"#);
                let many = format!("[{}1]", "1,".repeat(1000));
                assert_eq!(at.post(target, &many).json()["code"], 108, "{target}");
            }
        },
    );
}
