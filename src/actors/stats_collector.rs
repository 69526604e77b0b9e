//! The stats collector: adds up what the workers count, answers for it, and publishes it below `$SYS/brokers`.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext, Context, Handler};

use super::Worker;
use crate::{
    messages::{GetStats, StatsSnapshot},
    mqtt::{Message, Properties, QoS},
    stats::{Counters, Metric, Totals},
};

/// How long to wait before looking again whether `mqtt.sys_interval` was switched on.
const SWITCHED_OFF: Duration = Duration::from_secs(10);

/// See the module's description.
pub struct StatsCollector {
    started: Instant,
    counters: Vec<Arc<Counters>>,
    worker: Rc<Worker>,
    /// What was published last, by topic: only changes are published again.
    published: HashMap<String, String>,
}

impl StatsCollector {
    /// A collector of these workers' counters; it publishes as `worker`.
    pub fn new(counters: Vec<Arc<Counters>>, worker: Rc<Worker>) -> Self {
        Self {
            started: Instant::now(),
            counters,
            worker,
            published: HashMap::new(),
        }
    }

    fn snapshot(&self) -> StatsSnapshot {
        let mut totals = Totals::default();
        for counters in &self.counters {
            counters.add_to(&mut totals);
        }
        let gauges = &self.worker.shared.gauges;
        StatsSnapshot {
            uptime: self.started.elapsed(),
            totals,
            connections: gauges.connections.get(),
            sessions: gauges.sessions.get(),
            subscriptions: gauges.subscriptions.get(),
            retained: gauges.retained.get(),
            retained_bytes: gauges.retained_bytes.get(),
        }
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
        self.worker.publish(&Arc::new(message), now);
        self.published.insert(name.to_owned(), value);
    }
}

impl Actor for StatsCollector {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.publish(ctx);
    }
}

impl Handler<GetStats> for StatsCollector {
    type Result = StatsSnapshot;

    fn handle(&mut self, _: GetStats, _: &mut Self::Context) -> Self::Result {
        self.snapshot()
    }
}
