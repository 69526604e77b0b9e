//! Which worker gets a new connection.
//!
//! A message between two connections of one worker costs less than one that wakes another thread, so workers are
//! filled one after the other: a connection goes to the first worker that has time left.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use actix::Recipient;
use tokio::runtime::RuntimeMetrics;

use crate::actors::Accepted;

/// A worker with less than this part of its time used gets further connections.
const BUSY: f64 = 0.6;
/// How long a measurement holds.
const SAMPLE_EVERY: Duration = Duration::from_millis(200);

/// A worker, as the acceptors know it.
#[derive(Clone)]
pub struct WorkerHandle {
    /// Takes connections.
    pub accepted: Recipient<Accepted>,
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
}
