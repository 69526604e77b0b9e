//! The window of unacknowledged messages and their identifiers.

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{Ack, Connect, Packet, PacketType, Property, ReasonCode},
    stats::Metric,
};

fn ids(broker: &mut Broker) -> Vec<u16> {
    let id = |seen| match seen {
        Seen::Publish(publish) => publish.id,
        _ => None,
    };
    broker.written().into_iter().filter_map(id).collect()
}

fn deliver_many(broker: &mut Broker, n: usize) {
    for index in 0..n {
        broker.deliver_one(&message("t", index.to_string().as_bytes(), Q1));
    }
}

#[test]
fn it_is_the_smaller_of_receive_maximum_and_the_brokers_own() {
    for (receive_maximum, window, expected) in [(3, 10, 3), (10, 3, 3), (1, 1, 1), (65_535, 5, 5)] {
        let mut broker = Broker::new(Mqtt {
            max_inflight_window: window,
            ..Mqtt::default()
        });
        let properties = properties(&[Property::ReceiveMaximum(receive_maximum)]);
        broker.connect(&Connect {
            properties,
            ..connect(V5)
        });
        deliver_many(&mut broker, 20);
        assert_eq!(broker.outbound().inflight(), expected);
        assert_eq!(broker.outbound().queue_len(), 20 - expected);
        let mut client = Client::new(V5).receive_maximum(expected);
        drive_bounded(&mut broker, &mut client, 30);
        let sent: Vec<_> = (0..20).map(|index| index.to_string()).collect();
        assert_eq!(client.payloads(), sent);
        assert_eq!(
            (broker.outbound().inflight(), broker.outbound().queue_len()),
            (0, 0)
        );
    }
}

#[test]
fn qos_2_occupies_it_until_pubcomp() {
    let mut broker = Broker::connected(
        V5,
        Mqtt {
            max_inflight_window: 1,
            ..Mqtt::default()
        },
    );
    broker.deliver_one(&message("t", b"1", Q2));
    broker.deliver_one(&message("t", b"2", Q2));
    assert_eq!(ids(&mut broker), [1]);
    let ack = Ack::new(id(1), ReasonCode::Success);
    broker.handle(&Packet::PubRec(ack)).unwrap();
    assert_eq!(
        broker.written(),
        [Seen::Ack(PacketType::PubRel, 1, ReasonCode::Success)]
    );
    broker.handle(&Packet::PubComp(ack)).unwrap();
    assert_eq!(ids(&mut broker), [2]);
}

#[test]
fn its_bytes_are_bounded_but_one_message_always_goes() {
    let limits = Mqtt {
        max_inflight_bytes: 1000,
        ..Mqtt::default()
    };
    let mut broker = Broker::connected(V5, limits);
    let large = message("t", &[0; 2000], Q1);
    for _ in 0..3 {
        broker.deliver_one(&large);
    }
    for number in [1, 2, 3] {
        assert_eq!(ids(&mut broker), [number]);
        broker.puback(number);
    }
    assert_eq!(broker.outbound().inflight(), 0);
}

#[test]
fn its_bytes_are_free_as_soon_as_the_client_has_the_message() {
    let limits = Mqtt {
        max_inflight_bytes: 1000,
        ..Mqtt::default()
    };
    let mut broker = Broker::connected(V5, limits);
    for _ in 0..2 {
        broker.deliver_one(&message("t", &[0; 2000], Q2));
    }
    assert_eq!(ids(&mut broker), [1]);
    broker.replied(Reply::Rec(1));
    assert_eq!(ids(&mut broker), [2], "before PUBCOMP");
}

#[test]
fn acknowledgements_may_come_out_of_order() {
    let mut broker = Broker::connected(
        V5,
        Mqtt {
            max_inflight_window: 3,
            ..Mqtt::default()
        },
    );
    deliver_many(&mut broker, 6);
    assert_eq!(ids(&mut broker), [1, 2, 3]);
    for (acknowledged, expected) in [
        (3, vec![4]),
        (2, vec![5]),
        (5, vec![6]),
        (1, vec![]),
        (6, vec![]),
    ] {
        broker.puback(acknowledged);
        assert_eq!(ids(&mut broker), expected, "after {acknowledged}");
    }
    assert_eq!(broker.outbound().inflight(), 1);
    broker.puback(4);
    assert_eq!(broker.outbound().inflight(), 0);
    deliver_many(&mut broker, 1);
    assert_eq!(ids(&mut broker), [7]);
}

