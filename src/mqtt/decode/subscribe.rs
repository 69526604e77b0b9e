//! SUBSCRIBE and UNSUBSCRIBE.

use super::properties;
use crate::mqtt::error::{DecodeError, DecodeErrorKind, Field};
use crate::mqtt::filters::{SubscribeFilters, UnsubscribeFilters};
use crate::mqtt::packet::{Subscribe, Unsubscribe};
use crate::mqtt::property::PropertyLocation;
use crate::mqtt::reader::Reader;
use crate::mqtt::topic::SHARE_PREFIX;
use crate::mqtt::types::{ProtocolVersion, QoS, SubscribeOptions};

pub(super) fn decode(
    mut reader: Reader<'_>,
    version: ProtocolVersion,
) -> Result<Subscribe<'_>, DecodeError> {
    let packet_id = reader.packet_id()?;
    let properties = properties(&mut reader, PropertyLocation::Subscribe, version)?;
    let filters = SubscribeFilters::from_validated(reader.rest());
    check_not_empty(&reader)?;
    while !reader.is_empty() {
        let filter = reader.string(Field::TopicFilter)?;
        let bits = reader.u8(Field::SubscribeOptions)?;
        if let Some(kind) = options_error(bits, filter, version) {
            return Err(reader.error(kind, Field::SubscribeOptions));
        }
    }
    Ok(Subscribe {
        packet_id,
        properties,
        filters,
    })
}

pub(super) fn decode_unsubscribe(
    mut reader: Reader<'_>,
    version: ProtocolVersion,
) -> Result<Unsubscribe<'_>, DecodeError> {
    let packet_id = reader.packet_id()?;
    let properties = properties(&mut reader, PropertyLocation::Unsubscribe, version)?;
    let filters = UnsubscribeFilters::from_validated(reader.rest());
    check_not_empty(&reader)?;
    while !reader.is_empty() {
        reader.string(Field::TopicFilter)?;
    }
    Ok(Unsubscribe {
        packet_id,
        properties,
        filters,
    })
}

fn check_not_empty(reader: &Reader<'_>) -> Result<(), DecodeError> {
    match reader.is_empty() {
        true => Err(reader.error(DecodeErrorKind::NoTopicFilter, Field::TopicFilter)),
        false => Ok(()),
    }
}

/// What is wrong with an option byte; v3 has the QoS only.
fn options_error(bits: u8, filter: &str, version: ProtocolVersion) -> Option<DecodeErrorKind> {
    let reserved = if version.is_v5() {
        0b1100_0000
    } else {
        0b1111_1100
    };
    if bits & reserved != 0 {
        return Some(DecodeErrorKind::ReservedSubscribeOptions);
    }
    if QoS::from_bits(bits & 0b11).is_none() {
        return Some(DecodeErrorKind::InvalidSubscribeQoS);
    }
    let Some(options) = SubscribeOptions::from_bits(bits) else {
        return Some(DecodeErrorKind::InvalidRetainHandling);
    };
    (options.no_local && filter.starts_with(SHARE_PREFIX))
        .then_some(DecodeErrorKind::NoLocalOnShared)
}
