//! The stats collector: adds up what the workers count, answers for it, and publishes it below `$SYS/brokers`.

use std::{
    collections::HashMap,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

use actix::{Actor, AsyncContext, Context, Handler};

use super::{
    BridgeCounterList, Door, Worker,
    process_figures::{ProcessFigures, open_files, open_files_limit},
};
use crate::{
    messages::{
        CertificateRow, GetProcessStats, GetStats, ListListeners, ListenerRow, Most, ProcessStats,
        StatsSnapshot, StoreSizes,
    },
    mqtt::{Message, Properties, QoS},
    stats::{Counters, Metric, Rates, Totals},
    transport::ServerIdentity,
};

/// How long to wait before looking again whether `mqtt.sys_interval` was switched on.
const SWITCHED_OFF: Duration = Duration::from_secs(10);

/// How often certificates are looked at that end soon.
const DAY: Duration = Duration::from_secs(86_400);

/// The interval that rates are averages of.
const RATE_INTERVAL: Duration = Duration::from_secs(5);

/// A listener whose connections are counted.
#[derive(Clone, Debug)]
pub struct ListenerInfo {
    /// What its connections know of it.
    pub door: Arc<Door>,
    /// Where it listens; none while it is switched off.
    pub addresses: Vec<SocketAddr>,
}

/// What was counted up to some moment.
struct Sample {
    at: Instant,
    totals: Totals,
    cpu: Duration,
}

/// See the module's description.
pub struct StatsCollector {
    started: Instant,
    counters: Vec<Arc<Counters>>,
    bridges: BridgeCounterList,
    listeners: Vec<ListenerInfo>,
    /// What the listeners over TLS and the HTTP API are known by.
    identities: Arc<[Arc<ServerIdentity>]>,
    /// At the beginning of the present interval.
    sample: Sample,
    /// Over the last one.
    rates: Rates,
    /// Over the last one, and the highest so far.
    cpu_percent: Option<f64>,
    cpu_percent_max: f64,
    worker: Rc<Worker>,
    /// What was published last, by topic: only changes are published again.
    published: HashMap<String, String>,
}

impl StatsCollector {
    /// A collector of the counters of these workers and of bridges, which knows the listeners; it publishes as `worker`.
    pub fn new(
        (counters, bridges): (Vec<Arc<Counters>>, BridgeCounterList),
        listeners: Vec<ListenerInfo>,
        identities: Arc<[Arc<ServerIdentity>]>,
        worker: Rc<Worker>,
    ) -> Self {
        let started = Instant::now();
        Self {
            started,
            counters,
            bridges,
            listeners,
            identities,
            sample: Sample {
                at: started,
                totals: Totals::default(),
                cpu: ProcessFigures::read().cpu,
            },
            rates: Rates::default(),
            cpu_percent: None,
            cpu_percent_max: 0.0,
            worker,
            published: HashMap::new(),
        }
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for counters in self.counters.iter().chain(&self.bridges.all()) {
            counters.add_to(&mut totals);
        }
        totals
    }

    /// Ends an interval and begins the next.
    fn next_interval(&mut self) {
        let next = Sample {
            at: Instant::now(),
            totals: self.totals(),
            cpu: ProcessFigures::read().cpu,
        };
        let interval = next.at - self.sample.at;
        self.rates = Rates::between(&self.sample.totals, &next.totals, interval);
        let percent = percent(next.cpu.saturating_sub(self.sample.cpu), interval);
        self.cpu_percent = Some(percent);
        self.cpu_percent_max = self.cpu_percent_max.max(percent);
        self.sample = next;
    }

    fn snapshot(&self) -> StatsSnapshot {
        let totals = self.totals();
        let gauges = &self.worker.shared.gauges;
        StatsSnapshot {
            uptime: self.started.elapsed(),
            totals,
            connections: gauges.connections.get(),
            sessions: gauges.sessions.get(),
            subscriptions: gauges.subscriptions.get(),
            topics: gauges.topics.get(),
            sockets: gauges.sockets.get(),
            retained: gauges.retained.get(),
            retained_bytes: gauges.retained_bytes.get(),
            store: StoreSizes {
                failing: gauges.store_failing.get() > 0,
                messages: gauges.stored_messages.get(),
                bytes: gauges.stored_bytes.get(),
                disk_bytes: gauges.stored_disk_bytes.get(),
            },
            most: Most {
                connections: gauges.connections.most(),
                sessions: gauges.sessions.most(),
                subscriptions: gauges.subscriptions.most(),
                topics: gauges.topics.most(),
            },
            rates: self.rates,
            certificates: self.certificates(),
        }
    }

    fn certificates(&self) -> Vec<CertificateRow> {
        let now = SystemTime::now();
        let row = |identity: &Arc<ServerIdentity>| CertificateRow {
            name: identity.name().to_owned(),
            not_after: identity.not_after(),
            days_left: identity.days_left(now),
        };
        self.identities.iter().map(row).collect()
    }

    fn warn_of_certificates(&self) {
        let now = SystemTime::now();
        self.identities
            .iter()
            .for_each(|identity| identity.warn_of_end(now));
    }

    fn publish(&mut self, ctx: &mut Context<Self>) {
        let interval = self.worker.shared.config.load().mqtt.sys_interval;
        if interval.is_zero() {
            ctx.run_later(SWITCHED_OFF, Self::publish_later);
            return;
        }
        let snapshot = self.snapshot();
        self.publish_value("version", env!("CARGO_PKG_VERSION").to_owned());
        self.publish_value("sysdescr", "NanoMQ Broker".to_owned());
        self.publish_value("uptime", snapshot.uptime.as_secs().to_string());
        for (name, value) in [
            ("connections/count", snapshot.connections),
            ("sessions/count", snapshot.sessions),
            ("subscriptions/count", snapshot.subscriptions),
            ("retained/count", snapshot.retained),
            ("retained/bytes", snapshot.retained_bytes),
        ] {
            self.publish_value(&format!("stats/{name}"), value.to_string());
        }
        for metric in Metric::ALL {
            let topic = format!("metrics/{}", metric.name().replace('.', "/"));
            self.publish_value(&topic, snapshot.totals.get(*metric).to_string());
        }
        ctx.run_later(interval, Self::publish_later);
    }

    fn publish_later(&mut self, ctx: &mut Context<Self>) {
        self.publish(ctx);
    }

    /// Publishes a value as a retained message, so that a new subscriber sees it at once.
    fn publish_value(&mut self, name: &str, value: String) {
        if self.published.get(name) == Some(&value) {
            return;
        }
        let now = Instant::now();
        let message = Message::new(
            &format!("$SYS/brokers/{name}"),
            value.as_bytes(),
            QoS::AtMostOnce,
            true,
            Properties::EMPTY,
            now,
        );
        self.worker.publish(&message, now);
        self.published.insert(name.to_owned(), value);
    }
}

impl Actor for StatsCollector {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.publish(ctx);
        self.warn_of_certificates();
        ctx.run_interval(DAY, |collector, _| collector.warn_of_certificates());
        ctx.run_interval(RATE_INTERVAL, |collector, _| collector.next_interval());
    }
}

