//! Packets against their bytes, in both directions and in one.

use bytes::BytesMut;

use super::super::ProtocolVersion::{V5, V31, V311};
use super::super::Sender::{Client, Server};
use super::super::*;
use super::corpus::corpus;
use super::{id, read, written};

#[test]
fn every_packet_reads_and_writes_its_bytes() {
    for case in corpus() {
        let name = format!("{} {}", case.packet.packet_type().name(), case.name);
        assert_eq!(
            read(case.sender, case.version, case.bytes),
            Ok(case.packet),
            "reading {name}"
        );
        assert_eq!(
            written(&case.packet, case.version),
            case.bytes,
            "writing {name}"
        );
        assert_eq!(
            packet_len(&case.packet, case.version),
            case.bytes.len(),
            "length of {name}"
        );
    }
}

#[test]
fn the_corpus_has_every_kind_in_every_version() {
    for kind in 1..=15 {
        for version in [V31, V311, V5] {
            let found = corpus()
                .iter()
                .any(|case| case.packet.packet_type() as u8 == kind && case.version == version);
            assert_eq!(
                found,
                kind != 15 || version == V5,
                "kind {kind}, {version:?}"
            );
        }
    }
}

#[test]
fn longer_forms_are_read() {
    let puback = Packet::PubAck(Ack::new(id(1), ReasonCode::Success));
    let normal = Packet::Disconnect(Disconnect {
        reason: ReasonCode::NormalDisconnection,
        properties: Properties::EMPTY,
    });
    let cases: [(Sender, ProtocolVersion, &[u8], Packet<'_>); 5] = [
        (Client, V5, b"\x40\x03\0\x01\0", puback),
        (Client, V5, b"\x40\x04\0\x01\0\0", puback),
        (Client, V5, b"\xe0\x01\0", normal),
        (Client, V5, b"\xe0\x02\0\0", normal),
        (
            Server,
            V5,
            b"\xf0\x02\0\0",
            Packet::Auth(Auth {
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            }),
        ),
    ];
    for (sender, version, bytes, packet) in cases {
        assert_eq!(read(sender, version, bytes), Ok(packet), "{bytes:02x?}");
    }
}

#[test]
fn version_31_is_read_leniently_where_its_standard_is() {
    let cases: [(Sender, &[u8]); 7] = [
        // DUP on a repeated SUBSCRIBE, UNSUBSCRIBE, PUBREL.
        (Client, b"\x8a\x06\0\x0a\0\x01a\0"),
        (Client, b"\xaa\x05\0\x0a\0\x01a"),
        (Client, b"\x6a\x02\0\x01"),
        // Flags of user name and password, but neither.
        (Client, b"\x10\x0f\0\x06MQIsdp\x03\xc2\0\x3c\0\x01a"),
        // Reserved connect flag; will QoS 3 and retain without a will.
        (Client, b"\x10\x0f\0\x06MQIsdp\x03\x03\0\x3c\0\x01a"),
        (Client, b"\x10\x0f\0\x06MQIsdp\x03\x38\0\x3c\0\x01a"),
        // The first byte of a CONNACK body is not used.
        (Server, b"\x20\x02\xff\x00"),
    ];
    for (sender, bytes) in cases {
        let packet = read(sender, V31, bytes);
        assert!(packet.is_ok(), "{bytes:02x?}: {packet:?}");
        if bytes[0] != 0x10 {
            let other = read(sender, V311, bytes);
            assert!(other.is_err(), "v3.1.1 {bytes:02x?}: {other:?}");
        }
    }
}

#[test]
fn refusals_become_v3_return_codes() {
    for &reason in ReasonCode::ALL {
        let packet = Packet::ConnAck(ConnAck {
            session_present: true,
            reason,
            properties: Properties::EMPTY,
        });
        let expected = match reason.as_u8() {
            0..0x80 => 0,
            0x84 => 1,
            0x85 => 2,
            0x86 => 4,
            0x87 | 0x8A | 0x8C => 5,
            _ => 3,
        };
        let session_present = u8::from(reason == ReasonCode::Success);
        assert_eq!(
            written(&packet, V311),
            [0x20, 2, session_present, expected],
            "{reason:?}"
        );
        assert_eq!(written(&packet, V31), [0x20, 2, 0, expected], "{reason:?}");
        assert_eq!(
            written(&packet, V5),
            [0x20, 3, session_present, reason.as_u8(), 0]
        );
        if reason == ReasonCode::Success || (1..=5).contains(&expected) {
            let back = ReasonCode::from_v3_return_code(expected).expect("a v3 code");
            assert_eq!(back.v3_return_code(), expected);
        }
    }
    assert_eq!(ReasonCode::from_v3_return_code(6), None);
}

#[test]
fn v3_packets_leave_out_what_v3_does_not_have() {
    let properties = Properties::from_validated(b"\x1f\0\x01x");
    let refused = ReasonCode::NotAuthorized;
    let suback = SubAck {
        packet_id: id(1),
        properties,
        reasons: b"\0\x01\x02\x80\x87\x8f\xa2",
    };
    let filters = SubscribeFilters::from_validated(b"\0\x01a\x2d");
    let publish = Publish {
        dup: true,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "a",
        packet_id: Some(id(1)),
        properties: Properties::from_validated(b"\x01\x01"),
        payload: b"p",
    };
    let cases: [(Packet<'_>, &[u8]); 6] = [
        (
            Packet::PubAck(Ack {
                packet_id: id(1),
                reason: refused,
                properties,
            }),
            b"\x40\x02\0\x01",
        ),
        (
            Packet::SubAck(suback),
            b"\x90\x09\0\x01\0\x01\x02\x80\x80\x80\x80",
        ),
        (Packet::UnsubAck(suback), b"\xb0\x02\0\x01"),
        (
            Packet::Disconnect(Disconnect {
                reason: refused,
                properties,
            }),
            b"\xe0\0",
        ),
        (
            Packet::Subscribe(Subscribe {
                packet_id: id(1),
                properties,
                filters,
            }),
            b"\x82\x06\0\x01\0\x01a\x01",
        ),
        (Packet::Publish(publish), b"\x30\x04\0\x01ap"),
    ];
    for version in [V31, V311] {
        for (packet, bytes) in &cases {
            assert_eq!(written(packet, version), *bytes, "{packet:?}");
            assert_eq!(packet_len(packet, version), bytes.len(), "{packet:?}");
        }
    }
}

#[test]
fn what_the_wire_cannot_hold_is_an_error_and_writes_nothing() {
    let long = "x".repeat(65_536);
    let huge = vec![0; MAX_REMAINING_LENGTH];
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t",
        packet_id: None,
        properties: Properties::EMPTY,
        payload: b"",
    };
    let connect = Connect {
        version: V311,
        clean_start: true,
        keep_alive: 0,
        client_id: "",
        username: None,
        password: None,
        will: None,
        properties: Properties::EMPTY,
    };
    let will = Will {
        topic: "w",
        payload: b"",
        qos: QoS::AtMostOnce,
        retain: false,
        properties: Properties::EMPTY,
    };
    let auth = Auth {
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    };
    let cases = [
        (
            Packet::Publish(Publish {
                topic: &long,
                ..publish
            }),
            EncodeError::FieldTooLong(Field::TopicName),
        ),
        (
            Packet::Publish(Publish {
                payload: &huge,
                ..publish
            }),
            EncodeError::PacketTooLarge,
        ),
        (
            Packet::Publish(Publish {
                qos: QoS::AtLeastOnce,
                ..publish
            }),
            EncodeError::MissingPacketId,
        ),
        (
            Packet::Connect(Connect {
                client_id: &long,
                ..connect
            }),
            EncodeError::FieldTooLong(Field::ClientId),
        ),
        (
            Packet::Connect(Connect {
                username: Some(&long),
                ..connect
            }),
            EncodeError::FieldTooLong(Field::UserName),
        ),
        (
            Packet::Connect(Connect {
                password: Some(long.as_bytes()),
                ..connect
            }),
            EncodeError::FieldTooLong(Field::Password),
        ),
        (
            Packet::Connect(Connect {
                will: Some(Will {
                    topic: &long,
                    ..will
                }),
                ..connect
            }),
            EncodeError::FieldTooLong(Field::WillTopic),
        ),
        (
            Packet::Connect(Connect {
                will: Some(Will {
                    payload: long.as_bytes(),
                    ..will
                }),
                ..connect
            }),
            EncodeError::FieldTooLong(Field::WillPayload),
        ),
        (
            Packet::Auth(auth),
            EncodeError::NotInVersion(PacketType::Auth, V311),
        ),
    ];
    let mut out = BytesMut::new();
    for (packet, error) in cases {
        assert_eq!(encode(&packet, V311, &mut out), Err(error));
        assert!(out.is_empty(), "{error}");
    }
    let mut filters = SubscribeFiltersBuf::default();
    let too_long = Err(EncodeError::FieldTooLong(Field::TopicFilter));
    assert_eq!(filters.push(&long, SubscribeOptions::default()), too_long);
    assert_eq!(filters.as_filters().raw(), b"");
}

#[test]
fn the_largest_packets_fit() {
    let topic = "t".repeat(65_535);
    let payload = vec![b'p'; 0x20_0000];
    for len in [0, 100, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000] {
        for topic in [&topic[..], "t"] {
            let publish = Publish {
                dup: false,
                qos: QoS::ExactlyOnce,
                retain: true,
                topic,
                packet_id: Some(id(65_535)),
                properties: Properties::EMPTY,
                payload: &payload[..len],
            };
            let bytes = written(&Packet::Publish(publish), V5);
            assert_eq!(publish_len(&publish, V5), bytes.len());
            // Comparing with == keeps a failure from printing megabytes.
            assert!(
                read(Client, V5, &bytes) == Ok(Packet::Publish(publish)),
                "{len}"
            );
        }
    }
}

#[test]
fn long_topics_are_read() {
    for topic in ["/".repeat(65_000), "x".repeat(65_535)] {
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: &topic,
            packet_id: None,
            properties: Properties::EMPTY,
            payload: b"",
        };
        let bytes = written(&Packet::Publish(publish), V311);
        assert!(read(Client, V311, &bytes) == Ok(Packet::Publish(publish)));
    }
}

