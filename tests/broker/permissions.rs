//! Who may do what: rules at SUBSCRIBE and PUBLISH, for wills and retained messages, and after they have changed.

use nanomq::{
    config::{AclRule, Config, DenyAction, Permit},
    mqtt::{Packet, Properties, ProtocolVersion, Publish, QoS, ReasonCode, Will},
    stats::Metric,
};

use crate::kit::{Client, Got, Hello, TestBroker, bytes_of, publish_bytes, subscribe_bytes};

const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;
const Q1: QoS = QoS::AtLeastOnce;

/// `ann` may do everything, others nothing below `secret`, and publish to `out/<client id>` only.
const RULES: &str = r#"[
    {"permit": "allow", "username": "ann"},
    {"permit": "deny", "topics": ["secret/#"]},
    {"permit": "allow", "action": "publish", "topics": ["out/${clientid}"]},
    {"permit": "deny", "action": "publish"}
]"#;

fn rules(config: &mut Config) {
    let rules: serde_json::Value = serde_json::from_str(RULES).unwrap();
    config.auth.acl.rules = AclRule::read_all(&rules).unwrap();
}

fn ann(broker: &TestBroker) -> Client {
    Client::connect(broker.address, Hello::v5("ann").login("ann", "x")).0
}

fn v311(client_id: &str) -> Hello<'_> {
    Hello {
        version: V311,
        ..Hello::v5(client_id)
    }
}

/// The codes of SUBACK.
fn subscribe(client: &mut Client, version: ProtocolVersion, filters: &[&str]) -> Vec<u8> {
    let filters: Vec<_> = filters.iter().map(|filter| (*filter, Q1)).collect();
    client.send_bytes(&subscribe_bytes(version, 9, &filters));
    match client.next() {
        Got::SubAck(9, codes) => codes,
        other => panic!("no SUBACK but {other:?}"),
    }
}

#[test]
fn suback_and_puback_say_what_may_not_be_done() {
    let broker = TestBroker::with(rules);
    let mut reader = ann(&broker);
    reader.subscribe("#", Q1);
    let filters = [
        "a",
        "secret/x",
        "#",
        "+/x",
        "$share/g/secret/#",
        "$share/g/a",
    ];
    let mut v5 = Client::v5(broker.address, "five");
    let codes = subscribe(&mut v5, V5, &filters);
    assert_eq!(codes, [1, 0x87, 0x87, 0x87, 0x87, 1]);
    let mut v3 = Client::connect(broker.address, v311("three")).0;
    let codes = subscribe(&mut v3, V311, &filters);
    assert_eq!(codes, [1, 0x80, 0x80, 0x80, 0x80, 1]);

    let denied = ReasonCode::NotAuthorized;
    for (topic, code) in [
        ("out/five", ReasonCode::Success),
        ("out/three", denied),
        ("secret/x", denied),
        ("a", denied),
        ("out/five", ReasonCode::Success),
    ] {
        v5.publish(topic, b"5", Q1, 3);
        assert_eq!(v5.next(), Got::PubAck(3, code), "{topic}");
    }
    v5.publish("a", b"", QoS::ExactlyOnce, 4);
    assert_eq!(v5.next(), Got::PubRec(4, denied));
    // Version 3 has no code for it.
    for topic in ["a", "out/three"] {
        v3.publish(topic, b"3", Q1, 3);
        assert_eq!(v3.next(), Got::PubAck(3, ReasonCode::Success));
    }
    v3.publish("a", b"", QoS::AtMostOnce, 0);
    let topics: Vec<String> = (0..3).map(|_| reader.message().topic).collect();
    assert_eq!(topics, ["out/five", "out/five", "out/three"]);
    v3.goodbye();
    let stats = broker.stats();
    assert_eq!(stats.totals.get(Metric::DroppedNotPermitted), 6);
    assert_eq!(stats.totals.get(Metric::SubscribesDenied), 8);
}

#[test]
fn deny_action_disconnect_closes_with_0x87() {
    let broker = TestBroker::with(|config| {
        rules(config);
        config.auth.deny_action = DenyAction::Disconnect;
    });
    let mut publisher = Client::v5(broker.address, "c");
    publisher.publish("a", b"", QoS::AtMostOnce, 0);
    assert_eq!(publisher.next(), Got::Disconnect(ReasonCode::NotAuthorized));
    assert_eq!(publisher.next(), Got::End);
    let mut subscriber = Client::connect(broker.address, v311("c")).0;
    subscriber.send_bytes(&subscribe_bytes(V311, 1, &[("a", Q1), ("secret/x", Q1)]));
    assert_eq!(subscriber.next(), Got::End);
}

#[test]
fn no_match_deny_leaves_only_what_is_allowed() {
    let broker = TestBroker::with(|config| {
        config.auth.no_match = Permit::Deny;
        let rules = serde_json::json!([{"permit": "allow", "topics": ["open/#"]}]);
        config.auth.acl.rules = AclRule::read_all(&rules).unwrap();
    });
    let mut client = Client::v5(broker.address, "c");
    let codes = subscribe(&mut client, V5, &["open/+", "#", "x"]);
    assert_eq!(codes, [1, 0x87, 0x87]);
    client.publish("open/a", b"", Q1, 1);
    let got = [client.next(), client.next()];
    assert!(
        got.contains(&Got::PubAck(1, ReasonCode::Success)),
        "{got:?}"
    );
    client.publish("x", b"", Q1, 2);
    client.publish("x", b"", Q1, 3);
    client.ack(Packet::PubAck, 1);
    assert_eq!(client.next(), Got::PubAck(2, ReasonCode::NotAuthorized));
    assert_eq!(client.next(), Got::PubAck(3, ReasonCode::NotAuthorized));
}

