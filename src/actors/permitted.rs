//! Messages on their way to a session whose client may no longer receive all of them.

use std::ops::Range;

use crate::{
    messages::InboxItem,
    mqtt::QoS,
    session::Place,
    stats::{Counters, Metric},
};

/// The items without the messages of topics that `may` says no to, in order. `settled` takes the places of those that are
/// in the durable store.
pub(super) fn permitted(
    items: impl IntoIterator<Item = InboxItem>,
    mut may: impl FnMut(&str) -> bool,
    settled: &mut Vec<u64>,
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
            let places = places(&item, &(index..index.saturating_add(1)));
            settled.extend(places.iter().map(|place| place.sequence));
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

fn part(item: &InboxItem, range: Range<usize>) -> InboxItem {
    let mut delivery = item.delivery.clone();
    if delivery.places.is_some() {
        delivery.places = Some(places(item, &range).into());
    }
    InboxItem {
        batch: item.batch.clone(),
        range,
        delivery,
    }
}

/// The places of the messages in a part of an item: there is one for each with a QoS above 0.
fn places(item: &InboxItem, part: &Range<usize>) -> Vec<Place> {
    let Some(places) = &item.delivery.places else {
        return Vec::new();
    };
    let acknowledged = item.range.clone().filter(|index| {
        let message = item.batch.get(*index);
        message.is_some_and(|message| message.qos.min(item.delivery.qos) > QoS::AtMostOnce)
    });
    acknowledged
        .zip(places.iter())
        .filter(|(index, _)| part.contains(index))
        .map(|(_, place)| *place)
        .collect()
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
                range: range.clone(),
                delivery: Delivery {
                    qos: QoS::AtLeastOnce,
                    retain_as_published: false,
                    subscription_ids: None,
                    group: None,
                    places: Some(
                        (0..topics.len() as u64)
                            .filter(|at| range.contains(&(*at as usize)))
                            .map(|at| Place {
                                message: at,
                                sequence: at,
                            })
                            .collect(),
                    ),
                },
            };
            let counters = Counters::default();
            let mut settled = Vec::new();
            let items = permitted([item], |topic| topic == "a", &mut settled, &counters);
            assert_eq!(settled.len() as u64, dropped, "{topics}");
            for item in &items {
                let places = item.delivery.places.iter().flat_map(|places| places.iter());
                let sequences: Vec<u64> = places.map(|place| place.sequence).collect();
                let expected: Vec<u64> = item.range.clone().map(|at| at as u64).collect();
                assert_eq!(sequences, expected, "{topics}");
            }
            let ranges: Vec<_> = items.into_iter().map(|item| item.range).collect();
            assert_eq!(ranges, kept, "{topics}");
            let mut totals = Totals::default();
            counters.add_to(&mut totals);
            assert_eq!(totals.get(Metric::DroppedNotPermitted), dropped, "{topics}");
        }
    }
}
