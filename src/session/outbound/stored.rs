//! The outgoing messages of a session that is in the durable store: what the store is told of them, and the bodies that
//! come from it.

use super::{IDENTIFIERS, Outbound, Queued, Slot, window::id_of};
use crate::{
    mqtt::PacketId,
    session::durable::{Bodies, Changes, Content, Restored},
    stats::{Counters, DropReason},
};

impl Outbound {
    /// The session is in the store from now on: all its messages with a QoS above 0 have a place.
    pub fn make_durable(&mut self) {
        self.durable.get_or_insert_default();
    }

    /// A durable session as the store gives it back, in the order of the places. What may have been sent before is in
    /// the window: all before the place `unsent` or, where that is not known, the first `window` messages; and all up to
    /// the last one for which PUBREC has come.
    pub fn restored(entries: Vec<Restored>, window: usize, unsent: Option<u64>) -> Self {
        let mut outbound = Self::default();
        outbound.make_durable();
        let last_received = entries.iter().rposition(|entry| entry.received);
        let window = unsent.map_or(window, |unsent| {
            entries.partition_point(|entry| entry.place.sequence < unsent)
        });
        let in_window = window.max(last_received.map_or(0, |last| last + 1));
        for (index, entry) in entries.into_iter().enumerate() {
            let (received, sequence) = (entry.received, entry.place.sequence);
            let queued = Queued {
                content: Content::in_store(entry.place, entry.size),
                subscription_ids: entry.subscription_ids,
                group: entry.group,
                qos: entry.qos,
                retain: entry.retain,
            };
            let behind = match outbound.window.is_empty() {
                true => 0,
                false => sequence.saturating_sub(outbound.first),
            };
            if index >= in_window || behind >= IDENTIFIERS as u64 || !outbound.queue.is_empty() {
                outbound.queue_bytes += queued.content.size();
                outbound.queue.push_back(queued);
                continue;
            }
            outbound.skip_to(sequence);
            outbound.unacknowledged += 1;
            outbound.window.push_back(match received {
                true => Slot::Release,
                false => {
                    outbound.window_bytes += queued.content.size();
                    Slot::Publish(queued)
                }
            });
        }
        outbound.sent = 0;
        outbound.releases_due = true;
        outbound
    }

    /// The first place in the sequence of all messages of the session whose message was not sent on any connection.
    pub fn unsent(&self) -> u64 {
        self.first + self.window.len() as u64
    }

    /// The store has dropped these, in the order of their places, to make room. What is on its way to the client by now
    /// arrives all the same; what is not, and has its body in the store alone, is dropped when that is asked for.
    pub fn evict(&mut self, places: &[u64], counters: &Counters) {
        let Some(last) = places.last() else {
            return;
        };
        // They are near the front. Before them are messages that the store had counted as sent, or does not know.
        let mut stay = Vec::new();
        while let Some(next) = self.queue.front()
            && next.content.place().is_none_or(|at| at.sequence <= *last)
            && let Some(queued) = self.queue.pop_front()
        {
            let place = queued.content.place();
            if place.is_none_or(|at| places.binary_search(&at.sequence).is_err()) {
                stay.push(queued);
                continue;
            }
            self.queue_bytes -= queued.content.size();
            self.forget(&queued);
            self.drop_one(DropReason::StoreFull, counters);
        }
        for queued in stay.into_iter().rev() {
            self.queue.push_front(queued);
        }
    }

    /// Messages were dropped before they came here.
    pub fn settle_places(&mut self, places: Vec<u64>) {
        if let Some(durable) = &mut self.durable {
            durable.settled.extend(places);
        }
    }

    /// Places whose messages the store needs no longer, since the last call.
    pub fn take_settled(&mut self) -> Vec<u64> {
        match &mut self.durable {
            Some(durable) => std::mem::take(&mut durable.settled),
            None => Vec::new(),
        }
    }

    /// Places of the messages for which PUBREC has come since the last call, with their identifiers: PUBREL answers it
    /// when the store knows.
    pub fn take_received(&mut self) -> Vec<(u64, PacketId)> {
        match &mut self.durable {
            Some(durable) if !durable.received.is_empty() => {
                let received = std::mem::take(&mut durable.received);
                received.into_iter().map(|at| (at, id_of(at))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Nobody is connected: bodies that the store has are not kept here.
    pub fn unload(&mut self) {
        let Some(durable) = &mut self.durable else {
            return;
        };
        for slot in self.window.iter_mut() {
            if let Slot::Publish(queued) = slot {
                queued.content.unload();
            }
        }
        for queued in self.queue.iter_mut() {
            queued.content.unload();
        }
        durable.loaded = 0;
    }

    /// The messages whose bodies have to come from the store before more can be sent: the next ones, at most `most` of
    /// them.
    pub fn missing(&self, most: usize) -> Vec<u64> {
        if self.durable.is_none() {
            return Vec::new();
        }
        let in_window = self.window.iter().skip(self.sent).map(|slot| match slot {
            Slot::Publish(queued) => Some(queued),
            Slot::Release | Slot::Withdrawn | Slot::Done => None,
        });
        let mut bytes = 0;
        in_window
            .chain(self.queue.iter().map(Some))
            .flatten()
            .map_while(|queued| match queued.content.is_loaded() {
                // The bodies in front will do for now.
                true if bytes == 0 => None,
                true => Some(None),
                false => {
                    let first = bytes == 0;
                    bytes += queued.content.size();
                    (first || bytes <= Changes::LOADED_MAX)
                        .then(|| queued.content.place().map(|place| place.message))
                }
            })
            .flatten()
            .take(most)
            .collect()
    }

    /// Takes bodies from the store. A message whose body will not come is dropped, and one of a topic that `may_receive` says no
    /// to.
    pub fn provide(
        &mut self,
        bodies: &Bodies,
        may_receive: impl Fn(&str) -> bool,
        counters: &Counters,
    ) {
        let fault = |queued: &mut Queued| {
            let was_loaded = queued.content.is_loaded();
            if let Err(reason) = queued.content.provide(bodies) {
                return Some(reason);
            }
            let message = queued.content.message().filter(|_| !was_loaded);
            message
                .is_some_and(|message| !may_receive(message.topic()))
                .then_some(DropReason::NotPermitted)
        };
        for index in self.sent..self.window.len() {
            let Some(Slot::Publish(queued)) = self.window.get_mut(index) else {
                continue;
            };
            if let Some(reason) = fault(queued) {
                self.give_up(index, reason, counters);
            }
        }
        // They are at the front: what has come since is at the end, and what was dropped has only moved them forward.
        let mut lost = Vec::new();
        let mut index = 0;
        for _ in 0..bodies.len() {
            let Some(queued) = self.queue.get_mut(index) else {
                break;
            };
            let was_loaded = queued.content.is_loaded();
            if let Some(reason) = fault(queued) {
                self.queue_bytes -= queued.content.size();
                lost.extend(queued.content.place().map(|place| (place, reason)));
                self.queue.remove(index);
                continue;
            }
            if let Some(durable) = &mut self.durable
                && !was_loaded
                && queued.content.is_loaded()
            {
                durable.loaded += queued.content.size();
            }
            index += 1;
        }
        for (place, reason) in lost {
            if let Some(durable) = &mut self.durable {
                durable.settled.push(place.sequence);
            }
            self.drop_one(reason, counters);
        }
    }
}
