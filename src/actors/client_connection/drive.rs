//! The future that drives the socket: writes, reads, and watches the time.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{self, Poll},
    time::Instant,
};

use actix::{Context, fut::ActorFuture};
use bytes::BytesMut;

use super::{ClientConnection, Connected, Phase, reading::reason_of};
use crate::{
    actors::clock,
    actors::session_store::state_counters,
    config::Mqtt,
    messages::{InboxItem, Patience},
    session::CloseReason,
    stats::Metric,
};

/// Bytes to be written that make it worth a system call while there is more to deliver.
const WRITE_EARLY: usize = 64 * 1024;
/// Bytes that are worth a system call of their own, so that they need not be copied into the output. In unit tests, which have
/// few, all are.
const FORWARDED_MIN: usize = if cfg!(test) { 1 } else { 32 * 1024 };
/// An output buffer with more room than this is not kept for the next connection: one whose client does not read has it for
/// long, and perhaps with a few bytes in it.
const OUTPUT_KEPT: usize = 8 * 1024;
/// Batches that a connection delivers before others get their turn.
const BATCHES_PER_TURN: usize = 128;
/// Chunks that a connection handles before others get their turn.
pub(super) const CHUNKS_PER_TURN: usize = 4;

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
        let worker = self.worker.clone();
        let config = worker.shared.config.load();
        let limits = &config.mqtt;
        if !self
            .waker
            .as_ref()
            .is_some_and(|own| own.will_wake(cx.waker()))
        {
            self.waker = Some(cx.waker().clone());
        }
        if self.wire.capacity() == 0 {
            self.wire = worker.output.take();
        }
        for _ in 0..CHUNKS_PER_TURN {
            self.release_held(cx);
            self.deliver(limits, now, cx);
            self.write(limits, now, cx);
            if let Phase::Closing(_) = self.phase {
                return self.drive_closing(now, ctx, cx);
            }
            self.fetch_bodies(ctx);
            self.fetch_retained(ctx);
            // Asked in any case: others may stand in line behind it.
            if self.is_held(cx, now) || !self.may_handle() {
                return self.rest(limits, now, ctx, cx);
            }
            if let Some(data) = self.unread.take_waiting() {
                self.handle_bytes(data, now, ctx);
                if self.unread.is_waiting() {
                    break;
                }
                continue;
            }
            if !self.may_read(limits) {
                return self.rest(limits, now, ctx, cx);
            }
            match self.read(cx) {
                Poll::Pending => return self.rest(limits, now, ctx, cx),
                Poll::Ready(Ok(data)) if data.is_empty() => {
                    self.close(&CloseReason::PeerClosed);
                }
                Poll::Ready(Ok(data)) => {
                    self.handle_bytes(data, now, ctx);
                    if self.unread.is_waiting() {
                        break;
                    }
                    if self.owes_acknowledgements() {
                        // Subscribers on this thread are woken by now and get their messages first.
                        return self.pause(limits, now, ctx, cx);
                    }
                }
                Poll::Ready(Err(error)) => self.close(&reason_of(&error)),
            }
        }
        self.release_held(cx);
        self.deliver(limits, now, cx);
        self.write(limits, now, cx);
        self.pause(limits, now, ctx, cx);
    }

    /// True, once, when acknowledgements of what was just read are to be written.
    fn owes_acknowledgements(&mut self) -> bool {
        let Phase::Connected(connected) = &mut self.phase else {
            return false;
        };
        std::mem::take(&mut connected.acknowledges) && !self.wire.is_empty()
    }

    /// The rest is done when others have had their turn.
    fn pause(
        &mut self,
        limits: &Mqtt,
        now: Instant,
        ctx: &mut Context<Self>,
        cx: &mut task::Context<'_>,
    ) {
        self.state(limits, now);
        if !self.move_if_asked(ctx) {
            cx.waker().wake_by_ref();
        }
    }

    /// Nothing more can be done now.
    fn rest(
        &mut self,
        limits: &Mqtt,
        now: Instant,
        ctx: &mut Context<Self>,
        cx: &mut task::Context<'_>,
    ) {
        if self.wire.is_empty() {
            let output = std::mem::take(&mut self.wire);
            if output.capacity() <= OUTPUT_KEPT {
                self.worker.output.replace(output);
            }
        }
        self.state(limits, now);
        if self.watch_time(now, cx) {
            self.write(limits, now, cx);
            self.drive_closing(now, ctx, cx);
        } else {
            self.move_if_asked(ctx);
        }
    }

    /// Delivers what waits in the inbox, writing whenever enough has come together: only what the socket does not
    /// take counts against the output limit.
    fn deliver(&mut self, limits: &Mqtt, now: Instant, cx: &mut task::Context<'_>) {
        for _ in 0..BATCHES_PER_TURN {
            let Phase::Connected(connected) = &mut self.phase else {
                return;
            };
            if connected.items.is_empty() && !connected.drain {
                return;
            }
            if self.is_backed_up(limits, now, cx) {
                return;
            }
            let Phase::Connected(connected) = &mut self.phase else {
                return;
            };
            if connected.items.is_empty() {
                connected.drain = false;
                connected.items = connected.inbox.take().into();
            }
            let Some(item) = connected.items.pop_front() else {
                return;
            };
            if !self.forward(&item, limits, now, cx)
                && let Phase::Connected(connected) = &mut self.phase
            {
                connected.channel.deliver(
                    &item.batch,
                    item.range,
                    &item.delivery,
                    limits,
                    now,
                    &mut self.wire,
                    &self.worker.counters,
                );
            }
            if self.wire.len() >= WRITE_EARLY {
                self.write(limits, now, cx);
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Has the socket take many bytes that are sent as they came from where they lie, if nothing is to be written before
    /// them; what it does not take is output like any other. False for other messages.
    fn forward(
        &mut self,
        item: &InboxItem,
        limits: &Mqtt,
        now: Instant,
        cx: &mut task::Context<'_>,
    ) -> bool {
        let Phase::Connected(connected) = &mut self.phase else {
            return false;
        };
        let InboxItem {
            batch,
            range,
            delivery,
        } = item;
        if !self.wire.is_empty() || batch.size(range) < FORWARDED_MIN {
            return false;
        }
        let channel = &mut connected.channel;
        let Some(mut bytes) = channel.verbatim(batch, range, delivery, &mut self.wire) else {
            return false;
        };
        channel.count_written(range.len(), &self.worker.counters);
        let written = self.transport.poll_write_through(cx, &mut bytes);
        self.wire.extend_from_slice(bytes);
        self.account(written, limits, now);
        true
    }

    /// True while messages are to wait where they are: the output is nearly full, and that its publishers wait for the client
    /// has just begun or is about to. What they had on the way is not dropped for that.
    fn is_backed_up(&mut self, limits: &Mqtt, now: Instant, cx: &mut task::Context<'_>) -> bool {
        let mut is_backed_up = false;
        if is_nearly_full(&self.wire, limits) {
            self.write(limits, now, cx);
            if let Phase::Connected(connected) = &self.phase
                && is_nearly_full(&self.wire, limits)
            {
                let inbox = &connected.inbox;
                inbox.set_congested(true, now);
                let since = inbox.congested_for(now);
                is_backed_up = since.is_some_and(|since| since < limits.max_publisher_pause)
                    && inbox.set_aside(limits.max_output_buffer);
            }
        }
        if let Phase::Connected(connected) = &mut self.phase {
            // While what was taken before is worked off, publishers are to wait for what comes behind it.
            if connected.backed_up && !is_backed_up {
                connected.inbox.set_to_work();
            }
            connected.backed_up = is_backed_up;
        }
        is_backed_up
    }

    /// Writes what there is; what waits behind a full output or window moves up when there is room.
    fn write(&mut self, limits: &Mqtt, now: Instant, cx: &mut task::Context<'_>) {
        while !self.wire.is_empty() {
            let written = self.transport.poll_write(cx, &mut self.wire);
            if !self.account(written, limits, now) {
                return;
            }
        }
    }

    /// Takes account of what the socket has taken. False when it takes no more.
    fn account(&mut self, written: Poll<io::Result<usize>>, limits: &Mqtt, now: Instant) -> bool {
        match written {
            Poll::Ready(Ok(written)) => {
                self.worker.counters.add(Metric::BytesSent, written as u64);
                if let Phase::Connected(connected) = &mut self.phase {
                    count(&connected.inbox.counters.sent_bytes, written as u64);
                    if connected.channel.session().outbound().is_waiting() {
                        let counters = &self.worker.counters;
                        connected
                            .channel
                            .pump(&mut self.wire, limits, now, counters);
                    }
                }
                true
            }
            Poll::Ready(Err(error)) => {
                self.wire = BytesMut::new();
                self.close(&CloseReason::Socket(error.kind()));
                // Nothing can be written any more, not even a farewell.
                self.wire = BytesMut::new();
                true
            }
            Poll::Pending => false,
        }
    }

    /// True when packets may be handled: no answer of another actor is awaited.
    pub(super) fn may_handle(&self) -> bool {
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

    /// Writes the client's figures where lists find them, and has the durable store know what it needs no longer.
    fn state(&mut self, limits: &Mqtt, now: Instant) {
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
        let fullness = outbound.fullness(self.wire.len(), limits);
        if !(Patience::RELAXED..=Patience::CONGESTED).contains(&fullness) {
            inbox.set_congested(fullness > Patience::CONGESTED, now);
        }
        if connected.backed_up && !is_nearly_full(&self.wire, limits) {
            self.wake();
        }
    }

    /// Writes the rest, ends the stream, and waits for the peer to end its own unless it has said that it is done:
    /// closing a socket with unread bytes would take away from the peer what it has not read yet, its DISCONNECT among
    /// it.
    fn drive_closing(&mut self, now: Instant, ctx: &mut Context<Self>, cx: &mut task::Context<'_>) {
        let peer_is_done = match &self.phase {
            Phase::Closing(closing) if !closing.finished => closing.peer_is_done,
            _ => return,
        };
        let late = self.watch_time(now, cx);
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
}

/// True for an output that makes publishers wait.
fn is_nearly_full(wire: &BytesMut, limits: &Mqtt) -> bool {
    wire.len() as f64 > limits.max_output_buffer as f64 * Patience::CONGESTED
}

/// Counts for a client; nobody but its connection does.
pub(super) fn count(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}
