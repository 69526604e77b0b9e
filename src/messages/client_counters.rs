//! What is counted of one client.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Figures of one client, written by the owner of its session and read for lists.
#[derive(Debug, Default)]
pub struct ClientCounters {
    /// PUBLISH packets received.
    pub received_messages: AtomicU64,
    /// PUBLISH packets sent.
    pub sent_messages: AtomicU64,
    /// Bytes received.
    pub received_bytes: AtomicU64,
    /// Bytes sent.
    pub sent_bytes: AtomicU64,
    /// Messages in the queue.
    pub queued: AtomicU32,
    /// Bytes of the messages in the queue.
    pub queued_bytes: AtomicU64,
    /// Messages sent and not acknowledged.
    pub inflight: AtomicU32,
    /// Messages dropped.
    pub dropped: AtomicU64,
}

impl ClientCounters {
    /// What a connection counts itself begins anew.
    pub fn begin_connection(&self) {
        for counter in [
            &self.received_messages,
            &self.received_bytes,
            &self.sent_bytes,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
