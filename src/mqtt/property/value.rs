//! One property: from its bytes and back.

use super::table::{WireType, lookup, property_id};
use crate::mqtt::error::{EncodeError, Field};

/// The largest value of a variable byte integer.
const MAX_VARINT: u32 = 268_435_455;

/// One property with its value. Intervals are seconds, flags are 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the standard's property names")]
pub enum Property<'a> {
    PayloadFormatIndicator(u8),
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionIdentifier(u32),
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(u8),
    WillDelayInterval(u32),
    RequestResponseInformation(u8),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(u16),
    MaximumQoS(u8),
    RetainAvailable(u8),
    UserProperty(&'a str, &'a str),
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(u8),
    SubscriptionIdentifierAvailable(u8),
    SharedSubscriptionAvailable(u8),
}

impl<'a> Property<'a> {
    /// The identifier on the wire.
    pub const fn id(&self) -> u8 {
        use property_id::*;
        match self {
            Self::PayloadFormatIndicator(_) => PAYLOAD_FORMAT_INDICATOR,
            Self::MessageExpiryInterval(_) => MESSAGE_EXPIRY_INTERVAL,
            Self::ContentType(_) => CONTENT_TYPE,
            Self::ResponseTopic(_) => RESPONSE_TOPIC,
            Self::CorrelationData(_) => CORRELATION_DATA,
            Self::SubscriptionIdentifier(_) => SUBSCRIPTION_IDENTIFIER,
            Self::SessionExpiryInterval(_) => SESSION_EXPIRY_INTERVAL,
            Self::AssignedClientIdentifier(_) => ASSIGNED_CLIENT_IDENTIFIER,
            Self::ServerKeepAlive(_) => SERVER_KEEP_ALIVE,
            Self::AuthenticationMethod(_) => AUTHENTICATION_METHOD,
            Self::AuthenticationData(_) => AUTHENTICATION_DATA,
            Self::RequestProblemInformation(_) => REQUEST_PROBLEM_INFORMATION,
            Self::WillDelayInterval(_) => WILL_DELAY_INTERVAL,
            Self::RequestResponseInformation(_) => REQUEST_RESPONSE_INFORMATION,
            Self::ResponseInformation(_) => RESPONSE_INFORMATION,
            Self::ServerReference(_) => SERVER_REFERENCE,
            Self::ReasonString(_) => REASON_STRING,
            Self::ReceiveMaximum(_) => RECEIVE_MAXIMUM,
            Self::TopicAliasMaximum(_) => TOPIC_ALIAS_MAXIMUM,
            Self::TopicAlias(_) => TOPIC_ALIAS,
            Self::MaximumQoS(_) => MAXIMUM_QOS,
            Self::RetainAvailable(_) => RETAIN_AVAILABLE,
            Self::UserProperty(..) => USER_PROPERTY,
            Self::MaximumPacketSize(_) => MAXIMUM_PACKET_SIZE,
            Self::WildcardSubscriptionAvailable(_) => WILDCARD_SUBSCRIPTION_AVAILABLE,
            Self::SubscriptionIdentifierAvailable(_) => SUBSCRIPTION_IDENTIFIER_AVAILABLE,
            Self::SharedSubscriptionAvailable(_) => SHARED_SUBSCRIPTION_AVAILABLE,
        }
    }

    /// Builds a property from its identifier and the bytes that follow it.
    pub(super) fn from_value(id: u8, value: &'a [u8]) -> Option<Self> {
        use property_id::*;
        Some(match id {
            PAYLOAD_FORMAT_INDICATOR => Self::PayloadFormatIndicator(byte(value)?),
            MESSAGE_EXPIRY_INTERVAL => Self::MessageExpiryInterval(u32_of(value)?),
            CONTENT_TYPE => Self::ContentType(text(value)?),
            RESPONSE_TOPIC => Self::ResponseTopic(text(value)?),
            CORRELATION_DATA => Self::CorrelationData(binary(value)?),
            SUBSCRIPTION_IDENTIFIER => Self::SubscriptionIdentifier(varint(value)?),
            SESSION_EXPIRY_INTERVAL => Self::SessionExpiryInterval(u32_of(value)?),
            ASSIGNED_CLIENT_IDENTIFIER => Self::AssignedClientIdentifier(text(value)?),
            SERVER_KEEP_ALIVE => Self::ServerKeepAlive(u16_of(value)?),
            AUTHENTICATION_METHOD => Self::AuthenticationMethod(text(value)?),
            AUTHENTICATION_DATA => Self::AuthenticationData(binary(value)?),
            REQUEST_PROBLEM_INFORMATION => Self::RequestProblemInformation(byte(value)?),
            WILL_DELAY_INTERVAL => Self::WillDelayInterval(u32_of(value)?),
            REQUEST_RESPONSE_INFORMATION => Self::RequestResponseInformation(byte(value)?),
            RESPONSE_INFORMATION => Self::ResponseInformation(text(value)?),
            SERVER_REFERENCE => Self::ServerReference(text(value)?),
            REASON_STRING => Self::ReasonString(text(value)?),
            RECEIVE_MAXIMUM => Self::ReceiveMaximum(u16_of(value)?),
            TOPIC_ALIAS_MAXIMUM => Self::TopicAliasMaximum(u16_of(value)?),
            TOPIC_ALIAS => Self::TopicAlias(u16_of(value)?),
            MAXIMUM_QOS => Self::MaximumQoS(byte(value)?),
            RETAIN_AVAILABLE => Self::RetainAvailable(byte(value)?),
            USER_PROPERTY => {
                let (key, rest) = value.split_at_checked(prefixed_len(value)?)?;
                Self::UserProperty(text(key)?, text(rest)?)
            }
            MAXIMUM_PACKET_SIZE => Self::MaximumPacketSize(u32_of(value)?),
            WILDCARD_SUBSCRIPTION_AVAILABLE => Self::WildcardSubscriptionAvailable(byte(value)?),
            SUBSCRIPTION_IDENTIFIER_AVAILABLE => {
                Self::SubscriptionIdentifierAvailable(byte(value)?)
            }
            SHARED_SUBSCRIPTION_AVAILABLE => Self::SharedSubscriptionAvailable(byte(value)?),
            _ => return None,
        })
    }

