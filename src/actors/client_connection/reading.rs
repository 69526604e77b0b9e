//! Reading from the socket, through a buffer that belongs to the worker.

use std::{
    io,
    task::{self, Poll, ready},
};

use bytes::Bytes;

use super::{ClientConnection, Phase, unread::Unread};
use crate::{
    config::Mqtt, mqtt::peek_header, session::CloseReason, stats::Metric, transport::Fault,
};

use super::drive::{CHUNKS_PER_TURN, count};

/// Bytes read at once.
const READ_SIZE: usize = 64 * 1024;
/// Room in the worker's buffer below which it gets a new allocation.
const READ_ROOM_MIN: usize = 16 * 1024;

impl ClientConnection {
    pub(super) fn may_read(&self, limits: &Mqtt) -> bool {
        // A client that does not read its acknowledgements is not read from either.
        self.wire.len() <= limits.max_output_buffer.saturating_mul(2)
    }

    /// Reads a chunk: the unfinished packet of the last one, if any, with what has come since. Empty at the end of
    /// the stream.
    pub(super) fn read(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<Bytes>> {
        let partial = self.unread.partial();
        if is_large(partial) {
            return self.read_large(cx);
        }
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        if scratch.capacity() - scratch.len() < READ_ROOM_MIN + partial.len() {
            scratch.reserve(READ_SIZE + partial.len());
        }
        scratch.extend_from_slice(partial);
        match self.transport.poll_read(cx, &mut scratch) {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.unread = Unread::default();
                self.count_read(n);
                Poll::Ready(Ok(scratch.split().freeze()))
            }
            other => {
                scratch.clear();
                other.map_ok(|_| Bytes::new())
            }
        }
    }

    /// Collects a large packet in a buffer of its own, which grows as its bytes come.
    fn read_large(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<Bytes>> {
        let max_packet_size = self.worker.shared.config.load().mqtt.max_packet_size;
        loop {
            let Some(partial) = self.unread.partial_mut() else {
                return Poll::Ready(Ok(Bytes::new()));
            };
            let step = next_step(partial, max_packet_size);
            if step == 0 {
                let packet = std::mem::take(partial).freeze();
                self.unread = Unread::default();
                return Poll::Ready(Ok(packet));
            }
            partial.reserve(step);
            match ready!(self.transport.poll_read(cx, partial)) {
                Ok(0) => return Poll::Ready(Ok(Bytes::new())),
                Ok(n) => self.count_read(n),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Keeps the beginning of a packet; what is large gets room for the next step at once.
    pub(super) fn keep_partial(&mut self, rest: &[u8]) {
        let more = if is_large(rest) {
            let max_packet_size = self.worker.shared.config.load().mqtt.max_packet_size;
            next_step(rest, max_packet_size)
        } else {
            0
        };
        self.unread.keep_partial(rest, more);
    }

    fn count_read(&mut self, n: usize) {
        self.worker.counters.add(Metric::BytesReceived, n as u64);
        if let Phase::Connected(connected) = &mut self.phase {
            count(&connected.inbox.counters.received_bytes, n as u64);
        }
    }

    pub(super) fn peer_has_ended(&mut self, cx: &mut task::Context<'_>) -> bool {
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        for _ in 0..CHUNKS_PER_TURN {
            scratch.reserve(READ_ROOM_MIN);
            let read = self.transport.poll_read(cx, &mut scratch);
            scratch.clear();
            match read {
                Poll::Ready(Ok(0) | Err(_)) => return true,
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return false,
            }
        }
        cx.waker().wake_by_ref();
        false
    }
}

/// True for the beginning of a packet that is collected in a buffer of its own.
fn is_large(partial: &[u8]) -> bool {
    partial.len() > READ_SIZE / 2
}

/// For how many more bytes of a packet that begins like this there is to be room: all that are missing, but no more than have
/// come, or are read at once. 0 when it is whole, or never will be.
fn next_step(partial: &[u8], max_packet_size: u32) -> usize {
    let whole = match peek_header(partial, max_packet_size) {
        Ok(Some(header)) => header.packet_len(),
        _ => 0,
    };
    let missing = whole.saturating_sub(partial.len());
    missing.min(partial.len().max(READ_SIZE))
}

/// Why a connection ends whose stream has failed.
pub(super) fn reason_of(error: &io::Error) -> CloseReason {
    let fault = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Fault>());
    match fault {
        Some(fault) => CloseReason::Transport(fault.kind_name(), fault.to_string()),
        None => CloseReason::Socket(error.kind()),
    }
}
