//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits that double from one failure to the next, each with a random part so that bridges do not come all at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: `least` times two to the failures before, at most `most`, and of that between a
    /// half and all. `random` is from 0 to 1.
    pub fn next(&mut self, least: Duration, most: Duration, random: f64) -> Duration {
        let doubled =
            least.saturating_mul(1_u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        let whole = doubled.min(most);
        whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// A connection has held.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_have_a_random_part() {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(60));
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..9)
            .map(|_| backoff.next(least, most, 1.0).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.next(least, most, 0.0), most / 2);
        for _ in 0..100 {
            backoff.next(least, most, 0.5);
        }
        backoff.reset();
        assert_eq!(backoff.next(least, most, 1.0), least);
        assert_eq!(backoff.next(least, Duration::ZERO, 0.5), Duration::ZERO);
    }
}
