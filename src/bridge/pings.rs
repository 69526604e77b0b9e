//! Keep alive from the client's side: PINGREQ in time, and noticing that nothing comes any more.

use std::time::{Duration, Instant};

/// What is to be done about a silent connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nothing yet.
    Bearable,
    /// Send PINGREQ.
    Ping,
    /// Nothing has come since PINGREQ was sent: the connection is dead.
    Dead,
}

/// Watches both directions of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Pings {
    /// None: the remote does not want to be asked `[MQTT-3.1.2-21]`.
    interval: Option<Duration>,
    timeout: Duration,
    last_sent: Instant,
    last_received: Instant,
    pinged: Option<Instant>,
}

impl Pings {
    /// Asks the remote after three quarters of the keep alive, in seconds; 0 is never. An answer may take `timeout`.
    pub fn new(keep_alive: u16, timeout: Duration, now: Instant) -> Self {
        let interval = Duration::from_millis(u64::from(keep_alive).saturating_mul(750));
        Self {
            interval: (keep_alive > 0).then_some(interval),
            timeout,
            last_sent: now,
            last_received: now,
            pinged: None,
        }
    }

    /// Packets were written.
    pub fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Bytes have come.
    pub fn received(&mut self, now: Instant) {
        self.last_received = now;
        self.pinged = None;
    }

    /// PINGREQ was written.
    pub fn pinged(&mut self, now: Instant) {
        self.last_sent = now;
        self.pinged = Some(now);
    }

    /// When to look again; `unanswered`: an acknowledgement is awaited, so that silence is suspicious sooner.
    pub fn deadline(&self, unanswered: bool) -> Option<Instant> {
        if let Some(pinged) = self.pinged {
            return pinged.checked_add(self.timeout);
        }
        let idle = self
            .interval
            .and_then(|interval| self.last_sent.min(self.last_received).checked_add(interval));
        let suspicious = match unanswered {
            true => self
                .last_sent
                .max(self.last_received)
                .checked_add(self.timeout),
            false => None,
        };
        [idle, suspicious].into_iter().flatten().min()
    }

    /// What is to be done now.
    pub fn check(&self, unanswered: bool, now: Instant) -> Silence {
        match self.deadline(unanswered) {
            Some(deadline) if deadline <= now => match self.pinged {
                Some(_) => Silence::Dead,
                None => Silence::Ping,
            },
            _ => Silence::Bearable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_remote_is_asked_and_then_given_up() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut pings = Pings::new(60, Duration::from_secs(10), start);
        assert_eq!(pings.deadline(false), Some(at(45.0)));
        assert_eq!(pings.check(false, at(44.9)), Silence::Bearable);
        assert_eq!(pings.check(false, at(45.0)), Silence::Ping);
        // Receiving alone does not keep the remote from closing, nor sending alone show that it is there.
        pings.received(at(40.0));
        assert_eq!(pings.deadline(false), Some(at(45.0)));
        pings.sent(at(41.0));
        assert_eq!(pings.deadline(false), Some(at(85.0)));
        pings.pinged(at(85.0));
        assert_eq!(pings.check(false, at(94.9)), Silence::Bearable);
        assert_eq!(pings.check(false, at(95.0)), Silence::Dead);
        pings.received(at(94.0));
        assert_eq!(pings.check(false, at(95.0)), Silence::Bearable);
    }

    #[test]
    fn an_acknowledgement_that_does_not_come_is_suspicious_sooner() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut pings = Pings::new(0, Duration::from_secs(10), start);
        assert_eq!(pings.deadline(false), None);
        pings.sent(at(1));
        assert_eq!(pings.check(true, at(10)), Silence::Bearable);
        assert_eq!(pings.check(true, at(11)), Silence::Ping);
        pings.pinged(at(11));
        assert_eq!(pings.check(true, at(21)), Silence::Dead);
    }
}
