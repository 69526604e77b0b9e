//! What carries MQTT between a socket and a client: TLS, WebSocket, or one within the other.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::net::TcpStream;

use crate::{Failure, Result};

/// Bytes read from a socket at once.
const READ_SIZE: usize = 64 * 1024;
/// Bytes of MQTT in one frame at most.
const FRAME_MAX: usize = 64 * 1024;
/// The name that the broker's certificate must have.
const SERVER_NAME: &str = "localhost";

/// How clients speak TLS, made once for a run.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the authorities in a PEM file, and nobody else.
    pub fn trusting(file: &Path) -> std::result::Result<Self, String> {
        let bad = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))? {
            let certificate = certificate.map_err(|error| bad(&error))?;
            roots.add(certificate).map_err(|error| bad(&error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Every connection makes a full handshake: that is what is measured.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }
}

/// One connection's state between its socket and MQTT.
pub struct Carrier {
    tls: Option<ClientConnection>,
    /// Whether MQTT is in frames.
    websocket: bool,
    /// What came and is not taken apart yet: an incomplete frame.
    partial: Vec<u8>,
    /// What is to be written to the socket.
    out: Vec<u8>,
}

impl Carrier {
    /// Shakes hands on a socket that has just connected.
    pub async fn open(stream: &TcpStream, tls: Option<&Tls>, websocket: bool) -> Result<Self> {
        let tls = match tls {
            None => None,
            Some(Tls(config)) => {
                let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
                let connection = ClientConnection::new(config.clone(), name);
                Some(connection.map_err(io::Error::other)?)
            }
        };
        let mut carrier = Self {
            tls,
            websocket: false,
            partial: Vec::new(),
            out: Vec::new(),
        };
        let mut came = Vec::new();
        while carrier.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            carrier.exchange(stream, &mut came).await?;
        }
        if websocket {
            carrier.put(
                b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Protocol: mqtt\r\n\r\n",
            )?;
            // Nothing follows the answer before CONNECT.
            while !came.ends_with(b"\r\n\r\n") {
                carrier.exchange(stream, &mut came).await?;
            }
            if !came.starts_with(b"HTTP/1.1 101") {
                let answer = String::from_utf8_lossy(&came).into_owned();
                return Err(Failure::protocol(format!("no WebSocket: {answer}")));
            }
            carrier.websocket = true;
        }
        Ok(carrier)
    }

    async fn exchange(&mut self, stream: &TcpStream, came: &mut Vec<u8>) -> Result<()> {
        self.flush(stream)?;
        match self.has_output() {
            true => stream.writable().await?,
            false => stream.readable().await?,
        }
        self.read(stream, came)
    }

    /// Reads what is there; MQTT is appended to `to`.
    pub fn read(&mut self, stream: &TcpStream, to: &mut Vec<u8>) -> Result<()> {
        let mut chunk = [0; READ_SIZE];
        let count = match stream.try_read(&mut chunk) {
            Ok(0) => return Err(Failure::protocol("the broker closed a connection")),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut raw = chunk.get(..count).unwrap_or_default();
        let Some(tls) = &mut self.tls else {
            return self.take(raw, to);
        };
        let mut plain = Vec::new();
        while !raw.is_empty() {
            tls.read_tls(&mut raw)?;
            let state = tls
                .process_new_packets()
                .map_err(|error| Failure::protocol(format!("TLS: {error}")))?;
            let begin = plain.len();
            plain.resize(begin + state.plaintext_bytes_to_read(), 0);
            if let Some(room) = plain.get_mut(begin..).filter(|room| !room.is_empty()) {
                tls.reader().read_exact(room)?;
            }
        }
        self.take(&plain, to)
    }

    /// Takes frames apart.
    fn take(&mut self, data: &[u8], to: &mut Vec<u8>) -> Result<()> {
        if !self.websocket {
            to.extend_from_slice(data);
            return Ok(());
        }
        self.partial.extend_from_slice(data);
        let mut at = 0;
        while let Some((header, payload)) = next_frame(self.partial.get(at..).unwrap_or_default()) {
            if header != 0x82 {
                return Err(Failure::protocol(format!(
                    "a WebSocket frame 0x{header:02X}"
                )));
            }
            to.extend_from_slice(payload);
            let before = if payload.len() < 126 { 2 } else { 4 };
            at += if payload.len() > 0xFFFF { 10 } else { before } + payload.len();
        }
        self.partial.drain(..at);
        Ok(())
    }

    /// Puts MQTT into what is to be written.
    pub fn put(&mut self, data: &[u8]) -> Result<()> {
        if !self.websocket {
            return self.encrypt(data);
        }
        let mut frames = Vec::with_capacity(data.len() + 16);
        for part in data.chunks(FRAME_MAX) {
            let mask = fastrand::u32(..).to_be_bytes();
            frames.push(0x82);
            match (u8::try_from(part.len()), u16::try_from(part.len())) {
                (Ok(len @ 0..=125), _) => frames.push(0x80 | len),
                (_, Ok(len)) => {
                    frames.push(0x80 | 126);
                    frames.extend_from_slice(&len.to_be_bytes());
                }
                _ => {
                    frames.push(0x80 | 127);
                    frames.extend_from_slice(&(part.len() as u64).to_be_bytes());
                }
            }
            frames.extend_from_slice(&mask);
            frames.extend(
                part.iter()
                    .zip(mask.iter().cycle())
                    .map(|(byte, mask)| byte ^ mask),
            );
        }
        self.encrypt(&frames)
    }

    fn encrypt(&mut self, data: &[u8]) -> Result<()> {
        let Some(tls) = &mut self.tls else {
            self.out.extend_from_slice(data);
            return Ok(());
        };
        let mut rest = data;
        while !rest.is_empty() {
            let taken = tls.writer().write(rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            while tls.wants_write() {
                tls.write_tls(&mut self.out)?;
            }
        }
        Ok(())
    }

    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Writes until everything is out or the socket is full.
    pub fn flush(&mut self, stream: &TcpStream) -> Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.out)?;
            }
        }
        let mut written = 0;
        while let Some(rest) = self.out.get(written..).filter(|rest| !rest.is_empty()) {
            match stream.try_write(rest) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.out.drain(..written);
        if self.out.is_empty() {
            // Idle clients own no buffer.
            self.out = Vec::new();
        }
        Ok(())
    }
}

/// The first byte and the payload of a complete frame of a server.
fn next_frame(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[header, len], rest) = bytes.split_first_chunk::<2>()?;
    let (len, rest) = match len {
        126 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        127 => {
            let (len, rest) = rest.split_first_chunk::<8>()?;
            (usize::try_from(u64::from_be_bytes(*len)).ok()?, rest)
        }
        len => (usize::from(len), rest),
    };
    Some((header, rest.get(..len)?))
}
