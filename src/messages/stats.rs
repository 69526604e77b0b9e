//! Messages to the stats collector.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix::{Message, MessageResponse};

use crate::stats::{Rates, Totals};

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
    /// Different topic filters subscribed to.
    pub topics: u64,
    /// Sockets open, CONNECT received or not.
    pub sockets: u64,
    /// Retained messages.
    pub retained: u64,
    /// Bytes of the retained messages.
    pub retained_bytes: u64,
    /// The durable store.
    pub store: StoreSizes,
    /// The largest sizes since the start.
    pub most: Most,
    /// Over the last full interval.
    pub rates: Rates,
    /// Of every listener over TLS and of the HTTP API.
    pub certificates: Vec<CertificateRow>,
}

/// Until when a certificate is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// The section of the configuration, such as `listeners.ssl.default`.
    pub name: String,
    /// Seconds since 1970 at which its validity ends.
    pub not_after: i64,
    /// Full days until then; negative afterwards.
    pub days_left: i64,
}

/// How much is in the durable store; nothing where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSizes {
    /// The disk refuses what it writes.
    pub failing: bool,
    /// Messages that wait in durable sessions, each once for each of them.
    pub messages: u64,
    /// Bytes of what it has to keep.
    pub bytes: u64,
    /// Bytes of its files.
    pub disk_bytes: u64,
}

/// The largest sizes since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Most {
    /// Clients connected.
    pub connections: u64,
    /// Sessions, connected or kept.
    pub sessions: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Different topic filters subscribed to.
    pub topics: u64,
}

/// Asks what the process uses of the machine.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "ProcessStats")]
pub struct GetProcessStats;

/// What the process uses of the machine; 0 where the operating system does not tell.
#[derive(Clone, Copy, Debug, Default, MessageResponse)]
pub struct ProcessStats {
    /// Bytes of resident memory.
    pub memory: u64,
    /// The most bytes of resident memory since the start.
    pub memory_max: u64,
    /// CPU time of all threads since the start.
    pub cpu: Duration,
    /// Per cent of one core, over the last full interval; before that, since the start.
    pub cpu_percent: f64,
    /// The highest such percentage.
    pub cpu_percent_max: f64,
    /// Files and sockets open.
    pub open_files: u64,
    /// How many may be; none: no limit.
    pub open_files_limit: Option<u64>,
}

/// Asks for the listeners, in the order of the configuration.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<ListenerRow>")]
pub struct ListListeners;

/// A listener as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerRow {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What it speaks below MQTT: `tcp`, `ssl`, `ws` or `wss`.
    pub protocol: &'static str,
    /// The address in the configuration.
    pub bind: String,
    /// Where it listens; none while it is switched off.
    pub addresses: Vec<SocketAddr>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Connections that came in through it and last.
    pub connections: usize,
    /// Most connections at once; 0 is no limit.
    pub max_connections: usize,
    /// Most connections accepted in a second; 0 is no limit.
    pub max_connection_rate: u32,
}
