//! CONNECT, CONNACK, pings, DISCONNECT and AUTH.

use super::super::super::ProtocolVersion::{V5, V31, V311};
use super::super::super::Sender::{Client, Server};
use super::super::super::*;
use super::Add;

pub(super) fn add(case: Add<'_>) {
    case(
        "smallest v3.1.1",
        Client,
        V311,
        connect(V311, ""),
        b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0",
    );
    case(
        "v3.1",
        Client,
        V31,
        connect(V31, "ab"),
        b"\x10\x10\0\x06MQIsdp\x03\x02\0\x3c\0\x02ab",
    );
    case(
        "smallest v5",
        Client,
        V5,
        connect(V5, "é"),
        b"\x10\x0f\0\x04MQTT\x05\x02\0\x3c\0\0\x02\xc3\xa9",
    );
    case(
        "everything v3.1.1",
        Client,
        V311,
        Packet::Connect(Connect {
            version: V311,
            clean_start: false,
            keep_alive: 65_535,
            client_id: "c",
            username: Some("u"),
            password: Some(b"p"),
            will: Some(Will {
                topic: "w/t",
                payload: b"bye",
                qos: QoS::AtLeastOnce,
                retain: true,
                properties: Properties::EMPTY,
            }),
            properties: Properties::EMPTY,
        }),
        b"\x10\x1d\0\x04MQTT\x04\xec\xff\xff\0\x01c\0\x03w/t\0\x03bye\0\x01u\0\x01p",
    );
    case(
        "properties, will, password alone v5",
        Client,
        V5,
        Packet::Connect(Connect {
            version: V5,
            clean_start: true,
            keep_alive: 0,
            client_id: "c",
            username: None,
            password: Some(b"\xff\0"),
            will: Some(Will {
                topic: "w",
                payload: b"",
                qos: QoS::ExactlyOnce,
                retain: false,
                properties: Properties::from_validated(b"\x18\0\0\0\x0a"),
            }),
            properties: Properties::from_validated(b"\x11\0\0\x0e\x10\x21\0\x14"),
        }),
        b"\x10\x25\0\x04MQTT\x05\x56\0\0\x08\x11\0\0\x0e\x10\x21\0\x14\0\x01c\
          \x05\x18\0\0\0\x0a\0\x01w\0\0\0\x02\xff\0",
    );

    let connack = |session_present, reason, properties: &'static [u8]| {
        let properties = Properties::from_validated(properties);
        Packet::ConnAck(ConnAck {
            session_present,
            reason,
            properties,
        })
    };
    case(
        "v3.1",
        Server,
        V31,
        connack(false, ReasonCode::Success, b""),
        b"\x20\x02\0\0",
    );
    case(
        "resumed v3.1.1",
        Server,
        V311,
        connack(true, ReasonCode::Success, b""),
        b"\x20\x02\x01\0",
    );
    case(
        "refused v3.1.1",
        Server,
        V311,
        connack(false, ReasonCode::NotAuthorized, b""),
        b"\x20\x02\0\x05",
    );
    case(
        "v5",
        Server,
        V5,
        connack(true, ReasonCode::Success, b""),
        b"\x20\x03\x01\0\0",
    );
    case(
        "refused v5",
        Server,
        V5,
        connack(false, ReasonCode::Banned, b"\x1f\0\x02no"),
        b"\x20\x08\0\x8a\x05\x1f\0\x02no",
    );

    let disconnect = |reason, properties| {
        Packet::Disconnect(Disconnect {
            reason,
            properties: Properties::from_validated(properties),
        })
    };
    for version in [V31, V311, V5] {
        case("ping", Client, version, Packet::PingReq, b"\xc0\0");
        case("pong", Server, version, Packet::PingResp, b"\xd0\0");
        case(
            "normal",
            Client,
            version,
            disconnect(ReasonCode::NormalDisconnection, b""),
            b"\xe0\0",
        );
    }
    case(
        "with will",
        Client,
        V5,
        disconnect(ReasonCode::DisconnectWithWill, b""),
        b"\xe0\x01\x04",
    );
    case(
        "expiry v5",
        Client,
        V5,
        disconnect(ReasonCode::NormalDisconnection, b"\x11\0\0\0\x01"),
        b"\xe0\x07\0\x05\x11\0\0\0\x01",
    );
    case(
        "moved v5",
        Server,
        V5,
        disconnect(ReasonCode::ServerMoved, b"\x1c\0\x01h"),
        b"\xe0\x06\x9d\x04\x1c\0\x01h",
    );

    let auth = |reason, properties| {
        Packet::Auth(Auth {
            reason,
            properties: Properties::from_validated(properties),
        })
    };
    case(
        "done",
        Server,
        V5,
        auth(ReasonCode::Success, b""),
        b"\xf0\0",
    );
    case(
        "again",
        Client,
        V5,
        auth(ReasonCode::ReAuthenticate, b""),
        b"\xf0\x02\x19\0",
    );
    case(
        "continue",
        Client,
        V5,
        auth(
            ReasonCode::ContinueAuthentication,
            b"\x15\0\x01M\x16\0\x01\xff",
        ),
        b"\xf0\x0a\x18\x08\x15\0\x01M\x16\0\x01\xff",
    );
}

fn connect(version: ProtocolVersion, client_id: &'static str) -> Packet<'static> {
    Packet::Connect(Connect {
        version,
        clean_start: true,
        keep_alive: 60,
        client_id,
        username: None,
        password: None,
        will: None,
        properties: Properties::EMPTY,
    })
}
