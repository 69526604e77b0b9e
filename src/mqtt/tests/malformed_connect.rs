//! CONNECT packets a codec has to refuse: rows 9 to 11 and 14 of the robustness list.

use super::super::DecodeErrorKind as Kind;
use super::super::ProtocolVersion::{V5, V31, V311};
use super::super::Sender::Client;
use super::super::*;
use super::malformed::{assert_refused, error_of};
use super::{framed, read};

/// A v5 CONNECT body up to the keep alive.
pub(super) fn connect_body(flags: u8, rest: &[u8]) -> Vec<u8> {
    [b"\0\x04MQTT\x05", &[flags][..], b"\0\x3c", rest].concat()
}

#[test]
fn protocol_names_and_levels() {
    let long = [b"\xff\xff", &[b'M'; 65_535][..], b"\x04\x02\0\0\0\0"].concat();
    let names: [&[u8]; 5] = [
        b"\0\0\x04",
        b"\0\x02MQ\x04",
        b"\0\x04mqtt\x04",
        b"\0\x04MQT\xff\x04",
        &long,
    ];
    for name in names {
        let bytes = framed(0x10, name);
        assert_eq!(
            error_of(Client, V311, &bytes),
            Some(Kind::UnsupportedProtocolName)
        );
    }
    for level in [0, 2, 3, 6, 0x82, 0x83, 0x85, 255] {
        let bytes = [b"\x10\x0c\0\x04MQTT", &[level][..], b"\x02\0\0\0\0"].concat();
        let error = read(Client, V311, &bytes).expect_err("unknown level");
        assert_eq!(error.kind, Kind::UnsupportedProtocolLevel, "{level}");
        assert_eq!(error.reason(), ReasonCode::UnsupportedProtocolVersion);
    }
    // The bit by which bridges say that they are some.
    for (bytes, version, is_bridge) in [
        (&b"\x10\x0c\0\x04MQTT\x84\x02\0\0\0\0"[..], V311, true),
        (b"\x10\x0e\0\x06MQIsdp\x83\x02\0\0\0\0", V31, true),
        (b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0", V311, false),
    ] {
        let packet = read(Client, V5, bytes).expect("a known level");
        assert!(matches!(packet, Packet::Connect(connect) if connect.version == version));
        assert_eq!(connect_is_bridge(&bytes[2..]), is_bridge);
    }
    assert_refused(&[(
        V311,
        b"\x10\x0e\0\x06MQIsdp\x04\x02\0\0\0\0",
        Kind::UnsupportedProtocolLevel,
    )]);
}

#[test]
fn connect_flags() {
    let cases = [
        (0b0000_0001, Kind::ReservedConnectFlag),
        (0b0000_1000, Kind::WillQoSWithoutWill),
        (0b0001_1000, Kind::WillQoSWithoutWill),
        (0b0010_0000, Kind::WillRetainWithoutWill),
        (0b0001_1100, Kind::InvalidWillQoS),
    ];
    for (flags, kind) in cases {
        let bytes = framed(0x10, &connect_body(flags, b"\0\0\0"));
        assert_eq!(error_of(Client, V5, &bytes), Some(kind), "{flags:#010b}");
    }
    assert_refused(&[
        (
            V311,
            b"\x10\x0f\0\x04MQTT\x04\x42\0\0\0\0\0\x01p",
            Kind::PasswordWithoutUserName,
        ),
        (
            V31,
            b"\x10\x11\0\x06MQIsdp\x03\x42\0\0\0\0\0\x01p",
            Kind::PasswordWithoutUserName,
        ),
        (
            V31,
            b"\x10\x0e\0\x06MQIsdp\x03\x1e\0\0\0\0",
            Kind::InvalidWillQoS,
        ),
    ]);
}

#[test]
fn wills() {
    let cases: &[(&[u8], Kind)] = &[
        (b"\0\0\0\0\0\0\0\0", Kind::InvalidWillTopic),
        (b"\0\0\0\0\0\x03a/+\0\0", Kind::InvalidWillTopic),
        (b"\0\0\0\0\0\x01#\0\0", Kind::InvalidWillTopic),
        (b"\0\0\0\0\0\x01\0\0\0", Kind::NulCharacter),
        (b"\0\0\0\0\0\x01t", Kind::Truncated),
        (b"\0\0\0\x06\x18\0\0\0\x01", Kind::Truncated),
        (b"\0\0\0\x04\x18\0\0\0\x01\0\x01t\0\0", Kind::Truncated),
        (
            b"\0\0\0\x0a\x18\0\0\0\x01\x18\0\0\0\x01\0\x01t\0\0",
            Kind::DuplicateProperty,
        ),
        (
            b"\0\0\0\x05\x11\0\0\0\x01\0\x01t\0\0",
            Kind::PropertyNotAllowed,
        ),
    ];
    for &(rest, kind) in cases {
        let bytes = framed(0x10, &connect_body(0b110, rest));
        assert_eq!(error_of(Client, V5, &bytes), Some(kind), "{rest:02x?}");
    }
    let bytes = framed(0x10, &connect_body(0b110, b"\0\0\0\0\0\x01t\0\0"));
    assert!(matches!(
        read(Client, V5, &bytes),
        Ok(Packet::Connect(Connect {
            will: Some(Will {
                topic: "t",
                payload: b"",
                ..
            }),
            ..
        }))
    ));
}
