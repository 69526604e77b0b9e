//! Copies of messages that come back over MQTT 3, which has no marks: each message that was sent is remembered for a
//! while, and one equal message that comes in is taken for its copy.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hasher},
    time::{Duration, Instant},
};

/// How long a message is remembered. A copy comes at once where it comes at all.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);
/// Most messages that are remembered; the oldest are forgotten first.
const REMEMBERED_MAX: usize = 65_536;

/// Messages of which a copy may come.
#[derive(Debug, Default)]
pub struct Echoes {
    /// How often each may come, and who sent it last.
    expected: HashMap<u64, (u32, u64), foldhash::fast::RandomState>,
    order: VecDeque<(Instant, u64)>,
    state: foldhash::fast::RandomState,
}

impl Echoes {
    /// True when nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }

    /// A message was sent by `sender` to `peer`; `payload` is a digest.
    pub fn sent(&mut self, sender: u64, peer: &str, topic: &str, payload: u64, now: Instant) {
        self.forget(now);
        let key = self.key(peer, topic, payload);
        let (count, last) = self.expected.entry(key).or_default();
        *count = count.saturating_add(1);
        *last = sender;
        self.order.push_back((now, key));
    }

    /// Whether a message that has come to `receiver` from `peer` is the copy of one that another sent. Each copy is found
    /// once.
    pub fn is_echo(
        &mut self,
        receiver: u64,
        peer: &str,
        topic: &str,
        payload: u64,
        now: Instant,
    ) -> bool {
        if self.expected.is_empty() {
            return false;
        }
        self.forget(now);
        let key = self.key(peer, topic, payload);
        match self.expected.get_mut(&key) {
            None => false,
            Some((_, sender)) if *sender == receiver => false,
            Some((count, _)) => {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.expected.remove(&key);
                }
                // What is left of it in `order` finds nothing any more, or one of its equals, which is as old.
                if let Some(at) = self.order.iter().position(|(_, sent)| *sent == key) {
                    self.order.remove(at);
                }
                true
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, key)) = self.order.front().copied() {
            let is_old = now.saturating_duration_since(at) > REMEMBERED_FOR;
            if !is_old && self.order.len() < REMEMBERED_MAX {
                return;
            }
            self.order.pop_front();
            if let Some((count, _)) = self.expected.get_mut(&key) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.expected.remove(&key);
                }
            }
        }
    }

    fn key(&self, peer: &str, topic: &str, payload: u64) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(peer.as_bytes());
        hasher.write_u8(0xFF);
        hasher.write(topic.as_bytes());
        hasher.write_u64(payload);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_copy_is_found_once_and_not_for_ever() {
        let now = Instant::now();
        let later = now + REMEMBERED_FOR + Duration::from_secs(1);
        let mut echoes = Echoes::default();
        assert!(!echoes.is_echo(1, "", "a", 1, now));
        echoes.sent(0, "", "a", 1, now);
        echoes.sent(0, "", "a", 1, now);
        echoes.sent(0, "", "b", 1, now);
        for (topic, payload, found) in [
            ("a", 2, false),
            ("c", 1, false),
            ("a", 1, true),
            ("a", 1, true),
            ("a", 1, false),
        ] {
            assert_eq!(
                echoes.is_echo(1, "", topic, payload, now),
                found,
                "{topic} {payload}"
            );
        }
        assert!(!echoes.is_echo(1, "", "b", 1, later));
        assert!(echoes.expected.is_empty() && echoes.order.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let mut echoes = Echoes::default();
        for n in 0..REMEMBERED_MAX as u64 + 100 {
            echoes.sent(0, "", "a", n, now);
        }
        assert!(echoes.order.len() <= REMEMBERED_MAX && echoes.expected.len() <= REMEMBERED_MAX);
        assert!(!echoes.is_echo(1, "", "a", 0, now));
        assert!(echoes.is_echo(1, "", "a", 1000, now));
    }
}
