//! What can be wrong with a packet: one table of kinds, each with its clause and reason code.

use std::fmt;

use super::property::property_name;
use super::reason::ReasonCode;
use super::types::{PacketType, ProtocolVersion};

/// Declares the kinds of decoding errors and everything known about each.
macro_rules! decode_error_kinds {
    ($($kind:ident, $name:literal, $reason:ident, $clause:literal, $text:literal;)+) => {
        /// What is wrong with a packet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DecodeErrorKind {
            $(#[doc = concat!($text, " `[", $clause, "]`")] $kind,)+
        }

        impl DecodeErrorKind {
            /// Every kind, for statistics that list all of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// A stable snake_case name, used as a statistics key.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// The code to put into the CONNACK or DISCONNECT that answers the packet.
            pub const fn reason(self) -> ReasonCode {
                match self { $(Self::$kind => ReasonCode::$reason,)+ }
            }

            /// The clause or section of the standard that is violated.
            pub const fn clause(self) -> &'static str {
                match self { $(Self::$kind => $clause,)+ }
            }

            const fn text(self) -> &'static str {
                match self { $(Self::$kind => $text,)+ }
            }
        }
    };
}

decode_error_kinds! {
    RemainingLengthTooLong, "remaining_length_too_long", MalformedPacket, "MQTT-2.1.4", "more than four bytes of remaining length";
    LengthNotMinimal, "length_not_minimal", MalformedPacket, "MQTT-1.5.5-1", "variable byte integer not minimally encoded";
    LengthTooLong, "length_too_long", MalformedPacket, "MQTT-1.5.5", "variable byte integer of more than four bytes";
    PacketTooLarge, "packet_too_large", PacketTooLarge, "MQTT-3.2.2-15", "packet larger than the limit";
    ReservedPacketType, "reserved_packet_type", MalformedPacket, "MQTT-2.1.2", "reserved packet type";
    ReservedFlags, "reserved_flags", MalformedPacket, "MQTT-2.1.3-1", "reserved flag bits with the wrong value";
    UnexpectedPacket, "unexpected_packet", ProtocolError, "MQTT-2.1.2", "packet of the other direction";
    Truncated, "truncated", MalformedPacket, "MQTT-4.13.1-1", "packet ends before the field does";
    TrailingBytes, "trailing_bytes", MalformedPacket, "MQTT-4.13.1-1", "bytes after the last field";
    InvalidUtf8, "invalid_utf8", MalformedPacket, "MQTT-1.5.4-1", "invalid UTF-8";
    NulCharacter, "nul_character", MalformedPacket, "MQTT-1.5.4-2", "character U+0000";
    InvalidQoS, "invalid_qos", MalformedPacket, "MQTT-3.3.1-4", "QoS 3";
    DupWithQoS0, "dup_with_qos_0", MalformedPacket, "MQTT-3.3.1-2", "DUP with QoS 0";
    ZeroPacketId, "zero_packet_id", ProtocolError, "MQTT-2.2.1-3", "packet identifier 0";
    UnsupportedProtocolName, "unsupported_protocol_name", UnsupportedProtocolVersion, "MQTT-3.1.2-1", "unknown protocol name";
    UnsupportedProtocolLevel, "unsupported_protocol_level", UnsupportedProtocolVersion, "MQTT-3.1.2-2", "unknown protocol level";
    ReservedConnectFlag, "reserved_connect_flag", MalformedPacket, "MQTT-3.1.2-3", "reserved flag set";
    WillQoSWithoutWill, "will_qos_without_will", MalformedPacket, "MQTT-3.1.2-11", "will QoS without a will";
    WillRetainWithoutWill, "will_retain_without_will", MalformedPacket, "MQTT-3.1.2-13", "will retain without a will";
    InvalidWillQoS, "invalid_will_qos", MalformedPacket, "MQTT-3.1.2-12", "will QoS 3";
    InvalidWillTopic, "invalid_will_topic", TopicNameInvalid, "MQTT-4.7.0-1", "empty, or with wildcard characters";
    PasswordWithoutUserName, "password_without_user_name", MalformedPacket, "MQTT-3.1.2-22 of 3.1.1", "password without a user name";
    UnknownProperty, "unknown_property", MalformedPacket, "MQTT-2.2.2.2", "unknown property identifier";
    PropertyNotAllowed, "property_not_allowed", MalformedPacket, "MQTT-2.2.2.2", "property not allowed here";
    DuplicateProperty, "duplicate_property", ProtocolError, "MQTT-2.2.2.2", "property given twice";
    PropertyOutOfRange, "property_out_of_range", ProtocolError, "MQTT-2.2.2.2", "value out of range";
    ZeroTopicAlias, "zero_topic_alias", TopicAliasInvalid, "MQTT-3.3.2-8", "topic alias 0";
    SubscriptionIdFromClient, "subscription_id_from_client", ProtocolError, "MQTT-3.3.4-6", "subscription identifier sent by a client";
    InvalidResponseTopic, "invalid_response_topic", ProtocolError, "MQTT-3.3.2-14", "empty, or with wildcard characters";
    AuthDataWithoutMethod, "auth_data_without_method", ProtocolError, "MQTT-3.1.2.11.10", "authentication data without a method";
    NoTopicFilter, "no_topic_filter", ProtocolError, "MQTT-3.8.3-2", "no topic filter";
    ReservedSubscribeOptions, "reserved_subscribe_options", MalformedPacket, "MQTT-3.8.3-5", "reserved bits set";
    InvalidSubscribeQoS, "invalid_subscribe_qos", ProtocolError, "MQTT-3.8.3.1", "QoS 3";
    InvalidRetainHandling, "invalid_retain_handling", ProtocolError, "MQTT-3.8.3.1", "retain handling 3";
    NoLocalOnShared, "no_local_on_shared", ProtocolError, "MQTT-3.8.3-4", "No Local on a shared subscription";
    InvalidReasonCode, "invalid_reason_code", ProtocolError, "MQTT-2.4", "reason code not defined for the packet";
    InvalidAckFlags, "invalid_ack_flags", MalformedPacket, "MQTT-3.2.2-1", "reserved flag bits set";
    SessionPresentOnRefusal, "session_present_on_refusal", ProtocolError, "MQTT-3.2.2-6", "session present in a refusal";
}

