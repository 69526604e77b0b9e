//! A stream without a socket, for tests that drive both ends of a connection by hand: nothing happens on it but what
//! they do.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, BytesMut};

/// The stream; each end holds a copy of the handle.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<Pipe>>);

#[derive(Debug, Default)]
struct Pipe {
    /// From the client, not read by the broker.
    to_broker: BytesMut,
    /// From the broker, not read by the client.
    to_client: BytesMut,
    /// Bytes that may wait for the client.
    room: usize,
    /// The client sends nothing more.
    client_ended: bool,
    /// The client is gone.
    reset: bool,
    /// The broker sends nothing more.
    broker_ended: bool,
    waker: Option<Waker>,
}

impl Pipe {
    /// Nothing to do for the broker until the client has done something.
    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Memory {
    /// A stream on which at most `room` bytes wait for the client.
    pub fn new(room: usize) -> Self {
        Self(Arc::new(Mutex::new(Pipe {
            room,
            ..Pipe::default()
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Pipe> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client sends.
    pub fn send(&self, bytes: &[u8]) {
        self.change(|pipe| pipe.to_broker.extend_from_slice(bytes));
    }

    /// The client reads up to `most` bytes.
    pub fn receive(&self, most: usize) -> BytesMut {
        let mut taken = BytesMut::new();
        self.change(|pipe| {
            let most = most.min(pipe.to_client.len());
            taken = pipe.to_client.split_to(most);
        });
        taken
    }

    /// The client ends its stream and reads nothing more.
    pub fn end(&self) {
        self.change(|pipe| {
            pipe.client_ended = true;
            pipe.to_client.clear();
            pipe.room = usize::MAX;
        });
    }

    /// The client is gone, with what the broker has not read yet.
    pub fn reset(&self) {
        self.change(|pipe| {
            pipe.reset = true;
            pipe.to_broker.clear();
            pipe.to_client.clear();
        });
    }

    /// Bytes that the broker has not read.
    pub fn unread(&self) -> usize {
        self.lock().to_broker.len()
    }

    /// The broker has ended its stream.
    pub fn is_ended(&self) -> bool {
        self.lock().broker_ended
    }

    fn change(&self, change: impl FnOnce(&mut Pipe)) {
        let mut pipe = self.lock();
        change(&mut pipe);
        let waker = pipe.waker.take();
        drop(pipe);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.lock();
        if pipe.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let read = pipe.to_broker.len();
        if read == 0 && !pipe.client_ended {
            return pipe.wait(cx);
        }
        buffer.extend_from_slice(&pipe.to_broker.split());
        Poll::Ready(Ok(read))
    }

    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut impl Buf,
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.lock();
        if pipe.reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = buffer
            .remaining()
            .min(pipe.room.saturating_sub(pipe.to_client.len()));
        if written == 0 {
            return pipe.wait(cx);
        }
        let bytes = buffer.copy_to_bytes(written);
        if !pipe.client_ended {
            pipe.to_client.extend_from_slice(&bytes);
        }
        Poll::Ready(Ok(written))
    }

    pub(super) fn poll_shutdown(&self) -> Poll<io::Result<()>> {
        self.lock().broker_ended = true;
        Poll::Ready(Ok(()))
    }
}
