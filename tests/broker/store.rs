//! What survives the end of the broker. A copy of the store's folder at some moment is what SIGKILL would have left.

use std::{fs, path::Path, thread, time::Instant};

use nanomq::{
    config::{Config, Durability, MqueuePolicy},
    mqtt::{
        Packet, PacketId, Properties, PropertiesBuf, Property, ProtocolVersion, Publish, QoS,
        ReasonCode, Unsubscribe, UnsubscribeFiltersBuf, Will,
    },
    stats::Metric,
};
use tempfile::TempDir;

use crate::kit::{Client, DEADLINE, Got, Hello, TestBroker, bytes_of};

const EVERY_DURABILITY: [Durability; 3] = [Durability::Sync, Durability::Async, Durability::None];

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn start(&self, durability: Durability) -> TestBroker {
        self.with(|config| config.store.durability = durability)
    }

    fn with(&self, change: impl FnOnce(&mut Config)) -> TestBroker {
        TestBroker::with(|config| {
            config.store.enable = true;
            config.store.path = self.0.path().join("store");
            config.store.segment_size = 64 << 10;
            config.mqtt.sys_interval = std::time::Duration::ZERO;
            change(config);
        })
    }

    /// As the disk is now.
    fn as_it_is(&self) -> Self {
        let copy = Self::new();
        let (from, to) = (self.0.path().join("store"), copy.0.path().join("store"));
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        copy
    }

    fn bytes(&self) -> u64 {
        let entries = fs::read_dir(self.0.path().join("store")).unwrap();
        entries
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum()
    }

    fn segment(&self) -> std::path::PathBuf {
        let entries = fs::read_dir(self.0.path().join("store")).unwrap();
        let mut segments: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension() == Some(Path::new("seg").as_os_str()))
            .collect();
        segments.sort();
        segments.pop().unwrap()
    }
}

fn kept(broker: &TestBroker, client_id: &str) -> (Client, bool) {
    Client::connect(broker.address, Hello::kept(client_id))
}

/// A session that waits for messages to `t/#`.
fn away(broker: &TestBroker, client_id: &str) {
    let (mut client, _) = kept(broker, client_id);
    client.subscribe("t/#", QoS::ExactlyOnce);
    client.goodbye();
}

fn publish(
    client: &mut Client,
    topic: &str,
    payload: &[u8],
    qos: QoS,
    id: u16,
    retain: bool,
    dup: bool,
) {
    client.send(&Packet::Publish(Publish {
        dup,
        qos,
        retain,
        topic,
        packet_id: PacketId::new(id),
        properties: Properties::EMPTY,
        payload,
    }));
}

/// Takes `count` messages and acknowledges them.
fn take(client: &mut Client, count: usize) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut open = 0;
    while payloads.len() < count || open > 0 {
        match client.next() {
            Got::Publish(message) => {
                payloads.push(message.payload);
                match message.qos {
                    QoS::ExactlyOnce => {
                        open += 1;
                        client.ack(Packet::PubRec, message.id.unwrap());
                    }
                    QoS::AtLeastOnce => client.ack(Packet::PubAck, message.id.unwrap()),
                    QoS::AtMostOnce => {}
                }
            }
            Got::PubRel(id, _) => {
                open -= 1;
                client.ack(Packet::PubComp, id);
            }
            other => panic!("{other:?}"),
        }
    }
    payloads
}

fn nothing_more(client: &mut Client) {
    client.send(&Packet::PingReq);
    assert_eq!(client.next(), Got::PingResp);
}

