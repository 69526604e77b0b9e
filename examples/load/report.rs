//! The verdict on a flood.

use std::fs;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use crate::flood::Shared;
use crate::tally::Tally;
use crate::{Failure, Result};

/// Microseconds in a tick of /proc/self/stat: Linux counts 100 a second for user space everywhere.
const TICK_US: u64 = 10_000;

/// Prints the result and fails where the broker broke a promise of the quality of service.
pub fn report(shared: &Shared, sent: &[u32], tally: &Tally, cpu_us: u64) -> Result<()> {
    let options = &shared.options;
    let expected = options.expected(sent);
    let lost = expected.saturating_sub(tally.received);
    let busy_us = shared
        .last_arrival_us
        .load(Relaxed)
        .saturating_sub(shared.started_us.load(Relaxed));
    let seconds = busy_us as f64 / 1e6;
    let per = |amount: f64, of: f64| {
        if of > 0.0 {
            json!(rounded(amount / of))
        } else {
            Value::Null
        }
    };
    let mut line = json!({
        "sent": sent.iter().map(|&count| u64::from(count)).sum::<u64>(),
        "received": tally.received,
        "expected": expected,
        "lost": lost,
        "duplicates": tally.duplicates,
        "out_of_order": tally.out_of_order,
        "seconds": rounded(seconds),
        "msgs_per_sec": per(tally.received as f64, seconds),
        "generator_cpu_us_per_msg": per(cpu_us as f64, tally.received as f64),
    });
    if let Some(fields) = line.as_object_mut().filter(|_| !tally.latency.is_empty()) {
        for (name, share) in [("p50_us", 0.5), ("p99_us", 0.99), ("p99.9_us", 0.999)] {
            fields.insert(name.to_owned(), json!(tally.latency.quantile(share)));
        }
    }
    println!("{line}");
    if options.qos > 0 && lost > 0 {
        return Err(Failure::protocol(format!(
            "{lost} messages lost at QoS {}",
            options.qos
        )));
    }
    if options.qos == 2 && tally.duplicates > 0 {
        return Err(Failure::protocol(format!(
            "{} duplicates at QoS 2",
            tally.duplicates
        )));
    }
    if tally.out_of_order > 0 {
        return Err(Failure::protocol(format!(
            "{} messages out of order",
            tally.out_of_order
        )));
    }
    Ok(())
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// CPU time of this process, user and system, in microseconds; 0 where /proc does not tell.
pub fn process_cpu_us() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command's name, in parentheses, may contain spaces; counting starts behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum::<u64>()
        * TICK_US
}
