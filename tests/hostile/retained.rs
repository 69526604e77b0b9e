//! Many retained messages and many who want them.

use std::time::Duration;

use nanomq::mqtt::QoS;

use crate::{
    kit::{Client, TestBroker, publish_bytes},
    peer::Peer,
};

const V5: nanomq::mqtt::ProtocolVersion = nanomq::mqtt::ProtocolVersion::V5;

/// A broker that retains nothing of its own.
fn broker() -> TestBroker {
    TestBroker::with(|config| config.mqtt.sys_interval = Duration::ZERO)
}

/// Retains `messages` messages, or removes them with an empty payload.
fn retain(broker: &TestBroker, messages: usize, payload: &[u8]) {
    let mut client = Client::v5(broker.address, "p");
    let mut packets = Vec::new();
    for n in 0..messages {
        let mut packet = publish_bytes(V5, &format!("r/{n}"), payload, QoS::AtMostOnce, 0);
        packet[0] |= 1;
        packets.extend_from_slice(&packet);
    }
    client.send_bytes(&packets);
    client.goodbye();
}

/// Class 32: twenty subscribers to '#' each get ten thousand retained messages once, also those that were away from the
/// socket for a while; empty payloads remove all of them.
#[test]
fn class_32_many_retained_messages_for_many_subscribers() {
    const MESSAGES: usize = 10_000;
    let broker = broker();
    retain(&broker, MESSAGES, b"kept");
    broker.until("all are retained", |stats| {
        stats.retained == MESSAGES as u64
    });
    let mut subscribers: Vec<Peer> = (0..20)
        .map(|n| {
            let mut peer = Peer::v5(&broker, &format!("s{n}"));
            peer.send("82 [0001 [] '#' 00]");
            peer
        })
        .collect();
    for subscriber in &mut subscribers {
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < MESSAGES {
            let packet = subscriber.next().unwrap();
            if packet[0] != 0x90 {
                assert_eq!(packet[0], 0x31);
                assert!(seen.insert(packet), "a message comes twice");
            }
        }
        subscriber.expect_no_retained(&broker);
    }
    drop(subscribers);
    retain(&broker, MESSAGES, b"");
    // That of the marker stays.
    broker.until("all are removed", |stats| stats.retained == 1);
    let mut later = Peer::v5(&broker, "later");
    later.ask("82 [0001 [] '#' 00]", "90 [0001 [] 00]");
    later.expect_no_retained(&broker);
}

/// Class 32: what expires is gone without anybody asking for it.
#[test]
fn class_32_retained_messages_expire() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "p");
    for n in 0..100 {
        peer.send(&format!("31 ['r/{n}' [02 00000001] \"short\"]"));
    }
    peer.send("31 ['r/long' [02 00000E10] \"long\"]");
    peer.expect_nothing();
    broker.until("all but one have expired", |stats| stats.retained == 1);
}
