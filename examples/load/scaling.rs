//! `scaling`: how fast the broker is when nobody else needs the processor.
//!
//! A generator that runs beside a broker takes a core that a second worker would have used. So this one works while the
//! broker is stopped (SIGSTOP): it fills the publishers' sockets. Then the broker goes on (SIGCONT), and the time counts
//! until the last byte has reached its subscriber; all that is done meanwhile is to have the kernel throw away what
//! arrives, every few milliseconds. The rate of a round is that of its middle half, when all that work still have work: who
//! is through first, because its core was less disturbed by others, does not count as idle.
//!
//! Two brokers take turns, round by round, for what is the ratio of their rates: what disturbs a machine for seconds then
//! disturbs both.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::cost::{Broker, ThreadTime, per, process_cpu_us};
use crate::pair::{Pair, Sink};
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
    /// Address of a second broker, whose rounds alternate with those of the first.
    #[arg(long, requires = "beside_pid")]
    beside: Option<SocketAddr>,
    /// The second broker's process.
    #[arg(long, requires = "beside")]
    beside_pid: Option<u32>,
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

/// A broker, the pairs that go through it, and what its rounds cost.
struct Side {
    broker: Broker,
    pairs: Vec<Pair>,
    rounds: Vec<Round>,
}

/// What a round cost.
struct Round {
    /// Messages per second in its middle half.
    rate: f64,
    wall: Duration,
    generator_us: u64,
    /// By thread of the broker.
    threads: HashMap<u32, ThreadTime>,
    sent: u64,
    received: u64,
    /// How many sockets did not take all.
    full: u32,
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
    let sink = &mut Sink::new();
    let mut sides = vec![Side::open(options, &options.target, sink)?];
    if let Some(addr) = options.beside {
        let target = Target {
            addr,
            pid: options.beside_pid,
            ..options.target.clone()
        };
        sides.push(Side::open(options, &target, sink)?);
    }
    for _ in 0..options.rounds {
        for side in &mut sides {
            let round = side.round(options.messages, sink)?;
            side.rounds.push(round);
        }
    }
    report(&sides);
    for side in &mut sides {
        let (sent, received) = side.messages();
        if sent != received {
            return Err(Failure::protocol(format!(
                "{received} messages arrived of {sent}: this is no measurement"
            )));
        }
        side.pairs.iter_mut().try_for_each(Pair::check)?;
    }
    Ok(())
}

impl Side {
    /// Connects all pairs and warms them up.
    fn open(options: &Options, target: &Target, sink: &mut Sink) -> Result<Self> {
        let early = options.pairs - options.late.min(options.pairs);
        let half = Duration::from_secs(options.warm_up) / 2;
        let mut pairs = connect(options, target, 0..early)?;
        flood(&mut pairs, half, sink)?;
        pairs.extend(connect(options, target, early..options.pairs)?);
        flood(&mut pairs, half, sink)?;
        work_off(&mut pairs, sink)?;
        pairs.iter_mut().try_for_each(Pair::check)?;
        Ok(Self {
            broker: target.broker(),
            pairs,
            rounds: Vec::new(),
        })
    }

