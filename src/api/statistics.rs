//! `GET /api/v4/stats` and `GET /api/v4/metrics`: what is counted, as numbers.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Serialize;

use super::{
    ApiError, ApiState, answer, bridges::Figures, listing::Listing, query::Parameters, state::ask,
};
use crate::{
    messages::{
        BridgeView, GetProcessStats, GetQueueTotals, GetStats, ListBridges, ProcessStats,
        QueueTotals, StatsSnapshot,
    },
    mqtt::QoS,
    stats::{Metric, Rates, Totals},
};

#[derive(Serialize)]
struct Stats<'a> {
    uptime_seconds: u64,
    connections: u64,
    sessions: u64,
    subscriptions: u64,
    topics: u64,
    sockets: u64,
    retained: Retained,
    messages: Messages,
    bytes: Directions,
    packets_received: u64,
    /// Messages dropped, by reason.
    drops: BTreeMap<&'static str, u64>,
    /// Connections closed for a malformed packet or a protocol error, by kind.
    protocol_errors: &'a BTreeMap<&'static str, u64>,
    /// Of listeners over TLS and of this API, by the section of the configuration.
    certificates: BTreeMap<&'a str, Certificate>,
    queues: Queues,
    store: Store,
    rates: PerSecond,
    process: Process,
    /// By name.
    bridges: BTreeMap<&'a str, Figures>,
}

#[derive(Serialize)]
struct Certificate {
    /// Seconds since 1970 at which its validity ends.
    not_after: i64,
    /// Full days until then; negative afterwards.
    days_left: i64,
}

#[derive(Serialize)]
struct Retained {
    count: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Messages {
    received: ByQos,
    sent: ByQos,
    dropped: u64,
    /// Matched a subscription.
    routed: u64,
    /// Given to sessions, each once for each of them.
    deliveries: u64,
    /// QoS 1 and 2 messages that sessions have done with since their clients have them.
    acknowledged: u64,
    /// Of shared subscriptions, taken from a member that left, and given to another.
    handed_over: u64,
    /// Sent again with QoS 2 although they had been taken.
    duplicates: u64,
    /// Matched no subscription.
    no_subscriber: u64,
}

#[derive(Serialize)]
struct ByQos {
    qos0: u64,
    qos1: u64,
    qos2: u64,
    total: u64,
}

#[derive(Serialize)]
struct Directions {
    received: u64,
    sent: u64,
}

/// Sums over all sessions.
#[derive(Serialize)]
struct Queues {
    sessions: u64,
    messages: u64,
    bytes: u64,
    inflight: u64,
}

/// The durable store; nothing where there is none.
#[derive(Serialize)]
struct Store {
    /// The disk refuses what it writes: messages for durable sessions are refused.
    failing: bool,
    messages: u64,
    bytes: u64,
    disk_bytes: u64,
    /// Messages refused since the start.
    refused: u64,
    /// Writes, each for all that waited for it.
    commits: u64,
    /// Times that the disk has confirmed what was written.
    syncs: u64,
}

/// Averages over the last full interval.
#[derive(Serialize)]
struct PerSecond {
    /// Its length; 0 before the first has passed.
    interval_seconds: f64,
    messages_received: f64,
    messages_sent: f64,
    bytes_received: f64,
    bytes_sent: f64,
}

#[derive(Serialize)]
struct Process {
    memory_bytes: u64,
    memory_bytes_max: u64,
    cpu_seconds: f64,
    cpu_percent: f64,
    cpu_percent_max: f64,
    open_files: u64,
    open_files_limit: Option<u64>,
}

impl<'a> Stats<'a> {
    fn new(
        stats: &'a StatsSnapshot,
        queues: &QueueTotals,
        process: &ProcessStats,
        bridges: &'a [BridgeView],
    ) -> Self {
        let totals = &stats.totals;
        let reason = |metric: &Metric| metric.name().rsplit('.').next().unwrap_or_default();
        let drops = Metric::DROPPED.iter();
        Self {
            uptime_seconds: stats.uptime.as_secs(),
            connections: stats.connections,
            sessions: stats.sessions,
            subscriptions: stats.subscriptions,
            topics: stats.topics,
            sockets: stats.sockets,
            retained: Retained {
                count: stats.retained,
                bytes: stats.retained_bytes,
            },
            messages: Messages {
                received: ByQos::new(totals, Metric::received),
                sent: ByQos::new(totals, Metric::sent),
                dropped: totals.messages_dropped(),
                routed: totals.get(Metric::MessagesRouted),
                deliveries: totals.get(Metric::MessagesDeliveries),
                acknowledged: totals.get(Metric::MessagesAcknowledged),
                handed_over: totals.get(Metric::MessagesHandedOver),
                duplicates: totals.get(Metric::MessagesDuplicate),
                no_subscriber: totals.get(Metric::MessagesWithoutSubscriber),
            },
            bytes: Directions {
                received: totals.get(Metric::BytesReceived),
                sent: totals.get(Metric::BytesSent),
            },
            packets_received: totals.get(Metric::PacketsReceived),
            drops: drops
                .map(|metric| (reason(metric), totals.get(*metric)))
                .collect(),
            protocol_errors: &totals.errors,
            certificates: stats
                .certificates
                .iter()
                .map(|row| {
                    let certificate = Certificate {
                        not_after: row.not_after,
                        days_left: row.days_left,
                    };
                    (row.name.as_str(), certificate)
                })
                .collect(),
            queues: Queues {
                sessions: queues.sessions,
                messages: queues.messages,
                bytes: queues.bytes,
                inflight: queues.inflight,
            },
            store: Store {
                failing: stats.store.failing,
                messages: stats.store.messages,
                bytes: stats.store.bytes,
                disk_bytes: stats.store.disk_bytes,
                refused: totals.get(Metric::StoreRefused),
                commits: totals.get(Metric::StoreCommits),
                syncs: totals.get(Metric::StoreSyncs),
            },
            rates: PerSecond::new(&stats.rates),
            process: Process::new(process),
            bridges: bridges
                .iter()
                .map(|view| (&*view.name, Figures::new(view)))
                .collect(),
        }
    }
}

impl ByQos {
    fn new(totals: &Totals, metric: fn(QoS) -> Metric) -> Self {
        let [qos0, qos1, qos2] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]
            .map(|qos| totals.get(metric(qos)));
        Self {
            qos0,
            qos1,
            qos2,
            total: qos0 + qos1 + qos2,
        }
    }
}

