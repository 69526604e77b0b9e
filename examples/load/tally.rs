//! Counting: which messages of a publisher arrived, and how long they took.

/// What one subscriber received from one publisher.
///
/// ```text
/// seq   0 1 2 3 4 5 6 7 8 9
///       arrived   ? arrived      next = 10, missing = [(5, 6)]
/// ```
#[derive(Default)]
pub struct Arrivals {
    /// One more than the highest sequence number that arrived.
    next: u32,
    /// Ranges `[from, to)` below `next` that have not arrived, ascending.
    missing: Vec<(u32, u32)>,
}

/// What an arrival turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    InOrder,
    /// For the first time, but after a later message.
    Late,
    Duplicate,
}

impl Arrivals {
    pub fn note(&mut self, seq: u32) -> Arrival {
        if seq >= self.next {
            if seq > self.next {
                self.missing.push((self.next, seq));
            }
            self.next = seq.saturating_add(1);
            return Arrival::InOrder;
        }
        let at = self.missing.partition_point(|range| range.1 <= seq);
        match self.missing.get(at).copied() {
            Some((from, to)) if from <= seq => {
                let rest = [(from, seq), (seq + 1, to)]
                    .into_iter()
                    .filter(|range| range.0 < range.1);
                self.missing.splice(at..=at, rest);
                Arrival::Late
            }
            _ => Arrival::Duplicate,
        }
    }
}

/// Sums over all subscribers.
#[derive(Default)]
pub struct Tally {
    /// Messages that arrived, each counted once per subscriber.
    pub received: u64,
    pub duplicates: u64,
    pub out_of_order: u64,
    /// Microseconds from the scheduled time to the arrival; empty unless the run had a schedule.
    pub latency: Histogram,
}

impl Tally {
    pub fn add(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::InOrder => self.received += 1,
            Arrival::Late => {
                self.received += 1;
                self.out_of_order += 1;
            }
            Arrival::Duplicate => self.duplicates += 1,
        }
    }
}

/// Values below 128 exactly, above that in steps of less than 1/64 of the value.
#[derive(Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

/// Steps per power of two, as a power of two.
const STEP_BITS: u32 = 6;

impl Histogram {
    pub fn record(&mut self, value: u64) {
        let slot = Self::slot(value);
        if self.counts.len() <= slot {
            self.counts.resize(slot + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(slot) {
            *count += 1;
        }
        self.total += 1;
    }

    /// The smallest recorded value that `share` (0 to 1) of all values do not exceed, rounded up to its step.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = (share * self.total as f64).ceil() as u64;
        let mut seen = 0;
        for (slot, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return Self::upper_bound(slot);
            }
        }
        0
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    fn slot(value: u64) -> usize {
        let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
        ((u64::from(shift) << STEP_BITS) + (value >> shift)) as usize
    }

    fn upper_bound(slot: usize) -> u64 {
        let steps = 1u64 << STEP_BITS;
        let slot = slot as u64;
        let shift = (slot / steps).saturating_sub(1);
        ((slot - shift * steps + 1) << shift) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_tell_late_from_duplicate() {
        use Arrival::{Duplicate, InOrder, Late};
        let mut arrivals = Arrivals::default();
        let cases = [
            (0, InOrder),
            (4, InOrder),
            (2, Late),
            (2, Duplicate),
            (1, Late),
            (4, Duplicate),
            (3, Late),
            (0, Duplicate),
            (5, InOrder),
        ];
        for (seq, expected) in cases {
            assert_eq!(arrivals.note(seq), expected, "seq {seq}");
        }
        assert!(arrivals.missing.is_empty());
    }

    #[test]
    fn quantiles_are_within_a_step_of_the_value() {
        for value in [
            0,
            1,
            63,
            127,
            128,
            129,
            1000,
            65_535,
            1_000_000,
            u64::from(u32::MAX),
        ] {
            let mut histogram = Histogram::default();
            histogram.record(value);
            let found = histogram.quantile(0.5);
            assert!(
                found >= value && found <= value + value / 64,
                "{value} became {found}"
            );
        }
    }

    #[test]
    fn quantiles_follow_the_rank() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|value| histogram.record(value));
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|share| histogram.quantile(share)),
            [1, 50, 99, 100]
        );
    }
}
