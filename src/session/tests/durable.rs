//! A session whose messages are in the durable store.

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{Ack, Message, Packet, PacketType, Properties, QoS, ReasonCode},
    session::{Bodies, Delivery, HeldAck, Outbound, Place, Restored, Session},
    stats::{DropReason, Metric},
};

fn place(sequence: u64) -> Place {
    Place {
        message: sequence + 1000,
        sequence,
    }
}

/// A session in the store, whose client is away.
fn away(limits: Mqtt) -> Broker {
    let mut broker = Broker::new(limits);
    broker.session_mut().outbound_mut().make_durable();
    broker
}

fn deliver(broker: &mut Broker, sequence: u64, payload: &[u8], qos: QoS) {
    let batch = batch(&[message("t", payload, qos)], V5, broker.now);
    let delivery = Delivery {
        places: Some([place(sequence)].into()),
        ..delivery(Q2)
    };
    broker.deliver(&batch, &delivery);
}

fn published(broker: &mut Broker) -> Vec<(u16, bool, Vec<u8>)> {
    let seen = broker.written().into_iter().map(|seen| match seen {
        Seen::Publish(publish) => (publish.id.unwrap(), publish.dup, publish.payload),
        other => panic!("{other:?}"),
    });
    seen.collect()
}

/// What was published, and that a message that may have been sent before is released.
fn published_and_released(broker: &mut Broker, released: u16) -> Vec<u16> {
    let mut seen = broker.written();
    let release = Seen::Ack(PacketType::PubRel, released, ReasonCode::Success);
    let before = seen.len();
    seen.retain(|seen| *seen != release);
    assert_eq!(seen.len() + 1, before);
    let identifiers = seen.into_iter().map(|seen| match seen {
        Seen::Publish(publish) => publish.id.unwrap(),
        other => panic!("{other:?}"),
    });
    let identifiers = identifiers.collect();
    let ack = Ack::new(super::kit::id(released), ReasonCode::Success);
    broker.handle(&Packet::PubComp(ack)).unwrap();
    identifiers
}

fn settled(broker: &mut Broker) -> Vec<u64> {
    broker
        .channel_mut()
        .session_mut()
        .outbound_mut()
        .take_settled()
}

fn entry(sequence: u64, received: bool) -> Restored {
    Restored {
        place: place(sequence),
        size: 100,
        qos: Q2,
        retain: false,
        received,
        subscription_ids: None,
        group: None,
    }
}

fn restored(entries: Vec<Restored>, window: usize) -> Broker {
    let mut broker = Broker::new(Mqtt::default());
    *broker.session_mut() = Session::restored(Outbound::restored(entries, window, None), &[7], 60);
    broker.connect(&connect(V311));
    broker
}

fn provide(broker: &mut Broker, readable: impl Fn(u64) -> bool) {
    let missing = broker.outbound().missing(1000);
    let bodies: Bodies = missing
        .iter()
        .map(|number| {
            let payload = number.to_string();
            let message = Message::new(
                "t",
                payload.as_bytes(),
                Q2,
                false,
                Properties::EMPTY,
                broker.now,
            );
            let body = match readable(*number) {
                true => Ok(message),
                false => Err(DropReason::Unreadable),
            };
            (*number, body)
        })
        .collect();
    let counters = crate::stats::Counters::default();
    let outbound = broker.channel_mut().session_mut().outbound_mut();
    outbound.provide(&bodies, |_| true, &counters);
    broker.pump();
}

#[test]
fn the_place_says_the_identifier() {
    // (place, identifier): also after more messages than there are identifiers, and behind places that were left out.
    for (sequence, id) in [(1, 1), (2, 2), (65_535, 65_535), (65_536, 1), (131_072, 2)] {
        let mut broker = away(Mqtt::default());
        deliver(&mut broker, sequence, b"a", Q1);
        deliver(&mut broker, sequence + 3, b"b", Q1);
        broker.connect(&connect(V311));
        let found: Vec<u16> = published(&mut broker).iter().map(|(id, ..)| *id).collect();
        let second = (u32::from(id) - 1 + 3) % 65_535 + 1;
        assert_eq!(found, [id, second as u16]);
        let ack = Packet::PubAck(Ack::new(super::kit::id(found[1]), ReasonCode::Success));
        broker.handle(&ack).unwrap();
        assert_eq!(settled(&mut broker), [sequence + 3]);
    }
}

#[test]
fn what_the_queue_drops_is_settled() {
    let limits = Mqtt {
        max_mqueue_len: 2,
        ..Mqtt::default()
    };
    let mut broker = away(limits);
    for sequence in 1..=5 {
        deliver(&mut broker, sequence, b"x", Q1);
    }
    let outbound = broker.session_mut().outbound_mut();
    assert_eq!(outbound.take_settled(), [1, 2, 3]);
    broker.connect(&connect(V311));
    let found: Vec<u16> = published(&mut broker).iter().map(|(id, ..)| *id).collect();
    assert_eq!(found, [4, 5]);
}

