//! CONNACK.

use super::{properties, reason_code};
use crate::mqtt::error::{DecodeError, DecodeErrorKind, Field};
use crate::mqtt::packet::ConnAck;
use crate::mqtt::property::PropertyLocation;
use crate::mqtt::reader::Reader;
use crate::mqtt::reason::ReasonCode;
use crate::mqtt::types::{PacketType, ProtocolVersion, Sender};

pub(super) fn decode(
    mut reader: Reader<'_>,
    version: ProtocolVersion,
) -> Result<ConnAck<'_>, DecodeError> {
    let flags = reader.u8(Field::AckFlags)?;
    // The byte is reserved and not used in MQTT 3.1.
    let flags = if version == ProtocolVersion::V31 {
        0
    } else {
        flags
    };
    if flags > 1 {
        return Err(reader.error(DecodeErrorKind::InvalidAckFlags, Field::AckFlags));
    }
    let reason = if version.is_v5() {
        reason_code(&mut reader, PacketType::ConnAck, Sender::Server)?
    } else {
        ReasonCode::from_v3_return_code(reader.u8(Field::ReasonCode)?)
            .ok_or_else(|| reader.error(DecodeErrorKind::InvalidReasonCode, Field::ReasonCode))?
    };
    let session_present = flags == 1;
    if session_present && reason != ReasonCode::Success {
        return Err(reader.error(DecodeErrorKind::SessionPresentOnRefusal, Field::AckFlags));
    }
    let properties = properties(&mut reader, PropertyLocation::ConnAck, version)?;
    reader.finish()?;
    Ok(ConnAck {
        session_present,
        reason,
        properties,
    })
}
