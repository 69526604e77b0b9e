//! A segment file: a header, twice, and then frames.
//!
//! ```text
//!   0  header, 64 bytes: "NANOMQ-S", version, segment, salt, next session, next message, checksum
//!  64  the same header again
//! 128  frame: mark (4), length of the record (4), checksum (4), record
//!      frame ...
//! ```
//!
//! Numbers are little-endian. Mark and checksum depend on the segment's random salt, so that nothing a client
//! publishes can look like a frame. Where a frame cannot be read, reading goes on at the next mark whose frame can:
//! a damaged length costs the records up to there and no others.

use super::record::{MessageNumber, SessionNumber};

/// Version of the format that is written, and the only one that is read. Format 1 was never released, and the layout of its
/// records changed while it had that number.
pub const VERSION: u32 = 2;
/// Where the first frame begins.
pub(super) const FIRST_FRAME: usize = 2 * HEADER;
/// Bytes of a frame beside its record.
pub(super) const FRAME: usize = 12;
const HEADER: usize = 64;
const NAME: &[u8; 8] = b"NANOMQ-S";

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) segment: u32,
    pub(super) salt: u64,
    /// Numbers that were not given out when the segment was begun.
    pub(super) next_session: SessionNumber,
    pub(super) next_message: MessageNumber,
}

impl Header {
    pub(super) fn new(
        segment: u32,
        next_session: SessionNumber,
        next_message: MessageNumber,
    ) -> Self {
        Self {
            version: VERSION,
            segment,
            salt: fastrand::u64(..),
            next_session,
            next_message,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIRST_FRAME);
        for _ in 0..2 {
            let start = bytes.len();
            bytes.extend_from_slice(NAME);
            bytes.extend_from_slice(&self.version.to_le_bytes());
            bytes.extend_from_slice(&self.segment.to_le_bytes());
            bytes.extend_from_slice(&self.salt.to_le_bytes());
            bytes.extend_from_slice(&self.next_session.to_le_bytes());
            bytes.extend_from_slice(&self.next_message.to_le_bytes());
            let sum = crc32fast::hash(bytes.get(start..).unwrap_or_default());
            bytes.extend_from_slice(&sum.to_le_bytes());
            bytes.resize(start + HEADER, 0);
        }
        bytes
    }

    /// The first of the two copies that can be read.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.chunks(HEADER).take(2).find_map(Self::decode_copy)
    }

    fn decode_copy(bytes: &[u8]) -> Option<Self> {
        let (fields, sum) = (bytes.get(..40)?, u32_at(bytes, 40)?);
        if !fields.starts_with(NAME) || crc32fast::hash(fields) != sum {
            return None;
        }
        Some(Self {
            version: u32_at(bytes, 8)?,
            segment: u32_at(bytes, 12)?,
            salt: u64_at(bytes, 16)?,
            next_session: u64_at(bytes, 24)?,
            next_message: u64_at(bytes, 32)?,
        })
    }

    fn mark(&self) -> [u8; 4] {
        (self.salt as u32).to_le_bytes()
    }

    fn checksum(&self, length: [u8; 4], record: &[u8]) -> u32 {
        let mut sum = crc32fast::Hasher::new_with_initial((self.salt >> 32) as u32);
        sum.update(&length);
        sum.update(record);
        sum.finalize()
    }

    /// Writes the frame's beginning in front of the record that `to` holds from `start + FRAME` on.
    pub(super) fn close_frame(&self, to: &mut [u8], start: usize) {
        let record = to.get(start + FRAME..).unwrap_or_default();
        let length = (record.len() as u32).to_le_bytes();
        let sum = self.checksum(length, record).to_le_bytes();
        let head = self.mark().into_iter().chain(length).chain(sum);
        for (byte, value) in to.iter_mut().skip(start).zip(head) {
            *byte = value;
        }
    }

    /// The record of the frame at `offset`, if it is whole.
    pub(super) fn record<'a>(&self, bytes: &'a [u8], offset: usize) -> Option<&'a [u8]> {
        let frame = bytes.get(offset..)?;
        if !frame.starts_with(&self.mark()) {
            return None;
        }
        let length = u32_at(frame, 4)?;
        let end = FRAME.checked_add(usize::try_from(length).ok()?)?;
        let record = frame.get(FRAME..end)?;
        (self.checksum(length.to_le_bytes(), record) == u32_at(frame, 8)?).then_some(record)
    }
}

/// Part of a segment, as [`frames`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A record, with the offset of its first byte.
    Record(usize, &'a [u8]),
    /// Bytes between records, or behind the last one, that are no whole frame.
    Damaged(usize, usize),
}

/// What is in a segment from `offset` on, where a frame begins.
pub(super) fn frames<'a>(
    header: &'a Header,
    bytes: &'a [u8],
    mut offset: usize,
) -> impl Iterator<Item = Part<'a>> {
    std::iter::from_fn(move || {
        if offset >= bytes.len() {
            return None;
        }
        if let Some(record) = header.record(bytes, offset) {
            let at = offset + FRAME;
            offset = at + record.len();
            return Some(Part::Record(at, record));
        }
        let start = offset;
        offset = next_frame(header, bytes, start + 1).unwrap_or(bytes.len());
        Some(Part::Damaged(start, offset))
    })
}

fn next_frame(header: &Header, bytes: &[u8], from: usize) -> Option<usize> {
    let mark = header.mark();
    let candidates = bytes.get(from..)?.windows(mark.len()).enumerate();
    candidates
        .filter(|(_, window)| **window == mark)
        .map(|(at, _)| from + at)
        .find(|at| header.record(bytes, *at).is_some())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(field.try_into().ok()?))
}
