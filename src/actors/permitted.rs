//! Messages on their way to a session whose client may no longer receive all of them.

use crate::{
    messages::InboxItem,
    stats::{Counters, Metric},
};

/// The items without the messages of topics that `may` says no to, in order.
pub(super) fn permitted(
    items: impl IntoIterator<Item = InboxItem>,
    mut may: impl FnMut(&str) -> bool,
    counters: &Counters,
) -> Vec<InboxItem> {
    let mut kept: Vec<InboxItem> = Vec::new();
    let mut dropped = 0;
    for item in items {
        let mut start = item.range.start;
        for index in item.range.clone() {
            let Some(message) = item.batch.get(index) else {
                break;
            };
            if may(message.topic) {
                continue;
            }
            dropped += 1;
            if start < index {
                kept.push(part(&item, start..index));
            }
            start = index.saturating_add(1);
        }
        if start < item.range.end {
            kept.push(part(&item, start..item.range.end));
        }
    }
    counters.add(Metric::DroppedNotPermitted, dropped);
    kept
}

fn part(item: &InboxItem, range: std::ops::Range<usize>) -> InboxItem {
    InboxItem {
        batch: item.batch.clone(),
        range,
        delivery: item.delivery.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use super::*;
    use crate::{
        mqtt::{BatchBuilder, MessageRef, Properties, QoS},
        session::Delivery,
        stats::Totals,
    };

    #[test]
    #[expect(
        clippy::single_range_in_vec_init,
        reason = "the ranges are what is compared"
    )]
    fn what_may_not_be_received_is_cut_out_of_the_runs() {
        let now = Instant::now();
        for (topics, range, kept, dropped) in [
            ("abab", 0..4, vec![0..1, 2..3], 2),
            ("aabb", 0..4, vec![0..2], 2),
            ("bbaa", 0..4, vec![2..4], 2),
            ("bbbb", 0..4, vec![], 4),
            ("aaaa", 1..3, vec![1..3], 0),
            ("abaa", 1..3, vec![2..3], 1),
        ] {
            let mut builder = BatchBuilder::default();
            for topic in topics.split("").filter(|topic| !topic.is_empty()) {
                let message = MessageRef {
                    topic,
                    properties: Properties::EMPTY,
                    payload: b"x",
                    qos: QoS::AtLeastOnce,
                    retain: false,
                    expires_at: None,
                };
                builder.push_detached(&message, now);
            }
            let item = InboxItem {
                batch: Arc::new(builder.finish(now)),
                range,
                delivery: Delivery {
                    qos: QoS::AtLeastOnce,
                    retain_as_published: false,
                    subscription_ids: None,
                    group: None,
                },
            };
            let counters = Counters::default();
            let items = permitted([item], |topic| topic == "a", &counters);
            let ranges: Vec<_> = items.into_iter().map(|item| item.range).collect();
            assert_eq!(ranges, kept, "{topics}");
            let mut totals = Totals::default();
            counters.add_to(&mut totals);
            assert_eq!(totals.get(Metric::DroppedNotPermitted), dropped, "{topics}");
        }
    }
}
