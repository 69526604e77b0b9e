//! Which worker gets a new connection.
//!
//! A message between two connections of one worker costs less than one that wakes another thread, so workers are
//! filled one after the other: a connection goes to the first worker that has time left.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Recipient};
use tokio::runtime::RuntimeMetrics;

use crate::{
    actors::{Accepted, CountBusy, MovedConnection, Relieve},
    messages::ListIdle,
    messages::StopAccepting,
};

/// A worker with less than this part of its time used gets further connections.
const BUSY: f64 = 0.6;
/// How long a measurement holds.
const SAMPLE_EVERY: Duration = Duration::from_millis(200);

/// A worker, as the acceptors know it.
#[derive(Clone)]
pub struct WorkerHandle {
    /// Takes connections.
    pub accepted: Recipient<Accepted>,
    /// Takes connections of other workers.
    pub moved: Recipient<MovedConnection>,
    /// Has busy connections counted.
    pub count_busy: Recipient<CountBusy>,
    /// Has connections leave.
    pub relieve: Recipient<Relieve>,
    /// Knows its sockets whose CONNECT has not come.
    pub idle: Recipient<ListIdle>,
    /// Tells how busy the worker's thread is.
    pub metrics: RuntimeMetrics,
}

/// See the module's description. Shared by the acceptors of one thread.
pub struct Balance {
    workers: Vec<WorkerHandle>,
    sample: RefCell<Sample>,
}

struct Sample {
    taken_at: Instant,
    busy_time: Vec<Duration>,
    busy: Vec<f64>,
}

impl Balance {
    /// Balances these workers, at least one.
    pub fn new(workers: Vec<WorkerHandle>) -> Self {
        let sample = Sample {
            taken_at: Instant::now(),
            busy_time: workers.iter().map(busy_time).collect(),
            busy: vec![0.0; workers.len()],
        };
        Self {
            workers,
            sample: RefCell::new(sample),
        }
    }

    /// The worker for the next connection.
    pub fn pick(&self, now: Instant) -> Option<&WorkerHandle> {
        let mut sample = self.sample.borrow_mut();
        let elapsed = now.saturating_duration_since(sample.taken_at);
        if elapsed >= SAMPLE_EVERY {
            let busy_time: Vec<Duration> = self.workers.iter().map(busy_time).collect();
            sample.busy = busy_time
                .iter()
                .zip(&sample.busy_time)
                .map(|(now, before)| {
                    now.saturating_sub(*before).as_secs_f64() / elapsed.as_secs_f64()
                })
                .collect();
            sample.busy_time = busy_time;
            sample.taken_at = now;
        }
        self.workers.get(choose(&sample.busy))
    }
}

fn busy_time(worker: &WorkerHandle) -> Duration {
    worker.metrics.worker_total_busy_duration(0)
}

/// The first that has time left, or else the one that has most.
fn choose(busy: &[f64]) -> usize {
    let first = busy.iter().position(|part| *part < BUSY);
    let least = || {
        busy.iter()
            .enumerate()
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
            .map_or(0, |(index, _)| index)
    };
    first.unwrap_or_else(least)
}

/// A worker that used more than this part of its time, twice in a row, is relieved, ...
const TOO_BUSY: f64 = 0.9;
/// ... if another used less than this.
const RELIEVES: f64 = 0.5;
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks that are skipped after a relief, for its effect to show.
const SETTLING: u32 = 4;

/// The actor that has connections move when one worker has too much to do and another has time.
///
/// Connections that came while everybody was idle are all on one worker; when they all become busy, this spreads
/// them.
pub struct Balancer {
    workers: Vec<WorkerHandle>,
    busy_time: Vec<Duration>,
    looked_at: Instant,
    /// The worker whose busy connections are being counted.
    counting: Option<usize>,
    settling: u32,
}

impl Balancer {
    /// Balances these workers.
    pub fn new(workers: Vec<WorkerHandle>) -> Self {
        Self {
            busy_time: workers.iter().map(busy_time).collect(),
            workers,
            looked_at: Instant::now(),
            counting: None,
            settling: 0,
        }
    }

    fn look(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.looked_at).as_secs_f64();
        let busy_time: Vec<Duration> = self.workers.iter().map(busy_time).collect();
        let busy: Vec<f64> = busy_time
            .iter()
            .zip(&self.busy_time)
            .map(|(now, before)| now.saturating_sub(*before).as_secs_f64() / elapsed)
            .collect();
        self.busy_time = busy_time;
        self.looked_at = now;
        if self.settling > 0 {
            self.settling -= 1;
            return;
        }
        let Some((from, to, part)) = relief(&busy) else {
            self.counting = None;
            return;
        };
        let (Some(source), Some(target)) = (self.workers.get(from), self.workers.get(to)) else {
            return;
        };
        if self.counting != Some(from) {
            self.counting = Some(from);
            source.count_busy.do_send(CountBusy);
            return;
        }
        log::debug!(
            "worker {from} has too much to do: part of its connections move to worker {to}"
        );
        source.relieve.do_send(Relieve {
            to: target.moved.clone(),
            part,
        });
        self.counting = None;
        self.settling = SETTLING;
    }
}

impl Actor for Balancer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK_EVERY, |balancer, _| balancer.look(Instant::now()));
    }
}

impl Handler<StopAccepting> for Balancer {
    type Result = ();

    fn handle(&mut self, _: StopAccepting, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// From which worker to which what part of the busy connections should move.
fn relief(busy: &[f64]) -> Option<(usize, usize, f64)> {
    let by_load = |a: &(usize, &f64), b: &(usize, &f64)| a.1.total_cmp(b.1);
    let (from, most) = busy.iter().enumerate().max_by(by_load)?;
    let (to, least) = busy.iter().enumerate().min_by(by_load)?;
    (*most > TOO_BUSY && *least < RELIEVES).then(|| (from, to, (most - least) / (2.0 * most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_filled_one_after_the_other() {
        for (busy, expected) in [
            (&[0.0, 0.0][..], 0),
            (&[0.5, 0.0], 0),
            (&[0.7, 0.0], 1),
            (&[0.7, 0.5, 0.0], 1),
            (&[0.9, 0.7, 0.8], 1),
        ] {
            assert_eq!(choose(busy), expected, "{busy:?}");
        }
    }

    #[test]
    fn only_a_worker_with_too_much_to_do_is_relieved_by_one_with_time() {
        for (busy, expected) in [
            (&[0.5, 0.0][..], None),
            (&[0.95, 0.6], None),
            (&[1.0, 0.0], Some((0, 1, 0.5))),
            (&[0.2, 1.0, 0.4], Some((1, 0, 0.4))),
            (&[1.0], None),
        ] {
            assert_eq!(relief(busy), expected, "{busy:?}");
        }
    }
}
