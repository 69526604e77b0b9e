//! CONNECT: the only packet that names its version.

use super::properties;
use crate::mqtt::error::{DecodeError, DecodeErrorKind, Field};
use crate::mqtt::packet::{Connect, Will};
use crate::mqtt::property::PropertyLocation;
use crate::mqtt::reader::Reader;
use crate::mqtt::topic::TopicName;
use crate::mqtt::types::{ProtocolVersion, QoS};

const RESERVED: u8 = 1 << 0;
const CLEAN_START: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USER_NAME: u8 = 1 << 7;

/// In the protocol level, see [`is_bridge`].
pub(crate) const BRIDGE_BIT: u8 = 0x80;

/// Whether a CONNECT body of MQTT 3 has the bit of bridges in its protocol level.
pub(super) fn is_bridge(body: &[u8]) -> bool {
    let level = level_at(body).and_then(|at| body.get(at));
    level.is_some_and(|level| matches!(level & !BRIDGE_BIT, 3 | 4) && level & BRIDGE_BIT != 0)
}

/// Where the protocol level of a CONNECT body is.
pub(crate) fn level_at(body: &[u8]) -> Option<usize> {
    let (len, _) = body.split_first_chunk::<2>()?;
    usize::from(u16::from_be_bytes(*len)).checked_add(2)
}

pub(super) fn decode(mut reader: Reader<'_>) -> Result<Connect<'_>, DecodeError> {
    let version = version(&mut reader)?;
    let flags = reader.u8(Field::ConnectFlags)?;
    check_flags(&reader, version, flags)?;
    let keep_alive = reader.u16(Field::KeepAlive)?;
    let properties = properties(&mut reader, PropertyLocation::Connect, version)?;
    let client_id = reader.string(Field::ClientId)?;
    let will = match flags & WILL {
        0 => None,
        _ => Some(will(&mut reader, version, flags)?),
    };
    let username = match has_field(&reader, version, flags & USER_NAME) {
        true => Some(reader.string(Field::UserName)?),
        false => None,
    };
    let password = match has_field(&reader, version, flags & PASSWORD) {
        true => Some(reader.binary(Field::Password)?),
        false => None,
    };
    reader.finish()?;
    Ok(Connect {
        version,
        clean_start: flags & CLEAN_START != 0,
        keep_alive,
        client_id,
        username,
        password,
        will,
        properties,
    })
}

/// Reads protocol name and level. The name is compared before anything else is said about it, so that any
/// other protocol is answered as an unsupported one.
pub(super) fn version(reader: &mut Reader<'_>) -> Result<ProtocolVersion, DecodeError> {
    let name = reader.binary(Field::ProtocolName)?;
    if name != b"MQTT" && name != b"MQIsdp" {
        let kind = DecodeErrorKind::UnsupportedProtocolName;
        return Err(reader.error(kind, Field::ProtocolName));
    }
    let level = reader.u8(Field::ProtocolLevel)?;
    let level = match level & !BRIDGE_BIT {
        plain @ (3 | 4) => plain,
        _ => level,
    };
    [
        ProtocolVersion::V31,
        ProtocolVersion::V311,
        ProtocolVersion::V5,
    ]
    .into_iter()
    .find(|version| version.level() == level && version.name().as_bytes() == name)
    .ok_or_else(|| {
        reader.error(
            DecodeErrorKind::UnsupportedProtocolLevel,
            Field::ProtocolLevel,
        )
    })
}

/// MQTT 3.1 disregards the reserved flag, and QoS and retain of a will that is not there.
fn check_flags(
    reader: &Reader<'_>,
    version: ProtocolVersion,
    flags: u8,
) -> Result<(), DecodeError> {
    let has_will = flags & WILL != 0;
    let has_password_only = flags & (PASSWORD | USER_NAME) == PASSWORD;
    let strict = version != ProtocolVersion::V31;
    let kind = if strict && flags & RESERVED != 0 {
        DecodeErrorKind::ReservedConnectFlag
    } else if has_will && will_qos(flags).is_none() {
        DecodeErrorKind::InvalidWillQoS
    } else if strict && !has_will && will_qos(flags) != Some(QoS::AtMostOnce) {
        DecodeErrorKind::WillQoSWithoutWill
    } else if strict && !has_will && flags & WILL_RETAIN != 0 {
        DecodeErrorKind::WillRetainWithoutWill
    } else if !version.is_v5() && has_password_only {
        DecodeErrorKind::PasswordWithoutUserName
    } else {
        return Ok(());
    };
    Err(reader.error(kind, Field::ConnectFlags))
}

const fn will_qos(flags: u8) -> Option<QoS> {
    QoS::from_bits((flags >> 3) & 0b11)
}

fn will<'a>(
    reader: &mut Reader<'a>,
    version: ProtocolVersion,
    flags: u8,
) -> Result<Will<'a>, DecodeError> {
    let properties = properties(reader, PropertyLocation::Will, version)?;
    let topic = reader.string(Field::WillTopic)?;
    if TopicName::parse(topic).is_err() {
        return Err(reader.error(DecodeErrorKind::InvalidWillTopic, Field::WillTopic));
    }
    Ok(Will {
        topic,
        payload: reader.binary(Field::WillPayload)?,
        qos: will_qos(flags).unwrap_or_default(),
        retain: flags & WILL_RETAIN != 0,
        properties,
    })
}

/// Whether a flagged field follows. MQTT 3.1 lets a packet end before user name or password although the
/// flag is set, as clients older than these fields did.
const fn has_field(reader: &Reader<'_>, version: ProtocolVersion, flag: u8) -> bool {
    flag != 0 && !(matches!(version, ProtocolVersion::V31) && reader.is_empty())
}