#[test]
fn pubrel_and_pubcomp_wait_for_the_store() {
    let mut broker = away(Mqtt::default());
    broker.connect(&connect(V311));
    broker.channel_mut().hold_acknowledgements(true);
    deliver(&mut broker, 1, b"x", Q2);
    assert_eq!(published(&mut broker).len(), 1);
    let ack = |kind: fn(Ack<'static>) -> Packet<'static>, number| {
        kind(Ack::new(id(number), ReasonCode::Success))
    };
    broker.handle(&ack(Packet::PubRec, 1)).unwrap();
    broker.publish(&message("u", b"y", Q2)).unwrap();
    broker.handle(&ack(Packet::PubRel, 1)).unwrap();
    assert_eq!(broker.written(), [], "nothing is answered yet");
    let channel = broker.channel_mut();
    assert_eq!(
        channel.session_mut().outbound_mut().take_received(),
        [(1, id(1))]
    );
    assert_eq!(
        channel.take_held(),
        [HeldAck::PubRec(id(1), ReasonCode::Success)]
    );
    let released = channel.take_released();
    assert_eq!(released, [HeldAck::PubComp(id(1), ReasonCode::Success)]);
    // PUBCOMP is what settles the message.
    assert_eq!(settled(&mut broker), [0u64; 0]);
    broker.handle(&ack(Packet::PubComp, 1)).unwrap();
    assert_eq!(settled(&mut broker), [1]);
}

#[test]
fn a_refused_message_is_as_if_it_had_not_come() {
    for version in VERSIONS {
        let mut broker = away(Mqtt::default());
        broker.connect(&connect(version));
        broker.channel_mut().hold_acknowledgements(true);
        broker.publish(&message("t", b"1", Q2)).unwrap();
        let held = broker.channel_mut().take_held();
        let mut wire = std::mem::take(&mut broker.wire);
        broker.channel_mut().write_held(&held, false, &mut wire);
        broker.wire = wire;
        let expected = match version {
            V5 => vec![Seen::Ack(
                crate::mqtt::PacketType::PubRec,
                1,
                ReasonCode::QuotaExceeded,
            )],
            _ => Vec::new(),
        };
        assert_eq!(broker.written(), expected);
        // It is taken when it comes again.
        broker.publish(&message("t", b"1", Q2)).unwrap();
        assert_eq!(broker.recorder.routed.len(), 2);
    }
}

#[test]
fn a_session_goes_on_with_what_the_store_has() {
    // Received, sent perhaps, and behind the window.
    let entries = vec![
        entry(3, true),
        entry(5, false),
        entry(6, true),
        entry(9, false),
        entry(10, false),
    ];
    let mut broker = restored(entries, 1);
    assert_eq!(
        (broker.outbound().inflight(), broker.outbound().queue_len()),
        (3, 2)
    );
    let release = |id| Seen::Ack(crate::mqtt::PacketType::PubRel, id, ReasonCode::Success);
    assert_eq!(
        broker.written(),
        [release(3), release(6)],
        "a body is missing"
    );
    assert_eq!(broker.outbound().missing(10), [1005, 1009, 1010]);
    provide(&mut broker, |_| true);
    let outline: Vec<String> = broker
        .written()
        .into_iter()
        .map(|seen| match seen {
            Seen::Publish(publish) => format!("{} {}", publish.id.unwrap(), publish.dup),
            Seen::Ack(_, id, _) => format!("release {id}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(outline, ["5 true", "9 false", "10 false"]);
    assert!(broker.outbound().missing(10).is_empty());
    assert_eq!(settled(&mut broker), [0u64; 0]);
    // The identifier of a message of its own that it had published before.
    let again = crate::mqtt::Publish {
        packet_id: Some(id(7)),
        dup: true,
        ..message("u", b"y", Q2)
    };
    broker.publish(&again).unwrap();
    assert!(broker.recorder.routed.is_empty());
}

#[test]
fn a_body_that_cannot_be_read_is_dropped() {
    let entries = (1..=6).map(|sequence| entry(sequence, false)).collect();
    let mut broker = restored(entries, 2);
    provide(&mut broker, |number| number != 1001 && number != 1004);
    assert_eq!(settled(&mut broker), [4]);
    assert_eq!(published_and_released(&mut broker, 1), [2, 3, 5, 6]);
    assert_eq!(settled(&mut broker), [1]);
    assert_eq!(broker.outbound().dropped(), 2);
    assert_eq!(
        broker.count(Metric::MessagesSentQoS2),
        3,
        "the window was sent before"
    );
}

#[test]
fn a_long_queue_keeps_few_bodies_in_memory() {
    let limits = Mqtt {
        max_mqueue_len: 10_000,
        max_inflight_window: u16::MAX,
        ..Mqtt::default()
    };
    let mut broker = away(limits);
    let payload = [b'x'; 1000];
    for sequence in 1..=1000 {
        deliver(&mut broker, sequence, &payload, Q2);
    }
    assert_eq!(broker.outbound().queue_len(), 1000);
    broker.connect(&connect(V311));
    let first = published(&mut broker).len();
    assert!((200..300).contains(&first), "{first}");
    let mut all = first;
    while all < 1000 {
        let missing = broker.outbound().missing(100).len();
        assert_eq!(missing, 100.min(1000 - all));
        let before = all;
        provide(&mut broker, |_| true);
        all += published(&mut broker).len();
        assert!(all > before);
    }
    assert_eq!(
        (
            broker.outbound().queue_len(),
            broker.outbound().queue_bytes()
        ),
        (0, 0)
    );
}

fn evict(broker: &mut Broker, places: &[u64]) -> u64 {
    let counters = crate::stats::Counters::default();
    let session = match broker.is_connected() {
        true => broker.channel_mut().session_mut(),
        false => broker.session_mut(),
    };
    session.outbound_mut().evict(places, &counters);
    let mut totals = crate::stats::Totals::default();
    counters.add_to(&mut totals);
    totals.get(Metric::DroppedStoreFull)
}

#[test]
fn what_makes_room_in_the_store_leaves_the_queue() {
    // (places evicted, of them in the queue, identifiers sent afterwards)
    let cases: [(&[u64], u64, &[u16]); 6] = [
        (&[], 0, &[1, 2, 3, 4, 5]),
        (&[1, 2], 2, &[3, 4, 5]),
        (&[3], 1, &[1, 2, 4, 5]),
        (&[2, 4], 2, &[1, 3, 5]),
        (&[1, 2, 3, 4, 5], 5, &[]),
        // Those that have not come yet are not forgotten before they do.
        (&[5, 6, 7], 1, &[1, 2, 3, 4]),
    ];
    for (places, dropped, expected) in cases {
        let mut broker = away(Mqtt::default());
        for sequence in 1..=5 {
            deliver(&mut broker, sequence, b"x", Q1);
        }
        assert_eq!(evict(&mut broker, places), dropped, "{places:?}");
        let outbound = broker.session_mut().outbound_mut();
        assert_eq!(outbound.take_settled(), [0u64; 0], "the store knows");
        assert_eq!(outbound.queue_bytes() == 0, expected.is_empty());
        broker.connect(&connect(V311));
        let found: Vec<u16> = published(&mut broker).iter().map(|(id, ..)| *id).collect();
        assert_eq!(found, expected, "{places:?}");
    }
}

#[test]
fn what_is_on_its_way_arrives_although_it_makes_room() {
    let limits = Mqtt {
        max_inflight_window: 1,
        ..Mqtt::default()
    };
    let mut broker = away(limits);
    broker.connect(&connect(V311));
    deliver(&mut broker, 1, b"x", Q1);
    // A retained message, which the store does not know, waits before the others.
    let retained = Message::new("r", b"r", Q1, true, Properties::EMPTY, broker.now);
    broker.deliver_retained(retained, &delivery(Q1));
    deliver(&mut broker, 3, b"x", Q1);
    deliver(&mut broker, 4, b"x", Q1);
    assert_eq!(evict(&mut broker, &[1, 3]), 1);
    let mut payloads = Vec::new();
    loop {
        let found = published(&mut broker);
        let Some((number, _, payload)) = found.into_iter().next() else {
            break;
        };
        payloads.push(payload);
        let ack = Packet::PubAck(Ack::new(id(number), ReasonCode::Success));
        broker.handle(&ack).unwrap();
        broker.pump();
    }
    assert_eq!(payloads, [b"x", b"r", b"x"]);
    assert_eq!(broker.outbound().inflight(), 0);
}

#[test]
fn a_session_goes_on_without_a_body_that_made_room() {
    // The store took them for settled messages' neighbours: they are in the window, and not in memory.
    let entries = (1..=4).map(|sequence| entry(sequence, false)).collect();
    let mut broker = restored(entries, 2);
    assert_eq!(evict(&mut broker, &[2, 3]), 1);
    let missing = broker.outbound().missing(10);
    assert_eq!(missing, [1001, 1002, 1004]);
    let body = |number: u64| match number {
        1002 => Err(DropReason::StoreFull),
        _ => Ok(Message::new(
            "t",
            b"x",
            Q2,
            false,
            Properties::EMPTY,
            broker.now,
        )),
    };
    let bodies: Bodies = missing
        .iter()
        .map(|number| (*number, body(*number)))
        .collect();
    let counters = crate::stats::Counters::default();
    let outbound = broker.channel_mut().session_mut().outbound_mut();
    outbound.provide(&bodies, |_| true, &counters);
    broker.pump();
    assert_eq!(published_and_released(&mut broker, 2), [1, 4]);
    assert_eq!(settled(&mut broker), [2]);
}
