//! `GET /api/v4/prometheus`: everything that is counted, in Prometheus' text format 0.0.4.

use std::fmt::{Display, Write};

use actix_web::{HttpRequest, HttpResponse, http::header, web::Data};

use super::{ApiError, ApiState, query::Parameters, state::ask};
use crate::{
    messages::{
        BridgeState, BridgeView, GetProcessStats, GetStats, ListBridges, ProcessStats,
        StatsSnapshot,
    },
    stats::Metric,
};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics: those of NanoMQ under its names, then ours.
pub async fn show(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    Parameters::parse(request.query_string())?.finish()?;
    let stats = ask(&state.stats, GetStats).await?;
    let process = ask(&state.process, GetProcessStats).await?;
    let bridges = ask(&state.bridges, ListBridges).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, CONTENT_TYPE))
        .body(render(&stats, &process, &bridges)))
}

fn render(stats: &StatsSnapshot, process: &ProcessStats, bridges: &[BridgeView]) -> String {
    let mut page = Page::default();
    let (most, totals) = (&stats.most, &stats.totals);
    page.gauge("connections_count", "clients connected", stats.connections);
    page.gauge(
        "connections_max",
        "most clients connected at once",
        most.connections,
    );
    page.gauge(
        "sessions_count",
        "sessions, connected or kept",
        stats.sessions,
    );
    page.gauge("sessions_max", "most sessions at once", most.sessions);
    page.gauge(
        "topics_count",
        "different topic filters subscribed to",
        stats.topics,
    );
    page.gauge(
        "topics_max",
        "most different topic filters at once",
        most.topics,
    );
    page.gauge("subscribers_count", "subscriptions", stats.subscriptions);
    page.gauge(
        "subscribers_max",
        "most subscriptions at once",
        most.subscriptions,
    );
    page.counter(
        "messages_received",
        "PUBLISH packets read from clients",
        totals.messages_received(),
    );
    page.counter(
        "messages_sent",
        "PUBLISH packets written to clients",
        totals.messages_sent(),
    );
    page.counter(
        "messages_dropped",
        "messages dropped, for any reason",
        totals.messages_dropped(),
    );
    page.gauge("memory_usage", "bytes of resident memory", process.memory);
    page.gauge(
        "memory_usage_max",
        "most bytes of resident memory",
        process.memory_max,
    );
    let percent = |value: f64| format!("{value:.2}");
    page.gauge(
        "cpu_usage",
        "per cent of one core",
        percent(process.cpu_percent),
    );
    page.gauge(
        "cpu_usage_max",
        "highest per cent of one core",
        percent(process.cpu_percent_max),
    );

    page.gauge(
        "sockets_count",
        "sockets open, CONNECT received or not",
        stats.sockets,
    );
    page.gauge("retained_count", "retained messages", stats.retained);
    page.gauge(
        "retained_bytes",
        "bytes of the retained messages",
        stats.retained_bytes,
    );
    page.gauge(
        "store_failing",
        "1 while the disk refuses what the store writes",
        u8::from(stats.store.failing),
    );
    page.gauge(
        "store_queued",
        "messages that wait in durable sessions",
        stats.store.messages,
    );
    page.gauge(
        "store_live_bytes",
        "bytes of what the store has to keep",
        stats.store.bytes,
    );
    page.gauge(
        "store_disk_bytes",
        "bytes of the files of the store",
        stats.store.disk_bytes,
    );
    page.gauge("open_files", "files and sockets open", process.open_files);
    page.gauge(
        "uptime_seconds",
        "time since the start",
        stats.uptime.as_secs(),
    );
    page.counter(
        "cpu_seconds_total",
        "CPU time of all threads",
        process.cpu.as_secs_f64(),
    );
    if !stats.certificates.is_empty() {
        let name = "certificate_not_after_seconds";
        page.family(
            name,
            "gauge",
            "end of a certificate's validity, in seconds since 1970",
        );
        for certificate in &stats.certificates {
            let sample = format!("{name}{{certificate=\"{}\"}}", escaped(&certificate.name));
            page.sample(&sample, certificate.not_after);
        }
    }
    for metric in Metric::ALL {
        let name = format!("{}_total", metric.name().replace('.', "_"));
        if *metric != Metric::ProtocolErrors {
            page.counter(&name, metric.help(), totals.get(*metric));
            continue;
        }
        page.family(&name, "counter", metric.help());
        for (kind, n) in &totals.errors {
            page.sample(&format!("{name}{{kind=\"{kind}\"}}"), n);
        }
    }
    if !bridges.is_empty() {
        page.bridges(bridges);
    }
    page.0
}

