//! Every way in which a connection ends.

use std::fmt;

use crate::mqtt::{DecodeError, ReasonCode};

/// A client's breach of the protocol or of a limit: the connection is closed `[MQTT-4.13.1-1]`, `[MQTT-4.8.0-1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A packet that cannot be decoded, or that contradicts itself.
    Malformed(DecodeError),
    /// The first packet is not CONNECT `[MQTT-3.1.0-1]`.
    ConnectExpected,
    /// A second CONNECT `[MQTT-3.1.0-2]`.
    SecondConnect,
    /// A packet that only a server sends.
    ServerPacket,
    /// AUTH without an agreed method.
    AuthWithoutMethod,
    /// AUTH with another method than CONNECT `[MQTT-4.12.1-1]`.
    OtherAuthMethod,
    /// AUTH with a message that nobody waits for.
    AuthUnexpected,
    /// The client did not show again who it is `[MQTT-4.12.1-2]`.
    AuthFailed,
    /// A topic name with a wildcard character `[MQTT-3.3.2-2]`.
    TopicNameInvalid,
    /// An empty topic name without a topic alias in its place `[MQTT-4.7.3-1]`.
    TopicNameMissing,
    /// A topic alias above the maximum `[MQTT-3.3.2-9]`.
    TopicAliasInvalid,
    /// A topic alias in place of a topic name, but not set before: section 3.3.4 of the standard.
    TopicAliasUnknown,
    /// More unacknowledged QoS 2 messages than the receive maximum `[MQTT-3.3.4-7]`.
    ReceiveMaximumExceeded,
    /// A QoS above the one announced in CONNACK `[MQTT-3.2.2-11]`.
    QoSNotSupported,
    /// RETAIN although CONNACK said that it is not available `[MQTT-3.2.2-14]`.
    RetainNotSupported,
    /// A payload larger than `mqtt.max_payload_size`.
    PayloadTooLarge,
    /// More properties than `mqtt.max_properties`.
    TooManyProperties,
    /// A request whose answer is larger than the client's maximum packet size `[MQTT-3.1.2-24]`.
    AnswerTooLarge,
    /// Something that the rules do not permit, where `auth.deny_action` is `disconnect`.
    NotPermitted,
    /// DISCONNECT with a session expiry after a CONNECT without one `[MQTT-3.14.2-2]`.
    SessionExpiryRaised,
}

impl Violation {
    /// The code of the DISCONNECT that answers it.
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::Malformed(error) => error.reason(),
            Self::ConnectExpected
            | Self::SecondConnect
            | Self::ServerPacket
            | Self::AuthWithoutMethod
            | Self::OtherAuthMethod
            | Self::AuthUnexpected
            | Self::TopicNameMissing
            | Self::TopicAliasUnknown
            | Self::SessionExpiryRaised => ReasonCode::ProtocolError,
            Self::TopicNameInvalid => ReasonCode::TopicNameInvalid,
            Self::TopicAliasInvalid => ReasonCode::TopicAliasInvalid,
            Self::ReceiveMaximumExceeded => ReasonCode::ReceiveMaximumExceeded,
            Self::QoSNotSupported => ReasonCode::QoSNotSupported,
            Self::RetainNotSupported => ReasonCode::RetainNotSupported,
            Self::PayloadTooLarge | Self::AnswerTooLarge => ReasonCode::PacketTooLarge,
            Self::TooManyProperties => ReasonCode::QuotaExceeded,
            Self::NotPermitted | Self::AuthFailed => ReasonCode::NotAuthorized,
        }
    }

    /// A stable name for statistics.
    pub fn kind_name(self) -> &'static str {
        match self {
            Self::Malformed(error) => error.kind_name(),
            Self::ConnectExpected => "connect_expected",
            Self::SecondConnect => "second_connect",
            Self::ServerPacket => "server_packet",
            Self::AuthWithoutMethod => "auth_without_method",
            Self::OtherAuthMethod => "other_auth_method",
            Self::AuthUnexpected => "auth_unexpected",
            Self::AuthFailed => "auth_failed",
            Self::TopicNameInvalid => "topic_name_invalid",
            Self::TopicNameMissing => "topic_name_missing",
            Self::TopicAliasInvalid => "topic_alias_invalid",
            Self::TopicAliasUnknown => "topic_alias_unknown",
            Self::ReceiveMaximumExceeded => "receive_maximum_exceeded",
            Self::QoSNotSupported => "qos_not_supported",
            Self::RetainNotSupported => "retain_not_supported",
            Self::PayloadTooLarge => "payload_too_large",
            Self::TooManyProperties => "too_many_properties",
            Self::AnswerTooLarge => "answer_too_large",
            Self::NotPermitted => "not_permitted",
            Self::SessionExpiryRaised => "session_expiry_raised",
        }
    }
}

