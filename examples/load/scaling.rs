//! `scaling`: how fast the broker is when nobody else needs the processor.
//!
//! A generator that runs beside a broker takes a core that a second worker would have used. So this one works while the
//! broker is stopped (SIGSTOP): it fills the publishers' sockets. Then the broker goes on (SIGCONT), and the time counts
//! until the last byte has reached its subscriber; all that is done meanwhile is to have the kernel throw away what
//! arrives, every few milliseconds.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::cost::{Broker, ThreadTime, per};
use crate::pair::{Pair, Sink};
use crate::report::process_cpu_us;
use crate::wire::STAMP_LEN;
use crate::{Failure, Result, Target, event_loop};

/// A round ends when nothing moves for so long.
const QUIET: Duration = Duration::from_secs(3);
/// The longest and the shortest pause between two looks at the subscribers; the nearer the end, the shorter.
const PAUSES: (Duration, Duration) = (Duration::from_millis(4), Duration::from_micros(200));
/// Between two turns of a flood, for the broker to have the processor.
const FLOOD_PAUSE: Duration = Duration::from_micros(500);
/// Messages of a publisher in one turn of a flood.
const FLOOD_MESSAGES: u64 = 4096;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// Publishers, each with a subscriber of its own.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pairs: u32,
    /// So many of them connect only in the midst of the warm-up, while the others publish.
    #[arg(long, default_value_t = 0)]
    late: u32,
    /// Payload in bytes, at least 12.
    #[arg(long, default_value_t = 16)]
    size: usize,
    /// Messages of each publisher in a round; fewer where its socket takes no more.
    #[arg(long, default_value_t = 80_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    messages: u64,
    /// How often the broker is stopped and goes on.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds for which all publish as fast as they can before the rounds, so that a broker that moves connections
    /// between threads does.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=600))]
    warm_up: u64,
}

/// What the measured time cost.
#[derive(Default)]
struct Spent {
    wall: Duration,
    generator_us: u64,
    /// By thread of the broker.
    threads: HashMap<u32, ThreadTime>,
}

pub fn run(options: &Options) -> Result<()> {
    if options.target.pid.is_none() {
        return Err(Failure::usage("--pid is needed, the broker is stopped"));
    }
    if options.target.tls.is_some() || options.target.ws {
        return Err(Failure::usage("only plain TCP"));
    }
    if options.size < STAMP_LEN || options.size > 1_000_000 {
        return Err(Failure::usage(format!(
            "--size must be from {STAMP_LEN} to 1000000"
        )));
    }
    let late = options.late.min(options.pairs);
    let broker = options.target.broker();
    let sink = &mut Sink::new();

    let mut pairs = connect(options, 0..options.pairs - late)?;
    flood(&mut pairs, Duration::from_secs(options.warm_up) / 2, sink)?;
    pairs.extend(connect(options, options.pairs - late..options.pairs)?);
    flood(&mut pairs, Duration::from_secs(options.warm_up) / 2, sink)?;
    work_off(&mut pairs, sink)?;
    pairs.iter_mut().try_for_each(Pair::check)?;

    let counted = |pairs: &[Pair]| {
        let each = pairs.iter().map(Pair::messages);
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    let before = counted(&pairs);
    let (mut spent, mut full) = (Spent::default(), 0);
    for _ in 0..options.rounds {
        full += round(&mut pairs, broker, options.messages, sink, &mut spent)?;
    }
    let after = counted(&pairs);
    let (sent, received) = (after.0 - before.0, after.1 - before.1);
    report(&spent, (sent, received), full);
    if sent != received {
        return Err(Failure::protocol(format!(
            "{received} messages arrived of {sent}: this is no measurement"
        )));
    }
    pairs.iter_mut().try_for_each(Pair::check)
}

fn connect(options: &Options, indices: std::ops::Range<u32>) -> Result<Vec<Pair>> {
    let prefix = format!("load/{:x}", std::process::id());
    event_loop()?.block_on(async {
        let mut pairs = Vec::new();
        for index in indices {
            pairs.push(Pair::open(&options.target, &prefix, index, options.size).await?);
        }
        Ok(pairs)
    })
}

/// Publishes as fast as possible.
fn flood(pairs: &mut [Pair], time: Duration, sink: &mut Sink) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < time {
        for pair in &mut *pairs {
            pair.fill(FLOOD_MESSAGES)?;
            pair.advance(sink)?;
        }
        thread::sleep(FLOOD_PAUSE);
    }
    Ok(())
}

