//! PUBLISH and its acknowledgements.

use super::super::super::ProtocolVersion::{V5, V31, V311};
use super::super::super::Sender::{Client, Server};
use super::super::super::*;
use super::super::id;
use super::Add;

pub(super) fn add(case: Add<'_>) {
    case(
        "QoS 0 v3.1.1",
        Client,
        V311,
        publish(0, "a/b", b""),
        b"\x30\x07\0\x03a/bhi",
    );
    case(
        "QoS 1 v3.1",
        Client,
        V31,
        publish(1, "a", b""),
        b"\x32\x07\0\x01a\0\x0ahi",
    );
    case(
        "QoS 2 v3.1.1",
        Server,
        V311,
        publish(2, "a", b""),
        b"\x34\x07\0\x01a\0\x0ahi",
    );
    case(
        "QoS 0 v5",
        Client,
        V5,
        publish(0, "a/b", b""),
        b"\x30\x08\0\x03a/b\0hi",
    );
    case(
        "alias v5",
        Client,
        V5,
        publish(1, "", b"\x23\0\x07"),
        b"\x32\x0a\0\0\0\x0a\x03\x23\0\x07hi",
    );
    case(
        "subscription identifiers v5",
        Server,
        V5,
        publish(0, "a", b"\x0b\x01\x0b\x80\x01"),
        b"\x30\x0b\0\x01a\x05\x0b\x01\x0b\x80\x01hi",
    );
    case(
        "repeated, retained v3.1.1",
        Client,
        V311,
        Packet::Publish(Publish {
            dup: true,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: "a",
            packet_id: Some(id(0x1234)),
            properties: Properties::EMPTY,
            payload: b"",
        }),
        b"\x3b\x05\0\x01a\x12\x34",
    );

    type MakeAck = fn(Ack<'static>) -> Packet<'static>;
    let kinds: [(MakeAck, [&'static [u8]; 3]); 4] = [
        (
            Packet::PubAck,
            [
                b"\x40\x02\0\x01",
                b"\x40\x03\0\x01\x87",
                b"\x40\x09\0\x01\x87\x05\x1f\0\x02no",
            ],
        ),
        (
            Packet::PubRec,
            [
                b"\x50\x02\0\x01",
                b"\x50\x03\0\x01\x87",
                b"\x50\x09\0\x01\x87\x05\x1f\0\x02no",
            ],
        ),
        (
            Packet::PubRel,
            [
                b"\x62\x02\0\x01",
                b"\x62\x03\0\x01\x92",
                b"\x62\x09\0\x01\x92\x05\x1f\0\x02no",
            ],
        ),
        (
            Packet::PubComp,
            [
                b"\x70\x02\0\x01",
                b"\x70\x03\0\x01\x92",
                b"\x70\x09\0\x01\x92\x05\x1f\0\x02no",
            ],
        ),
    ];
    for (make, [short, reason, long]) in kinds {
        let code = ReasonCode::from_u8(reason[4]).expect("a reason code");
        let properties = Properties::from_validated(b"\x1f\0\x02no");
        for version in [V31, V311, V5] {
            case(
                "short",
                Client,
                version,
                make(Ack::new(id(1), ReasonCode::Success)),
                short,
            );
        }
        case("reason", Server, V5, make(Ack::new(id(1), code)), reason);
        case(
            "properties",
            Client,
            V5,
            make(Ack {
                properties,
                ..Ack::new(id(1), code)
            }),
            long,
        );
    }
}

fn publish(qos: u8, topic: &'static str, properties: &'static [u8]) -> Packet<'static> {
    Packet::Publish(Publish {
        dup: false,
        qos: QoS::from_bits(qos).expect("a QoS"),
        retain: false,
        topic,
        packet_id: (qos > 0).then(|| id(10)),
        properties: Properties::from_validated(properties),
        payload: b"hi",
    })
}
