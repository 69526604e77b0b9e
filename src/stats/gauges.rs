//! What goes up and down: the sizes of things, as their owners last stated them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Sizes that the actors who own the things keep up to date.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Clients connected.
    pub connections: Gauge,
    /// Sessions, connected or kept.
    pub sessions: Gauge,
    /// Subscriptions.
    pub subscriptions: Gauge,
    /// Different topic filters subscribed to.
    pub topics: Gauge,
    /// Retained messages.
    pub retained: Gauge,
    /// Bytes of the retained messages.
    pub retained_bytes: Gauge,
    /// Messages waiting in durable sessions, as the store counts them.
    pub stored_messages: Gauge,
    /// Bytes of what the store has to keep.
    pub stored_bytes: Gauge,
    /// Bytes of its files.
    pub stored_disk_bytes: Gauge,
    /// 1 while the disk refuses what the store writes.
    pub store_failing: Gauge,
    /// Changes of sessions that wait for a disk that refuses.
    pub store_waiting: Gauge,
    /// Sockets open, CONNECT received or not.
    pub sockets: Gauge,
    /// Of those, the ones that are closing: their last bytes are being written.
    pub closing: Gauge,
}

/// One size.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicU64,
    most: AtomicU64,
}

impl Gauge {
    /// States the size.
    pub fn set(&self, value: usize) {
        self.now.store(value as u64, Ordering::Relaxed);
        self.most.fetch_max(value as u64, Ordering::Relaxed);
    }

    /// One more; returns how many there are now.
    pub fn increment(&self) -> u64 {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        now
    }

    /// One less.
    pub fn decrement(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    /// The size.
    pub fn get(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The largest size there ever was.
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}