#[test]
fn what_was_acknowledged_survives() {
    for durability in EVERY_DURABILITY {
        let place = Place::new();
        let broker = place.start(durability);
        away(&broker, "s");
        let (mut publisher, _) = kept(&broker, "p");
        publish(
            &mut publisher,
            "t/1",
            b"1",
            QoS::AtLeastOnce,
            1,
            false,
            false,
        );
        assert_eq!(publisher.next(), Got::PubAck(1, ReasonCode::Success));
        publish(
            &mut publisher,
            "t/1",
            b"2",
            QoS::ExactlyOnce,
            2,
            true,
            false,
        );
        assert_eq!(publisher.next(), Got::PubRec(2, ReasonCode::Success));
        publish(
            &mut publisher,
            "other",
            b"3",
            QoS::ExactlyOnce,
            3,
            false,
            false,
        );
        assert!(matches!(publisher.next(), Got::PubRec(3, _)));

        let left = place.as_it_is();
        let again = left.start(durability);
        let (mut publisher, present) = kept(&again, "p");
        assert!(present, "the publisher's session");
        for id in [2, 3] {
            // It has not seen PUBREC: what was taken is not taken again.
            publish(
                &mut publisher,
                "t/1",
                b"2",
                QoS::ExactlyOnce,
                id,
                true,
                true,
            );
            assert_eq!(publisher.next(), Got::PubRec(id, ReasonCode::Success));
            publisher.ack(Packet::PubRel, id);
            assert_eq!(publisher.next(), Got::PubComp(id, ReasonCode::Success));
        }
        publish(
            &mut publisher,
            "t/1",
            b"4",
            QoS::ExactlyOnce,
            2,
            false,
            false,
        );
        assert_eq!(publisher.next(), Got::PubRec(2, ReasonCode::Success));
        let (mut subscriber, present) = kept(&again, "s");
        assert!(present, "the subscriber's session");
        assert_eq!(take(&mut subscriber, 3), [b"1", b"2", b"4"]);
        nothing_more(&mut subscriber);
        let mut probe = Client::v5(again.address, "probe");
        probe.subscribe("#", QoS::AtMostOnce);
        let retained = probe.message();
        assert_eq!((retained.retain, &*retained.payload), (true, &b"2"[..]));
        drop(broker);
    }
}

#[test]
fn a_handshake_goes_on_with_the_same_identifier() {
    let place = Place::new();
    let broker = place.start(Durability::Sync);
    let (mut subscriber, _) = kept(&broker, "s");
    subscriber.subscribe("t/#", QoS::ExactlyOnce);
    let mut publisher = Client::v5(broker.address, "p");
    let mut sent = Vec::new();
    for number in 1..=4u8 {
        publish(
            &mut publisher,
            "t",
            &[number],
            QoS::ExactlyOnce,
            number.into(),
            false,
            false,
        );
        publisher.next();
        sent.push(subscriber.message().id.unwrap());
    }
    // The first is done with, the second received; the client knows the others.
    for id in &sent[..2] {
        subscriber.ack(Packet::PubRec, *id);
        assert_eq!(subscriber.next(), Got::PubRel(*id, ReasonCode::Success));
    }
    subscriber.ack(Packet::PubComp, sent[0]);
    nothing_more(&mut subscriber);
    broker.until("the store knows", |stats| {
        stats.totals.get(Metric::MessagesAcknowledged) == 1
    });
    let left = settled(&place);
    let again = left.start(Durability::Sync);
    let (mut subscriber, _) = kept(&again, "s");
    assert_eq!(subscriber.next(), Got::PubRel(sent[1], ReasonCode::Success));
    for (id, number) in [(sent[2], 3), (sent[3], 4)] {
        let message = subscriber.message();
        assert_eq!((message.id, &*message.payload), (Some(id), &[number][..]));
        assert!(message.dup);
    }
    nothing_more(&mut subscriber);
}

/// As the disk is when it has been still for a moment.
fn settled(place: &Place) -> Place {
    let deadline = Instant::now() + DEADLINE;
    let mut before = 0;
    while before != place.bytes() {
        before = place.bytes();
        assert!(Instant::now() < deadline);
        thread::sleep(std::time::Duration::from_millis(50));
    }
    place.as_it_is()
}

