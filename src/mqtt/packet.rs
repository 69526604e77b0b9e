//! The model of every packet: the same for all versions, borrowing from the bytes it was read from.

use std::fmt;

use super::filters::{SubscribeFilters, UnsubscribeFilters};
use super::property::Properties;
use super::reason::ReasonCode;
use super::types::{PacketId, PacketType, ProtocolVersion, QoS, SubscribeOptions};

/// One packet of any version. A v3 packet has no properties and, where v3 has no codes, `Success`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the standard's packet names")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(SubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Its properties; those of a will are not among them.
    pub const fn properties(&self) -> Properties<'a> {
        match self {
            Self::Connect(packet) => packet.properties,
            Self::ConnAck(packet) => packet.properties,
            Self::Publish(packet) => packet.properties,
            Self::PubAck(packet)
            | Self::PubRec(packet)
            | Self::PubRel(packet)
            | Self::PubComp(packet) => packet.properties,
            Self::Subscribe(packet) => packet.properties,
            Self::SubAck(packet) | Self::UnsubAck(packet) => packet.properties,
            Self::Unsubscribe(packet) => packet.properties,
            Self::PingReq | Self::PingResp => Properties::EMPTY,
            Self::Disconnect(packet) => packet.properties,
            Self::Auth(packet) => packet.properties,
        }
    }

    /// The kind of the packet.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

/// A client's first packet. Its debug form does not show the password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version the client speaks from now on.
    pub version: ProtocolVersion,
    /// Whether an existing session is discarded `[MQTT-3.1.2-4]`; v3 calls it clean session.
    pub clean_start: bool,
    /// The longest silence the client promises, in seconds; 0 switches the check off.
    pub keep_alive: u16,
    /// The client identifier; empty asks the server for one `[MQTT-3.1.3-6]`.
    pub client_id: &'a str,
    /// The user name, if its flag is set.
    pub username: Option<&'a str>,
    /// The password, if its flag is set; any bytes.
    pub password: Option<&'a [u8]>,
    /// The message to publish when the connection is lost.
    pub will: Option<Will<'a>>,
    /// Properties of the connection; empty for v3.
    pub properties: Properties<'a>,
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("password", &self.password.map(|_| "..."))
            .field("will", &self.will)
            .field("properties", &self.properties)
            .finish()
    }
}

/// The message a server publishes for a client that vanished `[MQTT-3.1.2-8]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// A topic name: not empty and without wildcards.
    pub topic: &'a str,
    /// The message; may be empty.
    pub payload: &'a [u8],
    /// The QoS to publish with.
    pub qos: QoS,
    /// Whether the message is published as a retained one.
    pub retain: bool,
    /// Will properties, among them the will delay; empty for v3.
    pub properties: Properties<'a>,
}

/// A server's answer to CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server resumed a session `[MQTT-3.2.2-3]`. Written only with `Success`
    /// `[MQTT-3.2.2-6]`; v3.1 has no such flag.
    pub session_present: bool,
    /// Success, or why the connection is refused.
    pub reason: ReasonCode,
    /// What the server offers; empty for v3.
    pub properties: Properties<'a>,
}

/// An application message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether the packet was sent before; never with QoS 0 `[MQTT-3.3.1-2]`.
    pub dup: bool,
    /// How delivery is assured.
    pub qos: QoS,
    /// Whether the message is, or is to be, retained.
    pub retain: bool,
    /// Well-formed text, but not yet a [`TopicName`](super::TopicName); empty if a topic alias stands for it.
    pub topic: &'a str,
    /// The packet identifier; there for QoS 1 and 2 and only then `[MQTT-2.2.1-2]`.
    pub packet_id: Option<PacketId>,
    /// Properties of the message; empty for v3.
    pub properties: Properties<'a>,
    /// The message.
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The identifier of the PUBLISH `[MQTT-2.2.1-5]`.
    pub packet_id: PacketId,
    /// The outcome; always `Success` in v3.
    pub reason: ReasonCode,
    /// A reason string and user properties; empty for v3.
    pub properties: Properties<'a>,
}

impl Ack<'_> {
    /// An acknowledgement without properties.
    pub const fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self {
            packet_id,
            reason,
            properties: Properties::EMPTY,
        }
    }
}

/// A request for subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The identifier the SUBACK repeats.
    pub packet_id: PacketId,
    /// A subscription identifier and user properties; empty for v3.
    pub properties: Properties<'a>,
    /// The filters and options; a decoded packet has at least one `[MQTT-3.8.3-2]`.
    pub filters: SubscribeFilters<'a>,
}

impl<'a> Subscribe<'a> {
    /// Each filter with its options, in the order of the packet. A filter is well-formed text, but not yet
    /// a [`TopicFilter`](super::TopicFilter).
    pub fn filters(&self) -> impl Iterator<Item = (&'a str, SubscribeOptions)> + Clone + use<'a> {
        self.filters.iter()
    }
}

/// SUBACK or UNSUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The identifier of the request `[MQTT-2.2.1-6]`.
    pub packet_id: PacketId,
    /// A reason string and user properties; empty for v3.
    pub properties: Properties<'a>,
    /// One v5 reason code byte per filter, in the order of the request `[MQTT-3.9.3-1]`. A v3 SUBACK
    /// carries failures as 0x80, a v3 UNSUBACK carries none of them.
    pub reasons: &'a [u8],
}

/// A request to end subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The identifier the UNSUBACK repeats.
    pub packet_id: PacketId,
    /// User properties; empty for v3.
    pub properties: Properties<'a>,
    /// The filters; a decoded packet has at least one `[MQTT-3.10.3-2]`.
    pub filters: UnsubscribeFilters<'a>,
}

impl<'a> Unsubscribe<'a> {
    /// Each filter, in the order of the packet: well-formed text, but not yet a
    /// [`TopicFilter`](super::TopicFilter).
    pub fn filters(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.filters.iter()
    }
}

/// The last packet on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; always `NormalDisconnection` in v3.
    pub reason: ReasonCode,
    /// Session expiry, reason string and so on; empty for v3.
    pub properties: Properties<'a>,
}

/// A step of enhanced authentication; v5 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// The method and its data.
    pub properties: Properties<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let connect = Connect {
            version: ProtocolVersion::V311,
            clean_start: true,
            keep_alive: 0,
            client_id: "c",
            username: Some("user"),
            password: Some(b"secret"),
            will: None,
            properties: Properties::EMPTY,
        };
        let text = format!("{:?}", Packet::Connect(connect));
        assert!(
            text.contains("user") && !text.contains(&format!("{:?}", b"secret")),
            "{text}"
        );
        assert!(text.contains(r#"password: Some("...")"#), "{text}");
    }
}
