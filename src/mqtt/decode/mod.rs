//! From the bytes of one packet to the model. Nothing is allocated; everything borrows from the body.

mod ack;
mod connack;
pub(super) mod connect;
mod disconnect;
mod publish;
mod suback;
mod subscribe;

use super::error::{DecodeError, DecodeErrorKind, Field};
use super::frame::check_first_byte;
use super::packet::{Ack, Packet, Publish};
use super::property::{Properties, PropertyLocation};
use super::reader::Reader;
use super::reason::ReasonCode;
use super::types::{AckType, PacketType, ProtocolVersion, Sender};

/// Decodes one packet a client sent. `body` is exactly what follows the fixed header. CONNECT names its own
/// version and ignores the argument.
///
/// # Errors
/// The packet is malformed or violates the protocol; [`DecodeError::reason`] is the code to answer with.
/// A packet that only servers send is an error as well.
pub fn decode<'a>(
    version: ProtocolVersion,
    first_byte: u8,
    body: &'a [u8],
) -> Result<Packet<'a>, DecodeError> {
    decode_as(Sender::Client, version, first_byte, body)
}

/// Decodes a PUBLISH a client sent: the hot path, which [`decode`] takes too.
///
/// The topic is well-formed text; whether it is a topic name is checked by
/// [`TopicName::parse`](super::TopicName::parse). An empty topic is legal in v5 together with an alias.
///
/// # Errors
/// As [`decode`]. The packet type in `first_byte` is not looked at.
#[inline]
pub fn decode_publish<'a>(
    version: ProtocolVersion,
    first_byte: u8,
    body: &'a [u8],
) -> Result<Publish<'a>, DecodeError> {
    publish::decode(
        PropertyLocation::PublishFromClient,
        version,
        first_byte,
        body,
    )
}

/// Decodes an acknowledgement of this kind, which both sides send alike: the hot path, which [`decode`] takes too.
///
/// # Errors
/// As [`decode`]. [`frame_header`](super::frame_header) has let `first_byte` through.
#[inline]
pub fn decode_ack<'a>(
    kind: AckType,
    version: ProtocolVersion,
    first_byte: u8,
    body: &'a [u8],
) -> Result<Ack<'a>, DecodeError> {
    let reader = Reader::new(body, kind.packet_type());
    check_flags(&reader, kind.packet_type(), first_byte, version)?;
    let location = match kind {
        AckType::PubAck => PropertyLocation::PubAck,
        AckType::PubRec => PropertyLocation::PubRec,
        AckType::PubRel => PropertyLocation::PubRel,
        AckType::PubComp => PropertyLocation::PubComp,
    };
    ack::decode(reader, location, version)
}

/// DUP on PUBREL, SUBSCRIBE and UNSUBSCRIBE exists in MQTT 3.1 only.
#[inline]
fn check_flags(
    reader: &Reader<'_>,
    packet: PacketType,
    first_byte: u8,
    version: ProtocolVersion,
) -> Result<(), DecodeError> {
    let fixed = packet == PacketType::Publish || first_byte == packet.first_byte();
    match fixed || version == ProtocolVersion::V31 {
        true => Ok(()),
        false => Err(reader.error(DecodeErrorKind::ReservedFlags, Field::FixedHeader)),
    }
}

/// Decodes one packet `sender` sent; bridges and client tools decode what a server sends.
///
/// # Errors
/// As [`decode`], with the sides exchanged if the sender is a server.
pub fn decode_as<'a>(
    sender: Sender,
    version: ProtocolVersion,
    first_byte: u8,
    body: &'a [u8],
) -> Result<Packet<'a>, DecodeError> {
    use PacketType as T;
    let packet = check_first_byte(first_byte)?;
    let client = sender == Sender::Client;
    let reader = Reader::new(body, packet);
    check_flags(&reader, packet, first_byte, version)?;
    let ack = |kind| decode_ack(kind, version, first_byte, body);
    Ok(match packet {
        T::Publish if client => Packet::Publish(decode_publish(version, first_byte, body)?),
        T::Publish => {
            let location = PropertyLocation::PublishFromServer;
            Packet::Publish(publish::decode(location, version, first_byte, body)?)
        }
        T::PubAck => Packet::PubAck(ack(AckType::PubAck)?),
        T::PubRec => Packet::PubRec(ack(AckType::PubRec)?),
        T::PubRel => Packet::PubRel(ack(AckType::PubRel)?),
        T::PubComp => Packet::PubComp(ack(AckType::PubComp)?),
        T::Connect if client => Packet::Connect(connect::decode(reader)?),
        T::Subscribe if client => Packet::Subscribe(subscribe::decode(reader, version)?),
        T::Unsubscribe if client => {
            Packet::Unsubscribe(subscribe::decode_unsubscribe(reader, version)?)
        }
        T::PingReq if client => {
            reader.finish()?;
            Packet::PingReq
        }
        T::ConnAck if !client => Packet::ConnAck(connack::decode(reader, version)?),
        T::SubAck if !client => Packet::SubAck(suback::decode(reader, version)?),
        T::UnsubAck if !client => Packet::UnsubAck(suback::decode_unsuback(reader, version)?),
        T::PingResp if !client => {
            reader.finish()?;
            Packet::PingResp
        }
        T::Disconnect if client || version.is_v5() => {
            Packet::Disconnect(disconnect::decode(reader, sender, version)?)
        }
        T::Auth if version.is_v5() => Packet::Auth(disconnect::decode_auth(reader, sender)?),
        // Type 15 is reserved before v5.
        T::Auth => {
            return Err(reader.error(DecodeErrorKind::ReservedPacketType, Field::FixedHeader));
        }
        T::Connect
        | T::ConnAck
        | T::Subscribe
        | T::SubAck
        | T::Unsubscribe
        | T::UnsubAck
        | T::PingReq
        | T::PingResp
        | T::Disconnect => {
            return Err(reader.error(DecodeErrorKind::UnexpectedPacket, Field::FixedHeader));
        }
    })
}

/// The version a CONNECT body names, if it is a supported one: in which form to refuse a CONNECT that could
/// not be decoded.
pub fn connect_version(body: &[u8]) -> Option<ProtocolVersion> {
    connect::version(&mut Reader::new(body, PacketType::Connect)).ok()
}

/// Whether a CONNECT body has the bit in its protocol level by which bridges say that they are some. It is no part of the
/// standard and known to many brokers, with MQTT 3 only.
pub fn connect_is_bridge(body: &[u8]) -> bool {
    connect::is_bridge(body)
}

/// Reads a property length and the properties; v3 has neither.
#[inline]
fn properties<'a>(
    reader: &mut Reader<'a>,
    location: PropertyLocation,
    version: ProtocolVersion,
) -> Result<Properties<'a>, DecodeError> {
    if !version.is_v5() {
        return Ok(Properties::EMPTY);
    }
    let len = reader.varint(Field::PropertyLength)?;
    if len == 0 {
        return Ok(Properties::EMPTY);
    }
    Properties::parse(reader.bytes(len as usize, Field::PropertyLength)?, location)
}

/// Reads a v5 reason code that may stand in this packet.
fn reason_code(
    reader: &mut Reader<'_>,
    packet: PacketType,
    sender: Sender,
) -> Result<ReasonCode, DecodeError> {
    let byte = reader.u8(Field::ReasonCode)?;
    ReasonCode::from_u8(byte)
        .filter(|code| code.is_allowed(packet, sender))
        .ok_or_else(|| reader.error(DecodeErrorKind::InvalidReasonCode, Field::ReasonCode))
}
