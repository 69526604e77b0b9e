//! The payloads of SUBSCRIBE and UNSUBSCRIBE: lists of topic filters as they are on the wire.

use std::fmt;

use super::error::{EncodeError, Field};
use super::types::SubscribeOptions;

/// Filters with their options. Iterating allocates nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscribeFilters<'a> {
    raw: &'a [u8],
}

impl<'a> SubscribeFilters<'a> {
    /// Wraps bytes the decoder or the builder has checked.
    pub(super) const fn from_validated(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The bytes, with v5 option bytes.
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Each filter with its options.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, SubscribeOptions)> + Clone + use<'a> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let (filter, after) = split_text(rest)?;
            let (options, after) = after.split_first()?;
            rest = after;
            Some((filter, SubscribeOptions::from_bits(*options)?))
        })
    }
}

impl fmt::Debug for SubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Builds the filters of a SUBSCRIBE, for bridges and client tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeFiltersBuf(Vec<u8>);

impl SubscribeFiltersBuf {
    /// Appends a filter; fails if it is longer than 65,535 bytes.
    pub fn push(&mut self, filter: &str, options: SubscribeOptions) -> Result<(), EncodeError> {
        push_text(&mut self.0, filter)?;
        self.0.push(options.to_bits());
        Ok(())
    }

    /// The list, to put into a packet.
    pub fn as_filters(&self) -> SubscribeFilters<'_> {
        SubscribeFilters::from_validated(&self.0)
    }
}

/// Filters to unsubscribe from. Iterating allocates nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct UnsubscribeFilters<'a> {
    raw: &'a [u8],
}

impl<'a> UnsubscribeFilters<'a> {
    /// Wraps bytes the decoder or the builder has checked.
    pub(super) const fn from_validated(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The bytes.
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Each filter.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let (filter, after) = split_text(rest)?;
            rest = after;
            Some(filter)
        })
    }
}

impl fmt::Debug for UnsubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Builds the filters of an UNSUBSCRIBE, for bridges and client tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnsubscribeFiltersBuf(Vec<u8>);

impl UnsubscribeFiltersBuf {
    /// Appends a filter; fails if it is longer than 65,535 bytes.
    pub fn push(&mut self, filter: &str) -> Result<(), EncodeError> {
        push_text(&mut self.0, filter)
    }

    /// The list, to put into a packet.
    pub fn as_filters(&self) -> UnsubscribeFilters<'_> {
        UnsubscribeFilters::from_validated(&self.0)
    }
}

fn split_text(raw: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = raw.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

fn push_text(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    let len =
        u16::try_from(text.len()).map_err(|_| EncodeError::FieldTooLong(Field::TopicFilter))?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
