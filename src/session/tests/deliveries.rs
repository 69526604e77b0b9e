//! What a subscriber gets of a message.

use std::sync::Arc;

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{
        Connect, Message, PropertiesBuf, Property, ProtocolVersion, Publish, QoS, encode_publish,
    },
    session::Delivery,
    stats::Metric,
};

/// The only packet that is written for `publish`, read by a client of `version`.
fn delivered(
    publish: &Publish<'_>,
    delivery: &Delivery,
    version: ProtocolVersion,
    seconds: u64,
) -> Option<SeenPublish> {
    let mut broker = Broker::connected(version, Mqtt::default());
    let batch = batch(&[*publish], V5, broker.now);
    broker.pass(seconds);
    broker.deliver(&batch, delivery);
    match &broker.written()[..] {
        [] => None,
        [Seen::Publish(publish)] => Some(publish.clone()),
        other => panic!("{other:?}"),
    }
}

fn of(list: &[Property<'_>]) -> PropertiesBuf {
    let mut buffer = PropertiesBuf::new();
    buffer.extend(properties(list));
    buffer
}

#[test]
fn the_lower_qos_holds() {
    for published in EVERY_QOS {
        for granted in EVERY_QOS {
            for version in VERSIONS {
                let publish = message("t", b"x", published);
                let seen = delivered(&publish, &delivery(granted), version, 0).unwrap();
                let qos: QoS = published.min(granted);
                assert_eq!((seen.qos, seen.dup), (qos, false));
                assert_eq!(seen.id, (qos != Q0).then_some(1));
                assert_eq!((&*seen.topic, &*seen.payload), ("t", &b"x"[..]));
            }
        }
    }
}

#[test]
fn the_retain_flag_is_cleared_unless_wanted() {
    for qos in EVERY_QOS {
        for retain in [false, true] {
            for wanted in [false, true] {
                let publish = Publish {
                    retain,
                    ..message("t", b"x", qos)
                };
                let delivery = Delivery {
                    retain_as_published: wanted,
                    ..delivery(Q2)
                };
                let seen = delivered(&publish, &delivery, V5, 0).unwrap();
                assert_eq!(seen.retain, retain && wanted, "{qos:?}");
            }
        }
    }
}

#[test]
fn a_retained_message_for_a_new_subscription_has_the_flag_set() {
    for published in EVERY_QOS {
        for granted in EVERY_QOS {
            let mut broker = Broker::connected(V5, Mqtt::default());
            let kept = Message::new("t", b"x", published, true, properties(&[]), broker.now);
            broker.deliver_retained(kept, &delivery(granted));
            let written = broker.written();
            let [Seen::Publish(seen)] = &written[..] else {
                panic!("{written:?}");
            };
            assert_eq!(
                (seen.qos, seen.retain, seen.dup),
                (published.min(granted), true, false)
            );
        }
    }
}

#[test]
fn properties_reach_version_5_only() {
    let all = [
        Property::PayloadFormatIndicator(1),
        Property::ContentType("text"),
        Property::ResponseTopic("answer"),
        Property::CorrelationData(b"\0\x01"),
        Property::UserProperty("b", "2"),
        Property::UserProperty("a", "1"),
        Property::UserProperty("b", "2"),
    ];
    for qos in EVERY_QOS {
        let publish = Publish {
            properties: properties(&all),
            ..message("t", b"x", qos)
        };
        let seen = |version| delivered(&publish, &delivery(Q2), version, 0).unwrap();
        assert_eq!(seen(V5).properties, of(&all), "order is kept");
        assert!(seen(V311).properties.is_empty());
        assert!(seen(V31).properties.is_empty());
    }
}

#[test]
fn subscription_identifiers_are_added() {
    let ids = [1, 268_435_455];
    for qos in EVERY_QOS {
        let user = Property::UserProperty("a", "1");
        let publish = Publish {
            properties: properties(&[user]),
            ..message("t", b"x", qos)
        };
        let delivery = Delivery {
            subscription_ids: Some(Arc::from(ids)),
            ..delivery(Q2)
        };
        let seen = delivered(&publish, &delivery, V5, 0).unwrap();
        let expected = [
            user,
            Property::SubscriptionIdentifier(ids[0]),
            Property::SubscriptionIdentifier(ids[1]),
        ];
        assert_eq!(seen.properties, of(&expected));
        assert!(
            delivered(&publish, &delivery, V311, 0)
                .unwrap()
                .properties
                .is_empty()
        );
    }
}

#[test]
fn the_expiry_interval_counts_down_and_ends_the_message() {
    for qos in EVERY_QOS {
        for (interval, seconds, expected) in [
            (10, 0, Some(10)),
            (10, 1, Some(9)),
            (10, 9, Some(1)),
            (10, 10, None),
            (10, 11, None),
            (0, 0, None),
            (u32::MAX, 1000, Some(u32::MAX)),
        ] {
            for version in VERSIONS {
                let properties = properties(&[Property::MessageExpiryInterval(interval)]);
                let publish = Publish {
                    properties,
                    ..message("t", b"x", qos)
                };
                let seen = delivered(&publish, &delivery(Q2), version, seconds);
                assert_eq!(
                    seen.is_some(),
                    expected.is_some(),
                    "{qos:?} {interval} {seconds}"
                );
                if let (Some(seen), V5) = (seen, version) {
                    assert_eq!(
                        seen.properties.as_properties().message_expiry_interval(),
                        expected
                    );
                }
            }
        }
    }
}

#[test]
fn a_message_that_waits_expires_too() {
    let limits = Mqtt {
        max_inflight_window: 1,
        ..Mqtt::default()
    };
    for offline in [false, true] {
        let mut broker = Broker::connected(V5, limits.clone());
        match offline {
            true => broker.lose(),
            false => broker.deliver_one(&message("t", b"first", Q1)),
        }
        for (payload, interval) in [(b"short", 5), (b"long!", 50)] {
            let properties = properties(&[Property::MessageExpiryInterval(interval)]);
            broker.deliver_one(&Publish {
                properties,
                ..message("t", payload, Q1)
            });
        }
        broker.pass(5);
        match offline {
            true => broker.connect(&connect(V5)),
            false => broker.puback(1),
        }
        let mut client = Client::new(V5);
        client.read(&mut broker.wire, usize::MAX);
        let last = client.messages.last().unwrap();
        assert_eq!(last.payload, b"long!");
        assert_eq!(
            last.properties.as_properties().message_expiry_interval(),
            Some(45)
        );
        assert_eq!(broker.count(Metric::DroppedExpired), 1);
        assert_eq!(broker.outbound().dropped(), 1);
        assert_eq!(broker.outbound().queue_len(), 0);
    }
}

#[test]
fn expired_messages_are_counted_with_every_qos() {
    for qos in EVERY_QOS {
        let mut broker = Broker::connected(V5, Mqtt::default());
        let properties = properties(&[Property::MessageExpiryInterval(0)]);
        broker.deliver_one(&Publish {
            properties,
            ..message("t", b"x", qos)
        });
        assert_eq!(broker.count(Metric::DroppedExpired), 1, "{qos:?}");
        assert_eq!(broker.count(Metric::sent(qos)), 0, "{qos:?}");
    }
}

#[test]
fn nothing_is_larger_than_the_client_takes() {
    for qos in EVERY_QOS {
        for ids in [None, Some(Arc::from([200]))] {
            let delivery = Delivery {
                subscription_ids: ids,
                ..delivery(Q2)
            };
            let publish = message("topic", &[7; 100], qos);
            let size = {
                let mut broker = Broker::connected(V5, Mqtt::default());
                broker.deliver(&batch(&[publish], V5, broker.now), &delivery);
                broker.wire.len()
            };
            for (most, fits) in [(size, true), (size - 1, false)] {
                let mut broker = Broker::new(Mqtt::default());
                let asked = [Property::MaximumPacketSize(most as u32)];
                broker.connect(&Connect {
                    properties: properties(&asked),
                    ..connect(V5)
                });
                broker.deliver(&batch(&[publish], V5, broker.now), &delivery);
                assert_eq!(broker.wire.len(), if fits { size } else { 0 });
                assert_eq!(broker.count(Metric::DroppedTooLarge), u64::from(!fits));
                assert_eq!(broker.outbound().inflight(), usize::from(fits && qos != Q0));
            }
        }
    }
}

#[test]
fn a_message_that_is_too_large_takes_no_identifier() {
    let mut broker = Broker::new(Mqtt::default());
    let asked = [Property::MaximumPacketSize(50)];
    broker.connect(&Connect {
        properties: properties(&asked),
        ..connect(V5)
    });
    for size in [1, 100, 2] {
        broker.deliver_one(&message("t", &vec![0; size], Q1));
    }
    let mut client = Client::new(V5).max_packet_size(50);
    drive_bounded(&mut broker, &mut client, 3);
    let got: Vec<_> = client
        .messages
        .iter()
        .map(|seen| (seen.id, seen.payload.len()))
        .collect();
    assert_eq!(got, [(Some(1), 1), (Some(2), 2)]);
}

#[test]
fn what_was_read_is_written_unchanged_at_qos_0() {
    for version in VERSIONS {
        let mut broker = Broker::connected(version, Mqtt::default());
        let messages = [
            message("a", b"1", Q0),
            message("b/c", b"", Q0),
            message("a", b"3", Q0),
        ];
        let mut expected = bytes::BytesMut::new();
        for publish in &messages {
            encode_publish(publish, version, &mut expected).unwrap();
        }
        broker.deliver(&batch(&messages, version, broker.now), &delivery(Q2));
        assert_eq!(broker.wire, expected);
        assert_eq!(broker.count(Metric::MessagesSentQoS0), 3);
        assert_eq!(broker.outbound().written(), 3);
    }
}
