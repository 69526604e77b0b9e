//! Messages to the stats collector.

use std::time::Duration;

use actix::{Message, MessageResponse};

use crate::stats::Totals;

/// Asks for the state of all counters.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "StatsSnapshot")]
pub struct GetStats;

/// The state of the broker at one moment.
#[derive(Clone, Debug, MessageResponse)]
pub struct StatsSnapshot {
    /// Since the start.
    pub uptime: Duration,
    /// Sums over all workers.
    pub totals: Totals,
    /// Clients connected.
    pub connections: u64,
    /// Sessions, connected or kept.
    pub sessions: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Retained messages.
    pub retained: u64,
    /// Bytes of the retained messages.
    pub retained_bytes: u64,
}
