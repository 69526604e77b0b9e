//! A session that goes on with a new connection.

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{Connect, PacketType, Property, ReasonCode},
    stats::Metric,
};

/// Kind or DUP flag, identifier and payload of each packet.
fn outline(broker: &mut Broker) -> Vec<String> {
    let line = |seen| match seen {
        Seen::Publish(p) => {
            let payload = String::from_utf8_lossy(&p.payload).into_owned();
            let dup = if p.dup { "again" } else { "new" };
            format!("{dup} {} {payload}", p.id.unwrap_or(0))
        }
        Seen::Ack(PacketType::PubRel, id, ReasonCode::Success) => format!("release {id}"),
        other => panic!("{other:?}"),
    };
    broker.written().into_iter().map(line).collect()
}

fn five(broker: &mut Broker) {
    for (payload, qos) in [(b"a", Q1), (b"b", Q2), (b"c", Q1), (b"d", Q2), (b"e", Q1)] {
        broker.deliver_one(&message("t", payload, qos));
    }
}

#[test]
fn what_is_not_acknowledged_is_sent_again_in_order() {
    for version in VERSIONS {
        let mut broker = Broker::connected(version, Mqtt::default());
        five(&mut broker);
        let mut client = Client::new(version);
        client.read(&mut broker.wire, usize::MAX);
        // PUBREC of "b", PUBACK of "c".
        for index in [1, 1] {
            let reply = client.reply(index);
            broker.replied(reply);
        }
        assert_eq!(outline(&mut broker), ["release 2"]);
        for _ in 0..2 {
            broker.lose();
            broker.deliver_one(&message("t", b"f", Q1));
            broker.deliver_one(&message("t", b"0", Q0));
            broker.connect(&connect(version));
            assert_eq!(
                outline(&mut broker)[..4],
                ["again 1 a", "release 2", "again 4 d", "again 5 e"]
            );
        }
        client.lose();
        broker.lose();
        broker.connect(&connect(version));
        drive_bounded(&mut broker, &mut client, 5);
        assert_eq!(
            client.payloads(),
            ["a", "b", "c", "d", "e", "a", "e", "f", "f"]
        );
        assert_eq!(broker.outbound().inflight(), 0);
    }
}

#[test]
fn a_smaller_receive_maximum_holds_for_what_is_sent_again() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    five(&mut broker);
    broker.lose();
    let properties = properties(&[Property::ReceiveMaximum(2)]);
    broker.connect(&Connect {
        properties,
        ..connect(V5)
    });
    let mut client = Client::new(V5).receive_maximum(2);
    assert_eq!(client.read(&mut broker.wire, usize::MAX), 2);
    broker.deliver_one(&message("t", b"f", Q1));
    assert!(broker.wire.is_empty());
    drive_bounded(&mut broker, &mut client, 20);
    assert_eq!(client.payloads(), ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn a_smaller_packet_size_drops_what_does_not_fit_any_more() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    for payload in [vec![b'x'; 100], b"b".to_vec()] {
        broker.deliver_one(&message("t", &payload, Q1));
    }
    broker.lose();
    let properties = properties(&[Property::MaximumPacketSize(50)]);
    broker.connect(&Connect {
        properties,
        ..connect(V5)
    });
    let mut client = Client::new(V5).max_packet_size(50);
    drive_bounded(&mut broker, &mut client, 5);
    assert_eq!(client.payloads(), ["b"]);
    assert_eq!(broker.count(Metric::DroppedTooLarge), 1);
    assert_eq!(broker.outbound().inflight(), 0);
}

#[test]
fn what_is_sent_again_waits_for_room_in_the_output() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    five(&mut broker);
    broker.lose();
    broker.limits.max_output_buffer = 1;
    broker.connect(&connect(V5));
    assert_eq!(outline(&mut broker), ["again 1 a"]);
    broker.deliver_one(&message("t", b"f", Q1));
    broker.lose();
    broker.connect(&connect(V5));
    let mut client = Client::new(V5);
    drive_bounded(&mut broker, &mut client, 20);
    assert_eq!(client.payloads(), ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn what_is_sent_again_goes_on_when_the_output_has_room() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    for payload in [b"a", b"b"] {
        broker.deliver_one(&message("t", payload, Q1));
    }
    broker.lose();
    broker.limits.max_output_buffer = 1;
    broker.connect(&connect(V5));
    assert_eq!(outline(&mut broker), ["again 1 a"]);
    // The acknowledgement finds the output full, and nothing else will come from the client.
    broker.deliver_one(&message("t", b"0", Q0));
    broker.puback(1);
    assert_eq!(outline(&mut broker), ["new 0 0"]);
    assert!(broker.outbound().is_waiting());
    broker.flushed();
    assert_eq!(outline(&mut broker), ["again 2 b"]);
    assert!(!broker.outbound().is_waiting());
}

#[test]
fn a_message_sent_again_has_the_flags_of_its_subscription() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    let publish = crate::mqtt::Publish {
        retain: true,
        ..message("t", b"x", Q2)
    };
    let delivery = crate::session::Delivery {
        retain_as_published: true,
        subscription_ids: Some([4].into()),
        ..delivery(Q1)
    };
    let batch = batch(&[publish], V5, broker.now);
    broker.deliver(&batch, &delivery);
    let first = broker.written();
    broker.lose();
    broker.connect(&connect(V5));
    let again = broker.written();
    let ([Seen::Publish(first)], [Seen::Publish(again)]) = (&first[..], &again[..]) else {
        panic!("{first:?} {again:?}");
    };
    assert!(first.retain && !first.dup && first.qos == Q1);
    assert_eq!(
        *again,
        SeenPublish {
            dup: true,
            ..first.clone()
        }
    );
}