    /// Appends identifier and value; writes nothing if the value does not fit its encoding.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let id = self.id();
        match *self {
            Self::PayloadFormatIndicator(value)
            | Self::RequestProblemInformation(value)
            | Self::RequestResponseInformation(value)
            | Self::MaximumQoS(value)
            | Self::RetainAvailable(value)
            | Self::WildcardSubscriptionAvailable(value)
            | Self::SubscriptionIdentifierAvailable(value)
            | Self::SharedSubscriptionAvailable(value) => out.extend_from_slice(&[id, value]),
            Self::ServerKeepAlive(value)
            | Self::ReceiveMaximum(value)
            | Self::TopicAliasMaximum(value)
            | Self::TopicAlias(value) => {
                let [high, low] = value.to_be_bytes();
                out.extend_from_slice(&[id, high, low]);
            }
            Self::MessageExpiryInterval(value)
            | Self::SessionExpiryInterval(value)
            | Self::WillDelayInterval(value)
            | Self::MaximumPacketSize(value) => {
                out.push(id);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::SubscriptionIdentifier(value) => {
                if value > MAX_VARINT {
                    return Err(EncodeError::ValueTooLarge(Field::Property(id)));
                }
                out.push(id);
                let mut rest = value;
                while rest >= 0x80 {
                    out.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                out.push(rest as u8);
            }
            Self::ContentType(value)
            | Self::ResponseTopic(value)
            | Self::AssignedClientIdentifier(value)
            | Self::AuthenticationMethod(value)
            | Self::ResponseInformation(value)
            | Self::ServerReference(value)
            | Self::ReasonString(value) => {
                let len = prefix(value.as_bytes(), id)?;
                write_prefixed(out, Some(id), len, value.as_bytes());
            }
            Self::CorrelationData(value) | Self::AuthenticationData(value) => {
                let len = prefix(value, id)?;
                write_prefixed(out, Some(id), len, value);
            }
            Self::UserProperty(key, value) => {
                let lens = (prefix(key.as_bytes(), id)?, prefix(value.as_bytes(), id)?);
                write_prefixed(out, Some(id), lens.0, key.as_bytes());
                write_prefixed(out, None, lens.1, value.as_bytes());
            }
        }
        Ok(())
    }
}

/// Length in bytes of the value of property `id` at the start of `rest`, including length prefixes. None if
/// the identifier is unknown or bytes are missing.
pub(super) fn value_len(id: u8, rest: &[u8]) -> Option<usize> {
    Some(match lookup(id)?.wire {
        WireType::Byte => 1,
        WireType::U16 => 2,
        WireType::U32 => 4,
        WireType::VarInt => rest.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1,
        WireType::Binary | WireType::Text => prefixed_len(rest)?,
        WireType::Pair => {
            let key = prefixed_len(rest)?;
            key + prefixed_len(rest.get(key..)?)?
        }
    })
}

/// Length of a field with a length of two bytes in front, prefix included.
fn prefixed_len(bytes: &[u8]) -> Option<usize> {
    let len = bytes.first_chunk::<2>()?;
    Some(2 + usize::from(u16::from_be_bytes(*len)))
}

fn byte(value: &[u8]) -> Option<u8> {
    value.first().copied()
}

fn u16_of(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn u32_of(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn varint(value: &[u8]) -> Option<u32> {
    let mut number = 0;
    for (&byte, shift) in value.iter().zip([0, 7, 14, 21]) {
        number |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn binary(value: &[u8]) -> Option<&[u8]> {
    value.get(2..prefixed_len(value)?)
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(binary(value)?).ok()
}

fn prefix(value: &[u8], id: u8) -> Result<[u8; 2], EncodeError> {
    match u16::try_from(value.len()) {
        Ok(len) => Ok(len.to_be_bytes()),
        Err(_) => Err(EncodeError::FieldTooLong(Field::Property(id))),
    }
}

fn write_prefixed(out: &mut Vec<u8>, id: Option<u8>, len: [u8; 2], value: &[u8]) {
    out.extend(id);
    out.extend_from_slice(&len);
    out.extend_from_slice(value);
}
