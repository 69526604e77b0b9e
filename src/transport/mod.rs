//! One stream of bytes, whatever carries it: reads into a buffer, writes without waiting, ends cleanly.

mod certificate;
mod client_tls;
mod identity;
mod layers;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod mutated_tls;
mod proxy;
mod remote;
mod tls;
mod websocket;
mod x509;

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{io::AsyncWrite, net::TcpStream};
use tokio_util::io::poll_read_buf;

pub use certificate::{BadCertificate, Identity, NewTexts};
pub use client_tls::ClientTls;
pub use identity::{IdentitySource, NewestCertificate, ServerIdentity};
pub use layers::{Fault, Layers};
#[cfg(test)]
pub use memory::Memory;
pub use remote::{RemoteStream, RemoteTls};

/// What the fuzz targets drive and nobody else sees: `tests/fuzz`.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::transport::{
        proxy::{ProxyHeader, Source},
        websocket::{FrameError, FrameReader, Progress, WebSocket, WebSocketError},
    };
}

/// Bytes that are read at once from a socket with layers.
const READ_SIZE: usize = 64 * 1024;
/// Reads of which nothing is left for MQTT before others get their turn.
const READS_PER_POLL: usize = 8;
/// Bytes of MQTT that are put into layers at once.
const WRITE_SIZE: usize = 32 * 1024;
/// Bytes that wait to be written above which nothing more is read: answers of the layers, to a client that does not
/// read them.
const OUT_MAX: usize = 256 * 1024;

thread_local! {
    /// What was just read from a socket with layers: one for all connections of the thread.
    static RAW: RefCell<BytesMut> = RefCell::default();
}

/// A client's stream.
#[derive(Debug)]
pub enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TCP with something between it and MQTT.
    Layered(Box<Layered>),
    /// Nothing but memory.
    #[cfg(test)]
    Memory(Memory),
    /// Taken away, see [`Transport::take`].
    Gone,
}

/// A stream without the event loop that watched it, on its way to another thread.
#[derive(Debug)]
pub struct Detached {
    socket: Socket,
    layers: Option<Box<Layers>>,
}

#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpStream),
    #[cfg(test)]
    Memory(Memory),
}

impl Detached {
    /// A socket that was accepted, and what is between it and MQTT.
    pub fn new(socket: std::net::TcpStream, layers: Option<Box<Layers>>) -> Self {
        Self {
            socket: Socket::Tcp(socket),
            layers,
        }
    }

    /// The broker's end of a stream in memory.
    #[cfg(test)]
    pub fn in_memory(stream: Memory) -> Self {
        Self {
            socket: Socket::Memory(stream),
            layers: None,
        }
    }
}

impl Transport {
    /// Has a socket watched on this thread: one that does not block, with TCP_NODELAY, since what is written together is
    /// written at once anyway.
    ///
    /// # Errors
    /// As the operating system reports them.
    pub fn attach(detached: Detached) -> io::Result<Self> {
        let Detached { socket, layers } = detached;
        #[cfg(test)]
        if let Socket::Memory(stream) = socket {
            return Ok(Self::Memory(stream));
        }
        #[cfg_attr(not(test), expect(irrefutable_let_patterns))]
        let Socket::Tcp(socket) = socket else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let socket = TcpStream::from_std(socket)?;
        Ok(match layers {
            None => Self::Tcp(socket),
            Some(layers) => Self::Layered(Box::new(Layered { socket, layers })),
        })
    }

