//! Messages on their way: chunks, order, slow readers, retained messages.

use std::{
    io::{ErrorKind, Read, Write},
    thread,
    time::Instant,
};

use nanomq::{
    mqtt::{
        Packet, PacketId, Properties, PropertiesBuf, Property, ProtocolVersion, Publish, QoS,
        matches,
    },
    stats::Metric,
};

use crate::kit::{
    Client, DEADLINE, Got, Hello, TestBroker, bytes_of, publish_bytes, subscribe_bytes,
};

const V5: ProtocolVersion = ProtocolVersion::V5;

#[test]
fn packets_may_come_byte_by_byte_or_all_at_once() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address, "a");
    let mut bytes = subscribe_bytes(V5, 1, &[("t", QoS::AtLeastOnce)]);
    bytes.extend_from_slice(&publish_bytes(V5, "t", b"one", QoS::AtMostOnce, 0));
    bytes.extend_from_slice(&publish_bytes(V5, "t", b"two", QoS::AtLeastOnce, 7));
    bytes.extend_from_slice(&bytes_of(&Packet::PingReq, V5));
    for split in [1, bytes.len()] {
        for part in bytes.chunks(split) {
            client.send_bytes(part);
        }
        let mut got: Vec<Got> = (0..5).map(|_| client.next()).collect();
        // SUBACK is first: what the client published behind SUBSCRIBE reaches it.
        assert!(matches!(got.remove(0), Got::SubAck(1, _)));
        let messages: Vec<_> = got
            .iter()
            .filter_map(|got| match got {
                Got::Publish(message) => Some(message.payload.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(messages, [b"one", b"two"]);
        assert!(got.contains(&Got::PingResp));
    }
}

#[test]
fn a_packet_larger_than_a_read_arrives_whole() {
    let broker = TestBroker::start();
    let mut subscriber = Client::v5(broker.address, "s");
    subscriber.subscribe("big", QoS::AtLeastOnce);
    let mut publisher = Client::v5(broker.address, "p");
    let reader = thread::spawn(move || {
        (0..3)
            .map(|_| subscriber.message().payload)
            .collect::<Vec<_>>()
    });
    let payloads: Vec<Vec<u8>> = [900_000, 70_000, 100_000]
        .map(|size| (0..size).map(|byte| byte as u8).collect())
        .into();
    let mut all = Vec::new();
    for (id, payload) in payloads.iter().enumerate() {
        all.extend_from_slice(&publish_bytes(
            V5,
            "big",
            payload,
            QoS::AtLeastOnce,
            id as u16 + 1,
        ));
    }
    publisher.send_bytes(&all);
    assert!(reader.join().unwrap() == payloads);
}

/// Short and long ones, from sockets and into sockets that take only a part at once, with answers to the subscriber between them.
#[test]
fn messages_of_all_lengths_arrive_in_order_and_unchanged() {
    const ROUNDS: usize = 20;
    const LENGTHS: [usize; 9] = [1, 30_000, 33_000, 5, 40_000, 65_500, 70_000, 100, 200_000];
    let payload = |n: usize| -> Vec<u8> {
        let length = LENGTHS[n % LENGTHS.len()];
        (0..length).map(|at| (at * 7 + n) as u8).collect()
    };
    for version in [ProtocolVersion::V311, V5] {
        let broker = TestBroker::with(|config| config.mqtt.max_output_buffer = 64 * 1024 * 1024);
        let address = broker.address;
        let connect = |id: &str| {
            let hello = Hello {
                version,
                ..Hello::v5(id)
            };
            Client::connect(address, hello).0
        };
        let mut subscriber = connect("s");
        subscriber.subscribe("t", QoS::AtMostOnce);
        let mut publisher = connect("p");
        let number = ROUNDS * LENGTHS.len();
        // All of it before any is read, so that the subscriber's socket has too much for a while.
        for n in 0..number {
            publisher.publish("t", &payload(n), QoS::AtMostOnce, 0);
        }
        let mut pongs = 0;
        for n in 0..number {
            if n % 3 == 0 {
                subscriber.send(&Packet::PingReq);
            }
            let message = loop {
                match subscriber.next() {
                    Got::Publish(message) => break message,
                    Got::PingResp => pongs += 1,
                    other => panic!("{other:?}"),
                }
            };
            assert!(message.payload == payload(n), "{version:?}, message {n}");
        }
        while pongs < number.div_ceil(3) {
            assert_eq!(subscriber.next(), Got::PingResp);
            pongs += 1;
        }
        assert_eq!(broker.stats().totals.messages_dropped(), 0);
    }
}

#[test]
fn a_subscriber_that_does_not_read_harms_nobody_else() {
    const MESSAGES: usize = 30_000;
    let broker = TestBroker::with(|config| {
        config.mqtt.max_output_buffer = 256 * 1024;
        // Longer than the others wait for a message.
        config.mqtt.max_publisher_pause = DEADLINE * 2;
    });
    let mut stuck = Client::v5(broker.address, "stuck");
    stuck.subscribe("t", QoS::AtMostOnce);
    let mut reader = Client::v5(broker.address, "reader");
    reader.subscribe("t", QoS::AtMostOnce);
    let mut publisher = Client::v5(broker.address, "p");
    let counting = thread::spawn(move || {
        for expected in 0..MESSAGES {
            let payload = reader.message().payload;
            assert_eq!(payload[..4], (expected as u32).to_be_bytes());
            if expected % 100 == 99 {
                // Lets the publisher go on: neither side is to be faster than the other.
                reader.publish("go", b"", QoS::AtMostOnce, 0);
            }
        }
    });
    publisher.subscribe("go", QoS::AtMostOnce);
    let mut payload = vec![b'x'; 1000];
    for n in 0..MESSAGES {
        payload[..4].copy_from_slice(&(n as u32).to_be_bytes());
        publisher.publish("t", &payload, QoS::AtMostOnce, 0);
        if n >= 200 && n % 100 == 99 {
            publisher.message();
        }
    }
    counting.join().unwrap();
    broker.until(
        "drops are counted and the slow one stays connected",
        |stats| stats.totals.get(Metric::DroppedOutputFull) > 0 && stats.connections == 2,
    );
    // Of these 30 MB its output holds 256 KB, and the socket what the system lets it: the rest is not kept anywhere.
    let dropped = broker.stats().totals.get(Metric::DroppedOutputFull);
    assert!(dropped > MESSAGES as u64 / 3, "only {dropped} were dropped");
}

#[test]
fn every_retained_message_reaches_a_new_subscriber_once() {
    const TOPICS: usize = 3000;
    let broker = TestBroker::start();
    let mut publisher = Client::v5(broker.address, "p");
    for n in 0..TOPICS {
        let topic = format!("r/{n}/x");
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: &topic,
            packet_id: nanomq::mqtt::PacketId::new(1),
            properties: Properties::EMPTY,
            payload: topic.as_bytes(),
        };
        publisher.send(&Packet::Publish(publish));
        assert!(matches!(publisher.next(), Got::PubAck(1, _)));
    }
    let mut subscriber = Client::v5(broker.address, "s");
    subscriber.subscribe("r/+/x", QoS::AtLeastOnce);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..TOPICS {
        let message = subscriber.message();
        assert!(message.retain);
        assert_eq!(message.topic.as_bytes(), message.payload);
        subscriber.ack(Packet::PubAck, message.id.unwrap());
        assert!(seen.insert(message.topic));
    }
    subscriber.send(&Packet::PingReq);
    assert_eq!(subscriber.next(), Got::PingResp, "nothing comes twice");
}

/// Many more bytes than may wait to be written: they are fetched as the client reads, by one filter or by many.
#[test]
fn large_retained_messages_all_reach_a_new_subscriber() {
    const TOPICS: u16 = 300;
    const SIZE: usize = 40_000;
    let broker = TestBroker::start();
    let mut publisher = Client::v5(broker.address, "p");
    for n in 0..TOPICS {
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: &format!("r/{n}"),
            packet_id: PacketId::new(n + 1),
            properties: Properties::EMPTY,
            payload: &vec![n as u8; SIZE],
        };
        publisher.send(&Packet::Publish(publish));
        assert!(matches!(publisher.next(), Got::PubAck(..)));
    }
    let each: Vec<String> = (0..TOPICS).map(|n| format!("r/{n}")).collect();
    let each = each.iter().map(|filter| (filter.as_str(), QoS::AtMostOnce));
    for (name, filters) in [
        ("one filter", vec![("r/+", QoS::AtMostOnce)]),
        ("many filters", each.collect()),
    ] {
        let mut subscriber = Client::v5(broker.address, "s");
        subscriber.send_bytes(&subscribe_bytes(V5, 1, &filters));
        // Read only when all that can be written has been.
        broker.until(name, |stats| stats.totals.get(Metric::MessagesSentQoS0) > 0);
        assert!(matches!(subscriber.next(), Got::SubAck(1, _)));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..TOPICS {
            let message = subscriber.message();
            assert_eq!(message.payload.len(), SIZE);
            assert!(seen.insert(message.topic), "{name}");
        }
        subscriber.send(&Packet::PingReq);
        assert_eq!(subscriber.next(), Got::PingResp, "{name}: nothing more");
        subscriber.goodbye();
    }
    assert_eq!(broker.stats().totals.messages_dropped(), 0);
}

