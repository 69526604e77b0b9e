//! CONNECT and CONNACK.

use bytes::BytesMut;

use super::{prefixed_len, properties_len, put_prefixed, put_properties};
use crate::mqtt::error::{EncodeError, Field};
use crate::mqtt::packet::{ConnAck, Connect};
use crate::mqtt::reason::ReasonCode;
use crate::mqtt::types::ProtocolVersion;

pub(super) fn body_len(connect: &Connect<'_>) -> Result<usize, EncodeError> {
    let version = connect.version;
    // Name with prefix, level, flags, keep alive.
    let mut len = 2 + version.name().len() + 4 + properties_len(connect.properties, version);
    len += prefixed_len(connect.client_id.as_bytes(), Field::ClientId)?;
    if let Some(will) = &connect.will {
        len += properties_len(will.properties, version);
        len += prefixed_len(will.topic.as_bytes(), Field::WillTopic)?;
        len += prefixed_len(will.payload, Field::WillPayload)?;
    }
    if let Some(username) = connect.username {
        len += prefixed_len(username.as_bytes(), Field::UserName)?;
    }
    if let Some(password) = connect.password {
        len += prefixed_len(password, Field::Password)?;
    }
    Ok(len)
}

pub(super) fn write(connect: &Connect<'_>, out: &mut BytesMut) {
    let version = connect.version;
    put_prefixed(version.name().as_bytes(), out);
    out.extend_from_slice(&[version.level(), flags(connect)]);
    out.extend_from_slice(&connect.keep_alive.to_be_bytes());
    put_properties(connect.properties, version, out);
    put_prefixed(connect.client_id.as_bytes(), out);
    if let Some(will) = &connect.will {
        put_properties(will.properties, version, out);
        put_prefixed(will.topic.as_bytes(), out);
        put_prefixed(will.payload, out);
    }
    if let Some(username) = connect.username {
        put_prefixed(username.as_bytes(), out);
    }
    if let Some(password) = connect.password {
        put_prefixed(password, out);
    }
}

fn flags(connect: &Connect<'_>) -> u8 {
    let will = match &connect.will {
        Some(will) => 1 << 2 | (will.qos as u8) << 3 | u8::from(will.retain) << 5,
        None => 0,
    };
    u8::from(connect.clean_start) << 1
        | will
        | u8::from(connect.password.is_some()) << 6
        | u8::from(connect.username.is_some()) << 7
}

pub(super) const fn connack_len(connack: &ConnAck<'_>, version: ProtocolVersion) -> usize {
    2 + properties_len(connack.properties, version)
}

pub(super) fn write_connack(connack: &ConnAck<'_>, version: ProtocolVersion, out: &mut BytesMut) {
    // A refusal never says that a session is present [MQTT-3.2.2-6], and v3.1 has no such flag.
    let session_present = connack.session_present
        && connack.reason == ReasonCode::Success
        && version != ProtocolVersion::V31;
    let code = match version {
        ProtocolVersion::V5 => connack.reason.as_u8(),
        ProtocolVersion::V31 | ProtocolVersion::V311 => connack.reason.v3_return_code(),
    };
    out.extend_from_slice(&[u8::from(session_present), code]);
    put_properties(connack.properties, version, out);
}