    /// Takes the stream out, to be watched by another thread.
    ///
    /// # Errors
    /// As the operating system reports them; the stream is lost then.
    pub fn take(&mut self) -> io::Result<Detached> {
        match std::mem::replace(self, Self::Gone) {
            Self::Tcp(socket) => Ok(Detached::new(socket.into_std()?, None)),
            Self::Layered(layered) => {
                let Layered { socket, layers } = *layered;
                Ok(Detached::new(socket.into_std()?, Some(layers)))
            }
            #[cfg(test)]
            Self::Memory(stream) => Ok(Detached::in_memory(stream)),
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The client's address, where a load balancer has told it.
    pub fn client(&self) -> Option<SocketAddr> {
        self.layers()?.client()
    }

    /// The common name in the client's certificate, if it has shown one that was verified.
    pub fn common_name(&self) -> Option<String> {
        self.layers()?.common_name()
    }

    /// The subject of the client's certificate (RFC 4514), if it has shown one that was verified.
    pub fn subject(&self) -> Option<String> {
        self.layers()?.subject()
    }

    /// True when nothing is between the socket and MQTT.
    pub fn is_plain(&self) -> bool {
        self.layers().is_none()
    }

    fn layers(&self) -> Option<&Layers> {
        match self {
            Self::Layered(layered) => Some(&layered.layers),
            Self::Tcp(_) | Self::Gone => None,
            #[cfg(test)]
            Self::Memory(_) => None,
        }
    }

    /// Reads what is there into the spare room of `buffer`, which grows where more has come at once; 0 is the end of the
    /// stream.
    ///
    /// # Errors
    /// As the socket reports them; a [`Fault`] within one of the kind `InvalidData`.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => poll_read_buf(Pin::new(socket), cx, buffer),
            Self::Layered(layered) => layered.poll_read(cx, buffer),
            #[cfg(test)]
            Self::Memory(stream) => stream.poll_read(cx, buffer),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Writes from the front of `buffer` until it is empty or the socket takes no more. What can reach nobody any more,
    /// since a stream above the socket has ended, is thrown away.
    ///
    /// # Errors
    /// As the socket reports them.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => poll_write_buffer(socket, cx, buffer),
            Self::Layered(layered) => layered.poll_write(cx, buffer),
            #[cfg(test)]
            Self::Memory(stream) => stream.poll_write(cx, buffer),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Writes from the front of `bytes` as [`Transport::poll_write`] does from a buffer, where nothing is between the socket
    /// and MQTT that would need a copy of them; else it takes nothing.
    ///
    /// # Errors
    /// As the socket reports them.
    pub fn poll_write_through(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => poll_write_slice(socket, cx, bytes),
            #[cfg(test)]
            Self::Memory(stream) => stream.poll_write(cx, bytes),
            Self::Layered(_) | Self::Gone => Poll::Ready(Ok(0)),
        }
    }

    /// Tells the peer that nothing more comes, once all is written.
    ///
    /// # Errors
    /// As the socket reports them.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Layered(layered) => layered.poll_shutdown(cx),
            #[cfg(test)]
            Self::Memory(stream) => stream.poll_shutdown(),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Tells a peer that is not waited for that nothing more comes, where TCP alone does not tell it.
    pub fn say_goodbye(&mut self, cx: &mut Context<'_>) {
        if let Self::Layered(layered) = self {
            layered.layers.end();
            // Whoever has left already does not hear it.
            let _ = layered.poll_shutdown(cx);
        }
    }
}

/// A socket and what is between it and MQTT.
#[derive(Debug)]
pub struct Layered {
    socket: TcpStream,
    layers: Box<Layers>,
}

impl Layered {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.len();
        for _ in 0..READS_PER_POLL {
            if let Some(fault) = self.layers.take_fault() {
                return Poll::Ready(Err(fault.into()));
            }
            if self.layers.has_ended() {
                return Poll::Ready(Ok(0));
            }
            match self.poll_flush(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if self.layers.out.len() > OUT_MAX => return Poll::Pending,
                _ => {}
            }
            let read = RAW.with_borrow_mut(|raw| {
                raw.clear();
                raw.extend_from_slice(&self.layers.input);
                raw.reserve(READ_SIZE);
                let read = ready!(poll_read_buf(Pin::new(&mut self.socket), cx, raw))?;
                if read > 0 && !self.layers.is_broken() {
                    self.layers.receive(raw, buffer);
                }
                Poll::Ready(io::Result::Ok(read))
            });
            if ready!(read)? == 0 {
                return Poll::Ready(Ok(0));
            }
            // Answers of the layers; what the socket does not take is written when there is room.
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
            if buffer.len() > before {
                return Poll::Ready(Ok(buffer.len() - before));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        loop {
            match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Pending if written > 0 => return Poll::Ready(Ok(written)),
                other => return other.map_ok(|()| 0),
            }
            let promised = std::mem::take(&mut self.layers.promised).min(buffer.len());
            buffer.advance(promised);
            written += promised;
            let len = buffer.len().min(WRITE_SIZE);
            let data = buffer.get(..len).unwrap_or_default();
            if data.is_empty() || !self.layers.send(data) {
                buffer.clear();
                return Poll::Ready(Ok(written));
            }
            self.layers.promised = len;
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.layers.close();
        ready!(self.poll_flush(cx))?;
        if self.layers.awaits_close() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    /// Writes what the layers have to say.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.layers.out.is_empty() {
            ready!(poll_write_buffer(
                &mut self.socket,
                cx,
                &mut self.layers.out
            ))?;
        }
        self.layers.out = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

fn poll_write_buffer(
    socket: &mut TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let mut rest = &**buffer;
    let result = poll_write_slice(socket, cx, &mut rest);
    let left = rest.len();
    if left == 0 {
        buffer.clear();
    } else {
        buffer.advance(buffer.len() - left);
    }
    result
}

/// `bytes` is what is left of them.
fn poll_write_slice(
    socket: &mut TcpStream,
    cx: &mut Context<'_>,
    bytes: &mut &[u8],
) -> Poll<io::Result<usize>> {
    let mut written = 0;
    while !bytes.is_empty() {
        match Pin::new(&mut *socket).poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(n)) => {
                written += n;
                bytes.advance(n);
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if written > 0 => break,
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(written))
}
