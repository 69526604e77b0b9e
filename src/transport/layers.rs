//! What lies between a socket and MQTT: a PROXY header, TLS, WebSocket, each there or not. Bytes in, bytes out; nothing
//! here knows a socket.
//!
//! ```text
//!  socket --> PROXY header --> TLS --> WebSocket --> MQTT
//!  socket <------------------- TLS <-- WebSocket <-- MQTT
//! ```
//!
//! A connection that waits owns no buffer here: `input` exists while a record is incomplete, `out` while the socket is
//! full.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use bytes::BytesMut;
use rustls::{CertificateError, ServerConfig};

use super::{
    proxy::{BadHeader, ProxyHeader, Source},
    tls::Tls,
    websocket::{Progress, WebSocket, WebSocketError},
    x509,
};
use crate::config;

/// Bytes of TLS that wait for the rest of a record or of a message of the handshake at most: the longest message that is
/// taken, in records.
const INPUT_MAX: usize = 80 * 1024;

/// What a client did wrong below MQTT.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// No header of the PROXY protocol.
    Proxy(BadHeader),
    /// In TLS, before the handshake was done.
    Handshake(rustls::Error),
    /// In TLS, later.
    Record(rustls::Error),
    /// In WebSocket.
    WebSocket(WebSocketError),
}

