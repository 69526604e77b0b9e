//! What a bridge does, as the API shows it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    config::RemoteUrl,
    messages::{BridgeCounters, BridgeDrop, BridgeView},
};

/// The state of a bridge, beside its configuration.
#[derive(Serialize)]
pub struct Status<'a> {
    /// `disabled`, `connecting`, `connected` or `waiting`.
    state: &'static str,
    /// At the remote.
    client_id: &'a str,
    /// The server that it is connected to, or tries.
    connected_to: Option<String>,
    #[serde(flatten)]
    backlog: Backlog,
    last_error: Option<Fault<'a>>,
    connected_seconds: Option<u64>,
    next_attempt_seconds: Option<f64>,
    counters: Counters,
}

/// What waits in a bridge.
#[derive(Serialize)]
struct Backlog {
    /// Messages that wait for the remote.
    backlog: u64,
    backlog_bytes: u64,
    /// Of them, those that are sent and not acknowledged.
    inflight: u64,
    /// Most of those at once.
    inflight_window: u16,
}

impl Backlog {
    fn new(view: &BridgeView) -> Self {
        Self {
            backlog: view.backlog,
            backlog_bytes: view.backlog_bytes,
            inflight: view.inflight,
            inflight_window: view.window,
        }
    }
}

#[derive(Serialize)]
struct Fault<'a> {
    message: &'a str,
    seconds_ago: u64,
}

impl<'a> Status<'a> {
    /// Of a bridge.
    pub fn new(view: &'a BridgeView) -> Self {
        Self {
            state: view.state.as_str(),
            client_id: &view.client_id,
            connected_to: view.server.as_ref().map(RemoteUrl::to_string),
            backlog: Backlog::new(view),
            last_error: view.last_error.as_ref().map(|fault| Fault {
                message: &fault.what,
                seconds_ago: fault.ago.as_secs(),
            }),
            connected_seconds: view.connected_for.map(|time| time.as_secs()),
            next_attempt_seconds: view.next_attempt_in.map(|time| time.as_secs_f64()),
            counters: Counters::new(&view.counters),
        }
    }
}

/// The figures of a bridge.
#[derive(Serialize)]
pub struct Figures {
    state: &'static str,
    #[serde(flatten)]
    backlog: Backlog,
    #[serde(flatten)]
    counters: Counters,
}

impl Figures {
    /// Of a bridge.
    pub fn new(view: &BridgeView) -> Self {
        Self {
            state: view.state.as_str(),
            backlog: Backlog::new(view),
            counters: Counters::new(&view.counters),
        }
    }
}

/// What a bridge has counted since it was made.
#[derive(Serialize)]
struct Counters {
    sent_messages: u64,
    received_messages: u64,
    sent_bytes: u64,
    received_bytes: u64,
    /// QoS 1 and 2 messages that the remote has acknowledged.
    acknowledged: u64,
    connects: u64,
    reconnects: u64,
    failed_connects: u64,
    protocol_errors: u64,
    /// Messages that did not get to the remote, by reason.
    dropped_up: Drops,
    /// Messages of the remote that did not get here, by reason.
    dropped_down: Drops,
}

/// Messages by the reason for which they were dropped.
type Drops = BTreeMap<&'static str, u64>;

impl Counters {
    fn new(counters: &BridgeCounters) -> Self {
        Self {
            sent_messages: counters.sent_messages,
            received_messages: counters.received_messages,
            sent_bytes: counters.sent_bytes,
            received_bytes: counters.received_bytes,
            acknowledged: counters.acknowledged,
            connects: counters.connects,
            reconnects: counters.reconnects,
            failed_connects: counters.failed_connects,
            protocol_errors: counters.protocol_errors,
            dropped_up: drops(&counters.dropped_up),
            dropped_down: drops(&counters.dropped_down),
        }
    }
}

fn drops(counted: &[(BridgeDrop, u64)]) -> Drops {
    counted.iter().map(|(why, n)| (why.as_str(), *n)).collect()
}
