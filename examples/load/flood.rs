//! `flood`: publishers on one thread, subscribers on another, and a verdict on everything that arrived.
//!
//! This file holds the options and the run as a whole; `senders` and `receivers` are the two threads,
//! `report` the verdict.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use tokio::sync::oneshot;

use crate::cost::Usage;
use crate::publisher::Plan;
use crate::report::report;
use crate::wire::STAMP_LEN;
use crate::{Failure, Result, Target, event_loop};
use crate::{receivers, senders};

/// A run ends when nothing moves for so long.
const QUIET: Duration = Duration::from_secs(3);

/// How often the run is looked at from outside.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Topics {
    /// Publisher `i` has topic `i`; subscriber `i` takes topic `i` modulo the publishers.
    Pairs,
    /// One topic for all.
    One,
}

#[derive(Args, Clone)]
pub struct Options {
    #[command(flatten)]
    pub target: Target,
    /// Publishers.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pubs: u32,
    /// Subscribers.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub subs: u32,
    /// Further subscribers of the first topic that never read.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000))]
    pub slow: u32,
    /// Who publishes where.
    #[arg(long, value_enum, default_value = "pairs")]
    pub topics: Topics,
    /// Quality of service of the messages and of the subscriptions.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// Payload in bytes, at least 12.
    #[arg(long, default_value_t = 16)]
    pub size: usize,
    /// Messages of each publisher.
    #[arg(long, conflicts_with = "seconds", required_unless_present = "seconds")]
    pub messages: Option<u32>,
    /// Publish for so many seconds.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: Option<u64>,
    /// Unacknowledged messages of a publisher at QoS 1 and 2.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub window: u16,
    /// The subscribers' sessions are kept.
    #[arg(long)]
    pub kept: bool,
    /// Messages a second of all publishers together, at fixed times; latency counts from those times.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: Option<u64>,
    /// The whole run ends after so many seconds, whatever has arrived.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=4000))]
    pub timeout: u64,
}

impl Options {
    pub fn plan(&self) -> Plan {
        let messages = u64::from(self.messages.unwrap_or(0)) * u64::from(self.pubs);
        match (self.rate, self.seconds) {
            (Some(per_second), seconds) => Plan::Schedule {
                per_second,
                total: seconds.map_or(messages, |seconds| seconds * per_second),
            },
            (None, Some(seconds)) => Plan::Until(seconds * 1_000_000),
            (None, None) => Plan::Count(self.messages.unwrap_or(0)),
        }
    }

    pub fn topic(&self, run: u32, publisher: u32) -> String {
        let number = if self.topics == Topics::One {
            0
        } else {
            publisher
        };
        format!("load/{run:x}/{number}")
    }

    /// The publishers whose messages subscriber `index` gets: the first and how many.
    pub fn sources(&self, index: u32) -> (u32, u32) {
        match self.topics {
            Topics::One => (0, self.pubs),
            Topics::Pairs => (index % self.pubs.max(1), 1),
        }
    }

    /// How many deliveries make the run complete, given what each publisher sent.
    pub fn expected(&self, sent: &[u32]) -> u64 {
        (0..self.subs)
            .map(|index| {
                let (first, count) = self.sources(index);
                sent.iter()
                    .skip(first as usize)
                    .take(count as usize)
                    .map(|&n| u64::from(n))
                    .sum::<u64>()
            })
            .sum()
    }
}

/// What the threads of a run share. Times are microseconds since `epoch`.
pub struct Shared {
    pub options: Options,
    pub run: u32,
    pub epoch: Instant,
    pub started_us: AtomicU64,
    pub last_arrival_us: AtomicU64,
    pub received: AtomicU64,
    /// Goes up with every batch written and every acknowledgement read.
    pub publisher_steps: AtomicU64,
}

impl Shared {
    pub fn now_us(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }
}

pub enum Event {
    SubscribersReady,
    /// All publishers are done; how many messages each of them sent.
    PublishersDone(Vec<u32>),
    Failed(Failure),
}