#[test]
fn filters_come_back_with_their_options() {
    let all = (0..=0xff).filter_map(SubscribeOptions::from_bits);
    let options: Vec<_> = all.collect();
    assert_eq!(options.len(), 3 * 2 * 2 * 3);
    let mut subscribe = SubscribeFiltersBuf::default();
    let mut unsubscribe = UnsubscribeFiltersBuf::default();
    for &option in &options {
        subscribe.push("a/+", option).unwrap();
        unsubscribe.push("b/#").unwrap();
    }
    assert!(
        subscribe
            .as_filters()
            .iter()
            .eq(options.iter().map(|&option| ("a/+", option)))
    );
    assert!(
        unsubscribe
            .as_filters()
            .iter()
            .eq(options.iter().map(|_| "b/#"))
    );
    assert!(
        options
            .iter()
            .all(|option| SubscribeOptions::from_bits(option.to_bits()) == Some(*option))
    );
}

#[test]
fn the_version_of_a_broken_connect_is_known() {
    let cases: [(&[u8], Option<ProtocolVersion>); 5] = [
        (b"\0\x04MQTT\x05\x01", Some(V5)),
        (b"\0\x04MQTT\x04", Some(V311)),
        (b"\0\x06MQIsdp\x03\xff", Some(V31)),
        (b"\0\x04MQTT\x06", None),
        (b"\0\x04MQT", None),
    ];
    for (body, version) in cases {
        assert_eq!(connect_version(body), version, "{body:02x?}");
    }
}