/// The part of a packet that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the standard's field names")]
pub enum Field {
    FixedHeader,
    ProtocolName,
    ProtocolLevel,
    ConnectFlags,
    KeepAlive,
    ClientId,
    WillTopic,
    WillPayload,
    UserName,
    Password,
    AckFlags,
    ReasonCode,
    PacketId,
    TopicName,
    TopicFilter,
    SubscribeOptions,
    PropertyLength,
    /// A property, by its identifier, which may be unknown.
    Property(u8),
    Body,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::FixedHeader => "fixed header",
            Self::ProtocolName => "protocol name",
            Self::ProtocolLevel => "protocol level",
            Self::ConnectFlags => "connect flags",
            Self::KeepAlive => "keep alive",
            Self::ClientId => "client identifier",
            Self::WillTopic => "will topic",
            Self::WillPayload => "will payload",
            Self::UserName => "user name",
            Self::Password => "password",
            Self::AckFlags => "acknowledge flags",
            Self::ReasonCode => "reason code",
            Self::PacketId => "packet identifier",
            Self::TopicName => "topic name",
            Self::TopicFilter => "topic filter",
            Self::SubscribeOptions => "subscription options",
            Self::PropertyLength => "property length",
            Self::Property(id) => match property_name(id) {
                Some(name) => name,
                None => return write!(f, "property {id:#04x}"),
            },
            Self::Body => "body",
        })
    }
}

/// Why a packet could not be decoded. The connection it came from has to be closed `[MQTT-4.13.1-1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The kind of the packet; none if its type is reserved.
    pub packet: Option<PacketType>,
    /// Where in the packet.
    pub field: Field,
    /// Offset in bytes from the start of the field; only text errors have one other than 0.
    pub at: u32,
}

impl DecodeError {
    #[cold]
    pub(super) const fn new(
        kind: DecodeErrorKind,
        packet: Option<PacketType>,
        field: Field,
    ) -> Self {
        Self {
            kind,
            packet,
            field,
            at: 0,
        }
    }

    /// The code to put into the CONNACK or DISCONNECT that answers the packet.
    pub const fn reason(&self) -> ReasonCode {
        self.kind.reason()
    }

    /// A stable snake_case name of the kind, used as a statistics key.
    pub const fn kind_name(&self) -> &'static str {
        self.kind.name()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(packet) = self.packet {
            write!(f, "{}: ", packet.name())?;
        }
        write!(f, "{}: {}", self.field, self.kind.text())?;
        if matches!(
            self.kind,
            DecodeErrorKind::InvalidUtf8 | DecodeErrorKind::NulCharacter
        ) {
            write!(f, " at byte {}", self.at)?;
        }
        write!(f, " [{}]", self.kind.clause())
    }
}

impl std::error::Error for DecodeError {}

/// Why a packet cannot be put on the wire. Nothing has been written then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EncodeError {
    /// A string or binary field is longer than 65,535 bytes.
    FieldTooLong(Field),
    /// A property value outside what its encoding can hold.
    ValueTooLarge(Field),
    /// The body is longer than 268,435,455 bytes.
    PacketTooLarge,
    /// A PUBLISH with QoS 1 or 2 without a packet identifier `[MQTT-2.2.1-4]`.
    MissingPacketId,
    /// The version has no packet of this kind.
    NotInVersion(PacketType, ProtocolVersion),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldTooLong(field) => write!(f, "{field}: longer than 65535 bytes"),
            Self::ValueTooLarge(field) => write!(f, "{field}: value too large for its encoding"),
            Self::PacketTooLarge => f.write_str("packet larger than 268435455 bytes"),
            Self::MissingPacketId => {
                f.write_str("PUBLISH with QoS 1 or 2 without a packet identifier")
            }
            Self::NotInVersion(packet, version) => {
                write!(
                    f,
                    "{} does not exist at protocol level {}",
                    packet.name(),
                    version.level()
                )
            }
        }
    }
}

impl std::error::Error for EncodeError {}
