//! What a codec has to refuse, each with its kind: rows 1 to 24 of the robustness list.

use super::super::DecodeErrorKind as Kind;
use super::super::ProtocolVersion::{V5, V311};
use super::super::Sender::{Client, Server};
use super::super::*;
use super::malformed_connect::connect_body;
use super::{NO_LIMIT, framed, id, read, written};

pub(super) fn error_of(sender: Sender, version: ProtocolVersion, bytes: &[u8]) -> Option<Kind> {
    read(sender, version, bytes).err().map(|error| error.kind)
}

/// Checks a table of whole packets from a client.
pub(super) fn assert_refused(cases: &[(ProtocolVersion, &[u8], Kind)]) {
    for &(version, bytes, kind) in cases {
        assert_eq!(
            error_of(Client, version, bytes),
            Some(kind),
            "{version:?} {bytes:02x?}"
        );
    }
}

/// The length of a body, none while bytes are missing.
type BodyLen = Result<Option<usize>, Kind>;

#[test]
fn remaining_lengths() {
    let cases: [(&[u8], BodyLen); 12] = [
        (b"", Ok(None)),
        (b"\xc0", Ok(None)),
        (b"\xc0\0", Ok(Some(0))),
        (b"\x30\x80", Ok(None)),
        (b"\x30\x80\x80\x80", Ok(None)),
        (b"\x30\x7f", Ok(Some(127))),
        (b"\x30\x80\x01", Ok(Some(128))),
        (b"\x30\xff\xff\xff\x7f", Ok(Some(MAX_REMAINING_LENGTH))),
        (b"\x30\xff\xff\xff\xff", Err(Kind::RemainingLengthTooLong)),
        (
            b"\x30\x80\x80\x80\x80\x01",
            Err(Kind::RemainingLengthTooLong),
        ),
        (b"\x30\x80\0", Err(Kind::LengthNotMinimal)),
        (b"\x30\xff\xff\x80\0", Err(Kind::LengthNotMinimal)),
    ];
    for (bytes, expected) in cases {
        let found = peek_header(bytes, NO_LIMIT);
        let found = found
            .map(|header| header.map(|h| h.body_len))
            .map_err(|error| error.kind);
        assert_eq!(found, expected, "{bytes:02x?}");
    }
}

#[test]
fn a_packet_over_the_limit_is_refused_before_it_arrives() {
    let limit = 128 + 3;
    assert_eq!(frame_header(b"\x30\x80\x01", limit), Ok(None));
    for bytes in [&b"\x30\x81\x01"[..], b"\x10\xff\xff\xff\x7f"] {
        let error = frame_header(bytes, limit).expect_err("too large");
        assert_eq!(error.kind, Kind::PacketTooLarge);
        assert_eq!(error.reason(), ReasonCode::PacketTooLarge);
    }
    assert_eq!(
        frame_header(b"\xc0\0", 2).map(|found| found.is_some()),
        Ok(true)
    );
}

#[test]
fn first_bytes() {
    for first in 0..=u8::MAX {
        let expected = match (first >> 4, first & 0x0f) {
            (0, _) => Some(Kind::ReservedPacketType),
            (3, flags) if flags & 6 == 6 => Some(Kind::InvalidQoS),
            (3, 8 | 9) => Some(Kind::DupWithQoS0),
            (3, _) | (6 | 8 | 10, 2 | 10) => None,
            (6 | 8 | 10, _) => Some(Kind::ReservedFlags),
            (_, 0) => None,
            _ => Some(Kind::ReservedFlags),
        };
        let found = frame_header(&[first], NO_LIMIT)
            .err()
            .map(|error| error.kind);
        assert_eq!(found, expected, "{first:#04x}");
        if let Some(kind) = expected {
            let again = decode(V5, first, b"").expect_err("decode sees it as well");
            assert_eq!(again.kind, kind, "{first:#04x}");
        }
    }
    for (version, first) in [(V311, 0x8a), (V5, 0x6a), (V5, 0xaa)] {
        assert_eq!(
            decode(version, first, b"").expect_err("DUP").kind,
            Kind::ReservedFlags
        );
    }
    for (first, kind) in [(0x36, Kind::InvalidQoS), (0x38, Kind::DupWithQoS0)] {
        assert_eq!(
            decode_publish(V311, first, b"\0\x01a")
                .expect_err("flags")
                .kind,
            kind
        );
    }
}