/// Stops the broker, fills the sockets, lets it go on and waits for everything; tells how many sockets took less.
fn round(
    pairs: &mut [Pair],
    broker: Broker,
    messages: u64,
    sink: &mut Sink,
    spent: &mut Spent,
) -> Result<u32> {
    let stopped = broker.stop()?;
    let mut full = 0;
    for pair in &mut *pairs {
        full += u32::from(!pair.fill(messages)?);
    }
    let (threads, generator) = (broker.threads(), process_cpu_us());
    let started = Instant::now();
    drop(stopped);
    let ended = work_off(pairs, sink)?;
    spent.wall += ended.saturating_duration_since(started);
    spent.generator_us += process_cpu_us().saturating_sub(generator);
    for (thread, now) in broker.threads() {
        let before = threads.get(&thread).copied().unwrap_or_default();
        let sum = spent.threads.entry(thread).or_default();
        sum.used_us += now.used_us.saturating_sub(before.used_us);
        sum.waited_us += now.waited_us.saturating_sub(before.waited_us);
    }
    Ok(full)
}

/// Takes what arrives until it is all or nothing moves any more; returns when the last of it had come.
fn work_off(pairs: &mut [Pair], sink: &mut Sink) -> Result<Instant> {
    let under_way = |pairs: &[Pair]| pairs.iter().map(Pair::under_way).sum::<u64>();
    let (begun, all) = (Instant::now(), under_way(pairs));
    let mut moved = begun;
    loop {
        for pair in pairs.iter_mut().filter(|pair| pair.under_way() > 0) {
            if pair.advance(sink)? {
                moved = Instant::now();
            }
        }
        let left = under_way(pairs);
        if left == 0 || moved.elapsed() >= QUIET {
            return Ok(moved);
        }
        // Half of the time that the rest takes at the rate of before.
        let rest = begun.elapsed().as_secs_f64() * left as f64 / (all - left).max(1) as f64 / 2.0;
        let (longest, shortest) = PAUSES;
        thread::sleep(Duration::from_secs_f64(rest.min(1.0)).clamp(shortest, longest));
    }
}

fn report(spent: &Spent, (sent, received): (u64, u64), full: u32) {
    let seconds = spent.wall.as_secs_f64();
    let count = received as f64;
    let share = |us: u64| per(us as f64 / 1e6, seconds);
    let used_us: u64 = spent.threads.values().map(|time| time.used_us).sum();
    let waited_us: u64 = spent.threads.values().map(|time| time.waited_us).sum();
    let mut threads: Vec<u64> = spent.threads.values().map(|time| time.used_us).collect();
    threads.sort_by(|a, b| b.cmp(a));
    // Those that did next to nothing are not of interest.
    threads.retain(|&used| used as f64 / 1e6 >= seconds / 100.0);
    println!(
        "{}",
        json!({
            "sent": sent,
            "received": received,
            "lost": sent.saturating_sub(received),
            "surplus": received.saturating_sub(sent),
            "sockets_full": full,
            "seconds": per(seconds, 1.0),
            "msgs_per_sec": per(count, seconds),
            "broker_cpu_us": per(used_us as f64, count),
            "generator_cpu_us": per(spent.generator_us as f64, count),
            "generator_share": share(spent.generator_us),
            "broker_waited_share": share(waited_us),
            "broker_thread_shares": threads.into_iter().map(share).collect::<Vec<_>>(),
        })
    );
}