#[test]
fn a_long_queue_lies_on_the_disk_and_comes_in_order() {
    let place = Place::new();
    let wide = |config: &mut Config| {
        config.mqtt.max_mqueue_len = 10_000;
        config.store.durability = Durability::Async;
    };
    let broker = place.with(wide);
    away(&broker, "s");
    let mut publisher = Client::v5(broker.address, "p");
    let payload = |number: u32| {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(1000, b'.');
        payload
    };
    for number in 0..3000u32 {
        let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number as usize % 2];
        publish(&mut publisher, "t", &payload(number), qos, 1, false, false);
        match publisher.next() {
            Got::PubRec(1, _) => {
                publisher.ack(Packet::PubRel, 1);
                publisher.next();
            }
            Got::PubAck(1, _) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(broker.queues().messages, 3000);
    let left = place.as_it_is();
    // As it is, and read from the disk after a restart.
    for broker in [broker, left.with(wide)] {
        let (mut subscriber, present) = kept(&broker, "s");
        assert!(present);
        let arrived = take(&mut subscriber, 3000);
        assert!(
            arrived
                .iter()
                .zip(0..)
                .all(|(got, number)| *got == payload(number))
        );
        nothing_more(&mut subscriber);
        broker.until("all is acknowledged", |stats| {
            stats.totals.get(Metric::MessagesAcknowledged) == 3000
        });
        assert_eq!(broker.queues().messages, 0);
    }
    // Their space is given back.
    let deadline = Instant::now() + DEADLINE;
    while place.bytes() > 300_000 {
        assert!(Instant::now() < deadline, "{} bytes", place.bytes());
        thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn what_needs_no_store_does_not_touch_it() {
    let place = Place::new();
    let broker = place.start(Durability::Sync);
    let (mut idle, _) = kept(&broker, "kept");
    idle.subscribe("other/#", QoS::AtMostOnce);
    let mut subscriber = Client::v5(broker.address, "s");
    subscriber.subscribe("#", QoS::ExactlyOnce);
    let before = place.bytes();
    let mut publisher = Client::v5(broker.address, "p");
    for (number, topic) in (1..100).zip(["t", "other/t"].iter().cycle()) {
        publisher.publish(topic, b"x", QoS::AtMostOnce, 0);
        publisher.publish(topic, b"x", QoS::AtLeastOnce, number);
        assert_eq!(publisher.next(), Got::PubAck(number, ReasonCode::Success));
    }
    assert_eq!(take(&mut subscriber, 198).len(), 198);
    assert_eq!(place.bytes(), before);
    assert_eq!(broker.stats().totals.get(Metric::StoreMessages), 0);
}

#[test]
fn a_full_store_refuses_and_goes_on() {
    let place = Place::new();
    let broker = place.with(|config| config.store.max_messages = 2);
    away(&broker, "s");
    let mut other = Client::v5(broker.address, "other");
    other.subscribe("elsewhere", QoS::AtLeastOnce);
    let mut publisher = Client::v5(broker.address, "p");
    let (mut old, _) = kept(&broker, "old");
    for id in 1..=2 {
        publish(
            &mut publisher,
            "t",
            &[id as u8],
            QoS::AtLeastOnce,
            id,
            false,
            false,
        );
        assert_eq!(publisher.next(), Got::PubAck(id, ReasonCode::Success));
    }
    publish(&mut publisher, "t", b"x", QoS::AtLeastOnce, 3, false, false);
    assert_eq!(publisher.next(), Got::PubAck(3, ReasonCode::QuotaExceeded));
    publish(&mut publisher, "t", b"x", QoS::ExactlyOnce, 4, false, false);
    assert_eq!(publisher.next(), Got::PubRec(4, ReasonCode::QuotaExceeded));
    // An earlier version has no word for it.
    publish(&mut old, "t", b"3", QoS::ExactlyOnce, 5, false, false);
    nothing_more(&mut old);
    broker.until("three are refused", |stats| {
        stats.totals.get(Metric::StoreRefused) == 3
    });
    publish(
        &mut publisher,
        "elsewhere",
        b"y",
        QoS::AtLeastOnce,
        6,
        false,
        false,
    );
    assert_eq!(publisher.next(), Got::PubAck(6, ReasonCode::Success));
    assert_eq!(take(&mut other, 1), [b"y"]);

    let (mut subscriber, _) = kept(&broker, "s");
    assert_eq!(take(&mut subscriber, 2), [[1], [2]]);
    nothing_more(&mut subscriber);
    broker.until("there is room", |stats| {
        stats.totals.get(Metric::MessagesAcknowledged) >= 3
    });
    drop(old);
    let (mut old, present) = kept(&broker, "old");
    assert!(present);
    // Sent again it is taken, for it was not before.
    publish(&mut old, "t", b"3", QoS::ExactlyOnce, 5, false, true);
    assert_eq!(old.next(), Got::PubRec(5, ReasonCode::Success));
    assert_eq!(take(&mut subscriber, 1), [b"3"]);
}

#[test]
fn the_oldest_make_room_where_the_policy_says_so() {
    let place = Place::new();
    let full = |config: &mut Config| {
        config.store.max_messages = 3;
        config.store.policy = MqueuePolicy::DropOldest;
    };
    let broker = place.with(full);
    away(&broker, "s");
    let mut publisher = Client::v5(broker.address, "p");
    for id in 1..=7 {
        let qos = match id % 2 {
            0 => QoS::ExactlyOnce,
            _ => QoS::AtLeastOnce,
        };
        publish(&mut publisher, "t", &[id as u8], qos, id, false, false);
        assert_eq!(
            publisher.next(),
            match qos {
                QoS::ExactlyOnce => Got::PubRec(id, ReasonCode::Success),
                _ => Got::PubAck(id, ReasonCode::Success),
            }
        );
    }
    broker.until("four have made room", |stats| {
        stats.totals.get(Metric::DroppedStoreFull) == 4
    });
    let killed = place.as_it_is();
    for (what, broker) in [("the same", broker), ("the next", killed.with(full))] {
        let (mut subscriber, present) = kept(&broker, "s");
        assert!(present, "{what}");
        assert_eq!(take(&mut subscriber, 3), [[5], [6], [7]], "{what}");
        nothing_more(&mut subscriber);
    }
}

#[test]
fn a_broker_that_stops_and_starts_goes_on() {
    for durability in EVERY_DURABILITY {
        let place = Place::new();
        let mut broker = place.start(durability);
        away(&broker, "s");
        let (mut gone, _) = kept(&broker, "gone");
        gone.subscribe("t/#", QoS::AtLeastOnce);
        Client::connect(
            broker.address,
            Hello {
                clean_start: true,
                ..Hello::kept("gone")
            },
        )
        .0
        .goodbye();
        let (mut less, _) = kept(&broker, "less");
        less.subscribe("t/#", QoS::AtLeastOnce);
        let mut filters = UnsubscribeFiltersBuf::default();
        filters.push("t/#").unwrap();
        let unsubscribe = Unsubscribe {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            filters: filters.as_filters(),
        };
        less.send_bytes(&bytes_of(
            &Packet::Unsubscribe(unsubscribe),
            ProtocolVersion::V311,
        ));
        assert!(matches!(less.next(), Got::UnsubAck(..)));
        // A client that is connected to the end, with a will that waits a day.
        let mut delay = PropertiesBuf::default();
        delay.push(Property::WillDelayInterval(1));
        let mut expiry = PropertiesBuf::default();
        expiry.push(Property::SessionExpiryInterval(3600));
        let will = Will {
            topic: "t/will",
            payload: b"will",
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: delay.as_properties(),
        };
        let hello = Hello {
            will: Some(will),
            properties: expiry.as_properties(),
            ..Hello::v5("willing")
        };
        let willing = Client::connect(broker.address, hello).0;
        let mut publisher = Client::v5(broker.address, "p");
        publish(&mut publisher, "t", b"1", QoS::AtLeastOnce, 1, true, false);
        assert_eq!(publisher.next(), Got::PubAck(1, ReasonCode::Success));
        broker.stop();
        drop((willing, less));

        let mut broker = place.start(durability);
        broker.until("three sessions", |stats| stats.sessions == 3);
        assert_eq!(broker.stats().subscriptions, 1);
        assert_eq!(broker.stats().retained, 1);
        let (mut subscriber, present) = kept(&broker, "s");
        assert!(present);
        assert_eq!(take(&mut subscriber, 2), [&b"1"[..], b"will"]);
        assert!(!kept(&broker, "gone").1);
        assert!(kept(&broker, "less").1);
        drop(subscriber);
        broker.stop();
        let broker = place.start(durability);
        let (mut subscriber, _) = kept(&broker, "s");
        nothing_more(&mut subscriber);
    }
}

#[test]
fn a_damaged_store_costs_what_is_damaged() {
    let place = Place::new();
    let broker = place.start(Durability::Sync);
    away(&broker, "s");
    let mut publisher = Client::v5(broker.address, "p");
    for id in 1..=20 {
        publish(
            &mut publisher,
            "t",
            &[id as u8; 100],
            QoS::AtLeastOnce,
            id,
            false,
            false,
        );
        publisher.next();
    }
    let whole = fs::read(place.segment()).unwrap();
    // A bit in the payload of the tenth, and an end that is torn.
    let at = whole
        .windows(100)
        .position(|bytes| bytes == [10; 100])
        .unwrap();
    let torn = whole.len() - 7;
    for (change, lost) in [(Some(at + 50), 10), (None, 20)] {
        let left = place.as_it_is();
        let mut bytes = whole.clone();
        match change {
            Some(at) => bytes[at] ^= 4,
            None => bytes.truncate(torn),
        }
        fs::write(left.segment(), bytes).unwrap();
        let again = left.start(Durability::Sync);
        let (mut subscriber, present) = kept(&again, "s");
        assert!(present);
        let expected: Vec<_> = (1..=20)
            .filter(|number| *number != lost)
            .map(|n| vec![n; 100])
            .collect();
        assert_eq!(take(&mut subscriber, 19), expected);
        nothing_more(&mut subscriber);
    }
}

#[test]
fn retained_messages_reach_a_durable_subscriber_with_identifiers_of_their_own() {
    let place = Place::new();
    let broker = place.start(Durability::Sync);
    let mut publisher = Client::v5(broker.address, "p");
    for id in 1..=600 {
        publish(
            &mut publisher,
            &format!("t/{id:03}"),
            b"r",
            QoS::ExactlyOnce,
            id,
            true,
            false,
        );
        publisher.next();
        publisher.ack(Packet::PubRel, id);
        publisher.next();
    }
    let (mut subscriber, _) = kept(&broker, "s");
    subscriber.subscribe("t/#", QoS::ExactlyOnce);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..600 {
        loop {
            match subscriber.next() {
                Got::Publish(message) => {
                    assert!(message.retain && message.qos == QoS::ExactlyOnce);
                    seen.insert(message.topic);
                    subscriber.ack(Packet::PubRec, message.id.unwrap());
                    break;
                }
                Got::PubRel(id, _) => subscriber.ack(Packet::PubComp, id),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(seen.len(), 600);
}

#[test]
fn one_store_is_one_brokers() {
    let place = Place::new();
    let _broker = place.start(Durability::Sync);
    let error = nanomq::store::Folder::lock(&place.0.path().join("store")).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
}

#[test]
fn connecting_is_answered_in_order() {
    let place = Place::new();
    let broker = place.start(Durability::Sync);
    let (mut client, _) = kept(&broker, "c");
    // All at once: each answer waits for the store, and none overtakes another.
    let mut all = bytes::BytesMut::new();
    all.extend_from_slice(&crate::kit::subscribe_bytes(
        ProtocolVersion::V311,
        9,
        &[("t", QoS::AtLeastOnce)],
    ));
    for id in 1..=3 {
        all.extend_from_slice(&crate::kit::publish_bytes(
            ProtocolVersion::V311,
            "t",
            &[id as u8],
            QoS::AtLeastOnce,
            id,
        ));
    }
    client.send_bytes(&all);
    let mut answers = Vec::new();
    let mut messages = Vec::new();
    while answers.len() < 4 || messages.len() < 3 {
        match client.next() {
            Got::Publish(message) => messages.push(message.payload),
            other => answers.push(other),
        }
    }
    assert_eq!(answers[0], Got::SubAck(9, vec![1]));
    for (answer, id) in answers[1..].iter().zip(1..) {
        assert_eq!(*answer, Got::PubAck(id, ReasonCode::Success));
    }
    assert_eq!(messages, [[1], [2], [3]]);
}

/// A client with a will of the given topic.
fn with_will<'a>(client_id: &'a str, topic: &'a str, properties: Properties<'a>) -> Hello<'a> {
    let will = Will {
        topic,
        payload: client_id.as_bytes(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties,
    };
    Hello {
        will: Some(will),
        ..Hello::v5(client_id)
    }
}

/// [MQTT-3.1.2-8] The wills of clients that were connected when the process was killed are published when the broker is
/// there again, once, after their delay, and not when there was a DISCONNECT before.
#[test]
fn wills_of_the_connected_survive_their_broker() {
    for durability in EVERY_DURABILITY {
        let place = Place::new();
        let broker = place.start(durability);
        away(&broker, "watcher");
        let mut delay = PropertiesBuf::default();
        delay.push(Property::WillDelayInterval(3600));
        let mut expiry = PropertiesBuf::default();
        expiry.push(Property::SessionExpiryInterval(7200));
        let durable = |hello| Hello {
            properties: expiry.as_properties(),
            ..hello
        };
        let none = Properties::EMPTY;
        let mut held = Vec::new();
        for hello in [
            with_will("polite", "t/polite", none),
            durable(with_will("polite too", "t/polite", none)),
            with_will("brief", "t/brief", none),
            durable(with_will("durable", "t/durable", none)),
            durable(with_will("patient", "t/patient", delay.as_properties())),
            // The session ends with the connection, so there is nothing to wait for.
            with_will("hurried", "t/hurried", delay.as_properties()),
            with_will("taken over", "t/old", none),
        ] {
            let polite = hello.client_id.starts_with("polite");
            let (client, _) = Client::connect(broker.address, hello);
            match polite {
                true => client.goodbye(),
                false => held.push(client),
            }
        }
        held.push(Client::connect(broker.address, with_will("taken over", "t/new", none)).0);
        // The will of who was taken over.
        broker.until("the will is stored", |stats| stats.store.messages == 1);
        let killed = place.as_it_is();
        let again = killed.start(durability);
        let (mut watcher, present) = kept(&again, "watcher");
        assert!(present);
        let mut payloads = take(&mut watcher, 5);
        payloads.sort();
        let expected: [&[u8]; 5] = [
            b"brief",
            b"durable",
            b"hurried",
            b"taken over",
            b"taken over",
        ];
        assert_eq!(payloads, expected);
        nothing_more(&mut watcher);
        // Once: the next end of the process finds none of them.
        watcher.goodbye();
        drop(again);
        let later = killed.as_it_is();
        let again = later.start(durability);
        let (mut watcher, _) = kept(&again, "watcher");
        nothing_more(&mut watcher);
        // Who comes back in time takes its will along, and its next one counts.
        let hello = Hello {
            clean_start: false,
            ..durable(Hello::v5("patient"))
        };
        let (patient, present) = Client::connect(again.address, hello);
        assert!(present);
        patient.goodbye();
        drop(held);
        drop(broker);
    }
}
