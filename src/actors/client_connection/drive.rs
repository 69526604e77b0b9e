//! The future that drives the socket: writes, reads, and watches the time.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{self, Poll, ready},
    time::Instant,
};

use actix::{Context, fut::ActorFuture};
use bytes::{Bytes, BytesMut};

use super::{ClientConnection, Connected, Phase, hold::Hold, unread::Unread};
use crate::{
    actors::clock, actors::session_store::state_counters, messages::Patience, mqtt::peek_header,
    session::CloseReason, stats::Metric, transport::Fault,
};

/// Bytes read at once.
const READ_SIZE: usize = 64 * 1024;
/// Room in the worker's buffer below which it gets a new allocation.
const READ_ROOM_MIN: usize = 16 * 1024;
/// Bytes to be written that make it worth a system call while there is more to deliver.
const WRITE_EARLY: usize = 64 * 1024;
/// Batches that a connection delivers before others get their turn.
const BATCHES_PER_TURN: usize = 128;
/// Chunks that a connection handles before others get their turn.
const CHUNKS_PER_TURN: usize = 4;

/// Drives the connection as long as its actor lives. It is polled after the mailbox whenever the actor wakes.
pub(super) struct Drive;

impl ActorFuture<ClientConnection> for Drive {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        connection: &mut ClientConnection,
        ctx: &mut Context<ClientConnection>,
        cx: &mut task::Context<'_>,
    ) -> Poll<()> {
        connection.drive(ctx, cx);
        Poll::Pending
    }
}

impl ClientConnection {
    fn drive(&mut self, ctx: &mut Context<Self>, cx: &mut task::Context<'_>) {
        let now = clock::now();
        if !self
            .waker
            .as_ref()
            .is_some_and(|own| own.will_wake(cx.waker()))
        {
            self.waker = Some(cx.waker().clone());
        }
        for _ in 0..CHUNKS_PER_TURN {
            self.release_held(cx);
            self.deliver(now, cx);
            self.write(cx);
            if let Phase::Closing(_) = self.phase {
                return self.drive_closing(ctx, cx);
            }
            self.fetch_bodies(ctx);
            self.fetch_retained(ctx);
            if !self.may_handle() || self.is_held(cx, now) {
                return self.rest(ctx, cx);
            }
            if let Some(data) = self.unread.take_waiting() {
                self.handle_bytes(data, now, ctx);
                if self.unread.is_waiting() {
                    break;
                }
                continue;
            }
            if !self.may_read() {
                return self.rest(ctx, cx);
            }
            match self.read(cx) {
                Poll::Pending => return self.rest(ctx, cx),
                Poll::Ready(Ok(data)) if data.is_empty() => {
                    self.close(&CloseReason::PeerClosed);
                }
                Poll::Ready(Ok(data)) => {
                    self.handle_bytes(data, now, ctx);
                    if self.unread.is_waiting() {
                        break;
                    }
                }
                Poll::Ready(Err(error)) => self.close(&reason_of(&error)),
            }
        }
        self.release_held(cx);
        self.deliver(now, cx);
        self.write(cx);
        self.state();
        if !self.move_if_asked(ctx) {
            cx.waker().wake_by_ref();
        }
    }

    /// Nothing more can be done now.
    fn rest(&mut self, ctx: &mut Context<Self>, cx: &mut task::Context<'_>) {
        if self.wire.is_empty() {
            self.wire = BytesMut::new();
        }
        self.state();
        if self.watch_time(cx) {
            self.write(cx);
            self.drive_closing(ctx, cx);
        } else {
            self.move_if_asked(ctx);
        }
    }

