//! A deterministic simulation of the broker: its real actors on a fake clock, polled in an order that a seed chooses,
//! and clients that know what they may and must get.
//!
//! ```text
//!  run     clients connect, take over, subscribe, publish, acknowledge, leave; in between actors have their turns
//!  peer    a client's side of the protocol        oracle  what each client may get and must get
//!  storm   clients that wait for nothing
//!  world   registry, sessions, retained messages, connections of two workers, streams in memory
//! ```
//!
//! - `NANOMQ_SIMULATION_SECONDS=600 cargo test --release --lib simulation` runs seeds for so long.
//! - `NANOMQ_SIMULATION_SEED=7 cargo test --lib simulation` runs one and shows what happens.

mod directed;
mod oracle;
mod peer;
mod run;
mod storm;
mod world;

use std::time::{Duration, Instant};

use run::Run;
use storm::Storm;

/// Seeds that are run if nothing else is asked for.
const SEEDS: u64 = 600;
/// One run in so many is long; most faults show in short ones, of which there can be more.
const LONG_EVERY: u64 = 8;
const LONG: usize = 250;
const SHORT: usize = 60;

/// Tells which seed has failed.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!(
                "replay: NANOMQ_SIMULATION_SEED={seed} cargo test --lib simulation:: -- --nocapture"
            );
        }
    }
}

/// How many have passed, said where one fails.
struct Runs(u64);

impl Drop for Runs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it failed after {} others", self.0);
        }
    }
}

/// Steps of the run of a seed.
fn steps(seed: u64) -> usize {
    match variable("NANOMQ_SIMULATION_STEPS") {
        Some(steps) => steps as usize,
        None if seed.is_multiple_of(LONG_EVERY) => LONG,
        None => SHORT,
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a whole number"))
}

/// Runs a seed; how many messages were delivered, and a number that says which, to whom and when.
fn run(seed: u64, shows: bool) -> (u64, u64) {
    let _announce = Announce(seed);
    Run::new(seed, shows).complete(steps(seed))
}

fn storm(seed: u64) -> u64 {
    let _announce = Announce(seed);
    Storm::new(seed, &run::quiet()).complete(steps(seed)) as u64
}

/// Timers of the runtime can be made, and never fire.
fn with_timers<T>(work: impl FnOnce() -> T) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().unwrap();
    let _entered = runtime.enter();
    work()
}

/// Runs one seed, or many, one after the other on one thread; `work` says how much was done.
fn with_seeds(what: &str, work: impl Fn(u64, bool) -> u64) {
    if let Some(seed) = variable("NANOMQ_SIMULATION_SEED") {
        let mut log = env_logger::builder();
        let _ = log.filter_level(log::LevelFilter::Debug).try_init();
        work(seed, true);
        return;
    }
    let seconds = variable("NANOMQ_SIMULATION_SECONDS");
    let (first, last) = match seconds {
        None => (0, SEEDS),
        Some(_) => (fastrand::u64(..u64::MAX / 2), u64::MAX),
    };
    let started = Instant::now();
    let mut done = 0;
    let mut runs = Runs(0);
    for seed in first..last {
        if seconds.is_some_and(|limit| started.elapsed() >= Duration::from_secs(limit)) {
            break;
        }
        done += work(seed, false);
        runs.0 += 1;
    }
    let runs = runs.0;
    eprintln!("{runs} runs, {done} {what}, {:?}", started.elapsed());
    assert!(done > 5 * runs, "the clients do hardly anything");
}

#[test]
fn clients_get_what_they_must_and_nothing_else() {
    with_timers(|| with_seeds("messages delivered", |seed, shows| run(seed, shows).0));
}

#[test]
fn clients_that_wait_for_nothing_leave_nothing() {
    with_timers(|| with_seeds("connections", |seed, _| storm(seed)));
}

#[test]
fn a_seed_always_does_the_same() {
    with_timers(|| {
        let forwards: Vec<_> = (0..30).map(|seed| run(seed, false)).collect();
        // Nothing of one run is left for the next one: they do the same after others.
        for (seed, before) in forwards.iter().enumerate().rev() {
            assert_eq!(run(seed as u64, false), *before, "seed {seed}");
        }
    });
}
