//! The one table of properties: identifier, name, wire type, and the packets that may carry each.

use crate::mqtt::types::PacketType;

/// The identifiers of the properties, as they are on the wire.
#[expect(missing_docs, reason = "the standard's property names")]
pub mod property_id {
    pub const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
    pub const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const RESPONSE_TOPIC: u8 = 0x08;
    pub const CORRELATION_DATA: u8 = 0x09;
    pub const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
    pub const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
    pub const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub const AUTHENTICATION_METHOD: u8 = 0x15;
    pub const AUTHENTICATION_DATA: u8 = 0x16;
    pub const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub const WILL_DELAY_INTERVAL: u8 = 0x18;
    pub const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub const RESPONSE_INFORMATION: u8 = 0x1A;
    pub const SERVER_REFERENCE: u8 = 0x1C;
    pub const REASON_STRING: u8 = 0x1F;
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const MAXIMUM_QOS: u8 = 0x24;
    pub const RETAIN_AVAILABLE: u8 = 0x25;
    pub const USER_PROPERTY: u8 = 0x26;
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
    pub const SUBSCRIPTION_IDENTIFIER_AVAILABLE: u8 = 0x29;
    pub const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2A;
}

/// Where properties stand: a packet kind, with the sender where the two sides have different rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the standard's packet names")]
pub enum PropertyLocation {
    Connect,
    /// The will inside a CONNECT.
    Will,
    ConnAck,
    /// A client may not send subscription identifiers `[MQTT-3.3.4-6]`.
    PublishFromClient,
    /// A server may send several subscription identifiers `[MQTT-3.3.4-4]`.
    PublishFromServer,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    /// A client may not name another server.
    DisconnectFromClient,
    /// A server may not send a session expiry interval `[MQTT-3.14.2-2]`.
    DisconnectFromServer,
    Auth,
}