    /// Delivers what waits in the inbox, writing whenever enough has come together: only what the socket does not
    /// take counts against the output limit.
    fn deliver(&mut self, now: Instant, cx: &mut task::Context<'_>) {
        for _ in 0..BATCHES_PER_TURN {
            let Phase::Connected(connected) = &mut self.phase else {
                return;
            };
            if connected.items.is_empty() {
                if !std::mem::take(&mut connected.drain) {
                    return;
                }
                connected.items = connected.inbox.take().into();
            }
            let Some(item) = connected.items.pop_front() else {
                return;
            };
            let config = self.worker.shared.config.load();
            connected.channel.deliver(
                &item.batch,
                item.range,
                &item.delivery,
                &config.mqtt,
                now,
                &mut self.wire,
                &self.worker.counters,
            );
            if self.wire.len() >= WRITE_EARLY {
                self.write(cx);
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Writes what there is; what waits behind a full output or window moves up when there is room.
    fn write(&mut self, cx: &mut task::Context<'_>) {
        while !self.wire.is_empty() {
            match self.transport.poll_write(cx, &mut self.wire) {
                Poll::Ready(Ok(written)) => {
                    self.worker.counters.add(Metric::BytesSent, written as u64);
                    let Phase::Connected(connected) = &mut self.phase else {
                        continue;
                    };
                    count(&connected.inbox.counters.sent_bytes, written as u64);
                    if connected.channel.session().outbound().is_waiting() {
                        let config = self.worker.shared.config.load();
                        connected.channel.pump(
                            &mut self.wire,
                            &config.mqtt,
                            clock::now(),
                            &self.worker.counters,
                        );
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.wire = BytesMut::new();
                    self.close(&CloseReason::Socket(error.kind()));
                    // Nothing can be written any more, not even a farewell.
                    self.wire = BytesMut::new();
                }
                Poll::Pending => return,
            }
        }
    }

    /// True when packets may be handled: no answer of another actor is awaited.
    fn may_handle(&self) -> bool {
        match &self.phase {
            Phase::AwaitingConnect(_) | Phase::Authenticating(_) => true,
            Phase::Connected(connected) => !connected.asking && !self.has_enough_held(connected),
            Phase::Opening(_) | Phase::Arriving(..) | Phase::Closing(_) | Phase::Moved(_) => false,
        }
    }

    /// True when the client has as many messages waiting for the store as it may have unacknowledged.
    fn has_enough_held(&self, connected: &Connected) -> bool {
        let held = connected.held.len();
        held > 0 && held >= usize::from(self.worker.shared.config.load().mqtt.receive_maximum)
    }

    fn may_read(&self) -> bool {
        // A client that does not read its acknowledgements is not read from either.
        let most = self.worker.shared.config.load().mqtt.max_output_buffer;
        self.wire.len() <= most.saturating_mul(2)
    }

    /// Reads a chunk: the unfinished packet of the last one, if any, with what has come since. Empty at the end of
    /// the stream.
    fn read(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<Bytes>> {
        let partial = self.unread.partial();
        if partial.len() > READ_SIZE / 2 {
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
            let whole = match peek_header(partial, max_packet_size) {
                Ok(Some(header)) => header.packet_len(),
                _ => 0,
            };
            let missing = whole.saturating_sub(partial.len());
            if missing == 0 {
                let packet = std::mem::take(partial).freeze();
                self.unread = Unread::default();
                return Poll::Ready(Ok(packet));
            }
            let step = partial.len().max(READ_SIZE);
            partial.reserve(missing.min(step));
            match ready!(self.transport.poll_read(cx, partial)) {
                Ok(0) => return Poll::Ready(Ok(Bytes::new())),
                Ok(n) => self.count_read(n),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn count_read(&mut self, n: usize) {
        self.worker.counters.add(Metric::BytesReceived, n as u64);
        if let Phase::Connected(connected) = &mut self.phase {
            count(&connected.inbox.counters.received_bytes, n as u64);
        }
    }

    /// Writes the client's figures where lists find them, and has the durable store know what it needs no longer.
    fn state(&mut self) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        if let Some(store) = &self.worker.shared.store {
            let outbound = connected.channel.session_mut().outbound_mut();
            store.note_settled(&connected.inbox, outbound);
        }
        let Connected { inbox, channel, .. } = &**connected;
        let outbound = channel.session().outbound();
        state_counters(inbox, outbound);
        let config = self.worker.shared.config.load();
        let fullness = outbound.fullness(self.wire.len(), &config.mqtt);
        if !(Patience::RELAXED..=Patience::CONGESTED).contains(&fullness) {
            inbox.set_congested(fullness > Patience::CONGESTED, clock::now());
        }
    }

    /// Writes the rest, ends the stream, and waits for the peer to end its own unless it has said that it is done:
    /// closing a socket with unread bytes would take away from the peer what it has not read yet, its DISCONNECT among
    /// it.
    fn drive_closing(&mut self, ctx: &mut Context<Self>, cx: &mut task::Context<'_>) {
        let peer_is_done = match &self.phase {
            Phase::Closing(closing) if !closing.finished => closing.peer_is_done,
            _ => return,
        };
        let late = self.watch_time(cx);
        let ended = late
            || (self.wire.is_empty()
                && (peer_is_done
                    || (self.transport.poll_shutdown(cx).is_ready() && self.peer_has_ended(cx))));
        if ended {
            self.transport.say_goodbye(cx);
        }
        // Where the session was given away, the registry's farewell is on its way, perhaps by the actor that a moved
        // connection was before. However late it is, without it the session would be lost.
        if let Phase::Closing(closing) = &mut self.phase
            && ended
            && closing.awaited.is_none()
        {
            closing.finished = true;
            self.stop_timer();
            self.finish(ctx);
        }
    }

    fn peer_has_ended(&mut self, cx: &mut task::Context<'_>) -> bool {
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

    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::AwaitingConnect(seat) => Some(seat.deadline()),
            Phase::Authenticating(authenticating) => Some(authenticating.deadline),
            Phase::Closing(closing) => Some(closing.deadline),
            Phase::Opening(_) | Phase::Arriving(..) | Phase::Moved(_) => None,
            Phase::Connected(connected) => {
                let pause = self.hold.as_deref().and_then(Hold::until);
                let login = connected.login_ends();
                [connected.channel.deadline(), pause, login]
                    .into_iter()
                    .flatten()
                    .min()
            }
        }
    }

    /// Arms the timer for the deadline; true when the deadline has passed and the connection is closing for it.
    fn watch_time(&mut self, cx: &mut task::Context<'_>) -> bool {
        loop {
            let Some(deadline) = self.deadline() else {
                self.stop_timer();
                return false;
            };
            let now = clock::now();
            if deadline <= now {
                if self.on_deadline(now) {
                    return true;
                }
                continue;
            }
            // The deadline moves with every packet, the timer only when it has fired.
            let mut timers = self.worker.timers.borrow_mut();
            timers.arm(&mut self.timer, deadline, cx.waker());
            return false;
        }
    }

    /// Has the timer forget this connection.
    pub(super) fn stop_timer(&mut self) {
        if let Some(key) = self.timer.take() {
            self.worker.timers.borrow_mut().remove(key);
        }
    }

    /// False when the deadline was moved.
    fn on_deadline(&mut self, now: Instant) -> bool {
        let listens = self.may_handle() && self.hold.is_none();
        match &mut self.phase {
            Phase::Connected(connected) if connected.login_ends().is_some_and(|end| end <= now) => {
                self.worker.counters.add(Metric::LoginsExpired, 1);
                self.close(&CloseReason::LoginExpired);
            }
            Phase::AwaitingConnect(_) | Phase::Authenticating(_) => {
                self.close(&CloseReason::ConnectTimeout);
            }
            Phase::Connected(connected) if !listens => {
                // The client may have spoken: it is the broker that does not listen.
                connected.channel.seen(now);
                self.hold = None;
                self.wake();
                return false;
            }
            Phase::Connected(_) => {
                self.worker.counters.add(Metric::KeepAliveTimeouts, 1);
                self.close(&CloseReason::KeepAliveTimeout);
            }
            Phase::Closing(_) | Phase::Opening(_) | Phase::Arriving(..) | Phase::Moved(_) => {}
        }
        true
    }
}

/// Counts for a client; nobody but its connection does.
pub(super) fn count(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Why a connection ends whose stream has failed.
fn reason_of(error: &io::Error) -> CloseReason {
    let fault = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Fault>());
    match fault {
        Some(fault) => CloseReason::Transport(fault.kind_name(), fault.to_string()),
        None => CloseReason::Socket(error.kind()),
    }
}