impl From<DecodeError> for Violation {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Malformed(error) => return error.fmt(f),
            Self::ConnectExpected => "the first packet is not CONNECT [MQTT-3.1.0-1]",
            Self::SecondConnect => "a second CONNECT [MQTT-3.1.0-2]",
            Self::ServerPacket => "a packet that only a server sends",
            Self::AuthWithoutMethod => "AUTH without an authentication method in CONNECT",
            Self::OtherAuthMethod => "AUTH with another method than CONNECT [MQTT-4.12.1-1]",
            Self::AuthUnexpected => "AUTH that is no step of an authentication",
            Self::AuthFailed => "authentication anew has failed [MQTT-4.12.1-2]",
            Self::TopicNameInvalid => "PUBLISH: topic name with a wildcard [MQTT-3.3.2-2]",
            Self::TopicNameMissing => "PUBLISH: neither topic name nor topic alias [MQTT-4.7.3-1]",
            Self::TopicAliasInvalid => "PUBLISH: topic alias above the maximum [MQTT-3.3.2-9]",
            Self::TopicAliasUnknown => "PUBLISH: topic alias that was not set [section 3.3.4]",
            Self::ReceiveMaximumExceeded => {
                "PUBLISH: more unacknowledged messages than the receive maximum [MQTT-3.3.4-7]"
            }
            Self::QoSNotSupported => "PUBLISH: QoS above mqtt.max_qos [MQTT-3.2.2-11]",
            Self::RetainNotSupported => "PUBLISH: RETAIN is switched off [MQTT-3.2.2-14]",
            Self::PayloadTooLarge => "PUBLISH: payload larger than mqtt.max_payload_size",
            Self::TooManyProperties => "more properties than mqtt.max_properties",
            Self::AnswerTooLarge => {
                "the answer would be larger than the client's maximum packet size [MQTT-3.1.2-24]"
            }
            Self::NotPermitted => "not permitted, and auth.deny_action is disconnect",
            Self::SessionExpiryRaised => {
                "DISCONNECT: session expiry interval although CONNECT had none [MQTT-3.14.2-2]"
            }
        };
        f.write_str(text)
    }
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client sent DISCONNECT with this code.
    Client(ReasonCode),
    /// The client closed the socket without DISCONNECT.
    PeerClosed,
    /// The socket failed.
    Socket(std::io::ErrorKind),
    /// The client broke a rule of what carries MQTT (TLS, WebSocket, PROXY protocol): a stable name for statistics, and
    /// what it did.
    Transport(&'static str, String),
    /// See [`Violation`].
    Violation(Violation),
    /// CONNECT was refused with this code; the text says why.
    Refused(ReasonCode, String),
    /// CONNECT did not come in time.
    ConnectTimeout,
    /// Silent for longer than the keep alive allows `[MQTT-3.1.2-22]`.
    KeepAliveTimeout,
    /// A new connection has the same client id `[MQTT-3.1.4-3]`.
    TakenOver,
    /// Somebody with authority over the broker closed it.
    Kicked,
    /// The client's user is gone or has another password.
    Revoked,
    /// The token that the client came in with has expired.
    LoginExpired,
    /// The broker stops.
    ShuttingDown,
    /// The client did not read its last packets in time.
    Stuck,
    /// The broker could not go on; the text says why.
    Internal(&'static str),
}

impl CloseReason {
    /// The code of the DISCONNECT that the broker sends, where it sends one.
    pub fn disconnect(&self) -> Option<ReasonCode> {
        match self {
            Self::Violation(violation) => Some(violation.reason()),
            Self::KeepAliveTimeout => Some(ReasonCode::KeepAliveTimeout),
            Self::TakenOver => Some(ReasonCode::SessionTakenOver),
            Self::Kicked => Some(ReasonCode::AdministrativeAction),
            Self::Revoked | Self::LoginExpired => Some(ReasonCode::NotAuthorized),
            Self::ShuttingDown => Some(ReasonCode::ServerShuttingDown),
            Self::Internal(_) => Some(ReasonCode::UnspecifiedError),
            Self::Client(_)
            | Self::PeerClosed
            | Self::Socket(_)
            | Self::Transport(..)
            | Self::Refused(..)
            | Self::ConnectTimeout
            | Self::Stuck => None,
        }
    }

    /// The code that event messages give: the client's own, or the one it was sent.
    pub fn code(&self) -> ReasonCode {
        match self {
            Self::Client(code) | Self::Refused(code, _) => *code,
            other => other.disconnect().unwrap_or(ReasonCode::UnspecifiedError),
        }
    }

    /// True when the will is not published `[MQTT-3.1.2-8]`, `[MQTT-3.14.4-3]`.
    pub fn discards_will(&self) -> bool {
        matches!(self, Self::Client(ReasonCode::Success))
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(code) => write!(f, "client sent DISCONNECT: {}", code.description()),
            Self::PeerClosed => f.write_str("client closed the socket without DISCONNECT"),
            Self::Socket(kind) => write!(f, "socket: {kind}"),
            Self::Transport(_, what) => f.write_str(what),
            Self::Violation(violation) => violation.fmt(f),
            Self::Refused(code, why) => write!(f, "refused: {}: {why}", code.description()),
            Self::ConnectTimeout => f.write_str("no CONNECT within listeners.*.connect_timeout"),
            Self::KeepAliveTimeout => f.write_str("silent for longer than the keep alive allows"),
            Self::TakenOver => {
                f.write_str("taken over by a new connection with the same client id")
            }
            Self::Kicked => f.write_str("closed by an administrator"),
            Self::Revoked => f.write_str("its user is gone or has another password"),
            Self::LoginExpired => f.write_str("its token has expired"),
            Self::ShuttingDown => f.write_str("the broker is stopping"),
            Self::Stuck => f.write_str("the client did not read its last packets in time"),
            Self::Internal(why) => write!(f, "internal error: {why}"),
        }
    }
}
