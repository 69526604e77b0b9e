//! Bridges on lines that work: what arrives where, as what.

use nanomq::mqtt::{Packet, ProtocolVersion, QoS};

use crate::{
    kit::{Client, Got, Message, publish_bytes},
    mosquitto::Mosquitto,
    node::{Node, bridge},
    notation::bytes,
    numbered::{Receiver, publish, publish_end, publisher},
};

/// Protocol levels of a bridge.
pub const VERSIONS: [u8; 2] = [4, 5];
/// Those, and that of MQTT 3.1.
pub const ALL_VERSIONS: [u8; 3] = [3, 4, 5];

#[test]
fn ten_thousand_messages_pass_both_ways_once_and_in_order() {
    for version in ALL_VERSIONS {
        let mosquitto = Mosquitto::start("");
        let node = Node::start(&bridge(
            "up",
            mosquitto.address,
            &format!(
                "  proto_ver = {version}\n  forwards = [{{local_topic = \"up/#\"}}]\n  \
                 subscription = [{{remote_topic = \"down/#\", qos = 2}}]"
            ),
        ));
        node.until_connected("up");
        let mut publishers = [
            ("up", publisher(node.address(), "p"), mosquitto.address),
            ("down", publisher(mosquitto.address, "p"), node.address()),
        ];
        for (way, publisher, to) in &mut publishers {
            for (qos, count) in [(QoS::AtLeastOnce, 2_500), (QoS::ExactlyOnce, 2_500)] {
                let topic = format!("{way}/{}", qos as u8);
                let receiver = Receiver::start(*to, &topic.replace('/', "-"), &topic, qos);
                publish(publisher, &topic, qos, 0..count);
                publish_end(publisher, &topic, qos);
                receiver.expect_once(count);
            }
        }
        node.until_bridge("up", "has nothing left", |bridge| bridge["backlog"] == 0);
    }
}

/// How a message leaves: topic, QoS, RETAIN.
type Sent<'a> = (&'a str, QoS, bool);
/// How it arrives.
type Came<'a> = (&'a str, QoS, bool);

#[test]
fn topics_qos_and_retain_change_as_configured() {
    use QoS::{AtLeastOnce as Q1, AtMostOnce as Q0, ExactlyOnce as Q2};
    // Entry of `forwards` or `subscription` without its braces, the message, and how it arrives.
    let cases: &[(&str, &str, Sent, Came)] = &[
        ("a", "FROM = \"a\"", ("a", Q1, false), ("a", Q1, false)),
        (
            "b",
            "FROM = \"b/#\", TO = \"x/#\"",
            ("b/1/2", Q2, false),
            ("x/1/2", Q2, false),
        ),
        (
            "c",
            "FROM = \"c/+/+\", TO = \"+/c/+\"",
            ("c/1/2", Q0, false),
            ("1/c/2", Q0, false),
        ),
        (
            "d",
            "FROM = \"d/#\", TO = \"fixed\"",
            ("d/1", Q1, false),
            ("fixed", Q1, false),
        ),
        (
            "e",
            "FROM = \"e/#\", prefix = \"p/\", suffix = \"/s\"",
            ("e/1", Q1, false),
            ("p/e/1/s", Q1, false),
        ),
        (
            "f",
            "FROM = \"f\", qos = 0",
            ("f", Q2, false),
            ("f", Q0, false),
        ),
        (
            "h",
            "FROM = \"h\", qos = 1",
            ("h", Q2, false),
            ("h", Q1, false),
        ),
        (
            "i",
            "FROM = \"i\", retain = 0",
            ("i", Q1, true),
            ("i", Q1, false),
        ),
        (
            "j",
            "FROM = \"j\", retain = 1",
            ("j", Q1, false),
            ("j", Q1, true),
        ),
        ("k", "FROM = \"k\"", ("k", Q1, true), ("k", Q1, true)),
    ];
    for version in ALL_VERSIONS {
        let mosquitto = Mosquitto::start("");
        for is_up in [true, false] {
            let (from, to) = match is_up {
                true => ("local_topic", "remote_topic"),
                false => ("remote_topic", "local_topic"),
            };
            let entries = cases.iter().map(|(_, entry, ..)| {
                let highest = if is_up || entry.contains("qos") {
                    ""
                } else {
                    ", qos = 2"
                };
                let entry = entry.replace("FROM", from).replace("TO", to);
                format!("{{{entry}{highest}}}")
            });
            let entries = entries.collect::<Vec<_>>().join(",\n");
            let list = if is_up { "forwards" } else { "subscription" };
            let clean = "clean_start = true";
            let node = Node::start(&bridge(
                "b",
                mosquitto.address,
                &format!("proto_ver = {version}\n{clean}\n{list} = [{entries}]"),
            ));
            node.until_connected("b");
            let ends = [node.address(), mosquitto.address];
            let [near, far] = if is_up { ends } else { [ends[1], ends[0]] };
            let mut sender = Client::v5(near, "sender");
            for (name, entry, (topic, qos, retain), came) in cases {
                let mut receiver = Client::v5(far, "receiver");
                // QoS 2, RETAIN as published, and nothing that was retained before.
                receiver.send_bytes(&bytes(&format!("82 [0001 [] '{}' 2A]", came.0)));
                assert_eq!(receiver.next(), Got::SubAck(1, vec![2]));
                let mut message =
                    publish_bytes(ProtocolVersion::V5, topic, name.as_bytes(), *qos, 1);
                message[0] |= u8::from(*retain);
                sender.send_bytes(&message);
                finish(&mut sender, *qos);
                let got = receiver.message();
                let expected = Message {
                    topic: came.0.to_owned(),
                    payload: name.as_bytes().to_vec(),
                    qos: came.1,
                    retain: came.2,
                    dup: false,
                    id: got.id,
                };
                assert_eq!(got, expected, "{version} {list}: {entry}");
            }
        }
    }
}

/// Takes the acknowledgements of the message with identifier 1.
fn finish(sender: &mut Client, qos: QoS) {
    match qos {
        QoS::AtMostOnce => {}
        QoS::AtLeastOnce => assert!(matches!(sender.next(), Got::PubAck(1, _))),
        QoS::ExactlyOnce => {
            assert!(matches!(sender.next(), Got::PubRec(1, _)));
            sender.ack(Packet::PubRel, 1);
            assert!(matches!(sender.next(), Got::PubComp(1, _)));
        }
    }
}
