//! One stream of bytes, whatever carries it: reads into a buffer, writes without waiting, ends cleanly.

pub mod certificate;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::io::poll_read_buf;

/// A client's stream.
#[derive(Debug)]
pub enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
    /// Taken away, see [`Transport::take`].
    Gone,
}

impl Transport {
    /// Takes over an accepted socket. TCP_NODELAY is set: what is written together is written at once anyway.
    ///
    /// # Errors
    /// As the operating system reports them.
    pub fn tcp(socket: std::net::TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self::Tcp(TcpStream::from_std(socket)?))
    }

    /// Takes the socket out, to be watched by another thread.
    ///
    /// # Errors
    /// As the operating system reports them; the stream is lost then.
    pub fn take(&mut self) -> io::Result<std::net::TcpStream> {
        match std::mem::replace(self, Self::Gone) {
            Self::Tcp(stream) => stream.into_std(),
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Reads what is there into the spare room of `buffer`; 0 is the end of the stream.
    ///
    /// # Errors
    /// As the socket reports them.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        poll_read_buf(self.stream()?, cx, buffer)
    }

    /// Writes from the front of `buffer` until it is empty or the socket takes no more.
    ///
    /// # Errors
    /// As the socket reports them.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        while !buffer.is_empty() {
            match self.stream()?.poll_write(cx, buffer) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    written += n;
                    if n == buffer.len() {
                        buffer.clear();
                    } else {
                        bytes::Buf::advance(buffer, n);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if written > 0 => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(written))
    }

    /// Tells the peer that nothing more comes, once all is written.
    ///
    /// # Errors
    /// As the socket reports them.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream()?.poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }

    fn stream(&mut self) -> io::Result<Pin<&mut (impl AsyncRead + AsyncWrite + use<>)>> {
        match self {
            Self::Tcp(stream) => Ok(Pin::new(stream)),
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
