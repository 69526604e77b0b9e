//! What the broker under test has used so far, and the generator, read from /proc by process id; and stopping the broker for
//! a while.

use std::collections::HashMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Failure, Result};

/// How long all threads of a process may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The broker's process, if the run was told it.
#[derive(Clone, Copy)]
pub struct Broker(pub Option<u32>);

impl Broker {
    /// CPU time of all its threads in microseconds; 0 for a broker that is not known.
    pub fn cpu_us(self) -> u64 {
        self.threads().values().map(|time| time.used_us).sum()
    }

    /// The time of each of its threads.
    pub fn threads(self) -> HashMap<u32, ThreadTime> {
        // schedstat counts nanoseconds on a processor; stat only knows ticks of 10 ms.
        self.of_threads("schedstat")
            .filter_map(|(thread, line)| {
                let mut nanoseconds = line.split_whitespace().map(str::parse::<u64>);
                let mut next_us = || Some(nanoseconds.next()?.ok()? / 1000);
                let time = ThreadTime {
                    used_us: next_us()?,
                    waited_us: next_us()?,
                };
                Some((thread, time))
            })
            .collect()
    }

    /// Stops all its threads, until the value that is returned is dropped.
    pub fn stop(self) -> Result<Stopped> {
        let pid = self
            .0
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.ok_or_else(|| Failure::usage("no process to stop"))?;
        kill_process(pid, Signal::STOP).map_err(std::io::Error::from)?;
        let stopped = Stopped(pid);
        let deadline = Instant::now() + STOP_LIMIT;
        // The state follows the name, which is in brackets and may hold any character.
        let stands = |stat: &str| {
            let state = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.trim().chars().next());
            state == Some('T')
        };
        while !self.of_threads("stat").all(|(_, stat)| stands(&stat)) {
            if Instant::now() >= deadline {
                return Err(Failure::protocol("the broker does not stop"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(stopped)
    }

    /// The content of a file of each thread.
    fn of_threads(self, file: &str) -> impl Iterator<Item = (u32, String)> {
        self.0
            .and_then(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(move |thread| {
                let number = thread.file_name().to_str()?.parse().ok()?;
                Some((number, fs::read_to_string(thread.path().join(file)).ok()?))
            })
    }

    /// Resident memory in KiB; 0 for a broker that is not known.
    pub fn rss_kb(self) -> u64 {
        let Some(pid) = self.0 else { return 0 };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    }
}

/// Microseconds of one thread.
#[derive(Clone, Copy, Default)]
pub struct ThreadTime {
    /// On a processor.
    pub used_us: u64,
    /// Ready to run, while the processors were taken by others.
    pub waited_us: u64,
}

/// A process that is stopped; it goes on when this is dropped.
pub struct Stopped(Pid);

impl Drop for Stopped {
    fn drop(&mut self) {
        // Refused only if it is gone, which the connections tell.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// What broker and generator use from a moment on.
pub struct Usage {
    broker: Broker,
    broker_us: u64,
    generator_us: u64,
}

impl Usage {
    pub fn from_now(broker: Broker) -> Self {
        Self {
            broker,
            broker_us: broker.cpu_us(),
            generator_us: process_cpu_us(),
        }
    }

    /// CPU time of the broker up to now, in microseconds.
    pub fn broker_us(&self) -> f64 {
        self.broker.cpu_us().saturating_sub(self.broker_us) as f64
    }

    /// CPU time of this process up to now, in microseconds.
    pub fn generator_us(&self) -> f64 {
        process_cpu_us().saturating_sub(self.generator_us) as f64
    }
}

/// CPU time of this process in microseconds; 0 where /proc does not tell.
pub fn process_cpu_us() -> u64 {
    Broker(Some(std::process::id())).cpu_us()
}

/// `amount` for each of `count`, to three decimals; nothing for none.
pub fn per(amount: f64, count: f64) -> serde_json::Value {
    match count > 0.0 {
        true => serde_json::json!((amount / count * 1000.0).round() / 1000.0),
        false => serde_json::Value::Null,
    }
}
