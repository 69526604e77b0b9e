//! Counters and their sums.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::metric::Metric;

/// One worker's counters.
#[derive(Debug)]
pub struct Counters {
    values: Box<[AtomicU64]>,
    /// Protocol errors by kind; few, so a lock is cheap.
    errors: Mutex<BTreeMap<&'static str, u64>>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            values: Metric::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            errors: Mutex::default(),
        }
    }
}

impl Counters {
    /// Counts `n` more.
    pub fn add(&self, metric: Metric, n: u64) {
        if let Some(value) = self.values.get(metric as usize)
            && n > 0
        {
            value.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Counts a protocol error by its kind.
    pub fn add_error(&self, kind: &'static str) {
        self.add(Metric::ProtocolErrors, 1);
        *self
            .errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(kind)
            .or_insert(0) += 1;
    }

    /// Counts what others have counted, who count no more.
    pub fn absorb(&self, ended: &Self) {
        for (value, more) in self.values.iter().zip(&ended.values) {
            value.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let more = ended.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, n) in more.iter() {
            *errors.entry(kind).or_insert(0) += n;
        }
    }

    /// Adds these counters to a sum.
    pub fn add_to(&self, totals: &mut Totals) {
        for (total, value) in totals.values.iter_mut().zip(&self.values) {
            *total += value.load(Ordering::Relaxed);
        }
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, n) in errors.iter() {
            *totals.errors.entry(kind).or_insert(0) += n;
        }
    }
}

/// The sum of all workers' counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    values: Vec<u64>,
    /// Protocol errors by kind.
    pub errors: BTreeMap<&'static str, u64>,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            values: vec![0; Metric::ALL.len()],
            errors: BTreeMap::new(),
        }
    }
}

impl Totals {
    /// The value of one metric.
    pub fn get(&self, metric: Metric) -> u64 {
        self.values.get(metric as usize).copied().unwrap_or(0)
    }

    /// PUBLISH packets read, of any QoS.
    pub fn messages_received(&self) -> u64 {
        self.get(Metric::MessagesReceivedQoS0)
            + self.get(Metric::MessagesReceivedQoS1)
            + self.get(Metric::MessagesReceivedQoS2)
    }

    /// PUBLISH packets written, of any QoS.
    pub fn messages_sent(&self) -> u64 {
        self.get(Metric::MessagesSentQoS0)
            + self.get(Metric::MessagesSentQoS1)
            + self.get(Metric::MessagesSentQoS2)
    }

    /// Messages dropped, for any reason.
    pub fn messages_dropped(&self) -> u64 {
        Metric::DROPPED.iter().map(|metric| self.get(*metric)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_over_workers() {
        let workers = [Counters::default(), Counters::default()];
        workers[0].add(Metric::MessagesReceivedQoS0, 2);
        workers[1].add(Metric::MessagesReceivedQoS2, 3);
        workers[1].add(Metric::DroppedExpired, 1);
        workers[0].add_error("truncated");
        workers[1].add_error("truncated");
        let mut totals = Totals::default();
        workers.iter().for_each(|worker| worker.add_to(&mut totals));
        assert_eq!(totals.messages_received(), 5);
        assert_eq!(totals.messages_dropped(), 1);
        assert_eq!(totals.get(Metric::ProtocolErrors), 2);
        assert_eq!(totals.errors["truncated"], 2);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = Metric::ALL.iter().map(|m| m.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
    }
}
