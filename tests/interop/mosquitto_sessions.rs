//! Sessions, wills and expiry with `mosquitto_pub` and `mosquitto_sub`.

use crate::clients::{Message, Subscriber, VERSIONS, publish, publish_input, until};
use crate::harness::{Broker, unique};

/// What makes a session outlive its connection.
fn persistent(version: &str) -> &'static [&'static str] {
    if version == "mqttv5" {
        &["-c", "-x", "300"]
    } else {
        &["-c"]
    }
}

#[test]
fn a_will_follows_an_abnormal_end() {
    let broker = Broker::start("");
    for version in VERSIONS {
        let (topic, will) = (unique("t"), unique("will"));
        let mut watcher = Subscriber::start(&broker, version, &["-t", &will, "-q", "1"]);
        let args = [
            "-t",
            &topic,
            "--will-topic",
            &will,
            "--will-payload",
            "gone",
            "--will-qos",
            "1",
        ];
        Subscriber::start(&broker, version, &args).kill();
        assert_eq!(
            watcher.next(),
            Message::new(&will, 1, false, "gone"),
            "{version}"
        );
    }
}

#[test]
fn a_retained_will_is_retained() {
    let broker = Broker::start("");
    for version in VERSIONS {
        let (topic, will) = (unique("t"), unique("will"));
        let mut watcher = Subscriber::start(&broker, version, &["-t", &will]);
        let args = [
            "-t",
            &topic,
            "--will-topic",
            &will,
            "--will-payload",
            "gone",
            "--will-retain",
        ];
        Subscriber::start(&broker, version, &args).kill();
        assert_eq!(watcher.next().payload, "gone", "{version}");
        let mut late = Subscriber::start(&broker, version, &["-t", &will]);
        assert_eq!(
            late.next(),
            Message::new(&will, 0, true, "gone"),
            "{version}"
        );
    }
}

#[test]
fn no_will_follows_a_disconnect() {
    let broker = Broker::start("");
    for version in VERSIONS {
        let (topic, will) = (unique("t"), unique("will"));
        let mut watcher = Subscriber::start(&broker, version, &["-t", &will, "-q", "1"]);
        let args = [
            "-t",
            &topic,
            "-C",
            "1",
            "--will-topic",
            &will,
            "--will-payload",
            "gone",
            "--will-qos",
            "1",
        ];
        let leaving = Subscriber::start(&broker, version, &args);
        publish(&broker, version, &["-t", &topic, "-m", "leave"]);
        leaving.finish();
        publish(&broker, version, &["-t", &will, "-q", "1", "-m", "end"]);
        assert_eq!(watcher.next().payload, "end", "{version} [MQTT-3.14.4-3]");
    }
}

#[test]
fn messages_wait_for_a_persistent_session() {
    let broker = Broker::start("");
    for version in VERSIONS {
        for qos in ["1", "2"] {
            let (topic, id) = (unique("queue"), unique("away"));
            let session = [persistent(version), &["-i", &id, "-t", &topic, "-q", qos]].concat();
            Subscriber::start(&broker, version, &[&session[..], &["-E"]].concat()).finish();

            let sent: Vec<String> = (0..20).map(|number| number.to_string()).collect();
            publish_input(
                &broker,
                version,
                &["-t", &topic, "-q", qos, "-l"],
                sent.join("\n") + "\n",
            );

            let mut back = Subscriber::connect(&broker, version, &session);
            let received: Vec<String> = back
                .take(sent.len())
                .into_iter()
                .map(|message| message.payload)
                .collect();
            assert_eq!(received, sent, "{version} qos {qos}");
            publish(&broker, version, &["-t", &topic, "-q", qos, "-m", "end"]);
            assert_eq!(
                back.next().payload,
                "end",
                "{version} qos {qos}: nothing arrives twice"
            );
        }
    }
}

#[test]
fn a_clean_session_forgets_what_was_there() {
    let broker = Broker::start("");
    for version in VERSIONS {
        let (topic, other, id) = (unique("queue"), unique("other"), unique("away"));
        let session = [
            persistent(version),
            &["-i", &id, "-t", &topic, "-q", "1", "-E"],
        ]
        .concat();
        Subscriber::start(&broker, version, &session).finish();
        publish(&broker, version, &["-t", &topic, "-q", "1", "-m", "lost"]);

        let mut clean = Subscriber::start(&broker, version, &["-i", &id, "-t", &other, "-q", "1"]);
        publish(&broker, version, &["-t", &topic, "-q", "1", "-m", "unseen"]);
        publish(&broker, version, &["-t", &other, "-q", "1", "-m", "end"]);
        assert_eq!(clean.next().payload, "end", "{version} [MQTT-3.1.2-6]");
    }
}

#[test]
fn an_expired_message_is_not_delivered() {
    let broker = Broker::start("");
    let (topic, clock, id) = (unique("expiry"), unique("clock"), unique("away"));
    let session = ["-c", "-x", "300", "-i", &id, "-t", &topic, "-q", "1"];
    Subscriber::start(&broker, "mqttv5", &[&session[..], &["-E"]].concat()).finish();

    publish(
        &broker,
        "mqttv5",
        &[
            "-t",
            &topic,
            "-m",
            "short",
            "-q",
            "1",
            "-D",
            "PUBLISH",
            "message-expiry-interval",
            "1",
        ],
    );
    publish(
        &broker,
        "mqttv5",
        &["-t", &topic, "-m", "for ever", "-q", "1"],
    );
    publish(
        &broker,
        "mqttv5",
        &[
            "-t",
            &topic,
            "-m",
            "long",
            "-q",
            "1",
            "-D",
            "PUBLISH",
            "message-expiry-interval",
            "300",
        ],
    );

    // A retained message that was published later with a longer interval is the clock: once it is gone, so is the first.
    publish(
        &broker,
        "mqttv5",
        &[
            "-t",
            &clock,
            "-r",
            "-m",
            "tick",
            "-q",
            "1",
            "-D",
            "PUBLISH",
            "message-expiry-interval",
            "2",
        ],
    );
    until("the retained message's expiry", || {
        let mut subscriber = Subscriber::start(&broker, "mqttv5", &["-t", &clock, "-q", "1"]);
        publish(&broker, "mqttv5", &["-t", &clock, "-q", "1", "-m", "live"]);
        subscriber.next().payload == "live"
    });

    let mut back = Subscriber::connect(&broker, "mqttv5", &session);
    let received: Vec<String> = back
        .take(2)
        .into_iter()
        .map(|message| message.payload)
        .collect();
    assert_eq!(received, ["for ever", "long"], "[MQTT-3.3.2-5]");
}
