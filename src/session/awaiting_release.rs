//! Identifiers of incoming QoS 2 messages between PUBLISH and PUBREL `[MQTT-4.3.3-10]`.

use super::lazy_deque::LazyDeque;
use crate::mqtt::PacketId;

/// A small sorted set; its size is bounded by the receive maximum. Most clients count up, so that it grows at the end and shrinks
/// at the beginning.
#[derive(Debug, Default)]
pub struct AwaitingRelease {
    ids: LazyDeque<PacketId>,
}

impl AwaitingRelease {
    /// Number of messages that wait for PUBREL.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True when the message was received before and not released since.
    pub fn contains(&self, id: PacketId) -> bool {
        !self.is_above_all(id) && self.ids.binary_search(&id).is_ok()
    }

    /// Enters a new message.
    pub fn insert(&mut self, id: PacketId) {
        if self.is_above_all(id) {
            self.ids.push_back(id);
        } else if let Err(at) = self.ids.binary_search(&id) {
            self.ids.insert(at, id);
        }
    }

    fn is_above_all(&self, id: PacketId) -> bool {
        self.ids.back().is_none_or(|last| id > *last)
    }

    /// Releases a message; false when it was not there.
    pub fn remove(&mut self, id: PacketId) -> bool {
        if self.ids.front() == Some(&id) {
            return self.ids.pop_front().is_some();
        }
        match self.ids.binary_search(&id) {
            Ok(at) => {
                self.ids.remove(at);
                true
            }
            Err(_) => false,
        }
    }
}
