//! PUBLISH and PUBREL from a client.

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{Ack, Packet, PacketType, Property, Publish, QoS, ReasonCode},
    session::Violation,
    stats::Metric,
};

fn ack(kind: PacketType, reason: ReasonCode) -> Vec<Seen> {
    vec![Seen::Ack(kind, 1, reason)]
}

fn numbered<'a>(topic: &'a str, qos: QoS, number: u16) -> Publish<'a> {
    Publish {
        packet_id: Some(id(number)),
        ..message(topic, b"", qos)
    }
}

fn pubrel(broker: &mut Broker, number: u16) -> Vec<Seen> {
    let packet = Packet::PubRel(Ack::new(id(number), ReasonCode::Success));
    broker.handle(&packet).unwrap();
    broker.written()
}

#[test]
fn each_qos_has_its_answer() {
    use ReasonCode::{NoMatchingSubscribers, Success};
    for version in VERSIONS {
        for matches in [true, false] {
            let reason = match matches || version != V5 {
                true => Success,
                false => NoMatchingSubscribers,
            };
            for (qos, expected) in [
                (Q0, vec![]),
                (Q1, ack(PacketType::PubAck, reason)),
                (Q2, ack(PacketType::PubRec, reason)),
            ] {
                let mut broker = Broker::connected(version, Mqtt::default());
                broker.recorder.matches = matches;
                broker.publish(&message("t", b"x", qos)).unwrap();
                assert_eq!(broker.written(), expected, "{version:?} {qos:?} {matches}");
                assert_eq!(
                    broker.recorder.routed,
                    [("t".to_owned(), b"x".to_vec(), qos)]
                );
            }
        }
    }
}

#[test]
fn a_qos_2_message_is_routed_once_until_it_is_released() {
    for version in VERSIONS {
        let mut broker = Broker::connected(version, Mqtt::default());
        for (dup, reconnects) in [(false, false), (true, false), (true, true), (false, true)] {
            if reconnects {
                broker.lose();
                broker.connect(&connect(version));
            }
            broker
                .publish(&Publish {
                    dup,
                    ..message("t", b"x", Q2)
                })
                .unwrap();
            assert_eq!(
                broker.written(),
                ack(PacketType::PubRec, ReasonCode::Success)
            );
            assert_eq!(broker.recorder.routed.len(), 1);
        }
        assert_eq!(
            pubrel(&mut broker, 1),
            ack(PacketType::PubComp, ReasonCode::Success)
        );
        broker.publish(&message("t", b"y", Q2)).unwrap();
        assert_eq!(broker.recorder.routed.len(), 2, "released: a new message");
    }
}

#[test]
fn a_message_that_is_not_known_cannot_be_released() {
    for (version, reason) in [
        (V31, ReasonCode::Success),
        (V311, ReasonCode::Success),
        (V5, ReasonCode::PacketIdentifierNotFound),
    ] {
        let mut broker = Broker::connected(version, Mqtt::default());
        assert_eq!(pubrel(&mut broker, 1), ack(PacketType::PubComp, reason));
        broker.publish(&message("t", b"", Q2)).unwrap();
        broker.written();
        assert_eq!(
            pubrel(&mut broker, 1),
            ack(PacketType::PubComp, ReasonCode::Success)
        );
        assert_eq!(pubrel(&mut broker, 1), ack(PacketType::PubComp, reason));
    }
}

#[test]
fn a_refused_qos_2_message_is_not_awaited() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    broker.publish(&message("$SYS/x", b"", Q2)).unwrap();
    assert_eq!(
        broker.written(),
        ack(PacketType::PubRec, ReasonCode::NotAuthorized)
    );
    assert_eq!(
        pubrel(&mut broker, 1),
        ack(PacketType::PubComp, ReasonCode::PacketIdentifierNotFound)
    );
}

#[test]
fn the_receive_maximum_bounds_unreleased_messages() {
    let limits = Mqtt {
        receive_maximum: 2,
        ..Mqtt::default()
    };
    let mut broker = Broker::connected(V5, limits);
    for number in [1, 2] {
        broker.publish(&numbered("t", Q2, number)).unwrap();
    }
    // Neither another QoS nor the same message again counts.
    for publish in [
        numbered("t", Q2, 2),
        numbered("t", Q1, 3),
        message("t", b"", Q0),
    ] {
        broker.publish(&publish).unwrap();
    }
    let third = numbered("t", Q2, 3);
    assert_eq!(
        broker.publish(&third),
        Err(Violation::ReceiveMaximumExceeded)
    );
    pubrel(&mut broker, 1);
    assert_eq!(broker.publish(&third), Ok(()));
}

