//! The bridge of another broker as a client with MQTT 3: what has been at that broker does not go there, whatever was
//! sent before the bridge said which one it is of.

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{
        Ack, Packet, PacketId, PacketType, Properties, Property, Publish, QoS, ReasonCode,
        Subscribe, SubscribeFiltersBuf, SubscribeOptions, Unsubscribe, UnsubscribeFiltersBuf, hops,
    },
    session::{Bodies, Delivery, Outbound, Place, Restored, Session},
    stats::Metric,
};

/// A message that has been at the broker `b1`.
fn from_b1<'a>(payload: &'a [u8], qos: QoS) -> Publish<'a> {
    Publish {
        properties: properties(&[Property::UserProperty(hops::HOPS, "b1")]),
        ..message("t", payload, qos)
    }
}

/// What was written, one word each.
fn outline(broker: &mut Broker) -> Vec<String> {
    let word = |seen| match seen {
        Seen::Publish(p) if p.topic.starts_with(hops::INTRODUCTION) => "introduced".to_owned(),
        Seen::Publish(p) => {
            let dup = if p.dup { "again " } else { "" };
            format!("{dup}{}", String::from_utf8_lossy(&p.payload))
        }
        Seen::Ack(PacketType::PubRel, id, ReasonCode::Success) => format!("release {id}"),
        Seen::Codes(..) => "answer".to_owned(),
        other => panic!("{other:?}"),
    };
    broker.written().into_iter().map(word).collect()
}

fn subscribe(broker: &mut Broker, filter: &str) {
    let mut filters = SubscribeFiltersBuf::default();
    let options = SubscribeOptions::with_qos(Q0);
    filters.push(filter, options).unwrap();
    let subscribe = Subscribe {
        packet_id: PacketId::MIN,
        properties: Properties::EMPTY,
        filters: filters.as_filters(),
    };
    broker.handle(&Packet::Subscribe(subscribe)).unwrap();
}

/// What the actor does behind the packets of a bridge, and at its deadline.
fn heard(broker: &mut Broker) {
    if broker.channel_mut().end_silence() {
        broker.pump();
    }
}

fn introduce(broker: &mut Broker) {
    subscribe(broker, "$nanomq/bridge/b1");
    heard(broker);
}

