//! Retained messages: the last message of each topic `[MQTT-3.3.1-5]`.
//!
//! They lie in one ordered map whose key is the topic with `/` replaced by NUL, which no topic contains: so the
//! topics below a level are neighbours, and a look-up with wildcards jumps from one branch that can match to the
//! next instead of visiting every topic. A look-up is paged; its cursor is the last key seen and so survives
//! changes in between. Keys of up to 23 bytes lie in the map itself, where a walk need not leave it to read them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::Instant,
};

use smol_str::SmolStr;

use crate::mqtt::Message;

/// Bounds of the store; a message that would exceed them is not retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainedLimits {
    /// Number of messages.
    pub messages: usize,
    /// Bytes of topics, properties and payloads.
    pub bytes: usize,
}

/// What became of a message given to [`RetainedStore::store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// It is retained, in place of an earlier one or not.
    Stored,
    /// Its payload was empty: what was retained is gone `[MQTT-3.3.1-6]`.
    Cleared,
    /// A limit is reached; what was retained for the topic stays.
    Full,
}

/// See the module's description.
#[derive(Debug)]
pub struct RetainedStore {
    messages: BTreeMap<SmolStr, Message>,
    expiries: BTreeSet<(Instant, SmolStr)>,
    bytes: usize,
    limits: RetainedLimits,
}

/// What may be found before a look-up has to be gone on with later.
#[derive(Clone, Copy, Debug)]
pub struct RetainedBudget {
    messages: usize,
    /// The message that makes it less than none is the last one.
    bytes: usize,
    /// Topics that may be looked at: a look-up that finds little is not to take long either.
    looks: usize,
}

impl RetainedBudget {
    /// So many messages, and about so many bytes of them.
    pub fn new(messages: usize, bytes: usize) -> Self {
        Self {
            messages,
            bytes,
            looks: messages.saturating_mul(8),
        }
    }

    /// True when nothing more may be looked at.
    pub fn is_spent(&self) -> bool {
        self.messages == 0 || self.bytes == 0 || self.looks == 0
    }
}

/// Where a paged look-up goes on.
#[derive(Clone, Debug)]
pub struct RetainedCursor {
    filter: Box<str>,
    /// The first key not yet looked at.
    from: Bound<String>,
}

impl RetainedCursor {
    /// A look-up of the messages that match `filter`, a filter without its `$share/group/`.
    pub fn new(filter: &str) -> Self {
        // Up to the level of the first wildcard, which is a level by itself.
        let prefix = match filter.find(['+', '#']) {
            Some(at) => filter.get(..at.saturating_sub(1)).unwrap_or_default(),
            None => filter,
        };
        Self {
            filter: filter.into(),
            from: Bound::Included(key_of(prefix)),
        }
    }

    /// The filter.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// The only topic that the filter matches, if it has no wildcard.
    pub fn topic(&self) -> Option<&str> {
        (!self.filter.contains(['+', '#'])).then_some(&self.filter)
    }
}

