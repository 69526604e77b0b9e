//! Batches on their way into the inboxes of subscribers.

use std::{sync::Arc, time::Instant};

use super::Router;
use crate::{
    messages::{Inbox, InboxItem, Patience, Pushed},
    routing::{Group, Route},
    session::Delivery,
    stats::Metric,
};

/// Batches of one chunk that are complete before the first is delivered.
///
/// Delivering wakes the threads of subscribers. They take what comes within a short time at once, and go back to sleep
/// between messages that come one by one.
const COMPLETE: usize = 256;

/// Ends the batch that is being collected.
pub(super) fn complete(router: &mut Router, publisher: Option<&Arc<Inbox>>, now: Instant) {
    if router.batch.is_empty() {
        return;
    }
    let batch = Arc::new(router.batch.finish(now));
    // What is stored goes with the identifiers that were noted for it.
    let may_be_stored = router.durable.is_some() && batch.is_acknowledged();
    router.complete.push((batch, router.batch_routes.clone()));
    if may_be_stored || router.complete.len() >= COMPLETE {
        deliver(router, publisher, now);
    }
}

/// Puts the complete batches into the inboxes of their subscribers.
pub(super) fn deliver(router: &mut Router, publisher: Option<&Arc<Inbox>>, now: Instant) {
    if router.complete.is_empty() {
        return;
    }
    let config = router.config.load();
    let patience = Patience::new(&config.mqtt, now);
    let max_pause = config.mqtt.max_publisher_pause;
    let origin = publisher;
    let publisher = publisher.map(Arc::as_ptr);
    let durable = &mut router.durable;
    let (mut overloaded, mut congested) = (None, None);
    let (mut routed, mut deliveries, mut ended) = (0, 0, 0);
    for (batch, routes) in router.complete.drain(..) {
        let all = 0..batch.len();
        let mut stored = Vec::new();
        // False when the session has ended.
        let mut push = |target: &Arc<Inbox>, item: InboxItem| {
            match durable
                .as_mut()
                .and_then(|durable| durable.wants(target, &item))
            {
                Some(to) => {
                    stored.push(to);
                    overloaded = target.overloaded().or(overloaded.take());
                }
                None => match target.push(item, patience) {
                    Pushed::Taken => {}
                    Pushed::Overloaded(load) => overloaded = Some(load),
                    Pushed::Ended => return false,
                },
            }
            // A client that publishes to itself has to be read from to catch up.
            if target
                .congested_for(now)
                .is_some_and(|since| since < max_pause)
                && publisher != Some(Arc::as_ptr(target))
            {
                congested = Some(target.clone());
            }
            true
        };
        for to in &routes.deliveries {
            if !to.serves(publisher) {
                continue;
            }
            let item = InboxItem {
                batch: batch.clone(),
                range: all.clone(),
                delivery: Delivery {
                    qos: to.qos,
                    retain_as_published: to.retain_as_published,
                    subscription_ids: to.subscription_ids.clone(),
                    group: None,
                    places: None,
                },
            };
            deliveries += all.len() as u64;
            if !push(&to.target, item) {
                ended += all.len() as u64;
            }
        }
        for group in &routes.groups {
            group.share_out(batch.len(), |member, range| {
                let number = range.len() as u64;
                deliveries += number;
                let is_taken = group.offer(member, |member| {
                    let item = InboxItem {
                        batch: batch.clone(),
                        range: range.clone(),
                        delivery: to_member(group, member),
                    };
                    push(&member.target, item)
                });
                if !is_taken {
                    ended += number;
                }
            });
        }
        routed += batch.len() as u64;
        if let Some(durable) = durable
            && batch.is_acknowledged()
        {
            overloaded = durable.overloaded().or(overloaded);
            match stored.is_empty() {
                true => durable.only_ids(),
                false => durable.persist(&batch, stored, origin, now, true),
            }
        }
    }
    let counters = &router.counters;
    counters.add(Metric::MessagesRouted, routed);
    counters.add(Metric::MessagesDeliveries, deliveries);
    counters.add(Metric::DroppedSessionEnded, ended);
    router.overloaded = overloaded.or(router.overloaded.take());
    router.congested = congested.or(router.congested.take());
}

/// How a member of a shared subscription is served.
pub(in crate::actors) fn to_member(group: &Group<Inbox>, member: &Route<Inbox>) -> Delivery {
    Delivery {
        qos: member.qos,
        retain_as_published: member.retain_as_published,
        subscription_ids: (member.subscription_id != 0).then(|| [member.subscription_id].into()),
        group: Some(group.full_filter.clone()),
        places: None,
    }
}
