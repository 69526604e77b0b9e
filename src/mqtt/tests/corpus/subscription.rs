//! SUBSCRIBE, UNSUBSCRIBE and their answers.

use super::super::super::ProtocolVersion::{V5, V31, V311};
use super::super::super::Sender::{Client, Server};
use super::super::super::*;
use super::super::id;
use super::Add;

pub(super) fn add(case: Add<'_>) {
    let subscribe = |properties, filters| {
        Packet::Subscribe(Subscribe {
            packet_id: id(10),
            properties: Properties::from_validated(properties),
            filters: SubscribeFilters::from_validated(filters),
        })
    };
    case(
        "two filters v3.1.1",
        Client,
        V311,
        subscribe(b"", b"\0\x03a/b\x01\0\x01#\x02"),
        b"\x82\x0c\0\x0a\0\x03a/b\x01\0\x01#\x02",
    );
    case(
        "v3.1",
        Client,
        V31,
        subscribe(b"", b"\0\x01a\0"),
        b"\x82\x06\0\x0a\0\x01a\0",
    );
    case(
        "identifier and all options v5",
        Client,
        V5,
        subscribe(b"\x0b\x05", b"\0\x01+\x2e\0\x0a$share/g/t\x19"),
        b"\x82\x16\0\x0a\x02\x0b\x05\0\x01+\x2e\0\x0a$share/g/t\x19",
    );

    let unsubscribe = |properties, filters| {
        Packet::Unsubscribe(Unsubscribe {
            packet_id: id(10),
            properties: Properties::from_validated(properties),
            filters: UnsubscribeFilters::from_validated(filters),
        })
    };
    case(
        "v3.1",
        Client,
        V31,
        unsubscribe(b"", b"\0\x01a"),
        b"\xa2\x05\0\x0a\0\x01a",
    );
    case(
        "v3.1.1",
        Client,
        V311,
        unsubscribe(b"", b"\0\x01a\0\x02b#"),
        b"\xa2\x09\0\x0a\0\x01a\0\x02b#",
    );
    case(
        "v5",
        Client,
        V5,
        unsubscribe(b"\x26\0\x01k\0\x01v", b"\0\x01a"),
        b"\xa2\x0d\0\x0a\x07\x26\0\x01k\0\x01v\0\x01a",
    );

    let suback = |properties, reasons| SubAck {
        packet_id: id(10),
        properties: Properties::from_validated(properties),
        reasons,
    };
    case(
        "v3.1",
        Server,
        V31,
        Packet::SubAck(suback(b"", b"\0")),
        b"\x90\x03\0\x0a\0",
    );
    case(
        "v3.1.1",
        Server,
        V311,
        Packet::SubAck(suback(b"", b"\0\x02\x80")),
        b"\x90\x05\0\x0a\0\x02\x80",
    );
    case(
        "v5",
        Server,
        V5,
        Packet::SubAck(suback(b"\x1f\0\x01x", b"\x01\x8f")),
        b"\x90\x09\0\x0a\x04\x1f\0\x01x\x01\x8f",
    );
    case(
        "v3.1",
        Server,
        V31,
        Packet::UnsubAck(suback(b"", b"")),
        b"\xb0\x02\0\x0a",
    );
    case(
        "v3.1.1",
        Server,
        V311,
        Packet::UnsubAck(suback(b"", b"")),
        b"\xb0\x02\0\x0a",
    );
    case(
        "v5",
        Server,
        V5,
        Packet::UnsubAck(suback(b"", b"\0\x11")),
        b"\xb0\x05\0\x0a\0\0\x11",
    );
}
