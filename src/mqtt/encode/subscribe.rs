//! SUBSCRIBE, UNSUBSCRIBE and their answers.

use bytes::{BufMut, BytesMut};

use super::{properties_len, put_prefixed, put_properties};
use crate::mqtt::packet::{SubAck, Subscribe, Unsubscribe};
use crate::mqtt::types::ProtocolVersion;

pub(super) const fn body_len(subscribe: &Subscribe<'_>, version: ProtocolVersion) -> usize {
    2 + properties_len(subscribe.properties, version) + subscribe.filters.raw().len()
}

pub(super) fn write(subscribe: &Subscribe<'_>, version: ProtocolVersion, out: &mut BytesMut) {
    out.put_u16(subscribe.packet_id.get());
    put_properties(subscribe.properties, version, out);
    if version.is_v5() {
        out.extend_from_slice(subscribe.filters.raw());
        return;
    }
    // v3 has no option but the QoS; the length is the same.
    for (filter, options) in subscribe.filters() {
        put_prefixed(filter.as_bytes(), out);
        out.put_u8(options.qos as u8);
    }
}

pub(super) const fn unsubscribe_len(packet: &Unsubscribe<'_>, version: ProtocolVersion) -> usize {
    2 + properties_len(packet.properties, version) + packet.filters.raw().len()
}

pub(super) fn write_unsubscribe(
    packet: &Unsubscribe<'_>,
    version: ProtocolVersion,
    out: &mut BytesMut,
) {
    out.put_u16(packet.packet_id.get());
    put_properties(packet.properties, version, out);
    out.extend_from_slice(packet.filters.raw());
}

pub(super) const fn suback_len(suback: &SubAck<'_>, version: ProtocolVersion) -> usize {
    2 + properties_len(suback.properties, version) + suback.reasons.len()
}

pub(super) fn write_suback(suback: &SubAck<'_>, version: ProtocolVersion, out: &mut BytesMut) {
    out.put_u16(suback.packet_id.get());
    put_properties(suback.properties, version, out);
    if version.is_v5() {
        out.extend_from_slice(suback.reasons);
        return;
    }
    // v3 knows one failure.
    for &reason in suback.reasons {
        out.put_u8(reason.min(0x80));
    }
}

/// A v3 UNSUBACK has neither properties nor reason codes.
pub(super) const fn unsuback_len(unsuback: &SubAck<'_>, version: ProtocolVersion) -> usize {
    if !version.is_v5() {
        return 2;
    }
    suback_len(unsuback, version)
}

pub(super) fn write_unsuback(unsuback: &SubAck<'_>, version: ProtocolVersion, out: &mut BytesMut) {
    out.put_u16(unsuback.packet_id.get());
    if version.is_v5() {
        put_properties(unsuback.properties, version, out);
        out.extend_from_slice(unsuback.reasons);
    }
}
