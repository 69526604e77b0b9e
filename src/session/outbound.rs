//! Messages towards a client: the window of unacknowledged ones, the queue behind it, and what is written at once.
//!
//! ```text
//!             deliver                      window (packet ids first_id, first_id+1, ...)
//!  QoS 0 ----------------------> wire      +------+------+------+ - - - +
//!  QoS 1/2 -> [ queue ] --pump-> wire ---> | sent | done | sent | unsent|   resent after a reconnect
//!                                          +------+------+------+ - - - +
//!                                            PUBACK / PUBREC+PUBCOMP turn "sent" into "done";
//!                                            "done" ones leave at the left end
//! ```
//!
//! Identifiers are given in sequence, so an acknowledgement finds its message by subtraction. Messages of a durable
//! session have a place in its sequence before they come here ([`Place`]), which says their identifier; what was dropped
//! on the way leaves a slot that is done.

mod arriving;
mod stored;
mod taking_out;
mod window;

use std::sync::Arc;

use super::{
    durable::{Changes, Content, Place},
    lazy_deque::LazyDeque,
};
use crate::{
    config::Mqtt,
    mqtt::{Message, QoS},
    stats::{Counters, DropReason, Metric},
};

/// Packet identifiers: 1 to 65,535 `[MQTT-2.2.1]`.
const IDENTIFIERS: usize = 65_535;

/// How a session wants the messages of a batch, as its subscriptions say.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Maximum QoS.
    pub qos: QoS,
    /// Whether the RETAIN flag is passed on `[MQTT-3.3.1-12]`, `[MQTT-3.3.1-13]`.
    pub retain_as_published: bool,
    /// Identifiers of the matching subscriptions.
    pub subscription_ids: Option<Arc<[u32]>>,
    /// The shared subscription that the messages come from, with its whole `$share/group/filter`.
    pub group: Option<Arc<str>>,
    /// The places of those that are in the durable store, one for each message with a QoS above 0.
    pub places: Option<Arc<[Place]>>,
}

/// A message of a shared subscription that its member did not get to acknowledge.
#[derive(Clone, Debug)]
pub struct Orphan {
    /// The message, unless its body is in the store alone.
    pub message: Option<Message>,
    /// Where it is in the store, if it is there: it is to be moved from there.
    pub place: Option<Place>,
    /// Its bytes, for limits.
    pub size: usize,
}

impl Orphan {
    fn of(content: &Content) -> Self {
        Self {
            message: content.message().cloned(),
            place: content.place(),
            size: content.size(),
        }
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct Outbound {
    window: LazyDeque<Slot>,
    /// Place of the first slot in the sequence of all messages of the session, or of the next message when the window
    /// is empty. It says the identifier.
    first: u64,
    /// Slots before this one were sent on the present connection.
    sent: usize,
    /// Of those, the ones that are not done.
    on_wire: u32,
    /// The PUBREL packets of the window are to be sent on this connection, which is new.
    releases_due: bool,
    /// Bytes of the messages in the window.
    window_bytes: usize,
    queue: LazyDeque<Queued>,
    queue_bytes: usize,
    /// Slots that are not done.
    unacknowledged: usize,
    dropped: u64,
    written: u64,
    /// What the store is to know, if the session is in it.
    durable: Option<Box<Changes>>,
}

#[derive(Debug)]
enum Slot {
    /// PUBLISH is sent, or waits to be sent again.
    Publish(Queued),
    /// PUBREC has come, PUBREL is sent; PUBCOMP is awaited.
    Release,
    /// A message with QoS 2 that may have been sent on an earlier connection and is not to be sent again. The peer may have
    /// it, and with it the identifier, which PUBREL makes free; PUBCOMP is awaited.
    Withdrawn,
    /// Acknowledged.
    Done,
}

#[derive(Clone, Debug)]
struct Queued {
    content: Content,
    subscription_ids: Option<Arc<[u32]>>,
    group: Option<Arc<str>>,
    qos: QoS,
    retain: bool,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            window: LazyDeque::default(),
            first: 1,
            sent: 0,
            on_wire: 0,
            releases_due: false,
            window_bytes: 0,
            queue: LazyDeque::default(),
            queue_bytes: 0,
            unacknowledged: 0,
            dropped: 0,
            written: 0,
            durable: None,
        }
    }
}

impl Outbound {
    /// Messages waiting behind the window.
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of the messages waiting behind the window.
    pub fn queue_bytes(&self) -> usize {
        self.queue_bytes
    }

    /// Bytes of all messages that are not acknowledged, waiting or sent.
    pub fn waiting_bytes(&self) -> usize {
        self.window_bytes.saturating_add(self.queue_bytes)
    }

    /// True when [`Outbound::pump`] has something to write as soon as there is room for it: messages behind the
    /// window, or packets to be sent again that did not fit the output.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty() || self.sent < self.window.len()
    }

    /// How much of what may wait does, with `wire` bytes to be written: 1 is all of it.
    pub fn fullness(&self, wire: usize, limits: &Mqtt) -> f64 {
        let part = |used: usize, most: usize| used as f64 / most.max(1) as f64;
        part(self.queue.len(), limits.max_mqueue_len)
            .max(part(self.queue_bytes, limits.max_mqueue_bytes))
            .max(part(wire, limits.max_output_buffer))
    }

    /// Messages sent, or to be sent again, and not acknowledged.
    pub fn inflight(&self) -> usize {
        self.unacknowledged
    }

    /// PUBLISH packets written for this session since it began.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Messages dropped for this session since it began.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The store needs the message no longer.
    fn settle(&mut self, queued: &Queued) {
        if let (Some(durable), Some(place)) = (&mut self.durable, queued.content.place()) {
            durable.settled.push(place.sequence);
        }
    }

    /// A message has left the queue.
    fn forget(&mut self, queued: &Queued) {
        if let Some(durable) = &mut self.durable {
            durable.unqueue(&queued.content);
        }
    }

    fn drop_one(&mut self, reason: DropReason, counters: &Counters) {
        self.dropped += 1;
        counters.add(reason.metric(), 1);
    }

    /// The session ends: counts what is lost with it.
    pub fn discard(&mut self, counters: &Counters) {
        let (mut waiting, mut received) = (self.queue.len(), 0);
        for slot in self.window.iter() {
            match slot {
                Slot::Publish(_) => waiting += 1,
                Slot::Release => received += 1,
                Slot::Withdrawn | Slot::Done => {}
            }
        }
        counters.add(Metric::DroppedSessionEnded, waiting as u64);
        counters.add(Metric::MessagesAcknowledged, received);
        *self = Self::default();
    }
}
