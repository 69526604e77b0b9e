//! SUBACK and UNSUBACK.

use super::properties;
use crate::mqtt::error::{DecodeError, DecodeErrorKind, Field};
use crate::mqtt::packet::SubAck;
use crate::mqtt::property::PropertyLocation;
use crate::mqtt::reader::Reader;
use crate::mqtt::reason::ReasonCode;
use crate::mqtt::types::{PacketType, ProtocolVersion, Sender};

pub(super) fn decode(
    mut reader: Reader<'_>,
    version: ProtocolVersion,
) -> Result<SubAck<'_>, DecodeError> {
    let packet_id = reader.packet_id()?;
    let properties = properties(&mut reader, PropertyLocation::SubAck, version)?;
    let reasons = reader.rest();
    let valid = match version {
        ProtocolVersion::V5 => are_allowed(reasons, PacketType::SubAck),
        ProtocolVersion::V31 | ProtocolVersion::V311 => {
            reasons.iter().all(|code| matches!(code, 0..=2 | 0x80))
        }
    };
    if !valid {
        return Err(reader.error(DecodeErrorKind::InvalidReasonCode, Field::ReasonCode));
    }
    Ok(SubAck {
        packet_id,
        properties,
        reasons,
    })
}

/// In v3 the packet ends after the packet identifier.
pub(super) fn decode_unsuback(
    mut reader: Reader<'_>,
    version: ProtocolVersion,
) -> Result<SubAck<'_>, DecodeError> {
    let packet_id = reader.packet_id()?;
    if !version.is_v5() {
        reader.finish()?;
    }
    let properties = properties(&mut reader, PropertyLocation::UnsubAck, version)?;
    let reasons = reader.rest();
    if !are_allowed(reasons, PacketType::UnsubAck) {
        return Err(reader.error(DecodeErrorKind::InvalidReasonCode, Field::ReasonCode));
    }
    Ok(SubAck {
        packet_id,
        properties,
        reasons,
    })
}

fn are_allowed(reasons: &[u8], packet: PacketType) -> bool {
    reasons.iter().all(|&byte| {
        ReasonCode::from_u8(byte).is_some_and(|code| code.is_allowed(packet, Sender::Server))
    })
}