#[test]
fn packets_of_the_other_direction() {
    for case in super::corpus::corpus() {
        let other = if case.sender == Client {
            Server
        } else {
            Client
        };
        let kind = case.packet.packet_type();
        let one_way = match kind {
            PacketType::Connect
            | PacketType::Subscribe
            | PacketType::Unsubscribe
            | PacketType::PingReq
            | PacketType::ConnAck
            | PacketType::SubAck
            | PacketType::UnsubAck
            | PacketType::PingResp => true,
            PacketType::Disconnect => case.version != V5,
            _ => false,
        };
        if one_way {
            let found = error_of(other, case.version, case.bytes);
            assert_eq!(
                found,
                Some(Kind::UnexpectedPacket),
                "{} from {other:?}",
                kind.name()
            );
        }
    }
    assert_refused(&[(V311, b"\xf0\0", Kind::ReservedPacketType)]);
}

#[test]
fn packet_identifier_zero() {
    assert_refused(&[
        (V311, b"\x32\x05\0\x01a\0\0", Kind::ZeroPacketId),
        (V5, b"\x34\x06\0\x01a\0\0\0", Kind::ZeroPacketId),
        (V311, b"\x40\x02\0\0", Kind::ZeroPacketId),
        (V311, b"\x62\x02\0\0", Kind::ZeroPacketId),
        (V311, b"\x82\x06\0\0\0\x01a\0", Kind::ZeroPacketId),
        (V5, b"\xa2\x06\0\0\0\0\x01a", Kind::ZeroPacketId),
    ]);
}

#[test]
fn text_in_every_field() {
    let bad: [(&[u8], Kind); 7] = [
        (b"\xff", Kind::InvalidUtf8),
        (b"ab\xe2\x82", Kind::InvalidUtf8),
        (b"\xed\xa0\x80", Kind::InvalidUtf8),
        (b"\xed\xbf\xbf", Kind::InvalidUtf8),
        (b"\xc0\x80", Kind::InvalidUtf8),
        (b"\xe0\x80\xaf", Kind::InvalidUtf8),
        (b"long enough for a vector \0 of bytes", Kind::NulCharacter),
    ];
    for (text, kind) in bad {
        let field = [&[0, text.len() as u8], text].concat();
        let connect = |flags, before: &[u8]| {
            let rest = [before, &field].concat();
            framed(0x10, &connect_body(flags, &rest))
        };
        let cases = [
            ("client identifier", connect(2, b"\0")),
            ("will topic", connect(0b110, b"\0\0\0\0")),
            ("user name", connect(0x82, b"\0\0\0")),
            ("topic name", framed(0x30, &field)),
            (
                "topic filter",
                framed(0x82, &[b"\0\x01\0", &field[..], b"\0"].concat()),
            ),
            (
                "topic filter",
                framed(0xa2, &[b"\0\x01\0", &field[..]].concat()),
            ),
        ];
        for (name, bytes) in cases {
            let error = read(Client, V5, &bytes).expect_err(name);
            assert_eq!(
                (error.kind, error.field.to_string()),
                (kind, name.into()),
                "{text:02x?}"
            );
        }
    }
    let bom = framed(0x30, b"\0\x04\xef\xbb\xbfa");
    let Ok(Packet::Publish(publish)) = read(Client, V311, &bom) else {
        panic!("a BOM is text")
    };
    assert_eq!(publish.topic, "\u{feff}a");
}

