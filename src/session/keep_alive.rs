//! Keep alive `[MQTT-3.1.2-22]`.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// Watches that a client is not silent for longer than its keep alive, times the broker's multiplier.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    /// Milliseconds; none: the client asked not to be watched `[MQTT-3.1.2-21]`.
    allowance: Option<NonZeroU32>,
    last_packet: Instant,
}

impl KeepAlive {
    /// `seconds` 0 switches it off.
    pub fn new(seconds: u16, multiplier: f64, now: Instant) -> Self {
        let seconds = Duration::from_secs(u64::from(seconds));
        let allowance = seconds.mul_f64(multiplier.clamp(1.0, 100.0)).as_millis();
        Self {
            // Nearly 50 days do instead of what is longer.
            allowance: NonZeroU32::new(u32::try_from(allowance).unwrap_or(u32::MAX)),
            last_packet: now,
        }
    }

    /// A packet has come.
    pub fn seen(&mut self, now: Instant) {
        self.last_packet = now;
    }

    /// When the client is silent for too long, unless a packet comes before.
    pub fn deadline(&self) -> Option<Instant> {
        let allowance = Duration::from_millis(u64::from(self.allowance?.get()));
        self.last_packet.checked_add(allowance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_follows_the_last_packet() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut watch = KeepAlive::new(10, 1.5, start);
        assert_eq!(watch.deadline(), Some(at(15.0)));
        watch.seen(at(7.0));
        assert_eq!(watch.deadline(), Some(at(22.0)));
        assert_eq!(KeepAlive::new(0, 1.5, start).deadline(), None);
        assert_eq!(
            KeepAlive::new(65_535, 1.5, start).deadline(),
            Some(at(98_302.5))
        );
    }
}
