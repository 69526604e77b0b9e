//! Failed logins by address. An address with too many is refused until its first one is old enough.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Addresses that are remembered; beyond it the one that failed first is forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// How many failed logins an address may have.
#[derive(Clone, Copy, Debug)]
pub struct LoginLimit {
    /// Failures before it is refused; 0 = unlimited.
    pub most: u32,
    /// How long they count, from the first one on.
    pub window: Duration,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct FailedLogins(HashMap<IpAddr, Failures>);

/// The failures of one address in one window.
#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl FailedLogins {
    /// Whether an address may try.
    ///
    /// # Errors
    /// How long it may not.
    pub fn check(&self, address: IpAddr, limit: LoginLimit, now: Instant) -> Result<(), Duration> {
        let Some(failures) = self.0.get(&network(address)) else {
            return Ok(());
        };
        let passed = now.saturating_duration_since(failures.since);
        match limit.window.checked_sub(passed) {
            Some(left) if limit.most > 0 && failures.count >= limit.most && !left.is_zero() => {
                Err(left)
            }
            _ => Ok(()),
        }
    }

    /// Counts a failed login.
    pub fn count(&mut self, address: IpAddr, limit: LoginLimit, now: Instant) {
        let counts = |failures: &Failures| {
            now.saturating_duration_since(failures.since) < limit.window && limit.most > 0
        };
        let address = network(address);
        if let Some(failures) = self.0.get_mut(&address) {
            match counts(failures) {
                true => failures.count = failures.count.saturating_add(1),
                false => *failures = Failures::first(now),
            }
            return;
        }
        if self.0.len() >= MAX_ADDRESSES {
            self.0.retain(|_, failures| counts(failures));
        }
        if self.0.len() >= MAX_ADDRESSES {
            let oldest = self.0.iter().min_by_key(|(_, failures)| failures.since);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(address, Failures::first(now));
    }
}

impl Failures {
    fn first(now: Instant) -> Self {
        Self {
            since: now,
            count: 1,
        }
    }
}

/// What is counted as one address: of IPv6 the upper 64 bits, because one host has all the others.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: LoginLimit = LoginLimit {
        most: 2,
        window: Duration::from_secs(60),
    };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_refused_until_its_window_has_passed() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut failed = FailedLogins::default();
        let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
        failed.count(one, LIMIT, at(0));
        assert_eq!(failed.check(one, LIMIT, at(10)), Ok(()));
        failed.count(one, LIMIT, at(10));
        assert_eq!(
            failed.check(one, LIMIT, at(10)),
            Err(Duration::from_secs(50))
        );
        assert_eq!(failed.check(other, LIMIT, at(10)), Ok(()));
        assert_eq!(
            failed.check(one, LIMIT, at(59)),
            Err(Duration::from_secs(1))
        );
        assert_eq!(failed.check(one, LIMIT, at(60)), Ok(()));
        // A new window begins.
        failed.count(one, LIMIT, at(61));
        assert_eq!(failed.check(one, LIMIT, at(61)), Ok(()));
    }

    #[test]
    fn zero_is_unlimited() {
        let limit = LoginLimit { most: 0, ..LIMIT };
        let now = Instant::now();
        let mut failed = FailedLogins::default();
        for _ in 0..100 {
            failed.count(address("::1"), limit, now);
        }
        assert_eq!(failed.check(address("::1"), limit, now), Ok(()));
    }

    #[test]
    fn the_addresses_of_one_host_count_together() {
        for (first, second, same) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.2", false),
        ] {
            let now = Instant::now();
            let mut failed = FailedLogins::default();
            failed.count(address(first), LIMIT, now);
            failed.count(address(first), LIMIT, now);
            let refused = failed.check(address(second), LIMIT, now).is_err();
            assert_eq!(refused, same, "{first} {second}");
        }
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let start = Instant::now();
        let mut failed = FailedLogins::default();
        let host = |n: u32| IpAddr::from(n.to_be_bytes());
        let most = u32::try_from(MAX_ADDRESSES).unwrap();
        for n in 0..=most {
            let now = start + Duration::from_millis(n.into());
            failed.count(host(n), LIMIT, now);
            failed.count(host(n), LIMIT, now);
        }
        let now = start + Duration::from_secs(11);
        assert_eq!(failed.0.len(), MAX_ADDRESSES);
        assert_eq!(failed.check(host(0), LIMIT, now), Ok(()));
        assert!(failed.check(host(1), LIMIT, now).is_err());
        assert!(failed.check(host(most), LIMIT, now).is_err());
        // What has expired leaves first, all of it.
        failed.count(host(most + 1), LIMIT, start + Duration::from_secs(1000));
        assert_eq!(failed.0.len(), 1);
    }
}
