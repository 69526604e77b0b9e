//! Properties as they are on the wire: validated once, then iterated without allocating.

mod buf;
mod table;
mod value;

use std::fmt;

use super::error::{DecodeError, DecodeErrorKind, Field};
use super::reader::Reader;
use super::topic::has_wildcard;
use table::{PropertyInfo, WireType, lookup};

pub use buf::PropertiesBuf;
pub(super) use table::property_name;
pub use table::{PropertyLocation, property_id};
pub use value::Property;

/// The properties of one packet or will: raw bytes, already validated, without the length in front.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    raw: &'a [u8],
}

impl<'a> Properties<'a> {
    /// No properties; what v3 packets have.
    pub const EMPTY: Properties<'static> = Properties { raw: &[] };

    /// Checks the properties of a packet: known and allowed there, complete, values in range, and none twice
    /// except those that may be.
    pub fn parse(raw: &'a [u8], location: PropertyLocation) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(raw, location.packet_type());
        // One bit per identifier; the largest is 0x2A.
        let mut seen = 0_u64;
        while !reader.is_empty() {
            let id = reader.u8(Field::PropertyLength)?;
            let field = Field::Property(id);
            let Some(info) = lookup(id) else {
                return Err(reader.error(DecodeErrorKind::UnknownProperty, field));
            };
            if !info.is_allowed_in(location) {
                return Err(reader.error(not_allowed(id, location), field));
            }
            let bit = 1 << (id & 0x3F);
            if seen & bit != 0 && !info.is_repeatable_in(location) {
                return Err(reader.error(DecodeErrorKind::DuplicateProperty, field));
            }
            seen |= bit;
            check_value(&mut reader, id, &info)?;
        }
        let has = |id: u8| seen & 1 << id != 0;
        if has(property_id::AUTHENTICATION_DATA) && !has(property_id::AUTHENTICATION_METHOD) {
            let field = Field::Property(property_id::AUTHENTICATION_DATA);
            return Err(reader.error(DecodeErrorKind::AuthDataWithoutMethod, field));
        }
        Ok(Self { raw })
    }

    /// Wraps bytes built by [`PropertiesBuf`] or taken from parsed properties. Bytes that are neither are
    /// not noticed: they are sent as they are, and iteration ends where they cannot be read.
    #[inline]
    pub const fn from_validated(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The bytes, without the length in front.
    #[inline]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Each property, in the order of the packet. Stops quietly at bytes that cannot be read.
    pub const fn iter(&self) -> PropertyIter<'a> {
        PropertyIter(self.iter_raw())
    }

    /// Each property as its identifier and its bytes, identifier included: what a forwarder copies.
    pub const fn iter_raw(&self) -> RawPropertyIter<'a> {
        RawPropertyIter { rest: self.raw }
    }

    /// Whether a property is there.
    pub fn contains(&self, id: u8) -> bool {
        self.iter_raw().any(|(found, _)| found == id)
    }

    /// The first property with an identifier.
    fn find(&self, id: u8) -> Option<Property<'a>> {
        let (_, bytes) = self.iter_raw().find(|(found, _)| *found == id)?;
        Property::from_value(id, bytes.get(1..)?)
    }

    /// The user properties, in the order of the packet `[MQTT-3.3.2-18]`.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(key, value) => Some((key, value)),
            _ => None,
        })
    }

    /// The subscription identifiers of a PUBLISH from a server, which may be several `[MQTT-3.3.4-4]`.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id),
            _ => None,
        })
    }
}

/// Declares a getter per single property: each scans for its identifier.
macro_rules! getters {
    ($($name:ident: $value:ty = $id:ident, $variant:ident, $doc:literal;)+) => {
        impl<'a> Properties<'a> {
            $(
                #[doc = $doc]
                pub fn $name(&self) -> Option<$value> {
                    match self.find(property_id::$id)? {
                        Property::$variant(value) => Some(value),
                        _ => None,
                    }
                }
            )+
        }
    };
}

