//! Identifiers of incoming QoS 2 messages between PUBLISH and PUBREL `[MQTT-4.3.3-10]`.

use super::lazy_deque::LazyDeque;
use crate::mqtt::PacketId;

/// A small sorted set; its size is bounded by the receive maximum.
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
        self.ids.binary_search(&id).is_ok()
    }

    /// Enters a new message.
    pub fn insert(&mut self, id: PacketId) {
        if let Err(at) = self.ids.binary_search(&id) {
            self.ids.insert(at, id);
        }
    }

    /// Releases a message; false when it was not there.
    pub fn remove(&mut self, id: PacketId) -> bool {
        match self.ids.binary_search(&id) {
            Ok(at) => {
                self.ids.remove(at);
                true
            }
            Err(_) => false,
        }
    }
}
