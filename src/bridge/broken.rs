//! Why a connection to a remote ends.

use std::fmt;

use crate::{
    mqtt::{PacketType, ReasonCode, Sender},
    session::Violation,
};

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The remote broke the protocol.
    Violation(Violation),
    /// SUBACK or UNSUBACK to nothing that was asked, or with another number of codes.
    WrongAnswer,
    /// The remote has closed the connection, for this reason.
    Closed(ReasonCode, String),
    /// The remote has too much to do to take a message, which is sent again later.
    Busy(ReasonCode),
    /// Nothing has come although an answer was asked for.
    Silent,
}

impl Broken {
    /// What is said in DISCONNECT, with MQTT 5, if anything can be.
    pub fn disconnect(&self) -> Option<ReasonCode> {
        match self {
            Self::Violation(violation) => match violation.reason() {
                // These are told to clients only.
                ReasonCode::NotAuthorized => Some(ReasonCode::UnspecifiedError),
                reason if reason.is_allowed(PacketType::Disconnect, Sender::Client) => Some(reason),
                _ => Some(ReasonCode::ProtocolError),
            },
            Self::WrongAnswer => Some(ReasonCode::ProtocolError),
            Self::Busy(_) => Some(ReasonCode::NormalDisconnection),
            Self::Closed(..) | Self::Silent => None,
        }
    }

    /// Whether the remote broke the protocol: the name of how, for statistics.
    pub fn kind_name(&self) -> Option<&'static str> {
        match self {
            Self::Violation(violation) => Some(violation.kind_name()),
            Self::WrongAnswer => Some("wrong_answer"),
            Self::Closed(..) | Self::Busy(_) | Self::Silent => None,
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::WrongAnswer => f.write_str("SUBACK or UNSUBACK that answers nothing"),
            Self::Closed(reason, why) if why.is_empty() => {
                write!(f, "the remote closed the connection: {}", told(*reason))
            }
            Self::Closed(reason, why) => {
                write!(
                    f,
                    "the remote closed the connection: {}: {why}",
                    told(*reason)
                )
            }
            Self::Busy(reason) => {
                write!(f, "the remote does not take a message: {}", told(*reason))
            }
            Self::Silent => f.write_str("the remote is silent"),
        }
    }
}

/// A reason code in a text.
pub(super) fn told(reason: ReasonCode) -> String {
    format!("{} (0x{:02X})", reason.description(), reason.as_u8())
}
