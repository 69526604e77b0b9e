//! `subscriptions`: what entering many subscriptions costs, and what a message costs among them.

use std::ops::Range;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::conn::{Conn, KEEP_ALIVE};
use crate::cost::{Usage, per};
use crate::wire::{self, Session};
use crate::{Result, Target, bounded};

/// SUBSCRIBE packets under way at the same time.
const PIPELINE: u32 = 64;
/// Messages of the measured part that are published before the first of them has to have arrived.
const AHEAD: u64 = 256;
/// Each tenth of the subscriptions is timed apart.
const PARTS: u32 = 10;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// `load/a/N`
    Exact,
    /// `load/+/N`
    Plus,
    /// `load/N/#`
    Hash,
    /// `$share/g/load/a/N`
    Shared,
}

impl Kind {
    fn filter(self, number: u32) -> String {
        match self {
            Self::Exact => format!("load/a/{number}"),
            Self::Plus => format!("load/+/{number}"),
            Self::Hash => format!("load/{number}/#"),
            Self::Shared => format!("$share/g/load/a/{number}"),
        }
    }

    fn topic(self, number: u32) -> String {
        match self {
            Self::Hash => format!("load/{number}/a"),
            _ => format!("load/a/{number}"),
        }
    }
}

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// Subscriptions, each with a filter of its own.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    count: u32,
    /// Clients that share them.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// What the filters look like.
    #[arg(long, value_enum, default_value = "exact")]
    kind: Kind,
    /// Messages that are published then, to topics of all the subscriptions in a scattered order.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    messages: u32,
    /// The whole run ends with an error after so many seconds.
    #[arg(long, default_value_t = 240)]
    timeout: u64,
}

pub fn run(options: &Options) -> Result<()> {
    bounded(options.timeout, play(options))
}

async fn play(options: &Options) -> Result<()> {
    let (target, process) = (&options.target, std::process::id());
    let broker = target.broker();
    let mut clients = Vec::new();
    for index in 0..options.clients.min(options.count) {
        let name = format!("subs{process:x}i{index}");
        clients.push(
            Conn::open(target, &name, Session::Clean, KEEP_ALIVE)
                .await?
                .0,
        );
    }
    // It comes while the broker has nothing to do, however many subscriptions there will be, so that a broker with several
    // threads has the same reason to give it to one of them.
    let name = format!("subs{process:x}p");
    let (mut publisher, _) = Conn::open(target, &name, Session::Clean, KEEP_ALIVE).await?;
    let (rss, mut costs) = (broker.rss_kb(), Vec::new());
    let part = options.count / PARTS;
    for start in (0..PARTS).map(|n| n * part) {
        let usage = Usage::from_now(broker);
        subscribe(options, &mut clients, start..start + part).await?;
        costs.push(usage.broker_us() / f64::from(part));
    }
    let entered = part * PARTS;
    let bytes = (broker.rss_kb().saturating_sub(rss) * 1024) as f64 / f64::from(entered);

    let (usage, started) = (Usage::from_now(broker), Instant::now());
    publish(options, &mut publisher, &mut clients, entered).await?;
    let (generator_us, broker_us) = (usage.generator_us(), usage.broker_us());
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "subscriptions": entered,
            "broker_cpu_us_per_subscribe_first": per(costs.first().copied().unwrap_or(0.0), 1.0),
            "broker_cpu_us_per_subscribe_last": per(costs.last().copied().unwrap_or(0.0), 1.0),
            "broker_bytes_per_subscription": per(bytes, 1.0),
            "topic_bytes": options.kind.filter(entered / 2).len(),
            "broker_cpu_us": per(broker_us, f64::from(options.messages)),
            "generator_cpu_us": per(generator_us, f64::from(options.messages)),
            "msgs_per_sec": per(f64::from(options.messages), seconds),
        })
    );
    Ok(())
}

/// Enters the subscriptions of `numbers`, number `n` by client `n` modulo their number.
async fn subscribe(options: &Options, clients: &mut [Conn], numbers: Range<u32>) -> Result<()> {
    let version = options.target.version;
    let count = clients.len();
    for (index, client) in clients.iter_mut().enumerate() {
        let first = (index + count - numbers.start as usize % count) % count;
        let mut left = numbers.clone().skip(first).step_by(count);
        let mut open = 0;
        loop {
            for number in left.by_ref().take((PIPELINE - open) as usize) {
                let filter = options.kind.filter(number);
                client.out.extend(wire::subscribe(version, &filter, 0));
                open += 1;
            }
            if open == 0 {
                break;
            }
            client
                .exchange(|frame, _| {
                    open -= 1;
                    wire::parse_suback(frame, version, 0)
                })
                .await?;
        }
    }
    Ok(())
}

/// Publishes to scattered topics, some at a time, and waits until they have arrived.
async fn publish(
    options: &Options,
    publisher: &mut Conn,
    clients: &mut [Conn],
    entered: u32,
) -> Result<()> {
    let version = options.target.version;
    // A step that shares no factor with the number of topics visits all of them, far apart.
    let (entered, golden) = (u64::from(entered), u64::from(entered) * 618 / 1000);
    let step = (golden.max(1)..)
        .find(|step| gcd(*step, entered) == 1)
        .unwrap_or(1);
    let mut sent = 0;
    while sent < u64::from(options.messages) {
        let mut due = vec![0; clients.len()];
        for n in sent..(sent + AHEAD).min(u64::from(options.messages)) {
            let number = n * step % entered;
            let topic = options.kind.topic(number as u32);
            let payload = b"0123456789abcdef";
            let packet = wire::publish(version, &topic, 0, false, 0, payload);
            publisher.out.extend(packet);
            if let Some(due) = due.get_mut(number as usize % clients.len()) {
                *due += 1;
            }
        }
        sent += AHEAD;
        publisher.flush_all().await?;
        for (client, due) in clients.iter_mut().zip(due) {
            let mut missing = due;
            while missing > 0 {
                client
                    .exchange(|frame, _| {
                        missing -= 1;
                        wire::expect(frame, wire::PUBLISH)
                    })
                    .await?;
            }
        }
    }
    Ok(())
}

fn gcd(a: u64, b: u64) -> u64 {
    match b {
        0 => a,
        _ => gcd(b, a % b),
    }
}
