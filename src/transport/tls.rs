//! TLS as bytes in and bytes out. Incoming records are decrypted where they were read to, outgoing ones are appended to
//! what is to be written; the connection itself holds keys and no buffers.

use std::{fmt, sync::Arc};

use bytes::BytesMut;
use rustls::{
    ServerConfig,
    pki_types::CertificateDer,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{
        self, ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
        UnbufferedStatus,
    },
};

/// Bytes that one record adds at most: header, nonce, tag and padding.
const RECORD_OVERHEAD: usize = 64;
/// Bytes of plain text in one record [RFC 8446, section 5.1].
const RECORD_MAX: usize = 16_384;
/// Bytes of an alert record, encrypted.
const ALERT_MAX: usize = 128;

/// The server's side of a TLS connection.
pub struct Tls {
    connection: UnbufferedServerConnection,
    /// The client has said that it sends nothing more.
    pub ended: bool,
    /// Our own end of the stream is sent.
    closed: bool,
    /// The client broke a rule.
    failed: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("ended", &self.ended)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Waits for the handshake.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            ended: false,
            closed: false,
            failed: false,
        })
    }

    /// True until the handshake is done.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The certificate that the client has shown and that was verified.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.connection.peer_certificates()?.first()
    }

    /// Takes what was received, all that is there since the last byte that was used. `plain` gets what the client says,
    /// `out` what is to be written. Returns how many bytes are used up; the rest has to come again with what follows it.
    /// After our own end, and once the client broke a rule, everything is thrown away: rustls does not bear a fault then.
    ///
    /// # Errors
    /// What the client did wrong; `out` has the alert that tells it.
    pub fn receive(
        &mut self,
        incoming: &mut [u8],
        out: &mut BytesMut,
        mut plain: impl FnMut(&[u8]),
    ) -> Result<usize, rustls::Error> {
        if self.failed || self.closed {
            return Ok(incoming.len());
        }
        let received = self.records(incoming, out, &mut plain);
        if received.is_err() {
            self.failed = true;
            // The alert that tells the client. Nothing else may be asked of the connection any more.
            while self.connection.wants_write() {
                let state = self.connection.process_tls_records(&mut []).state;
                let Ok(ConnectionState::EncodeTlsData(data)) = state else {
                    break;
                };
                encode(data, out);
            }
        }
        received
    }

    fn records(
        &mut self,
        incoming: &mut [u8],
        out: &mut BytesMut,
        plain: &mut impl FnMut(&[u8]),
    ) -> Result<usize, rustls::Error> {
        let mut used = 0;
        loop {
            let rest = incoming.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { discard, state, .. } = self.connection.process_tls_records(rest);
            let mut more = discard;
            let goes_on = match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        more += record.discard;
                        plain(record.payload);
                    }
                    true
                }
                ConnectionState::EncodeTlsData(data) => {
                    encode(data, out);
                    true
                }
                ConnectionState::TransmitTlsData(data) => {
                    // It is written before anything that comes after it.
                    data.done();
                    true
                }
                ConnectionState::PeerClosed => {
                    self.ended = true;
                    true
                }
                _ => false,
            };
            used += more;
            if !goes_on {
                return Ok(used.min(incoming.len()));
            }
        }
    }

    /// Appends `data` to `out`, encrypted. `incoming` is what [`receive`](Self::receive) has left. False while the
    /// handshake is not done, or after the end: nothing is appended then.
    pub fn send(&mut self, data: &[u8], incoming: &mut [u8], out: &mut BytesMut) -> bool {
        if self.closed {
            return false;
        }
        let room = data.len() + (data.len() / RECORD_MAX + 1) * RECORD_OVERHEAD;
        self.write(incoming, out, room, |traffic, room| {
            traffic.encrypt(data, room)
        })
    }

    /// Appends the end of our stream to `out`, once.
    pub fn close(&mut self, incoming: &mut [u8], out: &mut BytesMut) {
        if !std::mem::replace(&mut self.closed, true) {
            self.write(incoming, out, ALERT_MAX, |traffic, room| {
                traffic.queue_close_notify(room)
            });
        }
    }

    fn write(
        &mut self,
        incoming: &mut [u8],
        out: &mut BytesMut,
        room: usize,
        mut write: impl FnMut(&mut WriteTraffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> bool {
        if self.failed {
            return false;
        }
        loop {
            match self.connection.process_tls_records(incoming).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return append(out, room, |room| match write(&mut traffic, room) {
                        Ok(written) => Ok(Some(written)),
                        Err(EncryptError::InsufficientSize(needed)) => Err(needed),
                        Err(EncryptError::EncryptExhausted) => Ok(None),
                    });
                }
                // New keys, which have to be told before they are used.
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => return false,
            }
        }
    }
}

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, out: &mut BytesMut) {
    append(out, RECORD_MAX / 4, |room| match data.encode(room) {
        Ok(written) => Ok(Some(written)),
        Err(EncodeError::InsufficientSize(needed)) => Err(needed),
        Err(EncodeError::AlreadyEncoded) => Ok(None),
    });
}

type WriteTraffic<'c> = unbuffered::WriteTraffic<'c, ServerConnectionData>;

/// Appends what `fill` writes into the room it gets: `room` bytes, or as many as it says it needs. False when it cannot
/// write at all.
fn append(
    out: &mut BytesMut,
    room: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<Option<usize>, InsufficientSizeError>,
) -> bool {
    let begin = out.len();
    let mut room = room;
    loop {
        out.resize(begin.saturating_add(room), 0);
        match fill(out.get_mut(begin..).unwrap_or_default()) {
            Ok(written) => {
                out.truncate(begin.saturating_add(written.unwrap_or(0)));
                return written.is_some();
            }
            Err(InsufficientSizeError { required_size }) if required_size > room => {
                room = required_size;
            }
            Err(_) => {
                out.truncate(begin);
                return false;
            }
        }
    }
}
