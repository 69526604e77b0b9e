//! Publish and subscribe with `mosquitto_pub` and `mosquitto_sub`: quality of service, order, retained messages, filters.

use std::fs;

use crate::clients::{Message, Subscriber, VERSIONS, publish, publish_input};
use crate::harness::{Broker, unique};

#[test]
fn a_message_arrives_with_the_lower_of_both_qualities() {
    let broker = Broker::start("");
    for version in VERSIONS {
        for published in 0..=2u8 {
            for subscribed in 0..=2u8 {
                let topic = unique("qos");
                let mut subscriber = Subscriber::start(
                    &broker,
                    version,
                    &["-t", &topic, "-q", &subscribed.to_string()],
                );
                publish(
                    &broker,
                    version,
                    &["-t", &topic, "-q", &published.to_string(), "-m", "hello"],
                );
                let expected = Message::new(&topic, published.min(subscribed), false, "hello");
                assert_eq!(subscriber.next(), expected, "{version}");
            }
        }
    }
}

#[test]
fn versions_understand_each_other() {
    let broker = Broker::start("");
    for publisher in VERSIONS {
        for receiver in VERSIONS {
            let topic = unique("mixed");
            let mut subscriber = Subscriber::start(&broker, receiver, &["-t", &topic, "-q", "2"]);
            publish(
                &broker,
                publisher,
                &["-t", &topic, "-q", "2", "-m", publisher],
            );
            assert_eq!(
                subscriber.next().payload,
                publisher,
                "{publisher} to {receiver}"
            );
        }
    }
}

/// A thousand numbered messages, each once and in order.
fn thousand_in_order(qos: &str) {
    const COUNT: usize = 1000;
    let broker = Broker::start("");
    for version in VERSIONS {
        let topic = unique("order");
        let mut subscriber = Subscriber::start(&broker, version, &["-t", &topic, "-q", qos]);
        let numbers: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
        publish_input(
            &broker,
            version,
            &["-t", &topic, "-q", qos, "-l"],
            numbers.join("\n") + "\n",
        );
        let received: Vec<String> = subscriber
            .take(COUNT)
            .into_iter()
            .map(|message| message.payload)
            .collect();
        assert_eq!(received, numbers, "{version}");

        publish(&broker, version, &["-t", &topic, "-q", qos, "-m", "end"]);
        assert_eq!(
            subscriber.next().payload,
            "end",
            "{version}: nothing arrives twice"
        );
    }
}

#[test]
fn a_thousand_messages_arrive_in_order_with_qos_0() {
    thousand_in_order("0");
}

#[test]
fn a_thousand_messages_arrive_in_order_with_qos_1() {
    thousand_in_order("1");
}

#[test]
fn a_thousand_messages_arrive_in_order_with_qos_2() {
    thousand_in_order("2");
}

/// Sees the retained message of `topic`, or else the live message that is published after the subscription.
fn retained_or_live(broker: &Broker, version: &str, topic: &str) -> Message {
    let mut subscriber = Subscriber::start(broker, version, &["-t", topic, "-q", "1"]);
    publish(broker, version, &["-t", topic, "-q", "1", "-m", "live"]);
    subscriber.next()
}

#[test]
fn a_retained_message_is_kept_replaced_and_cleared() {
    let broker = Broker::start("");
    for version in VERSIONS {
        let topic = unique("retain");
        publish(
            &broker,
            version,
            &["-t", &topic, "-q", "1", "-r", "-m", "first"],
        );
        let expected = Message::new(&topic, 1, true, "first");
        assert_eq!(
            retained_or_live(&broker, version, &topic),
            expected,
            "{version}: kept"
        );

        publish(
            &broker,
            version,
            &["-t", &topic, "-q", "0", "-r", "-m", "second"],
        );
        let expected = Message::new(&topic, 0, true, "second");
        assert_eq!(
            retained_or_live(&broker, version, &topic),
            expected,
            "{version}: replaced"
        );

        publish(&broker, version, &["-t", &topic, "-q", "1", "-r", "-n"]);
        let expected = Message::new(&topic, 1, false, "live");
        assert_eq!(
            retained_or_live(&broker, version, &topic),
            expected,
            "{version}: cleared"
        );
    }
}

#[test]
fn a_live_message_has_no_retain_flag() {
    let broker = Broker::start("");
    for version in VERSIONS {
        let topic = unique("flag");
        let mut subscriber = Subscriber::start(&broker, version, &["-t", &topic]);
        publish(&broker, version, &["-t", &topic, "-r", "-m", "value"]);
        assert_eq!(
            subscriber.next(),
            Message::new(&topic, 0, false, "value"),
            "{version} [MQTT-3.3.1-9]"
        );
    }
}