impl RetainedStore {
    /// An empty store.
    pub fn new(limits: RetainedLimits) -> Self {
        Self {
            messages: BTreeMap::new(),
            expiries: BTreeSet::new(),
            bytes: 0,
            limits,
        }
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// True when nothing is retained.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes the bounds; what is already retained stays.
    pub fn set_limits(&mut self, limits: RetainedLimits) {
        self.limits = limits;
    }

    /// Retains a message `[MQTT-3.3.1-5]`, or clears its topic when the payload is empty `[MQTT-3.3.1-6]`,
    /// `[MQTT-3.3.1-7]`.
    pub fn store(&mut self, message: Message) -> StoreOutcome {
        let key = SmolStr::from(key_of(message.topic()));
        if message.view().payload.is_empty() {
            self.remove(&key);
            return StoreOutcome::Cleared;
        }
        let old = self.messages.get(&key).map_or(0, |old| old.size());
        let over_count = old == 0 && self.messages.len() >= self.limits.messages;
        if over_count || self.bytes - old + message.size() > self.limits.bytes {
            return StoreOutcome::Full;
        }
        self.remove(&key);
        self.bytes += message.size();
        if let Some(at) = message.expires_at() {
            self.expiries.insert((at, key.clone()));
        }
        self.messages.insert(key, message);
        StoreOutcome::Stored
    }

    /// The message of a topic.
    pub fn get(&self, topic: &str) -> Option<&Message> {
        let key: &str = &key_of(topic);
        self.messages.get(key)
    }

    /// Removes the message of a topic, if there is one.
    pub fn clear(&mut self, topic: &str) {
        self.remove(&key_of(topic));
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, old)) = self.messages.remove_entry(key) {
            self.bytes -= old.size();
            if let Some(at) = old.expires_at() {
                self.expiries.remove(&(at, key));
            }
        }
    }

    /// Drops what has expired `[MQTT-3.3.2-5]`; the topics.
    pub fn expire(&mut self, now: Instant) -> Vec<String> {
        let mut dropped = Vec::new();
        while self.next_expiry().is_some_and(|at| at <= now) {
            if let Some((_, key)) = self.expiries.pop_first()
                && let Some(old) = self.messages.remove(&key)
            {
                self.bytes -= old.size();
                dropped.push(old.topic().to_owned());
            }
        }
        dropped
    }

    /// All messages, in the order of their topics.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    /// When the next message expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Messages that match the cursor's filter, in the order of their topics, less those that have expired; true when there
    /// may be more, for which the budget was not enough.
    pub fn page(
        &self,
        cursor: &mut RetainedCursor,
        budget: &mut RetainedBudget,
        now: Instant,
    ) -> (Vec<Message>, bool) {
        let mut found = Vec::new();
        let more = match cursor.topic() {
            None => self.walk(cursor, budget, &mut found),
            Some(topic) => {
                found.extend(self.get(topic));
                budget.looks = budget.looks.saturating_sub(1);
                budget.messages = budget.messages.saturating_sub(found.len());
                false
            }
        };
        found.iter().for_each(|message| message.fetch());
        let found = found.into_iter();
        let mut found: Vec<_> = found
            .filter(|message| !message.is_expired(now))
            .cloned()
            .collect();
        let over = found.iter().position(|message| {
            let left = budget.bytes.checked_sub(message.size());
            budget.bytes = left.unwrap_or(0);
            left.is_none()
        });
        let Some(behind) = over.and_then(|last| found.get(last + 1)) else {
            return (found, more);
        };
        cursor.from = Bound::Included(key_of(behind.topic()));
        found.truncate(over.map_or(found.len(), |last| last + 1));
        (found, true)
    }

    /// The part of [`Self::page`] for filters with wildcards; true when there may be more.
    fn walk<'a>(
        &'a self,
        cursor: &mut RetainedCursor,
        budget: &mut RetainedBudget,
        found: &mut Vec<&'a Message>,
    ) -> bool {
        let parts: Vec<&str> = cursor.filter.split('/').collect();
        // Of a filter whose only wildcard is its last level: what keys that match begin with.
        let above = match cursor.filter.strip_suffix('#') {
            Some(above) if !above.is_empty() && !above.contains('+') => Some(key_of(above)),
            _ => None,
        };
        let is_below = |key: &str| above.as_ref().is_some_and(|above| key.starts_with(above));
        // One pass is a stretch of topics that follow one another and match.
        loop {
            let range = (cursor.from.as_ref().map(String::as_str), Bound::Unbounded);
            let mut matched: Option<&SmolStr> = None;
            let mut seek = None;
            for (key, message) in self.messages.range::<str, _>(range) {
                if budget.is_spent() {
                    break;
                }
                budget.looks -= 1;
                let step = match is_below(key) {
                    true => Step::Match,
                    false => step(&parts, key),
                };
                match step {
                    Step::Match => {
                        matched = Some(key);
                        found.push(message);
                        budget.messages -= 1;
                    }
                    Step::Seek(next) => {
                        seek = Some(next);
                        break;
                    }
                    Step::End => return false,
                }
            }
            match (seek, matched) {
                (Some(next), _) => cursor.from = Bound::Included(next),
                (None, Some(last)) => cursor.from = Bound::Excluded(last.to_string()),
                (None, None) => return budget.is_spent(),
            }
            if budget.is_spent() {
                return true;
            }
        }
    }
}

fn key_of(topic: &str) -> String {
    topic.replace('/', "\0")
}

enum Step {
    /// The topic matches.
    Match,
    /// It does not; the next that can is at or after this key, which is greater than the topic's.
    Seek(String),
    /// Neither this topic nor any after it can match.
    End,
}

/// Holds one topic's key against a filter's levels.
fn step(filter: &[&str], key: &str) -> Step {
    let mut levels = key.split('\0');
    // Bytes of the key before the level at hand, and behind the last level that a '+' took.
    let mut offset = 0;
    let mut after_plus: Option<usize> = None;
    for (depth, part) in filter.iter().enumerate() {
        let level = levels.next();
        let wildcard = matches!(*part, "+" | "#");
        if depth == 0 && wildcard && key.starts_with('$') {
            // Every topic that starts with '$' is passed over [MQTT-4.7.2-1]: '%' is next to it.
            return Step::Seek("%".to_owned());
        }
        let Some(level) = level else {
            if *part == "#" {
                return Step::Match;
            }
            // The topic ends above the filter's depth: what lies below it comes next.
            let mut next = format!("{key}\0");
            if !wildcard {
                next.push_str(part);
            }
            return Step::Seek(next);
        };
        let end = offset + level.len();
        match *part {
            "#" => return Step::Match,
            "+" => after_plus = Some(end),
            name => match level.cmp(name) {
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Less => {
                    let above = key.get(..offset).unwrap_or_default();
                    return Step::Seek(format!("{above}{name}"));
                }
                std::cmp::Ordering::Greater => return behind(key, after_plus),
            },
        }
        offset = end + 1;
    }
    match levels.next() {
        None => Step::Match,
        // Deeper than the filter: behind everything below the filter's last level.
        Some(_) => behind(key, Some(offset.saturating_sub(1))),
    }
}

/// Behind everything that lies below the first `end` bytes of `key`.
fn behind(key: &str, end: Option<usize>) -> Step {
    match end.and_then(|end| key.get(..end)) {
        None => Step::End,
        Some(prefix) => Step::Seek(format!("{prefix}\u{1}")),
    }
}

#[cfg(test)]
mod tests;