impl PerSecond {
    fn new(rates: &Rates) -> Self {
        Self {
            interval_seconds: hundredths(rates.interval.as_secs_f64()),
            messages_received: hundredths(rates.messages_received),
            messages_sent: hundredths(rates.messages_sent),
            bytes_received: hundredths(rates.bytes_received),
            bytes_sent: hundredths(rates.bytes_sent),
        }
    }
}

impl Process {
    fn new(process: &ProcessStats) -> Self {
        Self {
            memory_bytes: process.memory,
            memory_bytes_max: process.memory_max,
            cpu_seconds: hundredths(process.cpu.as_secs_f64()),
            cpu_percent: hundredths(process.cpu_percent),
            cpu_percent_max: hundredths(process.cpu_percent_max),
            open_files: process.open_files,
            open_files_limit: process.open_files_limit,
        }
    }
}

/// What is counted, and what the process uses.
pub async fn stats(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    Parameters::parse(request.query_string())?.finish()?;
    let stats = ask(&state.stats, GetStats).await?;
    let queues = Listing::open(&state.queues, |after| GetQueueTotals { after });
    let sum = |sum: QueueTotals, rows: Vec<QueueTotals>| rows.iter().fold(sum, QueueTotals::and);
    let queues = queues.await?.fold(QueueTotals::default(), sum).await?;
    let process = ask(&state.process, GetProcessStats).await?;
    let bridges = ask(&state.bridges, ListBridges).await?;
    Ok(answer::data(Stats::new(
        &stats, &queues, &process, &bridges,
    )))
}

/// NanoMQ's summary: its members and their types, then the same as numbers.
#[derive(Serialize)]
struct Summary<'a> {
    /// Of the bridges that are switched on.
    metrics: Vec<BridgeSummary<'a>>,
    cpuinfo: String,
    memory: String,
    connections: u64,
    cpu_percent: f64,
    memory_bytes: u64,
}

/// NanoMQ's summary of a bridge.
#[derive(Serialize)]
struct BridgeSummary<'a> {
    #[serde(rename = "bridge name")]
    name: &'a str,
    #[serde(rename = "sent messages")]
    sent_messages: u64,
    #[serde(rename = "received messages")]
    received_messages: u64,
    #[serde(rename = "sent bytes")]
    sent_bytes: u64,
    #[serde(rename = "received bytes")]
    received_bytes: u64,
    #[serde(rename = "MQTT reconnect times")]
    reconnects: u64,
    #[serde(rename = "uplink msg dropped")]
    dropped_up: u64,
    #[serde(rename = "downlink msg dropped")]
    dropped_down: u64,
}

impl<'a> BridgeSummary<'a> {
    fn new(view: &'a BridgeView) -> Self {
        let counters = &view.counters;
        Self {
            name: &view.name,
            sent_messages: counters.sent_messages,
            received_messages: counters.received_messages,
            sent_bytes: counters.sent_bytes,
            received_bytes: counters.received_bytes,
            reconnects: counters.reconnects,
            dropped_up: counters.all_dropped_up(),
            dropped_down: counters.all_dropped_down(),
        }
    }
}

/// NanoMQ's summary, which has neither `code` nor `data`.
pub async fn metrics(
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    Parameters::parse(request.query_string())?.finish()?;
    let stats = ask(&state.stats, GetStats).await?;
    let process = ask(&state.process, GetProcessStats).await?;
    let bridges = ask(&state.bridges, ListBridges).await?;
    let running = bridges.iter().filter(|view| view.config.enable);
    Ok(HttpResponse::Ok().json(Summary {
        metrics: running.map(BridgeSummary::new).collect(),
        cpuinfo: format!("{:.2}%", process.cpu_percent),
        memory: process.memory.to_string(),
        connections: stats.connections,
        cpu_percent: hundredths(process.cpu_percent),
        memory_bytes: process.memory,
    }))
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
