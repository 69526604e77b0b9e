//! PUBACK, PUBREC, PUBREL and PUBCOMP, in the shortest form their content allows.

use bytes::BytesMut;

use super::{properties_len, put_properties};
use crate::mqtt::packet::Ack;
use crate::mqtt::reason::ReasonCode;
use crate::mqtt::types::ProtocolVersion;

#[inline]
pub(super) fn body_len(ack: &Ack<'_>, version: ProtocolVersion) -> usize {
    match parts(ack, version) {
        (false, _) => 2,
        (true, false) => 3,
        (true, true) => 3 + properties_len(ack.properties, version),
    }
}

#[inline]
pub(super) fn write(ack: &Ack<'_>, version: ProtocolVersion, out: &mut BytesMut) {
    let (has_reason, has_properties) = parts(ack, version);
    out.extend_from_slice(&ack.packet_id.get().to_be_bytes());
    if has_reason {
        out.extend_from_slice(&[ack.reason.as_u8()]);
    }
    if has_properties {
        put_properties(ack.properties, version, out);
    }
}

/// Whether the reason code and whether the properties are written.
#[inline]
fn parts(ack: &Ack<'_>, version: ProtocolVersion) -> (bool, bool) {
    let has_properties = version.is_v5() && !ack.properties.is_empty();
    let has_reason = version.is_v5() && (has_properties || ack.reason != ReasonCode::Success);
    (has_reason, has_properties)
}
