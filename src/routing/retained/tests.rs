//! Look-ups against the rule for one filter, limits, and expiry.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::mqtt::{Properties, PropertiesBuf, Property, QoS, matches};

const WIDE: RetainedLimits = RetainedLimits {
    messages: usize::MAX,
    bytes: usize::MAX,
};

fn message(topic: &str, payload: &str, expiry: Option<u32>, now: Instant) -> Message {
    let mut buffer = PropertiesBuf::default();
    if let Some(interval) = expiry {
        buffer.push(Property::MessageExpiryInterval(interval));
    }
    let properties = match expiry {
        Some(_) => buffer.as_properties(),
        None => Properties::EMPTY,
    };
    Message::new(
        topic,
        payload.as_bytes(),
        QoS::AtMostOnce,
        true,
        properties,
        now,
    )
}

/// In pages of so many messages, and of so many bytes.
fn all(
    store: &RetainedStore,
    filter: &str,
    (page, max_bytes): (usize, usize),
    now: Instant,
) -> Vec<String> {
    let mut cursor = RetainedCursor::new(filter);
    let mut topics = Vec::new();
    loop {
        let (found, more) = store.page(&mut cursor, &mut RetainedBudget::new(page, max_bytes), now);
        let bytes: usize = found
            .iter()
            .rev()
            .skip(1)
            .map(|message| message.size())
            .sum();
        assert!(found.len() <= page && bytes <= max_bytes);
        topics.extend(found.iter().map(|message| message.topic().to_owned()));
        if !more {
            return topics;
        }
    }
}

fn level() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("a"),
        Just("a-"),
        Just("b"),
        Just(""),
        Just("$s"),
        Just("a\u{1}"),
        Just("\u{10ffff}")
    ]
}

proptest! {
    #[test]
    fn a_look_up_finds_what_matches_and_nothing_else(
        topics in proptest::collection::vec(proptest::collection::vec(level(), 1..5), 0..60),
        filters in proptest::collection::vec(
            (proptest::collection::vec(prop_oneof![2 => level(), 2 => Just("+")], 1..5), any::<bool>()), 10),
        page in (1usize..7, prop_oneof![1usize..400, Just(usize::MAX)]),
    ) {
        let now = Instant::now();
        let mut store = RetainedStore::new(WIDE);
        let topics: BTreeSet<String> = topics.iter().map(|levels| levels.join("/")).filter(|t| !t.is_empty()).collect();
        for topic in &topics {
            store.store(message(topic, "x", None, now));
        }
        for (mut levels, multi) in filters {
            if multi {
                levels.push("#");
            }
            let filter = levels.join("/");
            let found = all(&store, &filter, page, now);
            let expected: BTreeSet<String> = topics.iter().filter(|topic| matches(&filter, topic)).cloned().collect();
            prop_assert_eq!(found.len(), expected.len(), "{}", &filter);
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{}", &filter);
        }
    }
}

#[test]
fn an_empty_payload_clears_and_a_new_message_replaces() {
    let now = Instant::now();
    let mut store = RetainedStore::new(WIDE);
    assert_eq!(
        store.store(message("a", "1", None, now)),
        StoreOutcome::Stored
    );
    assert_eq!(
        store.store(message("a", "22", None, now)),
        StoreOutcome::Stored
    );
    assert_eq!(store.len(), 1);
    assert_eq!(
        store.store(message("a", "", None, now)),
        StoreOutcome::Cleared
    );
    assert_eq!((store.len(), store.bytes()), (0, 0));
    store.store(message("a/b", "1", Some(5), now));
    store.clear("a");
    assert_eq!(store.len(), 1);
    store.clear("a/b");
    assert_eq!((store.len(), store.bytes()), (0, 0));
    assert_eq!(store.next_expiry(), None);
}

#[test]
fn limits_refuse_new_topics_and_spare_old_ones() {
    let now = Instant::now();
    let mut store = RetainedStore::new(RetainedLimits {
        messages: 1,
        bytes: 4096,
    });
    assert_eq!(
        store.store(message("a", "1", None, now)),
        StoreOutcome::Stored
    );
    assert_eq!(
        store.store(message("b", "1", None, now)),
        StoreOutcome::Full
    );
    assert_eq!(
        store.store(message("a", "2", None, now)),
        StoreOutcome::Stored
    );
    let big = "x".repeat(5000);
    assert_eq!(
        store.store(message("a", &big, None, now)),
        StoreOutcome::Full
    );
    assert_eq!(all(&store, "#", (10, usize::MAX), now), ["a"]);
}

#[test]
fn expired_messages_are_neither_found_nor_kept() {
    let now = Instant::now();
    let mut store = RetainedStore::new(WIDE);
    store.store(message("short", "1", Some(5), now));
    store.store(message("long", "1", Some(500), now));
    store.store(message("short", "2", Some(6), now));
    let later = now + Duration::from_secs(6);
    assert_eq!(all(&store, "+", (10, usize::MAX), now), ["long", "short"]);
    assert_eq!(all(&store, "+", (10, usize::MAX), later), ["long"]);
    assert!(store.expire(now + Duration::from_secs(5)).is_empty());
    assert_eq!(store.expire(later), ["short"]);
    assert_eq!(store.len(), 1);
}