#[test]
fn subscribe_and_unsubscribe() {
    assert_refused(&[
        (V311, b"\x82\x02\0\x01", Kind::NoTopicFilter),
        (V5, b"\x82\x03\0\x01\0", Kind::NoTopicFilter),
        (V311, b"\xa2\x02\0\x01", Kind::NoTopicFilter),
        (V5, b"\xa2\x03\0\x01\0", Kind::NoTopicFilter),
        (V311, b"\x82\x05\0\x01\0\x01a", Kind::Truncated),
        (
            V311,
            b"\x82\x06\0\x01\0\x01a\x03",
            Kind::InvalidSubscribeQoS,
        ),
        (
            V311,
            b"\x82\x06\0\x01\0\x01a\x04",
            Kind::ReservedSubscribeOptions,
        ),
        (
            V5,
            b"\x82\x07\0\x01\0\0\x01a\x03",
            Kind::InvalidSubscribeQoS,
        ),
        (
            V5,
            b"\x82\x07\0\x01\0\0\x01a\x40",
            Kind::ReservedSubscribeOptions,
        ),
        (
            V5,
            b"\x82\x07\0\x01\0\0\x01a\x80",
            Kind::ReservedSubscribeOptions,
        ),
        (
            V5,
            b"\x82\x07\0\x01\0\0\x01a\x30",
            Kind::InvalidRetainHandling,
        ),
        (
            V5,
            b"\x82\x10\0\x01\0\0\x0a$share/g/t\x04",
            Kind::NoLocalOnShared,
        ),
        (
            V5,
            b"\x82\x09\0\x01\x02\x0b\0\0\x01a\0",
            Kind::PropertyOutOfRange,
        ),
        (
            V5,
            b"\x82\x0b\0\x01\x04\x0b\x01\x0b\x02\0\x01a\0",
            Kind::DuplicateProperty,
        ),
        (V5, b"\x82\x07\0\x01\x09\0\x01a\0", Kind::Truncated),
    ]);
    let mut many = SubscribeFiltersBuf::default();
    for _ in 0..10_000 {
        many.push("a/b", SubscribeOptions::with_qos(QoS::AtLeastOnce))
            .unwrap();
    }
    let packet = Packet::Subscribe(Subscribe {
        packet_id: id(1),
        properties: Properties::EMPTY,
        filters: many.as_filters(),
    });
    let bytes = written(&packet, V311);
    let Ok(Packet::Subscribe(subscribe)) = read(Client, V311, &bytes) else {
        panic!("many filters")
    };
    assert_eq!(subscribe.filters().count(), 10_000);
}

#[test]
fn properties_in_packets() {
    assert_refused(&[
        (V5, b"\x30\x08\0\x01a\x03\x23\0\0x", Kind::ZeroTopicAlias),
        (
            V5,
            b"\x30\x06\0\x01a\x02\x0b\x01",
            Kind::SubscriptionIdFromClient,
        ),
        (V5, b"\x30\x06\0\x01a\x05\x01\x01", Kind::Truncated),
        (V5, b"\x30\x06\0\x01a\x02\x01\x02", Kind::PropertyOutOfRange),
        (V5, b"\x30\x05\0\x01a\x80\0", Kind::LengthNotMinimal),
        (V5, b"\x30\x07\0\x01a\xff\xff\xff\xff", Kind::LengthTooLong),
        (V5, b"\x30\x03\0\x01a", Kind::Truncated),
        (
            V5,
            b"\x10\x10\0\x04MQTT\x05\x02\0\0\x03\x21\0\0\0\0",
            Kind::PropertyOutOfRange,
        ),
        (V5, b"\xe0\x06\0\x04\x1c\0\x01h", Kind::PropertyNotAllowed),
    ]);
    let expiry_from_server = error_of(Server, V5, b"\xe0\x07\0\x05\x11\0\0\0\x01");
    assert_eq!(expiry_from_server, Some(Kind::PropertyNotAllowed));
    assert_eq!(
        read(Client, V5, b"\x30\x08\0\x01a\x03\x23\0\0x").map_err(|error| error.reason()),
        Err(ReasonCode::TopicAliasInvalid)
    );
}

