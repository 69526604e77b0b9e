//! Publishing many messages with one request.

use nanomq::mqtt::QoS;
use serde_json::{Value, json};

use crate::kit::{Mqtt, V5, client, with_broker};

#[test]
fn each_entry_of_a_batch_is_answered() {
    with_broker(
        |_| {},
        |at| {
            let mut subscriber = Mqtt::connect(at, &client(V5, "s", None));
            subscriber.subscribe("#", QoS::AtMostOnce);
            let post = |body: &Value| at.post("/mqtt/publish_batch", &body.to_string());
            assert_eq!(post(&json!([])).body, r#"{"data":[],"code":0}"#);
            let answer = post(&json!([
                {"topic": "a", "payload": "1"},
                {"topics": "b,c", "payload": "2"},
            ]));
            assert_eq!(
                answer.body,
                r#"{"data":[{"topic":"a","code":0},{"topic":"b,c","code":0}],"code":0}"#
            );
            let answer = post(&json!([
                {"topic": "d"},
                {"topic": "+", "payload": "x"},
                {"topic": "e", "payload": "x", "qos": 3},
                {"payload": "x"},
                1,
                {"topic": "f", "payload": "3"},
            ]));
            assert_eq!(answer.status, 200);
            assert_eq!(
                answer.body,
                concat!(
                    r#"{"data":[{"topic":"d","code":107,"message":"payload: missing"},"#,
                    r#"{"topic":"+","code":115,"message":"topic: wildcard in a topic name [MQTT-4.7.0-1]"},"#,
                    r#"{"topic":"e","code":108,"message":"qos: expected a number from 0 to 2"},"#,
                    r#"{"code":107,"message":"topic: missing"},"#,
                    r#"{"code":109,"message":"the body: expected an object instead of a number"},"#,
                    r#"{"topic":"f","code":0}],"code":0}"#
                )
            );
            for expected in ["a", "b", "c", "f"] {
                assert_eq!(subscriber.next_message().topic, expected);
            }
        },
    );
}

#[test]
fn a_batch_is_bounded() {
    with_broker(
        |_| {},
        |at| {
            let entries = |n: usize| vec![json!({"topic": "t", "payload": ""}); n];
            let post = |entries: Vec<Value>| {
                at.post("/mqtt/publish_batch", &Value::from(entries).to_string())
            };
            assert_eq!(post(entries(1000)).status, 200);
            let answer = post(entries(1001));
            assert_eq!((answer.status, &answer.json()["code"]), (400, &108.into()));
            // Together the entries have too many topics.
            let wide = json!({"topics": "t,".repeat(600) + "t", "payload": ""});
            let answer = post(vec![wide.clone(), wide]).json();
            assert_eq!(answer["data"][0]["code"], 0);
            assert_eq!(answer["data"][1]["code"], 108);
        },
    );
}
