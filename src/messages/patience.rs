//! What makes publishers wait for a subscriber.

use std::time::Instant;

use crate::config::Mqtt;

/// How much may wait for a session before its publishers are to wait themselves.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// QoS 1 and 2 messages.
    pub queue: usize,
    /// Bytes that wait for an output with room again.
    pub output: usize,
    /// The time.
    pub now: Instant,
}

impl Patience {
    /// Part of a session's queue, or of a connection's output, that makes publishers wait, ...
    pub const CONGESTED: f64 = 0.75;
    /// ... until it is below this one.
    pub const RELAXED: f64 = 0.5;

    /// As the limits of sessions have it.
    pub fn new(limits: &Mqtt, now: Instant) -> Self {
        Self {
            queue: (limits.max_mqueue_len as f64 * Self::CONGESTED) as usize,
            output: limits.max_output_buffer,
            now,
        }
    }
}