/// The retained messages of several subscriptions are asked for together, and there are more than come at once.
#[test]
fn each_of_many_filters_gets_its_retained_messages_in_the_order_of_their_topics() {
    const TOPICS: u16 = 700;
    let broker = TestBroker::start();
    let mut publisher = Client::v5(broker.address, "p");
    let mut topics: Vec<String> = (0..TOPICS).map(|n| format!("r/{n}")).collect();
    for topic in &topics {
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic,
            packet_id: PacketId::new(1),
            properties: Properties::EMPTY,
            payload: b"x",
        };
        publisher.send(&Packet::Publish(publish));
        assert!(matches!(publisher.next(), Got::PubAck(1, _)));
    }
    topics.sort_unstable();
    let nothing: Vec<String> = (0..100).map(|n| format!("none/{n}/#")).collect();
    let mut filters = vec!["r/7", "r/+", "none", "+/8"];
    filters.extend(nothing.iter().map(String::as_str));
    filters.extend(["#", "r/9"]);
    let expected: Vec<&str> = filters
        .iter()
        .flat_map(|filter| topics.iter().filter(|topic| matches(filter, topic)))
        .map(String::as_str)
        .collect();
    assert_eq!(expected.len(), 2 * usize::from(TOPICS) + 3);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let mut subscriber = Client::v5(broker.address, "s");
        let filters: Vec<_> = filters.iter().map(|filter| (*filter, qos)).collect();
        subscriber.send_bytes(&subscribe_bytes(V5, 1, &filters));
        assert!(matches!(subscriber.next(), Got::SubAck(1, _)));
        for topic in &expected {
            let message = subscriber.message();
            assert_eq!(message.topic, *topic);
            if let Some(id) = message.id {
                subscriber.ack(Packet::PubAck, id);
            }
        }
        subscriber.send(&Packet::PingReq);
        assert_eq!(subscriber.next(), Got::PingResp, "{qos:?}: nothing more");
        subscriber.goodbye();
    }
}

