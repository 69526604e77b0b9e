//! PUBLISH, the packet nearly all traffic consists of.

use bytes::BytesMut;

use super::{begin, properties_len, put_properties};
use crate::mqtt::error::{EncodeError, Field};
use crate::mqtt::packet::Publish;
use crate::mqtt::types::{PacketType, ProtocolVersion, QoS};

#[inline]
pub(super) fn encode(
    publish: &Publish<'_>,
    version: ProtocolVersion,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let Ok(topic_len) = u16::try_from(publish.topic.len()) else {
        return Err(EncodeError::FieldTooLong(Field::TopicName));
    };
    let packet_id = match (publish.qos, publish.packet_id) {
        (QoS::AtMostOnce, _) => None,
        (_, Some(id)) => Some(id),
        (_, None) => return Err(EncodeError::MissingPacketId),
    };
    begin(first_byte(publish), body_len(publish, version), out)?;
    out.extend_from_slice(&topic_len.to_be_bytes());
    out.extend_from_slice(publish.topic.as_bytes());
    if let Some(id) = packet_id {
        out.extend_from_slice(&id.get().to_be_bytes());
    }
    put_properties(publish.properties, version, out);
    out.extend_from_slice(publish.payload);
    Ok(())
}

#[inline]
pub(super) const fn body_len(publish: &Publish<'_>, version: ProtocolVersion) -> usize {
    let packet_id = match publish.qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce | QoS::ExactlyOnce => 2,
    };
    let properties = properties_len(publish.properties, version);
    2 + publish.topic.len() + packet_id + properties + publish.payload.len()
}

#[inline]
const fn first_byte(publish: &Publish<'_>) -> u8 {
    let dup = publish.dup && !matches!(publish.qos, QoS::AtMostOnce);
    PacketType::Publish.first_byte()
        | (dup as u8) << 3
        | (publish.qos as u8) << 1
        | publish.retain as u8
}
