//! The verdict on a flood.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::json;

use crate::cost::per;
use crate::flood::Shared;
use crate::tally::Tally;
use crate::{Failure, Result};

/// Prints the result and fails where the broker broke a promise of the quality of service.
pub fn report(
    shared: &Shared,
    sent: &[u32],
    tally: &Tally,
    generator_us: f64,
    broker_us: f64,
) -> Result<()> {
    let options = &shared.options;
    let expected = options.expected(sent);
    let lost = expected.saturating_sub(tally.received);
    let busy_us = shared
        .last_arrival_us
        .load(Relaxed)
        .saturating_sub(shared.started_us.load(Relaxed));
    let seconds = busy_us as f64 / 1e6;
    let mut line = json!({
        "sent": sent.iter().map(|&count| u64::from(count)).sum::<u64>(),
        "received": tally.received,
        "expected": expected,
        "lost": lost,
        "duplicates": tally.duplicates,
        "out_of_order": tally.out_of_order,
        "seconds": per(seconds, 1.0),
        "msgs_per_sec": per(tally.received as f64, seconds),
        "generator_cpu_us": per(generator_us, tally.received as f64),
        "broker_cpu_us": per(broker_us, tally.received as f64),
        "broker_rss_kb": options.target.broker().rss_kb(),
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