fn ack(broker: &mut Broker, kind: fn(Ack<'static>) -> Packet<'static>, number: u16) {
    let ack = Ack::new(id(number), ReasonCode::Success);
    broker.handle(&kind(ack)).unwrap();
}

/// A bridge whose session has these, and which has come back and not said anything.
fn back_with(version: crate::mqtt::ProtocolVersion, waiting: &[Publish<'_>]) -> Broker {
    let mut broker = Broker::new(Mqtt::default());
    broker.connect_as_bridge(&connect(version));
    broker.lose();
    for publish in waiting {
        broker.deliver_one(publish);
    }
    broker.connect_as_bridge(&connect(version));
    broker
}

#[test]
fn what_waits_is_held_until_the_first_packet() {
    type Says = fn(&mut Broker);
    let all = ["a", "b", "c", "d"];
    let cases: [(&str, Says, &[&str], u64); 5] = [
        (
            "who it is",
            |broker| subscribe(broker, "$nanomq/bridge/b1"),
            &["answer", "a", "d"],
            2,
        ),
        (
            "that it is of another broker",
            |broker| subscribe(broker, "$nanomq/bridge/b2"),
            &["answer", "a", "b", "c", "d"],
            0,
        ),
        ("a subscription", |broker| subscribe(broker, "t"), &all, 0),
        (
            "the end of a subscription",
            |broker| {
                let mut filters = UnsubscribeFiltersBuf::default();
                filters.push("t").unwrap();
                let unsubscribe = Unsubscribe {
                    packet_id: PacketId::MIN,
                    properties: Properties::EMPTY,
                    filters: filters.as_filters(),
                };
                broker.handle(&Packet::Unsubscribe(unsubscribe)).unwrap();
            },
            &all,
            0,
        ),
        ("nothing, for too long", |_| {}, &all, 0),
    ];
    for version in [V31, V311] {
        for (says, say, expected, skipped) in cases {
            let waiting = [
                message("t", b"a", Q1),
                from_b1(b"b", Q1),
                from_b1(b"c", Q2),
                message("t", b"d", Q2),
            ];
            let mut broker = back_with(version, &waiting);
            broker.pump();
            assert!(broker.wire.is_empty(), "{says}");
            let until = broker.channel().silent_until();
            broker.pass(10);
            assert_eq!(until, Some(broker.now), "{says}");
            say(&mut broker);
            heard(&mut broker);
            assert_eq!(outline(&mut broker), expected, "{says}");
            assert_eq!(broker.channel().silent_until(), None);
            assert_eq!(broker.count(Metric::DroppedLoopToRemote), skipped, "{says}");
            assert_eq!(broker.outbound().queue_len(), 0, "{says}");
            let sent = u64::try_from(broker.outbound().inflight()).unwrap();
            assert_eq!(sent, 4 - skipped, "{says}");
        }
    }
}

#[test]
fn what_comes_while_it_is_silent_waits_behind_the_rest() {
    let mut broker = back_with(V311, &[message("t", b"a", Q1)]);
    broker.deliver_one(&message("t", b"0", Q0));
    broker.deliver_one(&from_b1(b"b", Q2));
    broker.deliver_one(&message("t", b"c", Q2));
    assert!(broker.wire.is_empty());
    assert_eq!(broker.count(Metric::DroppedOffline), 1);
    introduce(&mut broker);
    broker.deliver_one(&message("t", b"1", Q0));
    broker.deliver_one(&from_b1(b"2", Q0));
    broker.deliver_one(&from_b1(b"d", Q1));
    assert_eq!(outline(&mut broker), ["answer", "a", "c", "1"]);
    assert_eq!(broker.count(Metric::DroppedLoopToRemote), 3);
}

#[test]
fn other_clients_do_not_wait() {
    let mut broker = Broker::connected(V311, Mqtt::default());
    assert_eq!(broker.channel().silent_until(), None);
    broker.lose();
    broker.deliver_one(&message("t", b"a", Q1));
    broker.connect(&connect(V311));
    assert_eq!(outline(&mut broker), ["a"]);
    broker.lose();
    // With MQTT 5 the messages say where they have been.
    broker.connect_as_bridge(&connect(V5));
    assert_eq!(outline(&mut broker), ["again a"]);
}

#[test]
fn what_was_sent_before_it_said_who_it_is_is_not_sent_again() {
    let mut broker = back_with(V311, &[]);
    heard(&mut broker);
    for publish in [
        from_b1(b"a", Q1),
        from_b1(b"b", Q2),
        message("t", b"c", Q1),
        from_b1(b"d", Q2),
        message("t", b"e", Q2),
    ] {
        broker.deliver_one(&publish);
    }
    assert_eq!(outline(&mut broker), ["a", "b", "c", "d", "e"]);
    // It has "d"; whether it has "b" is not known.
    ack(&mut broker, Packet::PubRec, 4);
    assert_eq!(outline(&mut broker), ["release 4"]);
    for again in [false, true] {
        broker.lose();
        broker.connect_as_bridge(&connect(V311));
        // The identifiers that it has are made free whoever it is.
        let due: &[&str] = if again {
            &["release 2", "release 4"]
        } else {
            &["release 4"]
        };
        assert_eq!(outline(&mut broker), due);
        introduce(&mut broker);
        assert_eq!(
            outline(&mut broker),
            ["answer", "release 2", "again c", "again e"]
        );
        assert_eq!(broker.outbound().inflight(), 3);
        assert_eq!(broker.count(Metric::DroppedLoopToRemote), 2);
    }
    for number in [2, 4] {
        ack(&mut broker, Packet::PubComp, number);
    }
    ack(&mut broker, Packet::PubAck, 3);
    ack(&mut broker, Packet::PubRec, 5);
    ack(&mut broker, Packet::PubComp, 5);
    assert_eq!(broker.outbound().inflight(), 0);
    assert_eq!(broker.outbound().waiting_bytes(), 0);
    // "c", "d" and "e"; the others are dropped.
    assert_eq!(broker.count(Metric::MessagesAcknowledged), 3);
    broker.wire.clear();
    broker.deliver_one(&message("t", b"f", Q2));
    assert_eq!(outline(&mut broker), ["f"]);
}

#[test]
fn an_identifier_that_is_made_free_counts_in_the_window() {
    let limits = Mqtt {
        max_inflight_window: 1,
        ..Mqtt::default()
    };
    let mut broker = Broker::new(limits);
    broker.connect_as_bridge(&connect(V311));
    heard(&mut broker);
    broker.deliver_one(&from_b1(b"a", Q2));
    broker.deliver_one(&message("t", b"b", Q1));
    assert_eq!(outline(&mut broker), ["a"]);
    broker.lose();
    broker.connect_as_bridge(&connect(V311));
    introduce(&mut broker);
    assert_eq!(outline(&mut broker), ["answer", "release 1"]);
    ack(&mut broker, Packet::PubComp, 1);
    assert_eq!(outline(&mut broker), ["b"]);
}

#[test]
fn what_a_client_may_not_have_any_more_is_released() {
    let mut broker = Broker::connected(V311, Mqtt::default());
    broker.deliver_one(&message("t", b"a", Q1));
    broker.deliver_one(&message("t", b"b", Q2));
    broker.wire.clear();
    broker.lose();
    let counters = crate::stats::Counters::default();
    broker
        .session_mut()
        .outbound_mut()
        .purge(|_| false, &counters);
    broker.connect(&connect(V311));
    assert_eq!(outline(&mut broker), ["release 2"]);
    ack(&mut broker, Packet::PubComp, 2);
    assert_eq!(broker.count(Metric::MessagesAcknowledged), 0);
    assert_eq!(broker.outbound().dropped(), 2);
}

#[test]
fn bodies_from_the_store_have_their_marks() {
    let place = |sequence: u64| Place {
        message: sequence + 1000,
        sequence,
    };
    let entry = |sequence, qos| Restored {
        place: place(sequence),
        size: 100,
        qos,
        retain: false,
        received: false,
        subscription_ids: None,
        group: None,
    };
    // Two that may have been sent before, two that wait, and two that come now.
    let entries = (1..=4).map(|n| entry(n, if n % 2 == 0 { Q2 } else { Q1 }));
    let mut broker = Broker::new(Mqtt::default());
    let outbound = Outbound::restored(entries.collect(), 2, None);
    *broker.session_mut() = Session::restored(outbound, &[], 60);
    broker.connect_as_bridge(&connect(V311));
    for (sequence, publish) in [(5, from_b1(b"5", Q2)), (6, message("t", b"6", Q2))] {
        let delivery = Delivery {
            places: Some([place(sequence)].into()),
            ..delivery(Q2)
        };
        let batch = batch(&[publish], V5, broker.now);
        broker.deliver(&batch, &delivery);
    }
    let provide = |broker: &mut Broker| {
        let missing = broker.outbound().missing(1000);
        let bodies: Bodies = missing
            .iter()
            .map(|number| {
                let payload = (number - 1000).to_string();
                let publish = match number - 1000 {
                    2 | 3 => from_b1(payload.as_bytes(), Q2),
                    _ => message("t", payload.as_bytes(), Q2),
                };
                let kept = batch(&[publish], V5, broker.now).keep(0).unwrap();
                (*number, Ok(kept))
            })
            .collect();
        let counters = crate::stats::Counters::default();
        let outbound = broker.channel_mut().session_mut().outbound_mut();
        outbound.provide(&bodies, |_| true, &counters);
        broker.pump();
    };
    provide(&mut broker);
    assert!(broker.wire.is_empty());
    introduce(&mut broker);
    provide(&mut broker);
    assert_eq!(
        outline(&mut broker),
        ["answer", "again 1", "release 2", "4", "6"]
    );
    let settled = |broker: &mut Broker| {
        let outbound = broker.channel_mut().session_mut().outbound_mut();
        outbound.take_settled()
    };
    assert_eq!(settled(&mut broker), [3, 5]);
    ack(&mut broker, Packet::PubComp, 2);
    assert_eq!(settled(&mut broker), [2]);
}