#[test]
fn reason_codes() {
    assert_refused(&[
        (V5, b"\x40\x03\0\x01\x92", Kind::InvalidReasonCode),
        (V5, b"\x40\x03\0\x01\x7f", Kind::InvalidReasonCode),
        (V5, b"\x62\x03\0\x01\x80", Kind::InvalidReasonCode),
        (V5, b"\xe0\x01\x8e", Kind::InvalidReasonCode),
        (V5, b"\xf0\x02\0\0", Kind::InvalidReasonCode),
        (V5, b"\xf0\x01\x18", Kind::Truncated),
    ]);
    let from_server: [(ProtocolVersion, &[u8], Kind); 9] = [
        (V5, b"\xe0\x01\x04", Kind::InvalidReasonCode),
        (V5, b"\xf0\x02\x19\0", Kind::InvalidReasonCode),
        (V311, b"\x20\x02\0\x06", Kind::InvalidReasonCode),
        (V5, b"\x20\x03\0\x01\0", Kind::InvalidReasonCode),
        (V311, b"\x20\x02\x02\0", Kind::InvalidAckFlags),
        (V311, b"\x20\x02\x01\x05", Kind::SessionPresentOnRefusal),
        (V311, b"\x90\x03\0\x01\x03", Kind::InvalidReasonCode),
        (V5, b"\x90\x04\0\x01\0\x11", Kind::InvalidReasonCode),
        (V5, b"\xb0\x04\0\x01\0\x01", Kind::InvalidReasonCode),
    ];
    for (version, bytes, kind) in from_server {
        assert_eq!(error_of(Server, version, bytes), Some(kind), "{bytes:02x?}");
    }
}

#[test]
fn bytes_where_none_may_be() {
    assert_refused(&[
        (V311, b"\xc0\x01\0", Kind::TrailingBytes),
        (V311, b"\xe0\x01\0", Kind::TrailingBytes),
        (V311, b"\x40\x03\0\x01\0", Kind::TrailingBytes),
        (V5, b"\x40\x05\0\x01\0\0\0", Kind::TrailingBytes),
        (
            V311,
            b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\0x",
            Kind::TrailingBytes,
        ),
    ]);
}

#[test]
fn errors_say_what_and_where() {
    let cases: [(&[u8], &str); 4] = [
        (
            b"\x82\x09\0\x01\0\0\x03ab\xff\0",
            "SUBSCRIBE: topic filter: invalid UTF-8 at byte 2 [MQTT-1.5.4-1]",
        ),
        (
            b"\x30\x05\0\x03a\0b",
            "PUBLISH: topic name: character U+0000 at byte 1 [MQTT-1.5.4-2]",
        ),
        (
            b"\x30\x08\0\x01a\x03\x23\0\0x",
            "PUBLISH: topic alias: topic alias 0 [MQTT-3.3.2-8]",
        ),
        (
            b"\x30\x06\0\x01a\x02\x7e\x01",
            "PUBLISH: property 0x7e: unknown property identifier [MQTT-2.2.2.2]",
        ),
    ];
    for (bytes, text) in cases {
        assert_eq!(
            read(Client, V5, bytes).map_err(|error| error.to_string()),
            Err(text.into())
        );
    }
    let reserved = frame_header(b"\0\0", NO_LIMIT).map_err(|error| error.to_string());
    assert_eq!(
        reserved,
        Err("fixed header: reserved packet type [MQTT-2.1.2]".into())
    );
}

#[test]
fn error_kinds_have_stable_distinct_names() {
    let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Kind::ALL.len());
    assert!(names.iter().all(|name| {
        name.bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    }));
    assert!(Kind::ALL.iter().all(|kind| kind.reason().is_error()));
    assert!(size_of::<DecodeError>() <= 16);
}
