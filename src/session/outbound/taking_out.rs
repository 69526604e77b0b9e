//! Messages that leave before their turn: for another member of a shared subscription, or because the client may not have
//! them any more.

use std::sync::Arc;

use super::{Orphan, Outbound, Queued, Slot};
use crate::{
    mqtt::QoS,
    stats::{Counters, DropReason},
};

impl Outbound {
    /// Shared subscriptions with messages here that another member could take.
    pub fn groups(&self) -> Vec<Arc<str>> {
        let mut groups: Vec<Arc<str>> = Vec::new();
        let in_window = self.window.iter().filter_map(|slot| match slot {
            Slot::Publish(queued) if queued.qos == QoS::AtLeastOnce => Some(queued),
            Slot::Publish(_) | Slot::Release | Slot::Withdrawn | Slot::Done => None,
        });
        for queued in in_window.chain(self.queue.iter()) {
            if let Some(group) = &queued.group
                && !groups.contains(group)
            {
                groups.push(group.clone());
            }
        }
        groups
    }

    /// Takes the messages of a shared subscription out, in order: those queued and those with QoS 1 that are not
    /// acknowledged. QoS 2 messages that were sent stay `[MQTT-4.8.2-4]`. The store is not told of those that are in it:
    /// they are there until they are moved.
    pub fn take_orphans(&mut self, group: &str) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        for slot in self.window.iter_mut() {
            if let Slot::Publish(queued) = slot
                && queued.qos == QoS::AtLeastOnce
                && queued.group.as_deref() == Some(group)
            {
                self.window_bytes -= queued.content.size();
                self.unacknowledged -= 1;
                orphans.push(Orphan::of(&queued.content));
                *slot = Slot::Done;
            }
        }
        let durable = &mut self.durable;
        let mut bytes = 0;
        self.queue.retain(|queued| {
            if queued.group.as_deref() != Some(group) {
                return true;
            }
            bytes += queued.content.size();
            orphans.push(Orphan::of(&queued.content));
            if let Some(durable) = &mut *durable {
                durable.unqueue(&queued.content);
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
            self.give_up(index, DropReason::NotPermitted, counters);
        }
        self.pop_done();
        for queued in out {
            self.queue_bytes -= queued.content.size();
            self.forget(&queued);
            self.settle(&queued);
            self.drop_one(DropReason::NotPermitted, counters);
        }
    }
}