pub fn run(options: Options) -> Result<()> {
    if options.size < STAMP_LEN || options.size > 1_000_000 {
        return Err(Failure::usage(format!(
            "--size must be from {STAMP_LEN} to 1000000"
        )));
    }
    // A pacer that sleeps until a message is due should wake then, not up to 50 us later; a refusal only costs accuracy.
    let _ = fs::write("/proc/self/timerslack_ns", "1");
    let deadline = Instant::now() + Duration::from_secs(options.timeout);
    let shared = Arc::new(Shared {
        run: std::process::id(),
        epoch: Instant::now(),
        started_us: AtomicU64::new(0),
        last_arrival_us: AtomicU64::new(0),
        received: AtomicU64::new(0),
        publisher_steps: AtomicU64::new(0),
        options,
    });
    let (events, inbox) = mpsc::channel();

    let (stop_subscribers, stop) = oneshot::channel();
    let subscribers = spawn(&shared, &events, move |shared, events| {
        event_loop()?.block_on(receivers::receive_all(shared, events, stop))
    });
    match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Event::Failed(failure)) => return Err(failure),
        Ok(_) => {}
        Err(_) => return Err(Failure::protocol("the subscribers were not ready in time")),
    }
    let usage = Usage::from_now(shared.options.target.broker());
    let (stop_publishers, stop) = oneshot::channel();
    let publishers = spawn(&shared, &events, move |shared, events| {
        let sent = event_loop()?.block_on(senders::publish_all(shared, stop))?;
        let _ = events.send(Event::PublishersDone(sent));
        Ok(())
    });

    let outcome = watch(&shared, &inbox, deadline);
    let (generator_us, broker_us) = (usage.generator_us(), usage.broker_us());
    let _ = stop_publishers.send(());
    let _ = stop_subscribers.send(());
    let sent = outcome?;
    let _ = publishers.join();
    let tally = subscribers
        .join()
        .ok()
        .flatten()
        .ok_or_else(|| Failure::protocol("the subscribers ended early"))?;
    report(&shared, &sent, &tally, generator_us, broker_us)
}

/// Starts a thread of the run; an error in it becomes an event.
fn spawn<T: Send + 'static>(
    shared: &Arc<Shared>,
    events: &Sender<Event>,
    body: impl FnOnce(&Shared, &Sender<Event>) -> Result<T> + Send + 'static,
) -> thread::JoinHandle<Option<T>> {
    let (shared, events) = (Arc::clone(shared), events.clone());
    thread::spawn(move || match body(&shared, &events) {
        Ok(value) => Some(value),
        Err(failure) => {
            let _ = events.send(Event::Failed(failure));
            None
        }
    })
}

/// Waits until everything expected arrived or nothing moves any more; returns what each publisher sent.
fn watch(shared: &Shared, events: &Receiver<Event>, deadline: Instant) -> Result<Vec<u32>> {
    let mut sent: Option<Vec<u32>> = None;
    let mut moved = (Instant::now(), 0);
    loop {
        match events.recv_timeout(LOOK) {
            Ok(Event::PublishersDone(counts)) => sent = Some(counts),
            Ok(Event::Failed(failure)) => return Err(failure),
            Ok(Event::SubscribersReady) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK),
        }
        let received = shared.received.load(Relaxed);
        let progress = received + shared.publisher_steps.load(Relaxed);
        if progress != moved.1 {
            moved = (Instant::now(), progress);
        }
        let quiet = moved.0.elapsed() >= QUIET;
        match &sent {
            Some(counts)
                if quiet
                    || received >= shared.options.expected(counts)
                    || Instant::now() >= deadline =>
            {
                return Ok(sent.unwrap_or_default());
            }
            // A slow schedule has long pauses of its own; the deadline bounds it.
            None if quiet && shared.options.rate.is_none() => {
                return Err(Failure::protocol(format!(
                    "the publishers are stuck: nothing moved for {} s",
                    QUIET.as_secs()
                )));
            }
            None if Instant::now() >= deadline => {
                return Err(Failure::protocol("the publishers did not finish in time"));
            }
            _ => {}
        }
    }
}