#[test]
fn filters_select_topics() {
    let cases: [(&str, &[&str], &[&str]); 5] = [
        (
            "R/+/temp",
            &["R/a/temp", "R/b/temp", "R//temp"],
            &["R/a/hum", "R/a/b/temp", "R/temp"],
        ),
        ("R/#", &["R", "R/a", "R/a/b/c"], &["Rx", "other/R"]),
        ("R/a/+", &["R/a/b", "R/a/"], &["R/a", "R/a/b/c"]),
        ("R/+/+/#", &["R/a/b", "R/a/b/c/d"], &["R/a"]),
        ("R/Case", &["R/Case"], &["R/case", "R/Case/"]),
    ];
    let broker = Broker::start("");
    for version in VERSIONS {
        for (filter, matching, others) in cases {
            let root = unique("f");
            let place = |topic: &str| topic.replace('R', &root);
            let end = place(matching[0]);
            let mut subscriber = Subscriber::start(&broker, version, &["-t", &place(filter)]);
            for topic in others.iter().chain(matching) {
                publish(&broker, version, &["-t", &place(topic), "-m", "x"]);
            }
            let mut expected: Vec<String> = matching.iter().map(|topic| place(topic)).collect();
            publish(&broker, version, &["-t", &end, "-m", "end"]);
            expected.push(end);
            let received: Vec<String> = subscriber
                .take(expected.len())
                .into_iter()
                .map(|message| message.topic)
                .collect();
            assert_eq!(received, expected, "{version} {filter}");
        }
    }
}

#[test]
fn a_leading_wildcard_does_not_match_sys_topics() {
    let broker = Broker::start("");
    let topic = unique("t");
    let mut subscriber =
        Subscriber::start(&broker, "mqttv311", &["-t", "+/broker/#", "-t", &topic]);
    publish(&broker, "mqttv311", &["-t", &topic, "-m", "end"]);
    assert_eq!(subscriber.next().topic, topic, "[MQTT-4.7.2-1]");
}

#[test]
fn sys_topics_give_statistics() {
    let broker = Broker::start("");
    for version in VERSIONS {
        let mut subscriber = Subscriber::start(&broker, version, &["-t", "$SYS/#"]);
        let message = subscriber.next();
        assert!(message.topic.starts_with("$SYS/"), "{version}: {message:?}");
        assert!(!message.payload.is_empty(), "{version}: {message:?}");
    }
}

#[test]
fn a_large_payload_arrives_whole() {
    const SIZE: usize = 512 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payload");
    let payload: String = (0..)
        .flat_map(|number: u32| number.to_string().into_bytes())
        .take(SIZE)
        .map(char::from)
        .collect();
    fs::write(&file, &payload).unwrap();
    let broker = Broker::start("");
    for version in VERSIONS {
        for qos in ["0", "2"] {
            let topic = unique("large");
            let mut subscriber = Subscriber::start(&broker, version, &["-t", &topic, "-q", qos]);
            publish(
                &broker,
                version,
                &["-t", &topic, "-q", qos, "-f", file.to_str().unwrap()],
            );
            let received = subscriber.next().payload;
            assert_eq!(received.len(), SIZE, "{version} qos {qos}");
            assert!(
                received == payload,
                "{version} qos {qos}: the payload has changed on its way"
            );
        }
    }
}

#[test]
fn an_empty_payload_arrives() {
    let broker = Broker::start("");
    for version in VERSIONS {
        let topic = unique("empty");
        let mut subscriber = Subscriber::start(&broker, version, &["-t", &topic, "-q", "1"]);
        publish(&broker, version, &["-t", &topic, "-q", "1", "-n"]);
        assert_eq!(
            subscriber.next(),
            Message::new(&topic, 1, false, ""),
            "{version}"
        );
    }
}

#[test]
fn topics_are_utf_8() {
    let broker = Broker::start("");
    for version in VERSIONS {
        let topic = format!("{}/größe/温度/🌡", unique("utf"));
        let mut subscriber = Subscriber::start(&broker, version, &["-t", &topic]);
        publish(&broker, version, &["-t", &topic, "-m", "23 °C"]);
        assert_eq!(
            subscriber.next(),
            Message::new(&topic, 0, false, "23 °C"),
            "{version}"
        );
    }
}

#[test]
fn a_topic_alias_stands_for_its_topic() {
    let broker = Broker::start("");
    let topic = unique("alias");
    let mut subscriber = Subscriber::start(&broker, "mqttv5", &["-t", &topic, "-q", "1"]);
    let lines = "1\n2\n3\n".to_owned();
    publish_input(
        &broker,
        "mqttv5",
        &[
            "-t",
            &topic,
            "-q",
            "1",
            "-l",
            "-D",
            "publish",
            "topic-alias",
            "1",
        ],
        lines,
    );
    let expected: Vec<Message> = ["1", "2", "3"]
        .iter()
        .map(|payload| Message::new(&topic, 1, false, payload))
        .collect();
    assert_eq!(subscriber.take(3), expected);
}
