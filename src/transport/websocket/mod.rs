//! WebSocket as bytes in and bytes out: first the upgrade, then frames.

mod client;
mod frame;
mod upgrade;

use bytes::BytesMut;

pub use client::{ClientWebSocket, UpgradeRequest};
pub use frame::{FrameError, FrameReader, Progress};
pub use upgrade::UpgradeError;

use crate::config;
use frame::{put_binary_header, put_close};

/// The code of a close frame when the broker has nothing more to say.
pub const NORMAL: u16 = 1000;

/// The server's side of a WebSocket.
#[derive(Debug)]
pub enum WebSocket {
    /// The request is not complete.
    Upgrading(Box<Upgrading>),
    /// Frames go both ways.
    Open(FrameReader),
    /// We have sent a close frame, nothing may follow it; what comes before the client's own means nothing.
    Closing(FrameReader),
    /// The client has sent a close frame, or broken a rule.
    Closed,
}

/// A request that is not complete.
#[derive(Debug)]
pub struct Upgrading {
    request: Vec<u8>,
    path: String,
    max_frame_size: u64,
}

/// Why a WebSocket ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketError {
    /// There was none.
    Upgrade(UpgradeError),
    /// The client broke the rules of its frames.
    Frame(FrameError),
}

impl WebSocket {
    /// Waits for the request.
    pub fn new(config: &config::WebSocket) -> Self {
        Self::Upgrading(Box::new(Upgrading {
            request: Vec::new(),
            path: config.path.clone(),
            max_frame_size: config.max_frame_size,
        }))
    }

    /// Takes what was received: `plain` gets what the client says in MQTT, `replies` what is to be sent at once.
    ///
    /// # Errors
    /// What the client did wrong; `replies` has the answer that tells it.
    pub fn receive(
        &mut self,
        data: &[u8],
        plain: &mut BytesMut,
        replies: &mut BytesMut,
    ) -> Result<Progress, WebSocketError> {
        let received = match self {
            Self::Closed => return Ok(Progress::Closed),
            Self::Open(reader) => Self::frames(reader, data, plain, replies),
            Self::Closing(reader) => {
                let received = reader.receive(data, &mut BytesMut::new(), &mut BytesMut::new());
                Ok(received.unwrap_or(Progress::Closed))
            }
            Self::Upgrading(upgrading) => {
                upgrading.request.extend_from_slice(data);
                match upgrade::upgrade(&upgrading.request, &upgrading.path) {
                    Ok(None) => return Ok(Progress::Open),
                    Ok(Some((answer, len))) => {
                        replies.extend_from_slice(answer.as_bytes());
                        let mut reader = FrameReader::new(upgrading.max_frame_size);
                        let rest = upgrading.request.get(len..).unwrap_or_default();
                        let received = Self::frames(&mut reader, rest, plain, replies);
                        *self = Self::Open(reader);
                        received
                    }
                    Err(error) => {
                        replies.extend_from_slice(error.answer().as_bytes());
                        Err(WebSocketError::Upgrade(error))
                    }
                }
            }
        };
        if received != Ok(Progress::Open) {
            *self = Self::Closed;
        }
        received
    }

    fn frames(
        reader: &mut FrameReader,
        data: &[u8],
        plain: &mut BytesMut,
        replies: &mut BytesMut,
    ) -> Result<Progress, WebSocketError> {
        reader.receive(data, plain, replies).map_err(|error| {
            put_close(error.close_code(), replies);
            WebSocketError::Frame(error)
        })
    }

    /// True when `data` may be sent, each time with the header that is appended to `out`.
    pub fn begin_frame(&self, len: usize, out: &mut BytesMut) -> bool {
        let is_open = matches!(self, Self::Open(_));
        if is_open {
            put_binary_header(len, out);
        }
        is_open
    }

    /// Appends a close frame to `out`, unless one was sent or there is no WebSocket yet.
    pub fn close(&mut self, out: &mut BytesMut) {
        *self = match std::mem::replace(self, Self::Closed) {
            Self::Open(reader) => {
                put_close(NORMAL, out);
                Self::Closing(reader)
            }
            Self::Closing(reader) => Self::Closing(reader),
            Self::Upgrading(_) | Self::Closed => Self::Closed,
        };
    }
}
