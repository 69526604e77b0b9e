//! Packets of the broker, decoded and with bytes of their own.

use crate::mqtt::{
    Packet, PacketType, Properties, PropertiesBuf, ProtocolVersion, Publish, QoS, ReasonCode,
    Sender, decode_as, frame_header,
};

/// What a client has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Publish(SeenPublish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(PacketType, u16, ReasonCode),
    /// SUBACK or UNSUBACK.
    Codes(PacketType, u16, Vec<u8>),
    ConnAck(bool, ReasonCode, PropertiesBuf),
    Disconnect(ReasonCode, PropertiesBuf),
    PingResp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPublish {
    pub dup: bool,
    pub qos: QoS,
    pub retain: bool,
    /// Empty where an alias stands for it.
    pub topic: String,
    pub id: Option<u16>,
    pub properties: PropertiesBuf,
    pub payload: Vec<u8>,
}

impl From<Publish<'_>> for SeenPublish {
    fn from(publish: Publish<'_>) -> Self {
        Self {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic: publish.topic.to_owned(),
            id: publish.packet_id.map(Into::into),
            properties: owned(publish.properties),
            payload: publish.payload.to_vec(),
        }
    }
}

fn owned(properties: Properties<'_>) -> PropertiesBuf {
    let mut buffer = PropertiesBuf::new();
    buffer.extend(properties);
    buffer
}

/// Decodes the first packet of `bytes`; how long it is.
pub fn read_one(version: ProtocolVersion, bytes: &[u8]) -> Option<(Seen, usize)> {
    let header = frame_header(bytes, u32::MAX).expect("a valid header")?;
    let packet = &bytes[..header.packet_len()];
    let decoded = decode_as(
        Sender::Server,
        version,
        header.first_byte,
        &packet[header.header_len..],
    );
    let decoded = decoded.unwrap_or_else(|error| panic!("{error}: {packet:02x?}"));
    let kind = decoded.packet_type();
    let seen = match decoded {
        Packet::Publish(publish) => Seen::Publish(publish.into()),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            Seen::Ack(kind, ack.packet_id.into(), ack.reason)
        }
        Packet::SubAck(codes) | Packet::UnsubAck(codes) => {
            Seen::Codes(kind, codes.packet_id.into(), codes.reasons.to_vec())
        }
        Packet::ConnAck(connack) => Seen::ConnAck(
            connack.session_present,
            connack.reason,
            owned(connack.properties),
        ),
        Packet::Disconnect(last) => Seen::Disconnect(last.reason, owned(last.properties)),
        Packet::PingResp => Seen::PingResp,
        other => panic!("not a server's packet: {other:?}"),
    };
    Some((seen, header.packet_len()))
}

/// Decodes all of `bytes`, which end with a whole packet.
pub fn read_all(version: ProtocolVersion, mut bytes: &[u8]) -> Vec<Seen> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (seen, len) = read_one(version, bytes).expect("a whole packet");
        all.push(seen);
        bytes = &bytes[len..];
    }
    all
}
