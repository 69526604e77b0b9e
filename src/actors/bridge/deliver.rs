//! Messages on their way to the remote: from the inbox to the session, from there to the wire, and from there to the stream.

use std::{
    sync::atomic::Ordering::Relaxed,
    task::{self, Poll},
    time::Instant,
};

use bytes::BytesMut;

use super::{Bridge, Local, Remote};
use crate::{actors::session_store::state_counters, bridge::Origin, stats::Metric};

/// Bytes to be written that make it worth a system call while there is more to deliver.
const WRITE_EARLY: usize = 64 * 1024;
/// Batches that are delivered before others get their turn.
const BATCHES_PER_TURN: usize = 128;

impl Bridge {
    /// Delivers what waits in the inbox: to the remote, or, while that is away, to the queue.
    pub(super) fn deliver(&mut self, now: Instant, cx: &mut task::Context<'_>) {
        self.limits();
        for _ in 0..BATCHES_PER_TURN {
            let Local::Open { inbox, .. } = &self.local else {
                return;
            };
            if self.items.is_empty() {
                if !std::mem::take(&mut self.drain) {
                    return;
                }
                self.items = inbox.take().into();
            }
            let Some(item) = self.items.pop_front() else {
                return;
            };
            let (limits, counters) = (&self.limits.1, &self.counters);
            match &mut self.remote {
                Remote::Up(up) if !up.link.is_introducing() => up.link.channel().deliver(
                    &item.batch,
                    item.range,
                    &item.delivery,
                    limits,
                    now,
                    &mut self.wire,
                    counters,
                ),
                remote => {
                    let session = match remote {
                        Remote::Up(up) => Some(up.link.channel().session_mut()),
                        _ => self.session.as_mut(),
                    };
                    if let Some(session) = session {
                        session.deliver_offline(
                            &item.batch,
                            item.range,
                            &item.delivery,
                            limits,
                            now,
                            counters,
                        );
                    }
                }
            }
            if self.wire.len() >= WRITE_EARLY {
                self.write(now, cx);
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Writes what waits in the session, as far as there is room.
    pub(super) fn pump(&mut self, now: Instant) {
        self.limits();
        if let Remote::Up(up) = &mut self.remote
            && !up.link.is_introducing()
        {
            let channel = up.link.channel();
            channel.pump(&mut self.wire, &self.limits.1, now, &self.counters);
        }
    }

    /// Writes what there is; what waits behind a full output or window moves up when there is room.
    pub(super) fn write(&mut self, now: Instant, cx: &mut task::Context<'_>) {
        loop {
            let Remote::Up(up) = &mut self.remote else {
                return;
            };
            let to = Origin {
                bridge: self.number,
                peer: up.peer,
            };
            up.link.note_sent(to, &self.worker.shared.marks, now);
            match up.stream.poll_write(cx, &mut self.wire) {
                Poll::Ready(Ok(written)) => {
                    self.counters.add(Metric::BytesSent, written as u64);
                    if written > 0 {
                        up.link.sent(now);
                    }
                    if written == 0 || !up.link.session().outbound().is_waiting() {
                        return;
                    }
                }
                Poll::Ready(Err(error)) => return self.lost(&error, now),
                Poll::Pending => return,
            }
            let before = self.wire.len();
            self.pump(now);
            if self.wire.len() == before {
                return;
            }
        }
    }

    /// Writes the figures where lists find them, and has the durable store know what it needs no longer.
    pub(super) fn state(&mut self) {
        let Local::Open { inbox, .. } = &self.local else {
            return;
        };
        let inbox = inbox.clone();
        let store = self.worker.shared.store.clone();
        let Some(session) = self.session_mut() else {
            return;
        };
        if let Some(store) = store {
            store.note_settled(&inbox, session.outbound_mut());
        }
        state_counters(&inbox, session.outbound());
        let mut totals = crate::stats::Totals::default();
        self.counters.add_to(&mut totals);
        let figures = &inbox.counters;
        let received = totals.messages_received();
        figures.received_messages.store(received, Relaxed);
        if self.wire.is_empty() {
            self.wire = BytesMut::new();
        }
    }
}
