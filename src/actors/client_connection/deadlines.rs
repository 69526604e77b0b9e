//! The one timer of a connection.

use std::{task, time::Instant};

use super::{ClientConnection, Connected, Phase, hold::Hold};
use crate::{session::CloseReason, stats::Metric};

impl ClientConnection {
    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::AwaitingConnect(seat) => Some(seat.deadline()),
            Phase::Authenticating(authenticating) => Some(authenticating.deadline),
            Phase::Closing(closing) => Some(closing.deadline),
            Phase::Opening(_) | Phase::Arriving(..) | Phase::Moved(_) => None,
            Phase::Connected(connected) => {
                let pause = self.hold.as_deref().and_then(Hold::until);
                let login = connected.login_ends();
                let silence = connected.channel.silent_until();
                let backed_up = self.backed_up_until(connected);
                [
                    connected.channel.deadline(),
                    silence,
                    pause,
                    login,
                    backed_up,
                ]
                .into_iter()
                .flatten()
                .min()
            }
        }
    }

    /// Until when messages wait for room in the output, if they do.
    fn backed_up_until(&self, connected: &Connected) -> Option<Instant> {
        if !connected.backed_up {
            return None;
        }
        let config = self.worker.shared.config.load();
        let inbox = &connected.inbox;
        inbox.congested_until(config.mqtt.max_publisher_pause)
    }

    /// Arms the timer for the deadline; true when the deadline has passed and the connection is closing for it.
    pub(super) fn watch_time(&mut self, now: Instant, cx: &mut task::Context<'_>) -> bool {
        loop {
            let Some(deadline) = self.deadline() else {
                self.stop_timer();
                return false;
            };
            if deadline <= now {
                if self.on_deadline(now) {
                    return true;
                }
                continue;
            }
            // The deadline moves with every packet, the timer only when it has fired.
            let mut timers = self.worker.timers.borrow_mut();
            timers.arm(&mut self.timer, deadline, cx.waker());
            return false;
        }
    }

    /// Has the timer forget this connection.
    pub(super) fn stop_timer(&mut self) {
        if let Some(key) = self.timer.take() {
            self.worker.timers.borrow_mut().remove(key);
        }
    }

    /// False when the deadline was moved.
    fn on_deadline(&mut self, now: Instant) -> bool {
        if self.end_silence(now) || self.end_backlog(now) {
            return false;
        }
        let listens = self.may_handle() && self.hold.is_none();
        match &mut self.phase {
            Phase::Connected(connected) if connected.login_ends().is_some_and(|end| end <= now) => {
                self.worker.counters.add(Metric::LoginsExpired, 1);
                self.close(&CloseReason::LoginExpired);
            }
            Phase::AwaitingConnect(_) | Phase::Authenticating(_) => {
                self.close(&CloseReason::ConnectTimeout);
            }
            Phase::Connected(connected) if !listens => {
                // The client may have spoken: it is the broker that does not listen.
                connected.channel.seen(now);
                self.hold = None;
                self.wake();
                return false;
            }
            Phase::Connected(_) => {
                self.worker.counters.add(Metric::KeepAliveTimeouts, 1);
                self.close(&CloseReason::KeepAliveTimeout);
            }
            Phase::Closing(_) | Phase::Opening(_) | Phase::Arriving(..) | Phase::Moved(_) => {}
        }
        true
    }

    /// What waits for room in the output waits no longer; true when it did.
    fn end_backlog(&mut self, now: Instant) -> bool {
        let until = match &self.phase {
            Phase::Connected(connected) => self.backed_up_until(connected),
            _ => None,
        };
        if let Phase::Connected(connected) = &mut self.phase
            && until.is_some_and(|until| until <= now)
        {
            connected.backed_up = false;
            connected.inbox.set_to_work();
            self.wake();
            return true;
        }
        false
    }

    /// A bridge with MQTT 3 has had its time to say which broker it is of, and gets what waits for it; true when it had not
    /// before.
    fn end_silence(&mut self, now: Instant) -> bool {
        let Phase::Connected(connected) = &mut self.phase else {
            return false;
        };
        let channel = &mut connected.channel;
        if channel.silent_until().is_none_or(|until| until > now) || !channel.end_silence() {
            return false;
        }
        let config = self.worker.shared.config.load();
        channel.pump(&mut self.wire, &config.mqtt, now, &self.worker.counters);
        self.wake();
        true
    }
}