impl PropertyLocation {
    /// The kind of the packet.
    pub const fn packet_type(self) -> PacketType {
        match self {
            Self::Connect | Self::Will => PacketType::Connect,
            Self::ConnAck => PacketType::ConnAck,
            Self::PublishFromClient | Self::PublishFromServer => PacketType::Publish,
            Self::PubAck => PacketType::PubAck,
            Self::PubRec => PacketType::PubRec,
            Self::PubRel => PacketType::PubRel,
            Self::PubComp => PacketType::PubComp,
            Self::Subscribe => PacketType::Subscribe,
            Self::SubAck => PacketType::SubAck,
            Self::Unsubscribe => PacketType::Unsubscribe,
            Self::UnsubAck => PacketType::UnsubAck,
            Self::DisconnectFromClient | Self::DisconnectFromServer => PacketType::Disconnect,
            Self::Auth => PacketType::Auth,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireType {
    /// One byte; every property of this type is 0 or 1.
    Byte,
    U16,
    U32,
    /// A variable byte integer.
    VarInt,
    Binary,
    Text,
    /// Two texts.
    Pair,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub(super) struct PropertyInfo {
    pub(super) name: &'static str,
    pub(super) wire: WireType,
    /// A bit for each location the property may stand in.
    allowed: u16,
    /// A bit for each location where it may stand more than once.
    repeatable: u16,
}

impl PropertyInfo {
    #[inline]
    pub(super) const fn is_allowed_in(&self, location: PropertyLocation) -> bool {
        self.allowed & location.bit() != 0
    }

    #[inline]
    pub(super) const fn is_repeatable_in(&self, location: PropertyLocation) -> bool {
        self.repeatable & location.bit() != 0
    }
}

const CONNECT: u16 = PropertyLocation::Connect.bit();
const WILL: u16 = PropertyLocation::Will.bit();
const CONNACK: u16 = PropertyLocation::ConnAck.bit();
const PUBLISH_OUT: u16 = PropertyLocation::PublishFromServer.bit();
const PUBLISH: u16 = PropertyLocation::PublishFromClient.bit() | PUBLISH_OUT;
const ACKS: u16 = PropertyLocation::PubAck.bit()
    | PropertyLocation::PubRec.bit()
    | PropertyLocation::PubRel.bit()
    | PropertyLocation::PubComp.bit()
    | PropertyLocation::SubAck.bit()
    | PropertyLocation::UnsubAck.bit();
const SUBSCRIBE: u16 = PropertyLocation::Subscribe.bit();
const DISCONNECT_IN: u16 = PropertyLocation::DisconnectFromClient.bit();
const DISCONNECT_OUT: u16 = PropertyLocation::DisconnectFromServer.bit();
const AUTH: u16 = PropertyLocation::Auth.bit();

/// The row of an identifier; none if the standard does not define it.
#[inline]
pub(super) const fn lookup(id: u8) -> Option<PropertyInfo> {
    use WireType::{Binary, Byte, Pair, Text, U16, U32, VarInt};
    use property_id::*;
    Some(match id {
        PAYLOAD_FORMAT_INDICATOR => row("payload format indicator", Byte, PUBLISH | WILL),
        MESSAGE_EXPIRY_INTERVAL => row("message expiry interval", U32, PUBLISH | WILL),
        CONTENT_TYPE => row("content type", Text, PUBLISH | WILL),
        RESPONSE_TOPIC => row("response topic", Text, PUBLISH | WILL),
        CORRELATION_DATA => row("correlation data", Binary, PUBLISH | WILL),
        SUBSCRIPTION_IDENTIFIER => PropertyInfo {
            repeatable: PUBLISH_OUT,
            ..row("subscription identifier", VarInt, PUBLISH_OUT | SUBSCRIBE)
        },
        SESSION_EXPIRY_INTERVAL => row(
            "session expiry interval",
            U32,
            CONNECT | CONNACK | DISCONNECT_IN,
        ),
        ASSIGNED_CLIENT_IDENTIFIER => row("assigned client identifier", Text, CONNACK),
        SERVER_KEEP_ALIVE => row("server keep alive", U16, CONNACK),
        AUTHENTICATION_METHOD => row("authentication method", Text, CONNECT | CONNACK | AUTH),
        AUTHENTICATION_DATA => row("authentication data", Binary, CONNECT | CONNACK | AUTH),
        REQUEST_PROBLEM_INFORMATION => row("request problem information", Byte, CONNECT),
        WILL_DELAY_INTERVAL => row("will delay interval", U32, WILL),
        REQUEST_RESPONSE_INFORMATION => row("request response information", Byte, CONNECT),
        RESPONSE_INFORMATION => row("response information", Text, CONNACK),
        SERVER_REFERENCE => row("server reference", Text, CONNACK | DISCONNECT_OUT),
        REASON_STRING => row(
            "reason string",
            Text,
            CONNACK | ACKS | DISCONNECT_IN | DISCONNECT_OUT | AUTH,
        ),
        RECEIVE_MAXIMUM => row("receive maximum", U16, CONNECT | CONNACK),
        TOPIC_ALIAS_MAXIMUM => row("topic alias maximum", U16, CONNECT | CONNACK),
        TOPIC_ALIAS => row("topic alias", U16, PUBLISH),
        MAXIMUM_QOS => row("maximum QoS", Byte, CONNACK),
        RETAIN_AVAILABLE => row("retain available", Byte, CONNACK),
        USER_PROPERTY => PropertyInfo {
            repeatable: u16::MAX,
            ..row("user property", Pair, u16::MAX)
        },
        MAXIMUM_PACKET_SIZE => row("maximum packet size", U32, CONNECT | CONNACK),
        WILDCARD_SUBSCRIPTION_AVAILABLE => row("wildcard subscription available", Byte, CONNACK),
        SUBSCRIPTION_IDENTIFIER_AVAILABLE => {
            row("subscription identifier available", Byte, CONNACK)
        }
        SHARED_SUBSCRIPTION_AVAILABLE => row("shared subscription available", Byte, CONNACK),
        _ => return None,
    })
}

/// A property that stands at most once.
const fn row(name: &'static str, wire: WireType, allowed: u16) -> PropertyInfo {
    PropertyInfo {
        name,
        wire,
        allowed,
        repeatable: 0,
    }
}

/// The standard's name of a property, for messages.
pub(in crate::mqtt) const fn property_name(id: u8) -> Option<&'static str> {
    match lookup(id) {
        Some(info) => Some(info.name),
        None => None,
    }
}
