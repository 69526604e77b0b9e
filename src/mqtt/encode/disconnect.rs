//! DISCONNECT and AUTH, in the shortest form their content allows.

use bytes::BytesMut;

use super::{properties_len, put_properties};
use crate::mqtt::packet::{Auth, Disconnect};
use crate::mqtt::reason::ReasonCode;
use crate::mqtt::types::ProtocolVersion;

/// In v3 the body is empty.
pub(super) fn body_len(packet: &Disconnect<'_>, version: ProtocolVersion) -> usize {
    if !version.is_v5() {
        return 0;
    }
    match (packet.reason, packet.properties.is_empty()) {
        (ReasonCode::NormalDisconnection, true) => 0,
        (_, true) => 1,
        (_, false) => 1 + properties_len(packet.properties, version),
    }
}

pub(super) fn write(packet: &Disconnect<'_>, version: ProtocolVersion, out: &mut BytesMut) {
    if body_len(packet, version) == 0 {
        return;
    }
    out.extend_from_slice(&[packet.reason.as_u8()]);
    if !packet.properties.is_empty() {
        put_properties(packet.properties, version, out);
    }
}

pub(super) fn auth_len(packet: &Auth<'_>) -> usize {
    match (packet.reason, packet.properties.is_empty()) {
        (ReasonCode::Success, true) => 0,
        _ => 1 + properties_len(packet.properties, ProtocolVersion::V5),
    }
}

pub(super) fn write_auth(packet: &Auth<'_>, out: &mut BytesMut) {
    if auth_len(packet) > 0 {
        out.extend_from_slice(&[packet.reason.as_u8()]);
        put_properties(packet.properties, ProtocolVersion::V5, out);
    }
}