#[test]
fn acknowledgements_of_nothing_are_ignored() {
    for version in VERSIONS {
        let mut broker = Broker::connected(version, Mqtt::default());
        broker.deliver_one(&message("t", b"1", Q1));
        broker.deliver_one(&message("t", b"2", Q2));
        broker.written();
        let ack = |value| Ack::new(id(value), ReasonCode::Success);
        // Unknown, of the other QoS, or too early.
        for packet in [
            Packet::PubAck(ack(9)),
            Packet::PubAck(ack(2)),
            Packet::PubComp(ack(9)),
            Packet::PubComp(ack(1)),
            Packet::PubComp(ack(2)),
        ] {
            broker.handle(&packet).unwrap();
            assert_eq!(broker.outbound().inflight(), 2, "{packet:?}");
            assert_eq!(broker.written(), []);
        }
        let unknown = match version {
            V5 => ReasonCode::PacketIdentifierNotFound,
            _ => ReasonCode::Success,
        };
        for (value, reason) in [
            (9, unknown),
            (1, unknown),
            (2, ReasonCode::Success),
            (2, ReasonCode::Success),
        ] {
            broker.handle(&Packet::PubRec(ack(value))).unwrap();
            assert_eq!(
                broker.written(),
                [Seen::Ack(PacketType::PubRel, value, reason)]
            );
            assert_eq!(broker.outbound().inflight(), 2);
        }
        for packet in [
            Packet::PubAck(ack(1)),
            Packet::PubAck(ack(1)),
            Packet::PubComp(ack(2)),
        ] {
            broker.handle(&packet).unwrap();
        }
        assert_eq!(broker.outbound().inflight(), 0);
    }
}

#[test]
fn an_error_in_an_acknowledgement_ends_the_delivery() {
    let mut broker = Broker::connected(
        V5,
        Mqtt {
            max_inflight_window: 1,
            ..Mqtt::default()
        },
    );
    for qos in [Q1, Q2, Q1] {
        broker.deliver_one(&message("t", b"x", qos));
    }
    let error = |value| Ack::new(id(value), ReasonCode::QuotaExceeded);
    assert_eq!(ids(&mut broker), [1]);
    broker.handle(&Packet::PubAck(error(1))).unwrap();
    assert_eq!(ids(&mut broker), [2]);
    // No PUBREL: what is written is the next message.
    broker.handle(&Packet::PubRec(error(2))).unwrap();
    assert_eq!(ids(&mut broker), [3]);
    broker.handle(&Packet::PubRec(error(2))).unwrap();
    assert_eq!(broker.written(), []);
    assert_eq!(broker.outbound().inflight(), 1);
}

#[test]
fn identifiers_begin_again_after_the_last() {
    let mut broker = Broker::connected(
        V311,
        Mqtt {
            max_inflight_window: 3,
            ..Mqtt::default()
        },
    );
    let publish = message("t", b"x", Q1);
    let batch = batch(&[publish; 1000], V311, broker.now);
    let mut client = Client::new(V311).receive_maximum(3);
    for _ in 0..67 {
        broker.deliver(&batch, &delivery(Q1));
        drive_bounded(&mut broker, &mut client, 400);
    }
    let ids: Vec<_> = client
        .messages
        .iter()
        .map(|seen| usize::from(seen.id.unwrap()))
        .collect();
    let expected: Vec<_> = (0..67_000).map(|index| index % 65_535 + 1).collect();
    assert!(ids == expected);
}

#[test]
fn an_identifier_is_not_used_again_while_its_message_is_not_acknowledged() {
    let mut broker = Broker::connected(V311, Mqtt::default());
    let batch = batch(&[message("t", b"x", Q1); 1000], V311, broker.now);
    let mut client = Client::new(V311);
    broker.deliver_one(&message("t", b"never acknowledged", Q1));
    client.read(&mut broker.wire, 1);
    client.owed.clear();
    // The client panics when an identifier that it has not acknowledged comes again.
    for _ in 0..70 {
        broker.deliver(&batch, &delivery(Q1));
        drive_bounded(&mut broker, &mut client, 400);
    }
    assert_eq!(broker.outbound().inflight(), 1);
    assert_eq!(client.messages.len(), 65_535);
    broker.puback(1);
    assert!(!broker.wire.is_empty(), "there is room again");
}

#[test]
fn a_full_output_drops_qos_0_and_makes_the_rest_wait() {
    let limits = Mqtt {
        max_output_buffer: 100,
        ..Mqtt::default()
    };
    let mut broker = Broker::connected(V5, limits);
    broker.deliver_one(&message("t", &[0; 200], Q0));
    for qos in EVERY_QOS {
        broker.deliver_one(&message("t", b"x", qos));
    }
    assert_eq!(broker.count(Metric::DroppedOutputFull), 1);
    assert_eq!(
        (broker.outbound().queue_len(), broker.outbound().inflight()),
        (2, 0)
    );
    let mut client = Client::new(V5);
    drive_bounded(&mut broker, &mut client, 5);
    let qos: Vec<_> = client.messages.iter().map(|seen| seen.qos).collect();
    assert_eq!(qos, [Q0, Q1, Q2]);
}
