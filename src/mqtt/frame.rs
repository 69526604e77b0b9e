//! Where a packet starts and ends in a stream of bytes.

use super::error::{DecodeError, DecodeErrorKind, Field};
use super::types::PacketType;

/// The largest body a remaining length can announce.
pub const MAX_REMAINING_LENGTH: usize = 268_435_455;

/// The fixed header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Packet type and flags.
    pub first_byte: u8,
    /// Length of the fixed header in bytes, 2 to 5.
    pub header_len: usize,
    /// Length of what follows in bytes.
    pub body_len: usize,
}

impl FrameHeader {
    /// Length of the whole packet in bytes.
    #[inline]
    pub const fn packet_len(&self) -> usize {
        self.header_len + self.body_len
    }
}

/// Looks for one whole packet at the start of `buf`; `Ok(None)` as long as bytes are missing.
///
/// `max_packet_size` limits the whole packet, in bytes. Errors are reported as soon as they are certain,
/// before the rest of the packet has arrived: a remaining length of five bytes or not minimally encoded,
/// a packet over the limit, a reserved type, wrong flag bits.
#[inline]
pub fn frame_header(buf: &[u8], max_packet_size: u32) -> Result<Option<FrameHeader>, DecodeError> {
    match peek_header(buf, max_packet_size)? {
        Some(header) if buf.len() >= header.packet_len() => Ok(Some(header)),
        _ => Ok(None),
    }
}

/// Like [`frame_header`], but answers as soon as the header itself is complete, so that a reader can tell
/// how many bytes are still to come.
#[inline]
pub fn peek_header(buf: &[u8], max_packet_size: u32) -> Result<Option<FrameHeader>, DecodeError> {
    let Some((&first_byte, rest)) = buf.split_first() else {
        return Ok(None);
    };
    let packet = check_first_byte(first_byte)?;
    let Some((len_bytes, body_len)) = remaining_length(rest, packet)? else {
        return Ok(None);
    };
    let header = FrameHeader {
        first_byte,
        header_len: 1 + len_bytes,
        body_len,
    };
    // A usize is wider than 32 bits or as wide, so neither side of the comparison is cut.
    if header.packet_len() > max_packet_size as usize {
        return Err(error(DecodeErrorKind::PacketTooLarge, packet));
    }
    Ok(Some(header))
}

/// The topics of the PUBLISH packets at the start of `packets`, as far as those are whole and can be read; those that an
/// alias stands for are left out. Nothing else is checked.
pub fn topics_in(mut packets: &[u8]) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        loop {
            let header = frame_header(packets, u32::MAX).ok()??;
            let (packet, behind) = packets.split_at_checked(header.packet_len())?;
            packets = behind;
            if header.first_byte >> 4 != PacketType::Publish as u8 {
                continue;
            }
            let (length, body) = packet.get(header.header_len..)?.split_first_chunk()?;
            let topic = body.get(..usize::from(u16::from_be_bytes(*length)))?;
            if !topic.is_empty() {
                return std::str::from_utf8(topic).ok();
            }
        }
    })
}

/// The packet type, if its flag bits are ones some version allows.
///
/// MQTT 3.1 lets a client set DUP when it repeats PUBREL, SUBSCRIBE or UNSUBSCRIBE. Which version is spoken
/// is not known here, so [`decode`](super::decode) refuses that bit for the other versions.
#[inline]
pub(super) fn check_first_byte(first_byte: u8) -> Result<PacketType, DecodeError> {
    let Some(packet) = PacketType::from_first_byte(first_byte) else {
        let kind = DecodeErrorKind::ReservedPacketType;
        return Err(DecodeError::new(kind, None, Field::FixedHeader));
    };
    let flags = first_byte & 0x0F;
    match packet {
        PacketType::Publish => match flags {
            _ if flags & 0b0110 == 0b0110 => Err(error(DecodeErrorKind::InvalidQoS, packet)),
            _ if flags & 0b1110 == 0b1000 => Err(error(DecodeErrorKind::DupWithQoS0, packet)),
            _ => Ok(packet),
        },
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe
            if flags & 0b0111 == 0b0010 =>
        {
            Ok(packet)
        }
        _ if first_byte == packet.first_byte() => Ok(packet),
        _ => Err(error(DecodeErrorKind::ReservedFlags, packet)),
    }
}

/// The remaining length at the start of `rest`: how many bytes it takes and its value.
#[inline]
fn remaining_length(
    rest: &[u8],
    packet: PacketType,
) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut value = 0;
    let mut shift = 0;
    for (index, &byte) in rest.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err(error(DecodeErrorKind::LengthNotMinimal, packet));
            }
            return Ok(Some((index + 1, value)));
        }
        shift += 7;
    }
    if rest.len() >= 4 {
        return Err(error(DecodeErrorKind::RemainingLengthTooLong, packet));
    }
    Ok(None)
}

#[cold]
const fn error(kind: DecodeErrorKind, packet: PacketType) -> DecodeError {
    DecodeError::new(kind, Some(packet), Field::FixedHeader)
}