#[test]
fn many_publishers_keep_their_own_order() {
    const EACH: u32 = 3000;
    let broker = TestBroker::start();
    let mut subscriber = Client::v5(broker.address, "s");
    subscriber.subscribe("o/#", QoS::AtMostOnce);
    let address = broker.address;
    let publishers: Vec<_> = (0..8)
        .map(|n| {
            thread::spawn(move || {
                let mut client = Client::v5(address, &format!("p{n}"));
                let mut bytes = Vec::new();
                for seq in 0..EACH {
                    bytes.extend_from_slice(&publish_bytes(
                        V5,
                        &format!("o/{n}"),
                        &seq.to_be_bytes(),
                        QoS::AtMostOnce,
                        0,
                    ));
                }
                client.send_bytes(&bytes);
                client.goodbye();
            })
        })
        .collect();
    let mut next = [0u32; 8];
    for _ in 0..8 * EACH {
        let message = subscriber.message();
        let who: usize = message.topic[2..].parse().unwrap();
        assert_eq!(message.payload, next[who].to_be_bytes());
        next[who] += 1;
    }
    publishers
        .into_iter()
        .for_each(|publisher| publisher.join().unwrap());
}

/// The routes of the topics in a chunk are looked up some at a time, and batches delivered some at a time.
#[test]
fn a_chunk_of_many_topics_reaches_every_subscriber_in_its_order() {
    const MESSAGES: u32 = 900;
    let broker = TestBroker::start();
    let mut readers = ["t/+/x", "t/#", "t/7/x", "t/late/x"].map(|filter| {
        let mut client = Client::v5(broker.address, &filter.replace('/', "-"));
        if filter != "t/late/x" {
            client.subscribe(filter, QoS::AtMostOnce);
        }
        (filter, client, Vec::new())
    });
    let mut publisher = Client::v5(broker.address, "p");
    let mut bytes = Vec::new();
    for n in 0..MESSAGES {
        let topic = match n {
            500.. if n % 5 == 0 => "t/late/x".to_owned(),
            _ if n % 11 == 0 => format!("nobody/{n}"),
            _ if n % 3 == 0 => "t/7/x".to_owned(),
            _ if n % 4 == 0 => "t/7/x".to_owned(),
            _ => format!("t/{}/x", n * 7919 % 350),
        };
        let mut alias = PropertiesBuf::default();
        if n % 13 == 0 {
            alias.push(Property::TopicAlias(1));
        }
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][n as usize % 3];
        let publish = |topic, properties| {
            let publish = Publish {
                dup: false,
                qos,
                retain: n % 17 == 0,
                topic,
                packet_id: PacketId::new(n as u16 + 1).filter(|_| qos > QoS::AtMostOnce),
                properties,
                payload: &n.to_be_bytes(),
            };
            bytes_of(&Packet::Publish(publish), V5)
        };
        bytes.extend_from_slice(&publish(topic.as_str(), alias.as_properties()));
        for (filter, _, expected) in &mut readers {
            // The last one subscribes in the middle of the chunk, from where its topic is used.
            if matches(filter, &topic) {
                expected.push(n);
            }
        }
        if n == 499 {
            bytes.extend_from_slice(&subscribe_bytes(V5, 1, &[("t/late/x", QoS::AtMostOnce)]));
        }
    }
    publisher.send_bytes(&bytes);
    for (filter, reader, expected) in &mut readers {
        let reader = match *filter {
            "t/late/x" => &mut publisher,
            _ => reader,
        };
        let mut got = Vec::new();
        while got.len() < expected.len() {
            if let Got::Publish(message) = reader.next() {
                got.push(u32::from_be_bytes(message.payload.try_into().unwrap()));
            }
        }
        assert_eq!(&got, expected, "{filter}");
    }
    for (filter, reader, _) in &mut readers {
        reader.send(&Packet::PingReq);
        assert_eq!(reader.next(), Got::PingResp, "nothing more for {filter}");
    }
}