impl Handler<GetStats> for StatsCollector {
    type Result = StatsSnapshot;

    fn handle(&mut self, _: GetStats, _: &mut Self::Context) -> Self::Result {
        self.snapshot()
    }
}

impl Handler<GetProcessStats> for StatsCollector {
    type Result = ProcessStats;

    fn handle(&mut self, _: GetProcessStats, _: &mut Self::Context) -> Self::Result {
        let figures = ProcessFigures::read();
        let since_start = || percent(figures.cpu, self.started.elapsed());
        let cpu_percent = self.cpu_percent.unwrap_or_else(since_start);
        ProcessStats {
            memory: figures.memory,
            memory_max: figures.memory_max,
            cpu: figures.cpu,
            cpu_percent,
            cpu_percent_max: self.cpu_percent_max.max(cpu_percent),
            open_files: open_files(),
            open_files_limit: open_files_limit(),
        }
    }
}

impl Handler<ListListeners> for StatsCollector {
    type Result = Vec<ListenerRow>;

    fn handle(&mut self, _: ListListeners, _: &mut Self::Context) -> Self::Result {
        self.listeners
            .iter()
            .map(|listener| ListenerRow {
                name: listener.door.name.clone(),
                protocol: listener.door.kind.as_str(),
                bind: listener.door.config.bind.to_string(),
                addresses: listener.addresses.clone(),
                enabled: listener.door.config.enable,
                connections: listener.door.open.load(Relaxed),
                max_connections: listener.door.config.max_connections,
                max_connection_rate: listener.door.config.max_connection_rate,
            })
            .collect()
    }
}

/// Per cent of one core.
fn percent(cpu: Duration, interval: Duration) -> f64 {
    match interval.is_zero() {
        true => 0.0,
        false => cpu.as_secs_f64() / interval.as_secs_f64() * 100.0,
    }
}
