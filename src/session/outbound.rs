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

mod stored;

use std::{ops::Range, sync::Arc, time::Instant};

use super::{
    durable::{Changes, Content, Place},
    lazy_deque::LazyDeque,
    writer::{Head, Writer, write_ack},
};
use crate::{
    config::{Mqtt, MqueuePolicy},
    mqtt::{Batch, Message, MessageRef, Packet, PacketId, QoS, ReasonCode},
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
    /// The whole `$share/group/filter`.
    pub group: Arc<str>,
    /// The message.
    pub message: Arc<Message>,
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

    /// Delivers the messages of `batch` in `range`. Without a `writer` nobody is connected: QoS 0 is dropped, the
    /// rest queued.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is context of one step"
    )]
    pub fn deliver(
        &mut self,
        batch: &Batch,
        range: Range<usize>,
        delivery: &Delivery,
        mut writer: Option<&mut Writer<'_>>,
        limits: &Mqtt,
        now: Instant,
        counters: &Counters,
    ) {
        if let Some(writer) = writer.as_deref_mut()
            && delivery.subscription_ids.is_none()
            && writer.aliases.is_none()
            && writer.broker.is_none()
            && writer.wire.len() < limits.max_output_buffer
            && let Some(bytes) = batch.verbatim(&range, writer.version, writer.max_packet_size)
        {
            writer.wire.extend_from_slice(bytes);
            self.written += range.len() as u64;
            counters.add(Metric::MessagesSentQoS0, range.len() as u64);
            return;
        }
        let ids = delivery.subscription_ids.as_deref().unwrap_or_default();
        let mut places = delivery.places.iter().flat_map(|places| places.iter());
        let mut sent = 0;
        for index in range {
            let Some(message) = batch.get(index) else {
                return;
            };
            let qos = message.qos.min(delivery.qos);
            let retain = message.retain && delivery.retain_as_published;
            if qos == QoS::AtMostOnce {
                match self.send_qos0(&message, retain, ids, writer.as_deref_mut(), limits, now) {
                    Ok(()) => sent += 1,
                    Err(reason) => self.drop_one(reason, counters),
                }
                continue;
            }
            let Some(kept) = batch.keep(index) else {
                return;
            };
            let queued = Queued {
                content: Content::new(kept, places.next().copied()),
                subscription_ids: delivery.subscription_ids.clone(),
                group: delivery.group.clone(),
                qos,
                retain,
            };
            self.send_or_queue(queued, writer.as_deref_mut(), limits, now, counters);
        }
        self.written += sent;
        counters.add(Metric::MessagesSentQoS0, sent);
    }

    /// Delivers a retained message to a new subscription, with RETAIN set `[MQTT-3.3.1-8]`.
    pub fn deliver_retained(
        &mut self,
        message: &Arc<Message>,
        delivery: &Delivery,
        writer: &mut Writer<'_>,
        limits: &Mqtt,
        now: Instant,
        counters: &Counters,
    ) {
        counters.add(Metric::MessagesDeliveries, 1);
        let view = message.view();
        let qos = view.qos.min(delivery.qos);
        if qos == QoS::AtMostOnce {
            let ids = delivery.subscription_ids.as_deref().unwrap_or_default();
            match self.send_qos0(&view, true, ids, Some(writer), limits, now) {
                Ok(()) => {
                    self.written += 1;
                    counters.add(Metric::MessagesSentQoS0, 1);
                }
                Err(reason) => self.drop_one(reason, counters),
            }
            return;
        }
        let queued = Queued {
            content: Content::new(message.clone(), None),
            subscription_ids: delivery.subscription_ids.clone(),
            group: None,
            qos,
            retain: true,
        };
        self.send_or_queue(queued, Some(writer), limits, now, counters);
    }

    fn send_qos0(
        &mut self,
        message: &MessageRef<'_>,
        retain: bool,
        subscription_ids: &[u32],
        writer: Option<&mut Writer<'_>>,
        limits: &Mqtt,
        now: Instant,
    ) -> Result<(), DropReason> {
        let Some(writer) = writer else {
            return Err(DropReason::Offline);
        };
        if message.is_expired(now) {
            return Err(DropReason::Expired);
        }
        if writer.wire.len() >= limits.max_output_buffer {
            return Err(DropReason::OutputFull);
        }
        let head = Head {
            qos: QoS::AtMostOnce,
            retain,
            dup: false,
            packet_id: None,
        };
        writer.write(message, head, subscription_ids, now)
    }

    fn send_or_queue(
        &mut self,
        queued: Queued,
        writer: Option<&mut Writer<'_>>,
        limits: &Mqtt,
        now: Instant,
        counters: &Counters,
    ) {
        match writer {
            Some(writer) if self.queue.is_empty() && self.may_send_new(&queued, writer, limits) => {
                self.send_new(queued, writer, now, counters);
            }
            _ => self.enqueue(queued, limits, counters),
        }
    }

    fn enqueue(&mut self, mut queued: Queued, limits: &Mqtt, counters: &Counters) {
        let size = queued.content.size();
        if size > limits.max_mqueue_bytes {
            // No room that others could make would be enough.
            self.settle(&queued);
            return self.drop_one(DropReason::QueueFull, counters);
        }
        let over = |of: &Self| {
            of.queue.len() >= limits.max_mqueue_len
                || of.queue_bytes.saturating_add(size) > limits.max_mqueue_bytes
        };
        while over(self) {
            let oldest = match limits.mqueue_policy {
                MqueuePolicy::DropOldest => self.queue.pop_front(),
                MqueuePolicy::Reject => None,
            };
            self.drop_one(DropReason::QueueFull, counters);
            match oldest {
                Some(oldest) => {
                    self.queue_bytes -= oldest.content.size();
                    self.forget(&oldest);
                    self.settle(&oldest);
                }
                // The message itself is the one that is dropped.
                None => return self.settle(&queued),
            }
        }
        self.queue_bytes += size;
        if let Some(durable) = &mut self.durable {
            durable.queue(&mut queued.content);
        }
        self.queue.push_back(queued);
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

    /// True when `next` may enter the window now.
    fn may_send_new(&self, next: &Queued, writer: &Writer<'_>, limits: &Mqtt) -> bool {
        let behind = match next.content.place() {
            None => self.window.len(),
            Some(_) if self.window.is_empty() => 0,
            Some(place) => {
                usize::try_from(place.sequence.saturating_sub(self.first)).unwrap_or(usize::MAX)
            }
        };
        self.sent == self.window.len()
            && self.on_wire < u32::from(writer.window)
            && behind < IDENTIFIERS
            && next.content.message().is_some()
            && (self.window_bytes < limits.max_inflight_bytes || self.on_wire == 0)
            && writer.wire.len() < limits.max_output_buffer
    }

    fn send_new(
        &mut self,
        mut queued: Queued,
        writer: &mut Writer<'_>,
        now: Instant,
        counters: &Counters,
    ) {
        let expired = |message: &Arc<Message>| message.is_expired(now);
        if queued.content.message().is_some_and(expired) {
            self.settle(&queued);
            return self.drop_one(DropReason::Expired, counters);
        }
        let next = self.first + self.window.len() as u64;
        let sequence = queued.content.place().map_or(next, |place| place.sequence);
        queued.qos = queued.qos.min(writer.max_qos());
        if let Err(reason) = queued.write(writer, id_of(sequence), false, now) {
            self.settle(&queued);
            return self.drop_one(reason, counters);
        }
        if queued.qos == QoS::AtMostOnce {
            // The peer takes nothing else, and acknowledges nothing.
            counters.add(Metric::MessagesSentQoS0, 1);
            counters.add(Metric::MessagesAcknowledged, 1);
            self.written += 1;
            return self.settle(&queued);
        }
        self.skip_to(sequence);
        counters.add(Metric::sent(queued.qos), 1);
        self.written += 1;
        self.unacknowledged += 1;
        self.window_bytes += queued.content.size();
        self.window.push_back(Slot::Publish(queued));
        self.sent += 1;
        self.on_wire += 1;
    }

    /// Makes `sequence` the place of the next slot.
    fn skip_to(&mut self, sequence: u64) {
        if self.window.is_empty() {
            self.first = sequence;
        }
        while self.first + (self.window.len() as u64) < sequence {
            self.window.push_back(Slot::Done);
            self.sent += 1;
        }
    }

    /// Writes what the window has room for: first what was not acknowledged on an earlier connection
    /// `[MQTT-4.4.0-1]`, in the order in which it was sent `[MQTT-4.6.0-1]`, then the queue. PUBREL packets do not wait
    /// for room in the window `[MQTT-3.3.4-10]`.
    pub fn pump(
        &mut self,
        writer: &mut Writer<'_>,
        limits: &Mqtt,
        now: Instant,
        counters: &Counters,
    ) {
        while self.sent < self.window.len()
            && self.on_wire < u32::from(writer.window)
            && writer.wire.len() < limits.max_output_buffer
        {
            let id = self.id_at(self.sent);
            let index = self.sent;
            self.sent += 1;
            let max_qos = writer.max_qos();
            let written = match self.window.get_mut(index) {
                Some(Slot::Publish(queued)) if queued.content.message().is_none() => {
                    // Its body is still in the store.
                    self.sent = index;
                    break;
                }
                Some(Slot::Publish(queued)) => {
                    queued.qos = queued.qos.min(max_qos);
                    queued.write(writer, id, true, now)
                }
                Some(Slot::Release) => {
                    if self.releases_due {
                        write_ack(Packet::PubRel, id, ReasonCode::Success, writer);
                    }
                    Ok(())
                }
                Some(Slot::Done) | None => continue,
            };
            match written {
                Ok(()) if max_qos == QoS::AtMostOnce && self.is_publish(index) => {
                    counters.add(Metric::MessagesAcknowledged, 1);
                    self.finish(index);
                }
                Ok(()) => self.on_wire += 1,
                Err(reason) => {
                    self.drop_one(reason, counters);
                    self.finish(index);
                }
            }
        }
        if std::mem::take(&mut self.releases_due) {
            for index in self.sent..self.window.len() {
                if let Some(Slot::Release) = self.window.get(index) {
                    write_ack(
                        Packet::PubRel,
                        self.id_at(index),
                        ReasonCode::Success,
                        writer,
                    );
                }
            }
        }
        while let Some(next) = self.queue.front()
            && self.may_send_new(next, writer, limits)
        {
            let Some(queued) = self.queue.pop_front() else {
                break;
            };
            self.queue_bytes -= queued.content.size();
            self.forget(&queued);
            self.send_new(queued, writer, now, counters);
        }
        self.pop_done();
    }

    /// PUBACK `[MQTT-4.3.2-5]`; false when nothing waits for it.
    pub fn on_puback(&mut self, id: PacketId, counters: &Counters) -> bool {
        self.complete(
            id,
            counters,
            |slot| matches!(slot, Slot::Publish(queued) if queued.qos == QoS::AtLeastOnce),
        )
    }

    /// PUBCOMP `[MQTT-4.3.3]`; false when nothing waits for it.
    pub fn on_pubcomp(&mut self, id: PacketId, counters: &Counters) -> bool {
        self.complete(id, counters, |slot| matches!(slot, Slot::Release))
    }

    /// PUBREC: answered by PUBREL, or by nothing where it reports an error `[MQTT-4.3.3-4]`.
    pub fn on_pubrec(
        &mut self,
        id: PacketId,
        reason: ReasonCode,
        writer: &mut Writer<'_>,
        counters: &Counters,
    ) {
        let index = self.index_of(id);
        let known = match index.and_then(|index| self.window.get_mut(index)) {
            Some(Slot::Publish(queued)) if queued.qos == QoS::ExactlyOnce => {
                if reason.is_error() {
                    self.complete(id, counters, |_| true);
                    return;
                }
                self.window_bytes -= queued.content.size();
                if let Some(slot) = index.and_then(|index| self.window.get_mut(index)) {
                    *slot = Slot::Release;
                }
                true
            }
            Some(Slot::Release) => true,
            _ if reason.is_error() => return,
            _ => false,
        };
        if known && self.note_received(index) {
            return;
        }
        let answer = match known {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        write_ack(Packet::PubRel, id, answer, writer);
    }

    /// True when the store has to know of a PUBREC before it is answered: see [`Outbound::take_received`].
    fn note_received(&mut self, index: Option<usize>) -> bool {
        match (&mut self.durable, index) {
            (Some(durable), Some(index)) => {
                durable.received.push(self.first + index as u64);
                true
            }
            _ => false,
        }
    }

    fn complete(
        &mut self,
        id: PacketId,
        counters: &Counters,
        expected: impl FnOnce(&Slot) -> bool,
    ) -> bool {
        let Some(index) = self.index_of(id) else {
            return false;
        };
        if !self.window.get(index).is_some_and(expected) {
            return false;
        }
        if index < self.sent {
            self.on_wire -= 1;
        }
        counters.add(Metric::MessagesAcknowledged, 1);
        self.finish(index);
        self.pop_done();
        true
    }

    fn finish(&mut self, index: usize) {
        let Some(slot) = self.window.get_mut(index) else {
            return;
        };
        match slot {
            Slot::Publish(queued) => self.window_bytes -= queued.content.size(),
            Slot::Release => {}
            Slot::Done => return,
        }
        *slot = Slot::Done;
        self.unacknowledged -= 1;
        if let Some(durable) = &mut self.durable {
            durable.settled.push(self.first + index as u64);
        }
    }

    fn is_publish(&self, index: usize) -> bool {
        matches!(self.window.get(index), Some(Slot::Publish(_)))
    }

    /// An identifier that no message has, for a request that is `number` requests away from being answered.
    pub fn free_id(&self, number: u16) -> PacketId {
        // The window begins at `first` and is hardly ever that long.
        let behind = IDENTIFIERS as u64 - 1 - u64::from(number);
        id_of(self.first + behind)
    }

    fn pop_done(&mut self) {
        while matches!(self.window.front(), Some(Slot::Done)) {
            self.window.pop_front();
            self.first += 1;
            self.sent = self.sent.saturating_sub(1);
        }
    }

    fn id_at(&self, index: usize) -> PacketId {
        id_of(self.first + index as u64)
    }

    fn index_of(&self, id: PacketId) -> Option<usize> {
        let (id, first) = (usize::from(id.get()), usize::from(self.id_at(0).get()));
        let index = (id + IDENTIFIERS - first) % IDENTIFIERS;
        (index < self.window.len()).then_some(index)
    }

    /// The connection is gone: what is in the window is sent again on the next one.
    pub fn detach(&mut self) {
        self.sent = 0;
        self.on_wire = 0;
        self.releases_due = true;
    }

    /// Shared subscriptions with messages here that another member could take.
    pub fn groups(&self) -> Vec<Arc<str>> {
        let mut groups: Vec<Arc<str>> = Vec::new();
        let in_window = self.window.iter().filter_map(|slot| match slot {
            Slot::Publish(queued) => Some(queued),
            Slot::Release | Slot::Done => None,
        });
        for queued in in_window.chain(self.queue.iter()) {
            if let Some(group) = &queued.group
                && queued.content.message().is_some()
                && !groups.contains(group)
            {
                groups.push(group.clone());
            }
        }
        groups
    }

    /// Takes the messages of a shared subscription out, in order: those queued and those with QoS 1 that are not
    /// acknowledged. QoS 2 messages that were sent stay `[MQTT-4.8.2-4]`, and so do those whose bodies are in the store
    /// alone: their session goes on with them.
    pub fn take_orphans(&mut self, group: &str) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        let durable = &mut self.durable;
        for slot in self.window.iter_mut() {
            if let Slot::Publish(queued) = slot
                && queued.qos == QoS::AtLeastOnce
                && queued.group.as_deref() == Some(group)
                && let Some(message) = queued.content.message()
            {
                self.window_bytes -= queued.content.size();
                self.unacknowledged -= 1;
                orphans.push(Orphan {
                    group: group.into(),
                    message: message.clone(),
                });
                if let (Some(durable), Some(place)) = (&mut *durable, queued.content.place()) {
                    durable.settled.push(place.sequence);
                }
                *slot = Slot::Done;
            }
        }
        let mut bytes = 0;
        self.queue.retain(|queued| {
            if queued.group.as_deref() != Some(group) {
                return true;
            }
            let Some(message) = queued.content.message() else {
                return true;
            };
            bytes += queued.content.size();
            orphans.push(Orphan {
                group: group.into(),
                message: message.clone(),
            });
            if let (Some(durable), Some(place)) = (&mut *durable, queued.content.place()) {
                durable.unqueue(&queued.content);
                durable.settled.push(place.sequence);
            }
            false
        });
        self.queue_bytes -= bytes;
        orphans
    }

    /// Drops what has not been sent on this connection and is of a topic that `may_receive` says no to. What has its body
    /// in the store alone is looked at when that comes.
    pub fn purge(&mut self, mut may_receive: impl FnMut(&str) -> bool, counters: &Counters) {
        let mut denied = |queued: &Queued| {
            let message = queued.content.message();
            message.is_some_and(|message| !may_receive(message.topic()))
        };
        let mut gone = Vec::new();
        for (index, slot) in self.window.iter().enumerate().skip(self.sent) {
            if let Slot::Publish(queued) = slot
                && denied(queued)
            {
                gone.push(index);
            }
        }
        let mut out = Vec::new();
        let mut queue = std::mem::take(&mut self.queue);
        queue.retain(|queued| {
            let stays = !denied(queued);
            if !stays {
                out.push(queued.clone());
            }
            stays
        });
        self.queue = queue;
        for index in gone {
            self.finish(index);
            self.drop_one(DropReason::NotPermitted, counters);
        }
        self.pop_done();
        for queued in out {
            self.queue_bytes -= queued.content.size();
            self.forget(&queued);
            self.settle(&queued);
            self.drop_one(DropReason::NotPermitted, counters);
        }
    }

    /// The session ends: counts what is lost with it.
    pub fn discard(&mut self, counters: &Counters) {
        let (mut waiting, mut received) = (self.queue.len(), 0);
        for slot in self.window.iter() {
            match slot {
                Slot::Publish(_) => waiting += 1,
                Slot::Release => received += 1,
                Slot::Done => {}
            }
        }
        counters.add(Metric::DroppedSessionEnded, waiting as u64);
        counters.add(Metric::MessagesAcknowledged, received);
        *self = Self::default();
    }
}

/// The identifier of the message at a place in the sequence of all messages of a session.
fn id_of(sequence: u64) -> PacketId {
    let id = sequence.saturating_sub(1) % IDENTIFIERS as u64 + 1;
    u16::try_from(id)
        .ok()
        .and_then(PacketId::new)
        .unwrap_or(PacketId::MIN)
}

impl Queued {
    fn write(
        &self,
        writer: &mut Writer<'_>,
        id: PacketId,
        dup: bool,
        now: Instant,
    ) -> Result<(), DropReason> {
        let head = Head {
            qos: self.qos,
            retain: self.retain,
            dup,
            packet_id: Some(id),
        };
        let ids = self.subscription_ids.as_deref().unwrap_or_default();
        let message = self.content.message().ok_or(DropReason::Unreadable)?;
        writer.write(&message.view(), head, ids, now)
    }
}