#[test]
fn limits_that_end_the_connection() {
    use ReasonCode as R;
    type Case<'a> = (&'a str, Option<R>, Publish<'static>, fn(&mut Mqtt));
    let base = message("t", b"1234", Q1);
    let cases: &[Case<'_>] = &[
        ("QoS at the maximum", None, base, |l| l.max_qos = 1),
        (
            "QoS above the maximum",
            Some(R::QoSNotSupported),
            base,
            |l| l.max_qos = 0,
        ),
        (
            "retained",
            None,
            Publish {
                retain: true,
                ..base
            },
            |_| {},
        ),
        (
            "retain switched off",
            Some(R::RetainNotSupported),
            Publish {
                retain: true,
                ..base
            },
            |l| {
                l.retain_available = false;
            },
        ),
        ("payload of the largest size", None, base, |l| {
            l.max_payload_size = 4
        }),
        ("payload too large", Some(R::PacketTooLarge), base, |l| {
            l.max_payload_size = 3
        }),
        (
            "wildcard +",
            Some(R::TopicNameInvalid),
            Publish {
                topic: "a/+",
                ..base
            },
            |_| {},
        ),
        (
            "wildcard #",
            Some(R::TopicNameInvalid),
            Publish { topic: "#", ..base },
            |_| {},
        ),
    ];
    for (name, expected, publish, change) in cases {
        for version in VERSIONS {
            let mut limits = Mqtt::default();
            change(&mut limits);
            let mut broker = Broker::connected(version, limits);
            let violation = broker.publish(publish).err();
            assert_eq!(violation.map(Violation::reason), *expected, "{name}");
            let taken = usize::from(expected.is_none());
            assert_eq!(broker.recorder.routed.len(), taken, "{name}");
        }
    }
}

#[test]
fn a_topic_is_needed() {
    for version in VERSIONS {
        let mut broker = Broker::connected(version, Mqtt::default());
        assert_eq!(
            broker.publish(&message("", b"", Q0)),
            Err(Violation::TopicNameMissing)
        );
    }
    let user = properties(&[Property::UserProperty("a", "b")]);
    let publish = Publish {
        properties: user,
        ..message("", b"", Q0)
    };
    let mut broker = Broker::connected(V5, Mqtt::default());
    assert_eq!(broker.publish(&publish), Err(Violation::TopicNameMissing));
    assert_eq!(
        Violation::TopicNameMissing.reason(),
        ReasonCode::ProtocolError
    );
}

#[test]
fn topics_that_are_answered_with_an_error() {
    let limits = Mqtt {
        max_topic_length: 10,
        max_topic_levels: 3,
        ..Mqtt::default()
    };
    for (topic, expected, metric) in [
        ("1234567890", None, None),
        ("a/b/c", None, None),
        ("$other", None, None),
        ("$SYSTEM", None, None),
        (
            "12345678901",
            Some(ReasonCode::TopicNameInvalid),
            Some(Metric::DroppedTopicLimit),
        ),
        (
            "a/b/c/d",
            Some(ReasonCode::TopicNameInvalid),
            Some(Metric::DroppedTopicLimit),
        ),
        (
            "$SYS",
            Some(ReasonCode::NotAuthorized),
            Some(Metric::DroppedNotPermitted),
        ),
        (
            "$SYS/a",
            Some(ReasonCode::NotAuthorized),
            Some(Metric::DroppedNotPermitted),
        ),
    ] {
        for (qos, kind) in [(Q1, PacketType::PubAck), (Q2, PacketType::PubRec)] {
            for version in [V311, V5] {
                let mut broker = Broker::connected(version, limits.clone());
                broker.publish(&message(topic, b"", qos)).unwrap();
                let reason = match version {
                    V5 => expected.unwrap_or(ReasonCode::Success),
                    _ => ReasonCode::Success,
                };
                assert_eq!(broker.written(), ack(kind, reason), "{topic}");
                assert_eq!(
                    broker.recorder.routed.is_empty(),
                    expected.is_some(),
                    "{topic}"
                );
                for counted in [Metric::DroppedTopicLimit, Metric::DroppedNotPermitted] {
                    let times = u64::from(metric == Some(counted));
                    assert_eq!(broker.count(counted), times, "{topic}");
                }
            }
        }
    }
}

#[test]
fn properties_are_counted() {
    let mut broker = Broker::connected(
        V5,
        Mqtt {
            max_properties: 2,
            ..Mqtt::default()
        },
    );
    for (n, expected) in [(2, Ok(())), (3, Err(Violation::TooManyProperties))] {
        let properties = properties(&vec![Property::UserProperty("a", "b"); n]);
        let publish = Publish {
            properties,
            ..message("t", b"", Q0)
        };
        assert_eq!(broker.publish(&publish), expected);
    }
}

#[test]
fn packets_that_only_a_server_sends_end_the_connection() {
    for version in VERSIONS {
        let mut broker = Broker::connected(version, Mqtt::default());
        assert_eq!(
            broker
                .handle(&Packet::Connect(connect(version)))
                .unwrap_err(),
            Violation::SecondConnect
        );
        let packet = Packet::PingResp;
        assert_eq!(
            broker.handle(&packet).unwrap_err().reason(),
            ReasonCode::ProtocolError
        );
        broker.handle(&Packet::PingReq).unwrap();
        assert_eq!(broker.written(), [Seen::PingResp]);
    }
}