/// A text as the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A figure that every bridge has: its name, type and help, and the value.
type BridgeFigure = (
    &'static str,
    &'static str,
    &'static str,
    fn(&BridgeView) -> u64,
);

#[rustfmt::skip]
const BRIDGE_FIGURES: &[BridgeFigure] = &[
    ("bridge_enabled", "gauge", "1 for a bridge that is switched on", |view| view.config.enable.into()),
    ("bridge_connected", "gauge", "1 while a bridge is connected to its remote", |view| (view.state == BridgeState::Connected).into()),
    ("bridge_backlog", "gauge", "messages that wait for the remote", |view| view.backlog),
    ("bridge_backlog_bytes", "gauge", "bytes of the messages that wait for the remote", |view| view.backlog_bytes),
    ("bridge_inflight", "gauge", "messages sent to the remote and not acknowledged", |view| view.inflight),
    ("bridge_messages_sent_total", "counter", "PUBLISH packets sent to the remote", |view| view.counters.sent_messages),
    ("bridge_messages_received_total", "counter", "PUBLISH packets of the remote", |view| view.counters.received_messages),
    ("bridge_messages_acknowledged_total", "counter", "QoS 1 and 2 messages that the remote has acknowledged", |view| view.counters.acknowledged),
    ("bridge_bytes_sent_total", "counter", "bytes sent to the remote", |view| view.counters.sent_bytes),
    ("bridge_bytes_received_total", "counter", "bytes received from the remote", |view| view.counters.received_bytes),
    ("bridge_connects_total", "counter", "connections to the remote", |view| view.counters.connects),
    ("bridge_reconnects_total", "counter", "connections to the remote after the first", |view| view.counters.reconnects),
    ("bridge_failed_connects_total", "counter", "attempts to connect that failed", |view| view.counters.failed_connects),
    ("bridge_protocol_errors_total", "counter", "connections closed because the remote broke the protocol", |view| view.counters.protocol_errors),
];

/// What has been written; every name gets the prefix `nanomq_`.
#[derive(Default)]
struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, value);
    }

    /// The figures of bridges, each of them with its name.
    fn bridges(&mut self, bridges: &[BridgeView]) {
        for (name, kind, help, value) in BRIDGE_FIGURES {
            self.family(name, kind, help);
            for view in bridges {
                let bridge = escaped(&view.name);
                self.sample(&format!("{name}{{bridge=\"{bridge}\"}}"), value(view));
            }
        }
        let name = "bridge_messages_dropped_total";
        let help = "messages that did not get over a bridge, up to the remote or down from it";
        self.family(name, "counter", help);
        for view in bridges {
            let bridge = escaped(&view.name);
            for (direction, drops) in [
                ("up", &view.counters.dropped_up),
                ("down", &view.counters.dropped_down),
            ] {
                for (why, n) in drops {
                    let labels = format!(
                        "bridge=\"{bridge}\",direction=\"{direction}\",reason=\"{}\"",
                        why.as_str()
                    );
                    self.sample(&format!("{name}{{{labels}}}"), n);
                }
            }
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP nanomq_{name} {help}"));
        self.line(format_args!("# TYPE nanomq_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("nanomq_{name} {value}"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a text in memory does not fail.
        let _ = writeln!(self.0, "{text}");
    }
}
