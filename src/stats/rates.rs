//! How fast things are, from two sums of counters.

use std::time::Duration;

use super::{Metric, Totals};

/// Averages over an interval, in units a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// The interval; zero before the first has passed.
    pub interval: Duration,
    /// PUBLISH packets read.
    pub messages_received: f64,
    /// PUBLISH packets written.
    pub messages_sent: f64,
    /// Bytes read.
    pub bytes_received: f64,
    /// Bytes written.
    pub bytes_sent: f64,
}

impl Rates {
    /// The rates between two moments that lie `interval` apart.
    pub fn between(before: &Totals, after: &Totals, interval: Duration) -> Self {
        let seconds = interval.as_secs_f64();
        let rate = |get: &dyn Fn(&Totals) -> u64| match seconds > 0.0 {
            true => get(after).saturating_sub(get(before)) as f64 / seconds,
            false => 0.0,
        };
        Self {
            interval,
            messages_received: rate(&Totals::messages_received),
            messages_sent: rate(&Totals::messages_sent),
            bytes_received: rate(&|totals| totals.get(Metric::BytesReceived)),
            bytes_sent: rate(&|totals| totals.get(Metric::BytesSent)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Counters;

    #[test]
    fn rates_are_differences_a_second() {
        let counters = Counters::default();
        let totals = || {
            let mut totals = Totals::default();
            counters.add_to(&mut totals);
            totals
        };
        counters.add(Metric::BytesReceived, 7);
        let before = totals();
        counters.add(Metric::BytesReceived, 300);
        counters.add(Metric::BytesSent, 10);
        counters.add(Metric::MessagesReceivedQoS0, 1);
        counters.add(Metric::MessagesReceivedQoS2, 2);
        counters.add(Metric::MessagesSentQoS1, 1);
        let interval = Duration::from_secs(2);
        let expected = Rates {
            interval,
            messages_received: 1.5,
            messages_sent: 0.5,
            bytes_received: 150.0,
            bytes_sent: 5.0,
        };
        assert_eq!(Rates::between(&before, &totals(), interval), expected);
        let none = Rates::between(&before, &totals(), Duration::ZERO);
        assert_eq!(none, Rates::default());
    }
}