    /// Messages that were written and that have arrived, ever.
    fn messages(&self) -> (u64, u64) {
        let each = self.pairs.iter().map(Pair::messages);
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Stops the broker, fills the sockets, lets it go on and waits for everything.
    fn round(&mut self, messages: u64, sink: &mut Sink) -> Result<Round> {
        let before = self.messages();
        let stopped = self.broker.stop()?;
        let mut full = 0;
        for pair in &mut self.pairs {
            full += u32::from(!pair.fill(messages)?);
        }
        let (threads, generator) = (self.broker.threads(), process_cpu_us());
        let started = Instant::now();
        drop(stopped);
        let worked = work_off(&mut self.pairs, sink)?;
        let generator_us = process_cpu_us().saturating_sub(generator);
        let used = self.broker.threads().into_iter().map(|(thread, now)| {
            let before = threads.get(&thread).copied().unwrap_or_default();
            let time = ThreadTime {
                used_us: now.used_us.saturating_sub(before.used_us),
                waited_us: now.waited_us.saturating_sub(before.waited_us),
            };
            (thread, time)
        });
        let threads = used.collect();
        let after = self.messages();
        let (sent, received) = (after.0 - before.0, after.1 - before.1);
        let (share, time) = worked.middle();
        Ok(Round {
            rate: share * received as f64 / time.as_secs_f64().max(1e-9),
            wall: worked.ended().saturating_duration_since(started),
            generator_us,
            threads,
            sent,
            received,
            full,
        })
    }
}

fn connect(options: &Options, target: &Target, indices: std::ops::Range<u32>) -> Result<Vec<Pair>> {
    let prefix = format!("load/{:x}", std::process::id());
    event_loop()?.block_on(async {
        let mut pairs = Vec::new();
        for index in indices {
            pairs.push(Pair::open(target, &prefix, index, options.size).await?);
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

/// How what was under way arrived.
struct Worked {
    /// Bytes at the beginning.
    all: u64,
    /// When how many bytes were left; the beginning, and each look that found fewer.
    left: Vec<(Instant, u64)>,
}

impl Worked {
    /// When the last of it had come.
    fn ended(&self) -> Instant {
        self.left.last().map_or_else(Instant::now, |last| last.0)
    }

    /// The middle half: which share of all arrived in which time. More than half where looks were far apart.
    fn middle(&self) -> (f64, Duration) {
        let (upper, lower) = (self.all - self.all / 4, self.all / 4);
        let from = self.left.iter().rfind(|(_, left)| *left >= upper);
        let to = self.left.iter().find(|(_, left)| *left <= lower);
        let (Some(from), Some(to)) = (from, to) else {
            return (0.0, Duration::ZERO);
        };
        let share = (from.1 - to.1) as f64 / self.all.max(1) as f64;
        (share, to.0.saturating_duration_since(from.0))
    }
}

/// Takes what arrives until it is all or nothing moves any more.
fn work_off(pairs: &mut [Pair], sink: &mut Sink) -> Result<Worked> {
    let under_way = |pairs: &[Pair]| pairs.iter().map(Pair::under_way).sum::<u64>();
    let (begun, all) = (Instant::now(), under_way(pairs));
    let mut left = vec![(begun, all)];
    let mut moved = begun;
    loop {
        for pair in pairs.iter_mut().filter(|pair| pair.under_way() > 0) {
            if pair.advance(sink)? {
                moved = Instant::now();
            }
        }
        let now = under_way(pairs);
        if left.last().is_some_and(|last| now < last.1) {
            left.push((moved, now));
        }
        if now == 0 || moved.elapsed() >= QUIET {
            return Ok(Worked { all, left });
        }
        // Half of the time that the rest takes at the rate of before.
        let rest = begun.elapsed().as_secs_f64() * now as f64 / (all - now).max(1) as f64 / 2.0;
        let (longest, shortest) = PAUSES;
        thread::sleep(Duration::from_secs_f64(rest.min(1.0)).clamp(shortest, longest));
    }
}

fn report(sides: &[Side]) {
    let mut result = serde_json::Map::new();
    for (side, suffix) in sides.iter().zip(["", "_beside"]) {
        let values = values(&side.rounds);
        result.extend(values.map(|(name, value)| (format!("{name}{suffix}"), value)));
    }
    if let [one, two] = sides {
        let both = one.rounds.iter().zip(&two.rounds);
        let ratios = both.map(|(one, two)| one.rate / two.rate.max(1e-9));
        result.insert("rate_ratio".to_owned(), per(median(ratios), 1.0));
    }
    println!("{}", serde_json::Value::Object(result));
}

/// What is told of one broker.
fn values(rounds: &[Round]) -> impl Iterator<Item = (&'static str, serde_json::Value)> {
    let sum = |value: fn(&Round) -> u64| rounds.iter().map(value).sum::<u64>();
    let (sent, received) = (sum(|round| round.sent), sum(|round| round.received));
    let seconds: f64 = rounds.iter().map(|round| round.wall.as_secs_f64()).sum();
    let mut threads: HashMap<u32, ThreadTime> = HashMap::new();
    for (&thread, time) in rounds.iter().flat_map(|round| &round.threads) {
        let all = threads.entry(thread).or_default();
        all.used_us += time.used_us;
        all.waited_us += time.waited_us;
    }
    let used_us: u64 = threads.values().map(|time| time.used_us).sum();
    let waited_us: u64 = threads.values().map(|time| time.waited_us).sum();
    let generator_us = sum(|round| round.generator_us);
    let share = |us: u64| per(us as f64 / 1e6, seconds);
    let mut busy: Vec<u64> = threads.values().map(|time| time.used_us).collect();
    busy.sort_by(|a, b| b.cmp(a));
    // Those that did next to nothing are not of interest.
    busy.retain(|&used| used as f64 / 1e6 >= seconds / 100.0);
    [
        ("sent", json!(sent)),
        ("received", json!(received)),
        ("lost", json!(sent.saturating_sub(received))),
        ("surplus", json!(received.saturating_sub(sent))),
        ("sockets_full", json!(sum(|round| round.full.into()))),
        ("seconds", per(seconds, 1.0)),
        (
            "msgs_per_sec",
            per(median(rounds.iter().map(|round| round.rate)), 1.0),
        ),
        ("broker_cpu_us", per(used_us as f64, received as f64)),
        (
            "generator_cpu_us",
            per(generator_us as f64, received as f64),
        ),
        ("generator_share", share(generator_us)),
        ("broker_waited_share", share(waited_us)),
        (
            "broker_thread_shares",
            busy.into_iter().map(share).collect(),
        ),
    ]
    .into_iter()
}

/// The value in the middle, or the mean of the two.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_middle() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let cases: [(&[(u64, u64)], f64, u64); 4] = [
            // Slow at both ends.
            (&[(0, 100), (50, 75), (60, 50), (70, 25), (170, 0)], 0.5, 20),
            // The looks nearest to the quarters that hold at least the half.
            (
                &[(0, 100), (10, 90), (20, 60), (30, 30), (40, 10), (90, 0)],
                0.8,
                30,
            ),
            (&[(0, 100), (10, 0)], 1.0, 10),
            // Not all arrived.
            (&[(0, 100), (10, 50)], 0.0, 0),
        ];
        for (left, share, ms) in cases {
            let left = left.iter().map(|&(ms, left)| (at(ms), left)).collect();
            let worked = Worked { all: 100, left };
            let (found, time) = worked.middle();
            assert!((found - share).abs() < 1e-9, "{found} {share}");
            assert_eq!(time, Duration::from_millis(ms));
        }
    }

    #[test]
    fn medians() {
        for (values, expected) in [
            (vec![], 0.0),
            (vec![3.0], 3.0),
            (vec![9.0, 1.0, 2.0], 2.0),
            (vec![1.0, 4.0], 2.5),
        ] {
            assert!((median(values.into_iter()) - expected).abs() < 1e-9);
        }
    }
}