getters! {
    payload_format_indicator: u8 = PAYLOAD_FORMAT_INDICATOR, PayloadFormatIndicator, "1 if the payload is UTF-8 text.";
    message_expiry_interval: u32 = MESSAGE_EXPIRY_INTERVAL, MessageExpiryInterval, "Lifetime of the message in seconds.";
    content_type: &'a str = CONTENT_TYPE, ContentType, "What the payload is, e.g. a MIME type.";
    response_topic: &'a str = RESPONSE_TOPIC, ResponseTopic, "Topic for an answer; not empty, no wildcards `[MQTT-3.3.2-14]`.";
    correlation_data: &'a [u8] = CORRELATION_DATA, CorrelationData, "Bytes that tie an answer to its request.";
    subscription_identifier: u32 = SUBSCRIPTION_IDENTIFIER, SubscriptionIdentifier, "The first subscription identifier, 1 to 268,435,455.";
    session_expiry_interval: u32 = SESSION_EXPIRY_INTERVAL, SessionExpiryInterval, "Seconds a session outlives its connection; 0xFFFFFFFF is forever.";
    assigned_client_identifier: &'a str = ASSIGNED_CLIENT_IDENTIFIER, AssignedClientIdentifier, "Client identifier made up by the server.";
    server_keep_alive: u16 = SERVER_KEEP_ALIVE, ServerKeepAlive, "Keep alive in seconds that replaces the client's.";
    authentication_method: &'a str = AUTHENTICATION_METHOD, AuthenticationMethod, "Name of the enhanced authentication method.";
    authentication_data: &'a [u8] = AUTHENTICATION_DATA, AuthenticationData, "Data of the enhanced authentication.";
    request_problem_information: u8 = REQUEST_PROBLEM_INFORMATION, RequestProblemInformation, "0 if the client wants no reason strings `[MQTT-3.1.2-29]`; absent means 1.";
    will_delay_interval: u32 = WILL_DELAY_INTERVAL, WillDelayInterval, "Seconds the will waits.";
    request_response_information: u8 = REQUEST_RESPONSE_INFORMATION, RequestResponseInformation, "1 if the client asks for response information; absent means 0.";
    response_information: &'a str = RESPONSE_INFORMATION, ResponseInformation, "Basis for response topics.";
    server_reference: &'a str = SERVER_REFERENCE, ServerReference, "Another server to use.";
    reason_string: &'a str = REASON_STRING, ReasonString, "A text about the outcome, for diagnosis.";
    receive_maximum: u16 = RECEIVE_MAXIMUM, ReceiveMaximum, "QoS 1 and 2 messages that may be in flight to the sender; not 0, absent means 65,535.";
    topic_alias_maximum: u16 = TOPIC_ALIAS_MAXIMUM, TopicAliasMaximum, "Highest topic alias the sender accepts; absent means 0.";
    topic_alias: u16 = TOPIC_ALIAS, TopicAlias, "The alias of the topic; not 0.";
    maximum_qos: u8 = MAXIMUM_QOS, MaximumQoS, "Highest QoS the server accepts; absent means 2.";
    retain_available: u8 = RETAIN_AVAILABLE, RetainAvailable, "0 if the server keeps no retained messages.";
    maximum_packet_size: u32 = MAXIMUM_PACKET_SIZE, MaximumPacketSize, "Largest packet the sender accepts, in bytes; not 0.";
    wildcard_subscription_available: u8 = WILDCARD_SUBSCRIPTION_AVAILABLE, WildcardSubscriptionAvailable, "0 if the server has no wildcard subscriptions.";
    subscription_identifier_available: u8 = SUBSCRIPTION_IDENTIFIER_AVAILABLE, SubscriptionIdentifierAvailable, "0 if the server has no subscription identifiers.";
    shared_subscription_available: u8 = SHARED_SUBSCRIPTION_AVAILABLE, SharedSubscriptionAvailable, "0 if the server has no shared subscriptions.";
}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for Properties<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertyIter<'a>;

    fn into_iter(self) -> PropertyIter<'a> {
        self.iter()
    }
}

/// Iterates over [`Properties`].
#[derive(Clone, Debug)]
pub struct PropertyIter<'a>(RawPropertyIter<'a>);

impl<'a> Iterator for PropertyIter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        let (id, bytes) = self.0.next()?;
        Property::from_value(id, bytes.get(1..)?)
    }
}

/// Iterates over [`Properties`] without reading their values.
#[derive(Clone, Debug)]
pub struct RawPropertyIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for RawPropertyIter<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&id, value) = self.rest.split_first()?;
        let (property, rest) = self
            .rest
            .split_at_checked(1 + value::value_len(id, value)?)?;
        self.rest = rest;
        Some((id, property))
    }
}

const fn not_allowed(id: u8, location: PropertyLocation) -> DecodeErrorKind {
    match (id, location) {
        (property_id::SUBSCRIPTION_IDENTIFIER, PropertyLocation::PublishFromClient) => {
            DecodeErrorKind::SubscriptionIdFromClient
        }
        _ => DecodeErrorKind::PropertyNotAllowed,
    }
}

/// Reads over one value and checks it.
fn check_value(reader: &mut Reader<'_>, id: u8, info: &PropertyInfo) -> Result<(), DecodeError> {
    let field = Field::Property(id);
    let in_range = match info.wire {
        WireType::Byte => reader.u8(field)? <= 1,
        WireType::U16 => {
            let value = reader.u16(field)?;
            if value == 0 && id == property_id::TOPIC_ALIAS {
                return Err(reader.error(DecodeErrorKind::ZeroTopicAlias, field));
            }
            value != 0 || id != property_id::RECEIVE_MAXIMUM
        }
        WireType::U32 => reader.u32(field)? != 0 || id != property_id::MAXIMUM_PACKET_SIZE,
        WireType::VarInt => reader.varint(field)? != 0,
        WireType::Binary => {
            reader.binary(field)?;
            true
        }
        WireType::Text => {
            let text = reader.string(field)?;
            if id == property_id::RESPONSE_TOPIC && (text.is_empty() || has_wildcard(text)) {
                return Err(reader.error(DecodeErrorKind::InvalidResponseTopic, field));
            }
            true
        }
        WireType::Pair => {
            reader.string(field)?;
            reader.string(field)?;
            true
        }
    };
    if in_range {
        return Ok(());
    }
    Err(reader.error(DecodeErrorKind::PropertyOutOfRange, field))
}
