//! What the broker under test has used so far, read from /proc by its process id.

use std::fs;

/// The broker's process, if the run was told it.
#[derive(Clone, Copy)]
pub struct Broker(pub Option<u32>);

impl Broker {
    /// CPU time of all its threads in microseconds; 0 for a broker that is not known.
    pub fn cpu_us(self) -> u64 {
        let Some(pid) = self.0 else { return 0 };
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            return 0;
        };
        // schedstat counts nanoseconds on a processor; stat only knows ticks of 10 ms.
        let nanoseconds: u64 = threads
            .flatten()
            .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
            .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            .sum();
        nanoseconds / 1000
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

/// `amount` for each of `count`, to three decimals; nothing for none.
pub fn per(amount: f64, count: f64) -> serde_json::Value {
    match count > 0.0 {
        true => serde_json::json!((amount / count * 1000.0).round() / 1000.0),
        false => serde_json::Value::Null,
    }
}
