//! PUBACK, PUBREC, PUBREL and PUBCOMP, which have one format.

use super::{properties, reason_code};
use crate::mqtt::error::DecodeError;
use crate::mqtt::packet::Ack;
use crate::mqtt::property::{Properties, PropertyLocation};
use crate::mqtt::reader::Reader;
use crate::mqtt::reason::ReasonCode;
use crate::mqtt::types::{ProtocolVersion, Sender};

/// In v5 the reason code may be left out if it is `Success`, and the properties if there are none.
#[inline]
pub(super) fn decode<'a>(
    mut reader: Reader<'a>,
    location: PropertyLocation,
    version: ProtocolVersion,
) -> Result<Ack<'a>, DecodeError> {
    let packet_id = reader.packet_id()?;
    let mut ack = Ack {
        packet_id,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    };
    if version.is_v5() && !reader.is_empty() {
        // Both sides may send every code of these packets.
        ack.reason = reason_code(&mut reader, location.packet_type(), Sender::Client)?;
        if !reader.is_empty() {
            ack.properties = properties(&mut reader, location, version)?;
        }
    }
    reader.finish()?;
    Ok(ack)
}
