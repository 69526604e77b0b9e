//! From the model to bytes: lengths first, then one reservation, then straight writing.
//!
//! Each file has a `body_len`, which also finds what cannot be represented, and a `write`, which cannot fail.

mod ack;
mod connect;
mod disconnect;
mod publish;
mod subscribe;

use bytes::BytesMut;

use super::decode::connect::{BRIDGE_BIT, level_at};
use super::error::{EncodeError, Field};
use super::frame::MAX_REMAINING_LENGTH;
use super::packet::{Packet, Publish};
use super::property::Properties;
use super::reason::ReasonCode;
use super::types::{AckType, PacketId, PacketType, ProtocolVersion};

/// Appends one packet to `out`. Properties are left out for v3, and reason codes become what v3 has for them.
///
/// # Errors
/// A field that the wire cannot represent, or a packet the version does not have. Nothing is written then.
#[inline]
pub fn encode(
    packet: &Packet<'_>,
    version: ProtocolVersion,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    if let Packet::Publish(publish) = packet {
        return encode_publish(publish, version, out);
    }
    let body_len = body_len(packet, version)?;
    begin(packet.packet_type().first_byte(), body_len, out)?;
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack::write(ack, version, out);
        }
        Packet::Connect(connect) => connect::write(connect, out),
        Packet::ConnAck(connack) => connect::write_connack(connack, version, out),
        Packet::Subscribe(subscribe) => subscribe::write(subscribe, version, out),
        Packet::Unsubscribe(packet) => subscribe::write_unsubscribe(packet, version, out),
        Packet::SubAck(suback) => subscribe::write_suback(suback, version, out),
        Packet::UnsubAck(unsuback) => subscribe::write_unsuback(unsuback, version, out),
        Packet::Disconnect(disconnect) => disconnect::write(disconnect, version, out),
        Packet::Auth(auth) => disconnect::write_auth(auth, out),
        Packet::PingReq | Packet::PingResp | Packet::Publish(_) => {}
    }
    Ok(())
}

/// Appends one PUBLISH to `out`: the hot path.
///
/// The packet identifier is written for QoS 1 and 2 only, and DUP is not written with QoS 0
/// `[MQTT-3.3.1-2]`.
///
/// # Errors
/// As [`encode`], and [`EncodeError::MissingPacketId`].
#[inline]
pub fn encode_publish(
    publish: &Publish<'_>,
    version: ProtocolVersion,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    publish::encode(publish, version, out)
}

/// Appends an acknowledgement without properties to `out`, as [`encode`] does: another hot path.
#[inline]
pub fn encode_ack(
    kind: AckType,
    packet_id: PacketId,
    reason: ReasonCode,
    version: ProtocolVersion,
    out: &mut BytesMut,
) {
    let first_byte = kind.packet_type().first_byte();
    let [high, low] = packet_id.get().to_be_bytes();
    match version.is_v5() && reason != ReasonCode::Success {
        false => out.extend_from_slice(&[first_byte, 2, high, low]),
        true => out.extend_from_slice(&[first_byte, 3, high, low, reason.as_u8()]),
    }
}

/// Sets the bit by which bridges say that they are some in the protocol level of a whole CONNECT packet.
pub fn set_bridge_bit(packet: &mut [u8]) {
    if let Ok(Some(header)) = super::peek_header(packet, u32::MAX)
        && let Some(body) = packet.get_mut(header.header_len..)
        && let Some(level) = level_at(body).and_then(|at| body.get_mut(at))
    {
        *level |= BRIDGE_BIT;
    }
}

/// Length in bytes of a whole PUBLISH, to compare with a maximum packet size.
#[inline]
pub fn publish_len(publish: &Publish<'_>, version: ProtocolVersion) -> usize {
    whole_len(publish::body_len(publish, version))
}

/// Length in bytes of a whole packet, to compare with a maximum packet size. For a packet that cannot be
/// encoded it is `usize::MAX`, more than any limit.
pub fn packet_len(packet: &Packet<'_>, version: ProtocolVersion) -> usize {
    body_len(packet, version).map_or(usize::MAX, whole_len)
}

fn body_len(packet: &Packet<'_>, version: ProtocolVersion) -> Result<usize, EncodeError> {
    Ok(match packet {
        Packet::Publish(publish) => publish::body_len(publish, version),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack::body_len(ack, version)
        }
        Packet::Connect(connect) => connect::body_len(connect)?,
        Packet::ConnAck(connack) => connect::connack_len(connack, version),
        Packet::Subscribe(subscribe) => subscribe::body_len(subscribe, version),
        Packet::Unsubscribe(packet) => subscribe::unsubscribe_len(packet, version),
        Packet::SubAck(suback) => subscribe::suback_len(suback, version),
        Packet::UnsubAck(unsuback) => subscribe::unsuback_len(unsuback, version),
        Packet::PingReq | Packet::PingResp => 0,
        Packet::Disconnect(disconnect) => disconnect::body_len(disconnect, version),
        Packet::Auth(_) if !version.is_v5() => {
            return Err(EncodeError::NotInVersion(PacketType::Auth, version));
        }
        Packet::Auth(auth) => disconnect::auth_len(auth),
    })
}

