//! One publisher: what it may send now, and the acknowledgements it waits for.

use tokio::io::Interest;

use crate::conn::Conn;
use crate::wire::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, PublishTemplate, Stamp};
use crate::{Failure, Result};

/// Bytes of PUBLISH packets that are built for one write.
const BATCH_BYTES: usize = 32 * 1024;

/// When the messages of a run are due.
#[derive(Clone, Copy)]
pub enum Plan {
    /// Each publisher sends so many, as fast as it can.
    Count(u32),
    /// Each publisher sends as fast as it can until so many microseconds after the start.
    Until(u64),
    /// `total` messages, number `k` of them due `k / per_second` seconds after the start and sent by
    /// publisher `k % publishers`.
    Schedule { per_second: u64, total: u64 },
}

impl Plan {
    /// How many messages of a schedule are due `elapsed_us` after the start; all of them are when there is none.
    pub fn due_in_all(self, elapsed_us: u64) -> u64 {
        match self {
            Self::Schedule { per_second, total } => {
                total.min(elapsed_us.saturating_mul(per_second) / 1_000_000 + 1)
            }
            _ => u64::MAX,
        }
    }

    /// Microseconds after the start at which message `k` of a schedule is due.
    pub fn due_at_us(self, k: u64) -> u64 {
        match self {
            Self::Schedule { per_second, .. } => k.saturating_mul(1_000_000) / per_second.max(1),
            _ => 0,
        }
    }
}

/// Where a packet identifier is in its handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IdState {
    Free,
    AwaitsFirstAck,
    AwaitsPubcomp,
}

pub struct Publisher {
    pub conn: Conn,
    index: u32,
    publishers: u32,
    plan: Plan,
    template: PublishTemplate,
    qos: u8,
    window: usize,
    in_flight: usize,
    /// By packet identifier; empty at QoS 0.
    ids: Vec<IdState>,
    next_seq: u32,
    /// The start of the run on the clock that stamps use, in microseconds.
    start_us: u64,
    /// Set when nothing more will be sent.
    all_sent: bool,
}

impl Publisher {
    /// `index` of `publishers`; at most `window` messages are unacknowledged at a time.
    pub fn new(
        conn: Conn,
        (index, publishers): (u32, u32),
        template: PublishTemplate,
        qos: u8,
        window: u16,
        plan: Plan,
    ) -> Self {
        let ids = if qos > 0 {
            vec![IdState::Free; usize::from(u16::MAX) + 1]
        } else {
            Vec::new()
        };
        Self {
            conn,
            index,
            publishers,
            plan,
            template,
            qos,
            window: usize::from(window),
            in_flight: 0,
            ids,
            next_seq: 0,
            start_us: 0,
            all_sent: false,
        }
    }

    /// Fixes the start of the run.
    pub fn start(&mut self, start_us: u64) {
        self.start_us = start_us;
    }

    /// Messages handed to the socket or waiting for it.
    pub fn sent(&self) -> u32 {
        self.next_seq
    }

    /// Everything is sent, written and acknowledged.
    pub fn finished(&self) -> bool {
        self.all_sent && self.in_flight == 0 && !self.conn.has_output()
    }

    /// Something could be written at once, were the socket willing.
    pub fn interest(&self) -> Interest {
        let eager =
            !matches!(self.plan, Plan::Schedule { .. }) && !self.all_sent && self.next_id_is_free();
        if eager {
            Interest::READABLE | Interest::WRITABLE
        } else {
            self.conn.interest()
        }
    }

    /// Builds and writes one batch of what is due at `now_us`.
    pub fn pump(&mut self, now_us: u64) -> Result<()> {
        // A batch starts only when the one before is out, so `out` stays bounded.
        if !self.conn.has_output() {
            let elapsed_us = now_us.saturating_sub(self.start_us);
            let due = self.due(elapsed_us);
            while self.next_seq < due && self.conn.out.len() < BATCH_BYTES && self.next_id_is_free()
            {
                self.push_next();
            }
            self.all_sent = match self.plan {
                Plan::Count(count) => self.next_seq >= count,
                Plan::Until(end_us) => elapsed_us >= end_us,
                Plan::Schedule { total, .. } => self.next_seq >= self.share(total),
            };
        }
        self.conn.flush()
    }

    /// Reads acknowledgements once and answers PUBREC.
    pub fn read_acks(&mut self) -> Result<()> {
        let Self {
            conn,
            ids,
            in_flight,
            qos,
            ..
        } = self;
        conn.read_frames(|frame, out| {
            let id = wire::parse_ack(frame)?;
            let state = ids
                .get_mut(usize::from(id))
                .ok_or_else(|| unexpected(frame.kind(), id))?;
            *state = match (frame.kind(), *qos, *state) {
                (PUBACK, 1, IdState::AwaitsFirstAck) | (PUBCOMP, 2, IdState::AwaitsPubcomp) => {
                    *in_flight = in_flight.saturating_sub(1);
                    IdState::Free
                }
                (PUBREC, 2, IdState::AwaitsFirstAck) => {
                    wire::push_ack(out, PUBREL, id);
                    IdState::AwaitsPubcomp
                }
                (kind, ..) => return Err(unexpected(kind, id)),
            };
            Ok(())
        })
    }

    fn push_next(&mut self) {
        let number = u64::from(self.next_seq) * u64::from(self.publishers) + u64::from(self.index);
        let due_us = (self.start_us + self.plan.due_at_us(number)) as u32;
        let stamp = Stamp {
            publisher: self.index,
            seq: self.next_seq,
            due_us,
        };
        let id = self.next_id();
        self.template.push(&mut self.conn.out, id, stamp);
        if let Some(state) = self.ids.get_mut(usize::from(id)) {
            *state = IdState::AwaitsFirstAck;
            self.in_flight += 1;
        }
        self.next_seq += 1;
    }

    /// How many messages of this publisher may have been sent by now.
    fn due(&self, elapsed_us: u64) -> u32 {
        match self.plan {
            Plan::Count(count) => count,
            Plan::Until(end_us) if elapsed_us >= end_us => self.next_seq,
            Plan::Until(_) => u32::MAX,
            Plan::Schedule { .. } => self.share(self.plan.due_in_all(elapsed_us)),
        }
    }

    /// This publisher's part of the first `total` messages of all.
    fn share(&self, total: u64) -> u32 {
        match total.checked_sub(u64::from(self.index) + 1) {
            Some(rest) => (rest / u64::from(self.publishers.max(1)) + 1) as u32,
            None => 0,
        }
    }

    fn next_id(&self) -> u16 {
        (self.next_seq % u32::from(u16::MAX)) as u16 + 1
    }

    fn next_id_is_free(&self) -> bool {
        let free = self
            .ids
            .get(usize::from(self.next_id()))
            .is_none_or(|state| *state == IdState::Free);
        self.qos == 0 || (self.in_flight < self.window && free)
    }
}

fn unexpected(kind: u8, id: u16) -> Failure {
    Failure::protocol(format!(
        "packet type {kind} for identifier {id}, which awaits none such"
    ))
}
