//! What must have come when all is over.

use super::*;

impl Oracle {
    /// All is delivered: what must have come has come, but for `dropped` messages at most. `epochs` are the sessions that
    /// the clients have now.
    pub fn check_complete(&self, epochs: &[u32], dropped: u64) {
        // By message and subscriber: one that was dropped may have matched several subscriptions.
        let mut missing = BTreeMap::new();
        for (number, message) in self.messages.iter().enumerate() {
            let Some(taken_at) = message.taken_at else {
                continue;
            };
            let may_have_expired = message
                .expiry
                .is_some_and(|of| of <= self.clock - message.sent_clock);
            if message.qos == QoS::AtMostOnce || message.empty || message.never || may_have_expired
            {
                continue;
            }
            let got = self.live(number);
            let must = |interval: &&Interval| {
                let lasts = epochs.get(interval.client) == Some(&interval.epoch);
                (lasts || is_shared(interval.filter))
                    && interval.qos > QoS::AtMostOnce
                    && interval.wants(message)
                    && interval.granted_at.is_some_and(|at| at < message.sent_at)
                    && interval.ending_at.is_none_or(|at| at > taken_at)
            };
            for interval in self.intervals.iter().filter(must) {
                let has_it = if is_shared(interval.filter) {
                    !got.is_empty() || self.may_be_lost(message, interval.filter)
                } else {
                    got.iter()
                        .any(|got| got.client == interval.client && got.epoch == interval.epoch)
                };
                if !has_it {
                    let by = match is_shared(interval.filter) {
                        true => Err(interval.filter),
                        false => Ok(interval.client),
                    };
                    missing.insert((number, by), (message, interval));
                }
            }
        }
        assert!(
            missing.len() as u64 <= dropped,
            "{} messages are missing, {dropped} were dropped: {missing:#?}",
            missing.len()
        );
    }

    /// What a client gets that subscribes when all is at rest: `found` are the retained messages of each topic.
    pub fn check_what_is_retained(&self, found: &BTreeMap<&'static str, usize>) {
        for (topic, number) in found {
            assert!(
                !self.is_superseded(*number, self.now),
                "{topic}: {number} is not the last that was retained"
            );
            let message = &self.messages[*number];
            let age = self.clock - message.taken_clock.unwrap_or(self.clock);
            assert!(
                message.expiry.is_none_or(|expiry| age < expiry),
                "it has expired: {message:?}"
            );
        }
        for (number, message) in self.messages.iter().enumerate() {
            let others =
                self.messages.iter().enumerate().filter(|(other, of)| {
                    *other != number && of.retain && of.topic == message.topic
                });
            let is_last = message.retain
                && message.taken_at.is_some()
                && others
                    .clone()
                    .all(|(_, other)| other.taken_at.is_some_and(|at| at < message.sent_at));
            let may_have_expired = message
                .expiry
                .is_some_and(|of| of <= self.clock - message.sent_clock);
            if is_last && !may_have_expired {
                let expected = (!message.empty).then_some(&number);
                assert_eq!(found.get(message.topic), expected, "{message:?}");
            }
        }
    }
}