#[test]
fn a_will_that_may_not_be_published_keeps_its_client_out() {
    let broker = TestBroker::with(rules);
    let will = |topic| Will {
        topic,
        payload: b"gone",
        qos: Q1,
        retain: false,
        properties: Properties::EMPTY,
    };
    for (topic, expected) in [
        ("secret/x", ReasonCode::NotAuthorized),
        ("out/c", ReasonCode::Success),
    ] {
        for version in [V311, V5] {
            let mut client = Client::open(broker.address);
            client.hello(Hello {
                version,
                will: Some(will(topic)),
                ..Hello::v5("c")
            });
            assert_eq!(client.next(), Got::ConnAck(false, expected), "{topic}");
        }
    }
}

fn retained(topic: &str) -> Vec<u8> {
    let publish = Publish {
        dup: false,
        qos: Q1,
        retain: true,
        topic,
        packet_id: nanomq::mqtt::PacketId::new(1),
        properties: Properties::EMPTY,
        payload: b"kept",
    };
    bytes_of(&Packet::Publish(publish), V5).to_vec()
}

#[test]
fn rules_that_change_hold_at_once_for_who_is_there_and_who_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("test.conf");
    let with = |rules: &str| format!("auth.acl.rules = {rules}\n");
    let broker = TestBroker::with_file(&conf, &with("[]"));
    let mut publisher = ann(&broker);
    for topic in ["secret/kept", "open/kept"] {
        publisher.send_bytes(&retained(topic));
        assert!(matches!(publisher.next(), Got::PubAck(1, _)));
    }
    let mut live = Client::v5(broker.address, "live");
    for filter in ["secret/now", "open/#"] {
        assert_eq!(subscribe(&mut live, V5, &[filter]), [1]);
    }
    assert_eq!(live.message().topic, "open/kept");
    let (mut away, _) = Client::connect(broker.address, Hello::kept("away"));
    assert_eq!(
        subscribe(&mut away, V311, &["secret/later", "open/later"]),
        [1, 1]
    );
    away.goodbye();
    let mut will = Client::open(broker.address);
    will.hello(Hello {
        will: Some(Will {
            topic: "secret/now",
            payload: b"will",
            qos: Q1,
            retain: false,
            properties: Properties::EMPTY,
        }),
        ..Hello::v5("will")
    });
    assert!(matches!(will.next(), Got::ConnAck(..)));
    for topic in ["secret/later", "open/later"] {
        publisher.publish(topic, b"before", Q1, 2);
        assert_eq!(publisher.next(), Got::PubAck(2, ReasonCode::Success));
    }
    assert_eq!(live.message().topic, "open/later");

    let report = broker.reload(&conf, &with(r#"[{"permit": "wrong"}]"#));
    let problem = report.problems[0].to_string();
    assert!(
        report.failed() && problem.contains("test.conf:4:"),
        "{problem}"
    );
    publisher.publish("secret/now", b"still", Q1, 3);
    assert_eq!(live.message().payload, b"still");
    assert_eq!(publisher.next(), Got::PubAck(3, ReasonCode::Success));

    assert!(!broker.reload(&conf, &with(RULES)).failed());
    // The subscriptions are gone, one by one, as the registry comes to them.
    broker.until("lost subscriptions", |stats| {
        stats.totals.get(Metric::SubscribesDenied) == 2
    });
    // The will is not published, and nobody gets what is secret.
    drop(will);
    broker.until("the will is dropped", |stats| {
        stats.totals.get(Metric::DroppedNotPermitted) == 2
    });
    for topic in ["secret/now", "open/now"] {
        publisher.publish(topic, b"after", Q1, 4);
        assert!(matches!(publisher.next(), Got::PubAck(4, _)));
    }
    assert_eq!(live.message().topic, "open/now");
    let codes = subscribe(&mut live, V5, &["secret/kept", "open/kept"]);
    assert_eq!(codes, [0x87, 1]);
    assert_eq!(live.message().topic, "open/kept");
    // The one that was away gets what was queued for it, but nothing secret.
    let (mut away, present) = Client::connect(broker.address, Hello::kept("away"));
    assert!(present);
    assert_eq!(away.message().topic, "open/later");
    for topic in ["secret/later", "open/later"] {
        let bytes = publish_bytes(V5, topic, b"after", QoS::AtMostOnce, 0);
        publisher.send_bytes(&bytes);
    }
    assert_eq!(away.message().payload, b"after");
}

#[test]
fn another_user_does_not_inherit_what_the_one_before_could_read() {
    let broker = TestBroker::with(rules);
    let hello = Hello::kept("shared");
    let (mut client, _) = Client::connect(broker.address, hello.login("ann", "x"));
    assert_eq!(subscribe(&mut client, V311, &["secret/#", "open"]), [1, 1]);
    client.goodbye();
    let mut publisher = ann(&broker);
    for topic in ["secret/x", "open"] {
        publisher.publish(topic, b"", Q1, 1);
        assert_eq!(publisher.next(), Got::PubAck(1, ReasonCode::Success));
    }
    let (mut client, present) = Client::connect(broker.address, hello.login("eve", "x"));
    assert!(present);
    assert_eq!(client.message().topic, "open");
    for (topic, code) in [
        ("secret/x", ReasonCode::NoMatchingSubscribers),
        ("open", ReasonCode::Success),
    ] {
        publisher.publish(topic, b"", Q1, 1);
        assert_eq!(publisher.next(), Got::PubAck(1, code));
    }
    assert_eq!(client.message().topic, "open");
}
