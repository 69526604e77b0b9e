//! PUBLISH, the packet nearly all traffic consists of.

use super::properties;
use crate::mqtt::error::{DecodeError, DecodeErrorKind, Field};
use crate::mqtt::packet::Publish;
use crate::mqtt::property::PropertyLocation;
use crate::mqtt::reader::Reader;
use crate::mqtt::types::{PacketType, ProtocolVersion, QoS};

#[inline]
pub(super) fn decode<'a>(
    location: PropertyLocation,
    version: ProtocolVersion,
    first_byte: u8,
    body: &'a [u8],
) -> Result<Publish<'a>, DecodeError> {
    let mut reader = Reader::new(body, PacketType::Publish);
    let dup = first_byte & 0b1000 != 0;
    let Some(qos) = QoS::from_bits((first_byte >> 1) & 0b11) else {
        return Err(reader.error(DecodeErrorKind::InvalidQoS, Field::FixedHeader));
    };
    if dup && qos == QoS::AtMostOnce {
        return Err(reader.error(DecodeErrorKind::DupWithQoS0, Field::FixedHeader));
    }
    let topic = reader.string(Field::TopicName)?;
    let packet_id = match qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_id()?),
    };
    let properties = properties(&mut reader, location, version)?;
    Ok(Publish {
        dup,
        qos,
        retain: first_byte & 1 != 0,
        topic,
        packet_id,
        properties,
        payload: reader.rest(),
    })
}
