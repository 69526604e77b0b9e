//! A cursor over a packet's body: every read is checked and names the field it was for.

use super::error::{DecodeError, DecodeErrorKind, Field};
use super::types::{PacketId, PacketType};

/// The bytes of a body that have not been read yet.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    packet: PacketType,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) const fn new(rest: &'a [u8], packet: PacketType) -> Self {
        Self { rest, packet }
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read.
    #[inline]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[cold]
    pub(super) const fn error(&self, kind: DecodeErrorKind, field: Field) -> DecodeError {
        DecodeError::new(kind, Some(self.packet), field)
    }

    /// Fails if bytes are left.
    #[inline]
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.error(DecodeErrorKind::TrailingBytes, Field::Body))
    }

    #[inline]
    fn chunk<const N: usize>(&mut self, field: Field) -> Result<[u8; N], DecodeError> {
        let Some((chunk, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.error(DecodeErrorKind::Truncated, field));
        };
        self.rest = rest;
        Ok(*chunk)
    }

    #[inline]
    pub(super) fn u8(&mut self, field: Field) -> Result<u8, DecodeError> {
        let [byte] = self.chunk(field)?;
        Ok(byte)
    }

    #[inline]
    pub(super) fn u16(&mut self, field: Field) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.chunk(field)?))
    }

    #[inline]
    pub(super) fn u32(&mut self, field: Field) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.chunk(field)?))
    }

    /// A variable byte integer of one to four bytes `[MQTT-1.5.5-1]`.
    #[inline]
    pub(super) fn varint(&mut self, field: Field) -> Result<u32, DecodeError> {
        let first = self.u8(field)?;
        if first < 0x80 {
            return Ok(u32::from(first));
        }
        self.long_varint(first, field)
    }

    fn long_varint(&mut self, first: u8, field: Field) -> Result<u32, DecodeError> {
        let mut value = u32::from(first & 0x7F);
        for shift in [7, 14, 21] {
            let byte = self.u8(field)?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte == 0 {
                return Err(self.error(DecodeErrorKind::LengthNotMinimal, field));
            }
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error(DecodeErrorKind::LengthTooLong, field))
    }

    #[inline]
    pub(super) fn bytes(&mut self, len: usize, field: Field) -> Result<&'a [u8], DecodeError> {
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.error(DecodeErrorKind::Truncated, field));
        };
        self.rest = rest;
        Ok(bytes)
    }

    /// Binary data with a length of two bytes in front.
    #[inline]
    pub(super) fn binary(&mut self, field: Field) -> Result<&'a [u8], DecodeError> {
        let len = self.u16(field)?;
        self.bytes(usize::from(len), field)
    }

    /// Text with a length of two bytes in front: well-formed UTF-8 without U+0000 `[MQTT-1.5.4-1]`
    /// `[MQTT-1.5.4-2]`.
    #[inline]
    pub(super) fn string(&mut self, field: Field) -> Result<&'a str, DecodeError> {
        let bytes = self.binary(field)?;
        match std::str::from_utf8(bytes) {
            // Without an early exit the compiler turns the search into vector instructions.
            Ok(text) if !bytes.iter().fold(false, |nul, &byte| nul | (byte == 0)) => Ok(text),
            _ => Err(self.text_error(bytes, field)),
        }
    }

    #[cold]
    fn text_error(&self, bytes: &[u8], field: Field) -> DecodeError {
        let (kind, at) = match std::str::from_utf8(bytes) {
            Err(invalid) => (DecodeErrorKind::InvalidUtf8, invalid.valid_up_to()),
            Ok(text) => (
                DecodeErrorKind::NulCharacter,
                text.find('\0').unwrap_or_default(),
            ),
        };
        // A string has at most 65,535 bytes.
        DecodeError {
            at: at as u32,
            ..self.error(kind, field)
        }
    }

    /// A packet identifier, which is not 0 `[MQTT-2.2.1-3]`.
    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        let id = self.u16(Field::PacketId)?;
        PacketId::new(id).ok_or_else(|| self.error(DecodeErrorKind::ZeroPacketId, Field::PacketId))
    }
}