impl Fault {
    /// A stable name for statistics.
    pub fn kind_name(&self) -> &'static str {
        use rustls::Error;
        match self {
            Self::Proxy(_) => "proxy_header",
            Self::Handshake(Error::InvalidMessage(_)) => "tls_not_tls",
            Self::Handshake(Error::NoCertificatesPresented) => "tls_no_certificate",
            Self::Handshake(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                "tls_unknown_issuer"
            }
            Self::Handshake(Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => "tls_certificate_expired",
            Self::Handshake(Error::InvalidCertificate(_)) => "tls_certificate",
            Self::Handshake(Error::AlertReceived(_)) => "tls_alert_received",
            Self::Handshake(_) => "tls_handshake",
            Self::Record(_) => "tls_record",
            Self::WebSocket(WebSocketError::Upgrade(error)) => error.kind_name(),
            Self::WebSocket(WebSocketError::Frame(error)) => error.kind_name(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy(error) => error.fmt(f),
            Self::Handshake(rustls::Error::InvalidMessage(_)) => {
                f.write_str("TLS: what was sent is no handshake")
            }
            Self::Handshake(error) => write!(f, "TLS handshake: {error}"),
            Self::Record(error) => write!(f, "TLS: {error}"),
            Self::WebSocket(WebSocketError::Upgrade(error)) => write!(f, "WebSocket: {error}"),
            Self::WebSocket(WebSocketError::Frame(error)) => error.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Layers {
    proxy: Option<ProxyHeader>,
    tls: Option<Tls>,
    websocket: Option<WebSocket>,
    /// What TLS has received and cannot use yet.
    pub(super) input: BytesMut,
    /// What is to be written to the socket.
    pub(super) out: BytesMut,
    /// Bytes of MQTT that `out` stands for, and that are still in the connection's own output.
    pub(super) promised: usize,
    /// What is told when all that came before it was read.
    fault: Option<Fault>,
    state: State,
    /// Our close frame was the first.
    closed_first: bool,
    client: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The client has ended its stream.
    Ended,
    /// The client broke a rule: what it sends means nothing any more.
    Broken,
}

impl Layers {
    /// Nothing in between.
    pub fn none() -> Self {
        Self::default()
    }

    /// A PROXY header comes first.
    #[must_use]
    pub fn with_proxy_header(mut self) -> Self {
        self.proxy = Some(ProxyHeader::default());
        self
    }

    /// Everything behind a PROXY header is TLS.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn with_tls(mut self, config: Arc<ServerConfig>) -> io::Result<Self> {
        self.tls = Some(Tls::new(config).map_err(io::Error::other)?);
        Ok(self)
    }

    /// MQTT is in WebSocket.
    #[must_use]
    pub fn with_websocket(mut self, config: &config::WebSocket) -> Self {
        self.websocket = Some(WebSocket::new(config));
        self
    }

    /// The client's address by the PROXY header.
    pub fn client(&self) -> Option<SocketAddr> {
        self.client
    }

    /// The common name in the client's certificate, if it has shown one that was verified.
    pub fn common_name(&self) -> Option<String> {
        x509::common_name(self.tls.as_ref()?.peer_certificate()?)
    }

    /// The subject of the client's certificate, if it has shown one that was verified.
    pub fn subject(&self) -> Option<String> {
        x509::subject(self.tls.as_ref()?.peer_certificate()?)
    }

    /// True when nothing more is read.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// True while the client's answer to our close frame is to come: it has to find the socket open.
    pub(super) fn awaits_close(&self) -> bool {
        self.closed_first && self.state == State::Open
    }

    /// True when what comes is thrown away.
    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Broken && self.fault.is_none()
    }

    /// What the client did wrong, once what it sent before that has been read.
    pub(super) fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// Takes what was received, behind what was left of it the last time (`input`): MQTT goes to `plain`, answers of the
    /// layers to `out`.
    pub(super) fn receive(&mut self, raw: &mut [u8], plain: &mut BytesMut) {
        self.input = BytesMut::new();
        if let Err(fault) = self.take_in(raw, plain) {
            self.fault = Some(fault);
            self.state = State::Broken;
        }
    }

    fn take_in(&mut self, mut raw: &mut [u8], plain: &mut BytesMut) -> Result<(), Fault> {
        if let Some(header) = &mut self.proxy {
            let Some((source, used)) = header.receive(raw).map_err(Fault::Proxy)? else {
                return Ok(());
            };
            self.proxy = None;
            if let Source::Client(client) = source {
                self.client = Some(client);
            }
            raw = raw.get_mut(used..).unwrap_or_default();
        }
        match self.tls {
            None => self.take_in_plain(raw, plain),
            Some(_) => self.take_in_tls(raw, plain),
        }
    }

    fn take_in_plain(&mut self, raw: &[u8], plain: &mut BytesMut) -> Result<(), Fault> {
        let Some(websocket) = &mut self.websocket else {
            plain.extend_from_slice(raw);
            return Ok(());
        };
        match websocket.receive(raw, plain, &mut self.out) {
            Ok(Progress::Open) => {}
            Ok(Progress::Closed) => self.state = State::Ended,
            Err(error) => return Err(Fault::WebSocket(error)),
        }
        Ok(())
    }

    fn take_in_tls(&mut self, raw: &mut [u8], plain: &mut BytesMut) -> Result<(), Fault> {
        let (Some(tls), websocket) = (&mut self.tls, &mut self.websocket) else {
            return Ok(());
        };
        let was_handshaking = tls.is_handshaking();
        let fault = |error| match was_handshaking {
            true => Fault::Handshake(error),
            false => Fault::Record(error),
        };
        let mut replies = BytesMut::new();
        let mut progress = Ok(Progress::Open);
        let used = tls.receive(raw, &mut self.out, |payload| match websocket {
            None => plain.extend_from_slice(payload),
            Some(websocket) => {
                if progress == Ok(Progress::Open) {
                    progress = websocket.receive(payload, plain, &mut replies);
                }
            }
        });
        let rest = raw.get(used.map_err(fault)?..).unwrap_or_default();
        if rest.len() > INPUT_MAX {
            let error = rustls::Error::General("a message is too long".to_owned());
            return Err(fault(error));
        }
        if !rest.is_empty() {
            self.input = BytesMut::from(rest);
        }
        if !replies.is_empty() {
            tls.send(&replies, &mut self.input, &mut self.out);
        }
        if tls.ended || progress == Ok(Progress::Closed) {
            self.state = State::Ended;
        }
        progress.map(drop).map_err(Fault::WebSocket)
    }

    /// Appends `data` to what is to be written. False when nothing can be sent any more, or yet.
    pub(super) fn send(&mut self, data: &[u8]) -> bool {
        match (&mut self.tls, &self.websocket) {
            (None, None) => self.out.extend_from_slice(data),
            (None, Some(websocket)) => {
                if !websocket.begin_frame(data.len(), &mut self.out) {
                    return false;
                }
                self.out.extend_from_slice(data);
            }
            (Some(tls), None) => return tls.send(data, &mut self.input, &mut self.out),
            (Some(tls), Some(websocket)) => {
                let mut frame = BytesMut::with_capacity(data.len() + 10);
                if !websocket.begin_frame(data.len(), &mut frame) {
                    return false;
                }
                frame.extend_from_slice(data);
                return tls.send(&frame, &mut self.input, &mut self.out);
            }
        }
        true
    }

    /// Appends the ends of the streams, each once; that of TLS when the client's answer to our close frame need not be
    /// waited for any more.
    pub(super) fn close(&mut self) {
        let mut frame = BytesMut::new();
        if let Some(websocket) = &mut self.websocket {
            websocket.close(&mut frame);
        }
        self.closed_first |= !frame.is_empty();
        let waits = self.awaits_close();
        match &mut self.tls {
            None => self.out.extend_from_slice(&frame),
            Some(tls) => {
                if !frame.is_empty() {
                    tls.send(&frame, &mut self.input, &mut self.out);
                }
                if !waits {
                    tls.close(&mut self.input, &mut self.out);
                }
            }
        }
    }

    /// Appends the ends of the streams, each once, and waits for nothing.
    pub(super) fn end(&mut self) {
        self.close();
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.input, &mut self.out);
        }
    }
}
