//! When messages expire, and what the broker says of it.

use super::*;

impl Oracle {
    /// By the clock, when the client first asked for what is retained of a message's topic.
    pub(super) fn asked(&self, number: usize, got: &Got) -> u32 {
        let asks = |interval: &&Interval| {
            (interval.client, interval.epoch) == (got.client, got.epoch)
                && interval.matches(self.messages[number].topic)
        };
        let asking = self.intervals.iter().filter(asks);
        asking
            .map(|interval| interval.asked_clock)
            .min()
            .unwrap_or(0)
    }

    /// A message does not come when it has expired, and says how long it has still `[MQTT-3.3.2-5]`,
    /// `[MQTT-3.3.2-6]`. It was not written before `since`.
    pub(super) fn check_expiry(
        &self,
        number: usize,
        received: &Received,
        v5: bool,
        since: u32,
    ) -> Result<(), &'static str> {
        let message = &self.messages[number];
        let Some(expiry) = message.expiry else {
            return match received.expiry {
                None => Ok(()),
                Some(_) => Err("it does not expire"),
            };
        };
        let taken = message.taken_clock.unwrap_or(self.clock);
        let most = expiry.saturating_sub(since.saturating_sub(taken));
        let least = expiry.saturating_sub(self.clock - message.sent_clock);
        // What was sent before is sent again all the same.
        if most == 0 && !received.dup {
            return Err("it has expired");
        }
        match received.expiry {
            None if v5 => Err("it does not say when it expires"),
            None => Ok(()),
            Some(_) if !v5 => Err("it has a property"),
            Some(left) if left == 0 && !received.dup => Err("it expires at once"),
            Some(left) if (least..=most).contains(&left) => Ok(()),
            Some(_) => Err("it expires at another time"),
        }
    }
}
