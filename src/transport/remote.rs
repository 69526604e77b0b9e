//! The stream of a bridge to a remote broker: TCP, and perhaps TLS and WebSocket on it.

use std::{
    io,
    net::IpAddr,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, lookup_host},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::io::poll_read_buf;

use super::{
    certificate::{BadCertificate, NewTexts, authorities, certificates, private_key},
    websocket::{ClientWebSocket, FrameError, Progress, UpgradeRequest},
};
use crate::config::{BridgeTls, ListenerKind, RemoteUrl};

/// Bytes read at once from under a WebSocket.
const READ_SIZE: usize = 64 * 1024;
/// Bytes of MQTT in one frame at most.
const FRAME_SIZE: usize = 32 * 1024;
/// Bytes that wait to be written above which no more is read: answers of WebSocket.
const OUT_MAX: usize = 256 * 1024;

/// A stream to a remote broker.
#[derive(Debug)]
pub struct RemoteStream {
    io: Io,
    peer: IpAddr,
    websocket: Option<ClientWebSocket>,
    /// Frames that are to be written.
    out: BytesMut,
    /// What was just read and is in frames.
    raw: BytesMut,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How TLS is spoken to a remote broker.
#[derive(Clone, Debug)]
pub struct RemoteTls {
    config: Arc<ClientConfig>,
    /// In the place of the host's name.
    server_name: Option<String>,
}

impl RemoteTls {
    /// Reads the files; blocks while it does.
    ///
    /// # Errors
    /// [`BadCertificate`] with the file that is to blame.
    pub fn read(tls: &BridgeTls) -> Result<Self, BadCertificate> {
        let is_set = |file: &Path| !file.as_os_str().is_empty();
        let texts = NewTexts::default();
        let roots = match is_set(&tls.cacertfile) {
            true => authorities(&tls.cacertfile, texts)?,
            false => system_roots(),
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let bad = |file: &Path, error: &rustls::Error| BadCertificate::new(file, error.to_string());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&tls.cacertfile, &error))?
            .with_root_certificates(roots);
        let config = match is_set(&tls.certfile) {
            false => config.with_no_client_auth(),
            true => {
                let chain = certificates(&tls.certfile, texts)?;
                let key = private_key(&tls.keyfile, &tls.key_password, texts)?;
                config
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| bad(&tls.certfile, &error))?
            }
        };
        Ok(Self {
            config: Arc::new(config),
            server_name: (!tls.server_name.is_empty()).then(|| tls.server_name.clone()),
        })
    }
}

/// The authorities that the operating system trusts; those that cannot be read are left out.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    roots
}

impl RemoteStream {
    /// Connects to a remote broker: its addresses one after the other, then TLS and WebSocket, where they are spoken.
    ///
    /// # Errors
    /// What failed.
    pub async fn connect(url: &RemoteUrl, tls: Option<RemoteTls>) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        let mut connected = None;
        for address in lookup_host((url.host(), url.port())).await? {
            match TcpStream::connect(address).await {
                Ok(socket) => {
                    connected = Some(socket);
                    break;
                }
                Err(error) => last = error,
            }
        }
        let Some(socket) = connected else {
            return Err(last);
        };
        socket.set_nodelay(true)?;
        let peer = socket.peer_addr()?.ip();
        let io = match tls.filter(|_| url.is_tls()) {
            None => Io::Tcp(socket),
            Some(tls) => {
                let name = tls.server_name.as_deref().unwrap_or(url.host());
                let name = ServerName::try_from(name.to_owned())
                    .map_err(|_| io::Error::other(format!("TLS: {name:?} is no name")))?;
                let stream = TlsConnector::from(tls.config).connect(name, socket);
                let stream = stream.await.map_err(|error| {
                    io::Error::new(error.kind(), format!("TLS handshake: {error}"))
                })?;
                Io::Tls(Box::new(stream))
            }
        };
        let mut stream = Self {
            io,
            peer,
            websocket: None,
            out: BytesMut::new(),
            raw: BytesMut::new(),
        };
        if matches!(url.kind(), ListenerKind::Ws | ListenerKind::Wss) {
            stream.upgrade(url).await?;
        }
        Ok(stream)
    }

    /// The address of the remote.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    async fn upgrade(&mut self, url: &RemoteUrl) -> io::Result<()> {
        let (request, bytes) = UpgradeRequest::new(&url.authority(), url.path());
        self.io.write_all(&bytes).await?;
        self.io.flush().await?;
        let mut answer = BytesMut::new();
        loop {
            let refused = |why| io::Error::other(format!("WebSocket: {why}"));
            if let Some(len) = request.answered(&answer).map_err(refused)? {
                answer.advance(len);
                self.raw = answer;
                self.websocket = Some(ClientWebSocket::default());
                return Ok(());
            }
            if self.io.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads what is there behind what `buffer` holds; 0 is the end of the stream.
    ///
    /// # Errors
    /// As the socket reports them, or what the remote did wrong below MQTT.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let Some(websocket) = &mut self.websocket else {
            return poll_read_buf(Pin::new(&mut self.io), cx, buffer);
        };
        let before = buffer.len();
        loop {
            if self.raw.is_empty() {
                if self.out.len() > OUT_MAX {
                    return Poll::Pending;
                }
                self.raw.reserve(READ_SIZE);
                let read = ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.raw))?;
                if read == 0 {
                    return Poll::Ready(Ok(0));
                }
            }
            let progress = websocket.receive(&self.raw, buffer, &mut self.out);
            self.raw.clear();
            let wrong =
                |error: FrameError| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
            let progress = progress.map_err(wrong)?;
            if let Poll::Ready(Err(error)) = self.io.poll_write_all(cx, &mut self.out) {
                return Poll::Ready(Err(error));
            }
            if buffer.len() > before {
                return Poll::Ready(Ok(buffer.len() - before));
            }
            if progress == Progress::Closed {
                return Poll::Ready(Ok(0));
            }
        }
    }

    /// Writes from the front of `buffer` until it is empty or the socket takes no more; says how much.
    ///
    /// # Errors
    /// As the socket reports them.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.len();
        let done = loop {
            if let Some(websocket) = &self.websocket {
                match self.io.poll_write_all(cx, &mut self.out) {
                    Poll::Ready(Ok(())) if buffer.is_empty() => break Poll::Ready(Ok(())),
                    Poll::Ready(Ok(())) => {
                        let len = buffer.len().min(FRAME_SIZE);
                        websocket.send(buffer.get(..len).unwrap_or_default(), &mut self.out);
                        buffer.advance(len);
                    }
                    other => break other,
                }
            } else {
                break self.io.poll_write_all(cx, buffer);
            }
        };
        match (done, before - buffer.len()) {
            (Poll::Ready(Err(error)), _) => Poll::Ready(Err(error)),
            (Poll::Pending, 0) => Poll::Pending,
            (_, written) => Poll::Ready(Ok(written)),
        }
    }

    /// Tells the remote that nothing more comes.
    ///
    /// # Errors
    /// As the socket reports them.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(websocket) = &mut self.websocket {
            websocket.close(&mut self.out);
            ready!(self.io.poll_write_all(cx, &mut self.out))?;
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Io {
    /// Writes all of `buffer` and flushes.
    fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<()>> {
        while !buffer.is_empty() {
            let written = ready!(Pin::new(&mut *self).poll_write(cx, buffer))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            buffer.advance(written);
        }
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
