//! DISCONNECT and AUTH: a reason code and properties, or nothing at all.

use super::{properties, reason_code};
use crate::mqtt::error::DecodeError;
use crate::mqtt::packet::{Auth, Disconnect};
use crate::mqtt::property::{Properties, PropertyLocation};
use crate::mqtt::reader::Reader;
use crate::mqtt::reason::ReasonCode;
use crate::mqtt::types::{PacketType, ProtocolVersion, Sender};

/// In v3 the body is empty. In v5 it may be, and the properties may be left out.
pub(super) fn decode(
    mut reader: Reader<'_>,
    sender: Sender,
    version: ProtocolVersion,
) -> Result<Disconnect<'_>, DecodeError> {
    let mut packet = Disconnect {
        reason: ReasonCode::NormalDisconnection,
        properties: Properties::EMPTY,
    };
    if version.is_v5() && !reader.is_empty() {
        packet.reason = reason_code(&mut reader, PacketType::Disconnect, sender)?;
        if !reader.is_empty() {
            let location = match sender {
                Sender::Client => PropertyLocation::DisconnectFromClient,
                Sender::Server => PropertyLocation::DisconnectFromServer,
            };
            packet.properties = properties(&mut reader, location, version)?;
        }
    }
    reader.finish()?;
    Ok(packet)
}

/// An empty body is `Success` without properties; otherwise both parts are there.
pub(super) fn decode_auth(mut reader: Reader<'_>, sender: Sender) -> Result<Auth<'_>, DecodeError> {
    let mut packet = Auth {
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    };
    if !reader.is_empty() {
        packet.reason = reason_code(&mut reader, PacketType::Auth, sender)?;
        packet.properties = properties(&mut reader, PropertyLocation::Auth, ProtocolVersion::V5)?;
        reader.finish()?;
    }
    Ok(packet)
}