#[test]
fn publishers_wait_for_a_subscriber_that_catches_up() {
    const MESSAGES: usize = 20_000;
    let broker = TestBroker::with(|config| {
        config.mqtt.max_mqueue_len = 2000;
        config.mqtt.max_inflight_window = 20;
        config.mqtt.max_publisher_pause = crate::kit::DEADLINE;
    });
    let mut subscriber = Client::v5(broker.address, "s");
    subscriber.subscribe("t", QoS::AtLeastOnce);
    let address = broker.address;
    let publishing = thread::spawn(move || {
        let mut publisher = Client::v5(address, "p");
        let mut writer = publisher.socket.try_clone().unwrap();
        let writing = thread::spawn(move || {
            let mut bytes = Vec::new();
            for n in 0..MESSAGES {
                let payload = (n as u32).to_be_bytes();
                bytes.extend_from_slice(&publish_bytes(V5, "t", &payload, QoS::AtLeastOnce, 1));
            }
            std::io::Write::write_all(&mut writer, &bytes).unwrap();
        });
        for _ in 0..MESSAGES {
            assert!(matches!(publisher.next(), Got::PubAck(1, _)));
        }
        writing.join().unwrap();
    });
    for expected in 0..MESSAGES {
        let message = subscriber.message();
        assert_eq!(message.payload, (expected as u32).to_be_bytes());
        subscriber.ack(Packet::PubAck, message.id.unwrap());
    }
    publishing.join().unwrap();
    assert_eq!(broker.stats().totals.messages_dropped(), 0);
}

/// Writes `bytes` as far as the socket takes them, from `at` on and over again.
fn write_on(client: &mut Client, bytes: &[u8], at: &mut usize) {
    match client.socket.write(&bytes[*at..]) {
        Ok(count) => *at = (*at + count) % bytes.len(),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
}

#[test]
fn publishers_that_publish_all_they_can_all_have_their_turns() {
    const PAIRS: usize = 40;
    const BYTES_EACH: usize = 512 * 1024;
    let broker = TestBroker::with(|config| {
        config.system.num_taskq_thread = 1;
        // A fifth of what the publishers have the broker hold if none of them waits.
        config.system.max_worker_backlog = 8 * 1024 * 1024;
    });
    let mut pairs: Vec<_> = (0..PAIRS)
        .map(|n| {
            let topic = format!("pair/{n}");
            let mut subscriber = Client::v5(broker.address, &format!("s{n}"));
            subscriber.subscribe(&topic, QoS::AtMostOnce);
            let publisher = Client::v5(broker.address, &format!("p{n}"));
            for client in [&subscriber, &publisher] {
                client.socket.set_nonblocking(true).unwrap();
            }
            let message = publish_bytes(V5, &topic, b"payload", QoS::AtMostOnce, 0);
            (subscriber, publisher, message.repeat(3000), 0)
        })
        .collect();
    let mut received = [0; PAIRS];
    let mut sink = [0; 65_536];
    let deadline = Instant::now() + DEADLINE;
    while received.iter().any(|bytes| *bytes < BYTES_EACH) {
        assert!(Instant::now() < deadline, "{received:?}");
        for ((subscriber, publisher, messages, at), received) in pairs.iter_mut().zip(&mut received)
        {
            write_on(publisher, messages, at);
            match subscriber.socket.read(&mut sink) {
                Ok(count) => {
                    assert_ne!(count, 0, "closed");
                    *received += count;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }
}
