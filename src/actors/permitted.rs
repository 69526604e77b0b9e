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
