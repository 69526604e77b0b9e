//! Peers that do not keep to the rules, and limits that are reached.

use std::{io::Write, time::Duration};

use nanomq::{
    mqtt::{Connect, Packet, Properties, ProtocolVersion, QoS, ReasonCode},
    stats::Metric,
};

use crate::kit::{Client, Got, Hello, TestBroker, bytes_of, publish_bytes, subscribe_bytes};

#[test]
fn what_is_not_connect_is_closed_without_an_answer() {
    let broker = TestBroker::start();
    let cases: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        // A TLS ClientHello.
        &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3],
        // PINGREQ, then PUBLISH with the largest length.
        &[0xc0, 0],
        &[0x30, 0xff, 0xff, 0xff, 0x7f],
        // CONNECT of 256 MiB, CONNECT with a length of five bytes.
        &[0x10, 0xff, 0xff, 0xff, 0x7f],
        &[0x10, 0xff, 0xff, 0xff, 0xff, 0x01],
    ];
    for bytes in cases {
        let mut client = Client::open(broker.address);
        client.send_bytes(bytes);
        assert_eq!(client.next(), Got::End, "{bytes:?}");
    }
    assert_eq!(broker.stats().totals.get(Metric::ConnectsAccepted), 0);
    assert_eq!(
        broker.stats().totals.get(Metric::ProtocolErrors),
        cases.len() as u64
    );
}

#[test]
fn a_peer_that_says_nothing_is_closed() {
    let broker = TestBroker::with(|config| {
        for listener in config.listeners.tcp.values_mut() {
            listener.connect_timeout = Duration::from_millis(50);
        }
    });
    let mut silent = Client::open(broker.address);
    let mut slow = Client::open(broker.address);
    slow.send_bytes(&[0x10, 20, 0]);
    assert_eq!(silent.next(), Got::End);
    assert_eq!(slow.next(), Got::End);
}

#[test]
fn a_breach_is_answered_with_its_code_and_counted_by_kind() {
    let mut two_connects = vec![0x10, 13, 0, 4];
    two_connects.extend_from_slice(b"MQTT\x05\x02\x00\x00\x00\x00\x00");
    let cases: [(&[u8], ReasonCode); 6] = [
        // QoS 3
        (&[0x36, 5, 0, 1, b't', 0, 1], ReasonCode::MalformedPacket),
        // a topic with a wildcard
        (&[0x30, 4, 0, 1, b'#', 0], ReasonCode::TopicNameInvalid),
        // a topic alias that was never set
        (&[0x30, 6, 0, 0, 3, 35, 0, 1], ReasonCode::ProtocolError),
        // SUBACK
        (&[0x90, 4, 0, 1, 0, 0], ReasonCode::ProtocolError),
        (&two_connects, ReasonCode::ProtocolError),
        // longer than max_packet_size
        (&[0x30, 0xff, 0xff, 0xff, 0x7f], ReasonCode::PacketTooLarge),
    ];
    let broker = TestBroker::start();
    for (n, (bytes, code)) in cases.iter().enumerate() {
        let mut client = Client::v5(broker.address, "x");
        client.send_bytes(bytes);
        assert_eq!(client.next(), Got::Disconnect(*code), "{bytes:?}");
        assert_eq!(client.next(), Got::End);
        let totals = broker.stats().totals;
        assert_eq!(totals.get(Metric::ProtocolErrors), n as u64 + 1);
        assert_eq!(totals.errors.values().sum::<u64>(), n as u64 + 1);
    }
}

#[test]
fn a_breach_in_earlier_versions_ends_without_a_packet() {
    let broker = TestBroker::start();
    for version in [ProtocolVersion::V31, ProtocolVersion::V311] {
        let hello = Hello {
            version,
            ..Hello::v5("x")
        };
        let (mut client, _) = Client::connect(broker.address, hello);
        client.send_bytes(&[0x36, 5, 0, 1, b't', 0, 1]);
        assert_eq!(client.next(), Got::End);
    }
}

#[test]
fn acknowledgements_that_nobody_reads_do_not_fill_memory() {
    let broker = TestBroker::with(|config| config.mqtt.max_output_buffer = 64 * 1024);
    let mut publisher = Client::v5(broker.address, "p");
    publisher
        .socket
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut chunk = Vec::new();
    for _ in 0..10_000 {
        chunk.extend_from_slice(&publish_bytes(
            ProtocolVersion::V5,
            "t",
            b"",
            QoS::AtLeastOnce,
            1,
        ));
    }
    // Until the broker stops reading and the socket's buffers are full: those hold some megabytes each way, and what the
    // broker may keep is little beside that.
    let mut rounds = 0;
    while publisher.socket.write_all(&chunk).is_ok() {
        rounds += 1;
        assert!(rounds < 1000, "the broker reads on without end");
    }
    let mut other = Client::v5(broker.address, "other");
    other.subscribe("x", QoS::AtMostOnce);
    other.publish("x", b"fine", QoS::AtMostOnce, 0);
    assert_eq!(other.message().payload, b"fine");
}

#[test]
fn connection_limits_hold_and_recover() {
    let broker = TestBroker::with(|config| {
        for listener in config.listeners.tcp.values_mut() {
            listener.max_connections = 2;
        }
    });
    let one = Client::v5(broker.address, "1");
    let _two = Client::v5(broker.address, "2");
    let mut three = Client::open(broker.address);
    assert_eq!(three.next(), Got::End);
    assert_eq!(broker.stats().totals.get(Metric::ConnectionsRefused), 1);
    one.goodbye();
    broker.until("there is room again", |_| {
        let mut client = Client::open(broker.address);
        let hello = bytes_of(
            &Packet::Connect(Connect {
                version: ProtocolVersion::V5,
                clean_start: true,
                keep_alive: 0,
                client_id: "3",
                username: None,
                password: None,
                will: None,
                properties: Properties::EMPTY,
            }),
            ProtocolVersion::V5,
        );
        // A socket that is refused may be closed before this is written.
        client.socket.write_all(&hello).is_ok() && matches!(client.next(), Got::ConnAck(..))
    });
}

#[test]
fn ten_thousand_filters_in_one_packet_are_answered_one_by_one() {
    let broker = TestBroker::with(|config| config.mqtt.max_subscriptions = 9_000);
    let mut client = Client::v5(broker.address, "many");
    let filters: Vec<String> = (0..10_000).map(|n| format!("f/{n}/+")).collect();
    let filters: Vec<(&str, QoS)> = filters
        .iter()
        .map(|filter| (filter.as_str(), QoS::AtLeastOnce))
        .collect();
    client.send_bytes(&subscribe_bytes(ProtocolVersion::V5, 9, &filters));
    let Got::SubAck(9, codes) = client.next() else {
        panic!("no SUBACK");
    };
    assert_eq!(codes.len(), 10_000);
    assert_eq!(codes.iter().filter(|code| **code == 1).count(), 9_000);
    assert_eq!(codes.last(), Some(&ReasonCode::QuotaExceeded.as_u8()));
    client.publish("f/17/x", b"hit", QoS::AtMostOnce, 0);
    assert_eq!(client.message().payload, b"hit");
    client.send(&Packet::PingReq);
    assert_eq!(client.next(), Got::PingResp);
}
