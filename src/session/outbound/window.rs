//! The window: what is sent, sent again and acknowledged, and the identifiers of that.

use std::time::Instant;

use super::{IDENTIFIERS, Outbound, Queued, Slot};
use crate::{
    config::Mqtt,
    mqtt::{AckType, Message, PacketId, QoS, ReasonCode},
    session::writer::{Head, Writer},
    stats::{Counters, DropReason, Metric},
};

impl Outbound {
    /// True when `next` may enter the window now.
    pub(super) fn may_send_new(&self, next: &Queued, writer: &Writer<'_>, limits: &Mqtt) -> bool {
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

    pub(super) fn send_new(
        &mut self,
        mut queued: Queued,
        writer: &mut Writer<'_>,
        now: Instant,
        counters: &Counters,
    ) {
        let expired = |message: &Message| message.is_expired(now);
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
    pub(super) fn skip_to(&mut self, sequence: u64) {
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
                        writer.acknowledge(AckType::PubRel, id, ReasonCode::Success);
                    }
                    Ok(())
                }
                Some(Slot::Withdrawn) if max_qos < QoS::ExactlyOnce => {
                    // The peer knows nothing of PUBREL, and has no identifier to be made free.
                    self.finish(index);
                    continue;
                }
                // Once more where it was due before, which harms nothing.
                Some(Slot::Withdrawn) => {
                    writer.acknowledge(AckType::PubRel, id, ReasonCode::Success);
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
                    self.give_up(index, reason, counters);
                    if let Some(Slot::Withdrawn) = self.window.get(index) {
                        writer.acknowledge(AckType::PubRel, id, ReasonCode::Success);
                        self.on_wire += 1;
                    }
                }
            }
        }
        if std::mem::take(&mut self.releases_due) {
            let max_qos = writer.max_qos();
            for index in self.sent..self.window.len() {
                let is_due = match self.window.get(index) {
                    Some(Slot::Release) => true,
                    Some(Slot::Withdrawn) => max_qos == QoS::ExactlyOnce,
                    _ => false,
                };
                if is_due {
                    writer.acknowledge(AckType::PubRel, self.id_at(index), ReasonCode::Success);
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
        let index = self.index_of(id);
        if let Some(index) = index
            && let Some(Slot::Withdrawn) = self.window.get(index)
        {
            // It was counted when it was dropped.
            if index < self.sent {
                self.on_wire -= 1;
            }
            self.finish(index);
            self.pop_done();
            return true;
        }
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
            Some(Slot::Release | Slot::Withdrawn) => true,
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
        writer.acknowledge(AckType::PubRel, id, answer);
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

    pub(super) fn finish(&mut self, index: usize) {
        let Some(slot) = self.window.get_mut(index) else {
            return;
        };
        match slot {
            Slot::Publish(queued) => {
                self.window_bytes -= queued.content.size();
                self.unacknowledged -= 1;
            }
            Slot::Release => self.unacknowledged -= 1,
            Slot::Withdrawn => {}
            Slot::Done => return,
        }
        *slot = Slot::Done;
        if let Some(durable) = &mut self.durable {
            durable.settled.push(self.first + index as u64);
        }
    }

    /// Drops a message that is not sent again on this connection.
    pub(super) fn give_up(&mut self, index: usize, reason: DropReason, counters: &Counters) {
        self.drop_one(reason, counters);
        let Some(slot) = self.window.get_mut(index) else {
            return;
        };
        match slot {
            Slot::Publish(queued) if queued.qos == QoS::ExactlyOnce => {
                self.window_bytes -= queued.content.size();
                self.unacknowledged -= 1;
                *slot = Slot::Withdrawn;
            }
            _ => self.finish(index),
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

    pub(super) fn pop_done(&mut self) {
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
}

/// The identifier of the message at a place in the sequence of all messages of a session.
pub(super) fn id_of(sequence: u64) -> PacketId {
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