const fn whole_len(body_len: usize) -> usize {
    1 + varint_len(body_len) + body_len
}

/// How many bytes a variable byte integer takes.
#[inline]
const fn varint_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Reserves room for the whole packet and writes the fixed header.
#[inline]
fn begin(first_byte: u8, body_len: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
    if body_len > MAX_REMAINING_LENGTH {
        return Err(EncodeError::PacketTooLarge);
    }
    out.reserve(whole_len(body_len));
    // The common short packets take one copy.
    if body_len < 0x80 {
        out.extend_from_slice(&[first_byte, body_len as u8]);
    } else {
        out.extend_from_slice(&[first_byte]);
        put_varint(body_len, out);
    }
    Ok(())
}

/// Writes a variable byte integer; the value is at most [`MAX_REMAINING_LENGTH`].
#[inline]
fn put_varint(value: usize, out: &mut BytesMut) {
    let mut rest = value;
    while rest >= 0x80 {
        out.extend_from_slice(&[rest as u8 | 0x80]);
        rest >>= 7;
    }
    out.extend_from_slice(&[rest as u8]);
}

/// Length of the property length and the properties; v3 has neither.
#[inline]
const fn properties_len(properties: Properties<'_>, version: ProtocolVersion) -> usize {
    if !version.is_v5() {
        return 0;
    }
    let len = properties.raw().len();
    varint_len(len) + len
}

/// Writes the property length and the properties, if the version has them.
#[inline]
fn put_properties(properties: Properties<'_>, version: ProtocolVersion, out: &mut BytesMut) {
    if !version.is_v5() {
        return;
    }
    // Most packets have none: one byte and no empty copy.
    if properties.is_empty() {
        out.extend_from_slice(&[0]);
        return;
    }
    put_varint(properties.raw().len(), out);
    out.extend_from_slice(properties.raw());
}

/// Length of a text or binary field with its prefix; fails if the prefix cannot hold it.
fn prefixed_len(bytes: &[u8], field: Field) -> Result<usize, EncodeError> {
    match u16::try_from(bytes.len()) {
        Ok(len) => Ok(2 + usize::from(len)),
        Err(_) => Err(EncodeError::FieldTooLong(field)),
    }
}

/// Writes a text or binary field, whose length has been checked by [`prefixed_len`].
#[inline]
fn put_prefixed(bytes: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_length_is_what_is_written() {
        let cases: [(usize, &[u8]); 8] = [
            (0, &[0]),
            (0x7f, &[0x7f]),
            (0x80, &[0x80, 1]),
            (0x3fff, &[0xff, 0x7f]),
            (0x4000, &[0x80, 0x80, 1]),
            (0x1f_ffff, &[0xff, 0xff, 0x7f]),
            (0x20_0000, &[0x80, 0x80, 0x80, 1]),
            (MAX_REMAINING_LENGTH, &[0xff, 0xff, 0xff, 0x7f]),
        ];
        for (value, bytes) in cases {
            let mut out = BytesMut::new();
            put_varint(value, &mut out);
            assert_eq!(
                (varint_len(value), &out[..]),
                (bytes.len(), bytes),
                "{value:#x}"
            );
        }
    }

    #[test]
    fn acknowledgements_are_those_of_their_packets() {
        use crate::mqtt::Ack;
        use AckType as T;
        for (kind, packet) in [
            (
                T::PubAck,
                Packet::PubAck as fn(Ack<'static>) -> Packet<'static>,
            ),
            (T::PubRec, Packet::PubRec),
            (T::PubRel, Packet::PubRel),
            (T::PubComp, Packet::PubComp),
        ] {
            for version in [
                ProtocolVersion::V31,
                ProtocolVersion::V311,
                ProtocolVersion::V5,
            ] {
                for reason in [
                    ReasonCode::Success,
                    ReasonCode::PacketIdentifierNotFound,
                    ReasonCode::QuotaExceeded,
                ] {
                    let id = PacketId::new(0x0102).unwrap();
                    let (mut own, mut expected) = (BytesMut::new(), BytesMut::new());
                    encode_ack(kind, id, reason, version, &mut own);
                    encode(&packet(Ack::new(id, reason)), version, &mut expected).unwrap();
                    assert_eq!(own, expected, "{kind:?} {version:?} {reason:?}");
                    assert_eq!(AckType::from_first_byte(own[0]), Some(kind));
                }
            }
        }
    }
}
