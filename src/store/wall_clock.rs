//! Moments as the broker has them, and as they outlive it.

use std::time::{Duration, Instant};

/// Translates between [`Instant`]s and milliseconds since 1970, which were seen together at one moment.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    instant: Instant,
    millis: u64,
}

impl WallClock {
    /// A clock that showed `millis` since 1970 at `instant`.
    pub fn new(instant: Instant, millis: u64) -> Self {
        Self { instant, millis }
    }

    /// In milliseconds since 1970.
    pub fn millis(&self, at: Instant) -> u64 {
        let between = |from: Instant, to: Instant| {
            u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
        };
        match at >= self.instant {
            true => self.millis.saturating_add(between(self.instant, at)),
            false => self.millis.saturating_sub(between(at, self.instant)),
        }
    }

    /// The moment; one that lies before all that an [`Instant`] can say is the clock's own.
    pub fn instant(&self, millis: u64) -> Option<Instant> {
        match millis.checked_sub(self.millis) {
            Some(after) => self.instant.checked_add(Duration::from_millis(after)),
            None => {
                let before = Duration::from_millis(self.millis - millis);
                Some(self.instant.checked_sub(before).unwrap_or(self.instant))
            }
        }
    }
}
