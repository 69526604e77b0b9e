//! Batches on their way into the inboxes of subscribers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::Router;
use crate::{
    actors::durable_routing::DurableRouting,
    messages::{DurableTarget, Inbox, InboxItem, Overloaded, Patience, Pushed},
    mqtt::Batch,
    routing::{Group, Route, Routes},
    session::Delivery,
    stats::Metric,
};

/// Batches of one chunk that may be complete before the first is delivered.
///
/// Delivering wakes the threads of subscribers, which take at once what comes within a short time, but would go back to
/// sleep between messages that come one by one.
const COMPLETE: usize = 256;

/// Ends the batch that is being collected.
pub(super) fn complete(router: &mut Router, publisher: Option<&Arc<Inbox>>, now: Instant) {
    if router.batch.is_empty() {
        return;
    }
    let routes = router.batch_routes.clone();
    let subscribers = routes.deliveries.len() + routes.groups.len();
    let batch = Arc::new(router.batch.finish(now).for_subscribers(subscribers));
    // What is stored goes with the identifiers that were noted for it.
    let may_be_stored = router.durable.is_some() && batch.is_acknowledged();
    router.complete.push((batch, routes));
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
    let mut delivering = Delivering {
        durable: router.durable.as_mut(),
        stored: Vec::new(),
        publisher,
        patience: Patience::new(&config.mqtt, now),
        max_pause: config.mqtt.max_publisher_pause,
        overloaded: &mut router.overloaded,
        congested: None,
        deliveries: 0,
        ended: 0,
    };
    let mut routed = 0;
    for (batch, routes) in router.complete.drain(..) {
        routed += batch.len() as u64;
        delivering.deliver(&batch, &routes);
    }
    let counters = &router.counters;
    counters.add(Metric::MessagesRouted, routed);
    counters.add(Metric::MessagesDeliveries, delivering.deliveries);
    counters.add(Metric::DroppedSessionEnded, delivering.ended);
    router.congested = delivering.congested.or(router.congested.take());
}

/// Batches of one publisher being delivered.
struct Delivering<'a> {
    durable: Option<&'a mut DurableRouting>,
    /// To whom the batch at hand goes by way of the durable store.
    stored: Vec<DurableTarget>,
    publisher: Option<&'a Arc<Inbox>>,
    patience: Patience,
    max_pause: Duration,
    /// The workers found over their limits.
    overloaded: &'a mut Overloaded,
    /// The last subscriber found with nearly as much waiting as it may have.
    congested: Option<Arc<Inbox>>,
    deliveries: u64,
    /// Of the deliveries, those whose sessions had ended.
    ended: u64,
}

impl Delivering<'_> {
    fn deliver(&mut self, batch: &Arc<Batch>, routes: &Routes<Inbox>) {
        let all = 0..batch.len();
        let publisher = self.publisher.map(Arc::as_ptr);
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
            self.deliveries += all.len() as u64;
            if !self.push(&to.target, item) {
                self.ended += all.len() as u64;
            }
        }
        for group in &routes.groups {
            group.share_out(batch.len(), |member, range| {
                let number = range.len() as u64;
                self.deliveries += number;
                let is_taken = group.offer(member, |member| {
                    let item = InboxItem {
                        batch: batch.clone(),
                        range: range.clone(),
                        delivery: to_member(group, member),
                    };
                    self.push(&member.target, item)
                });
                if !is_taken {
                    self.ended += number;
                }
            });
        }
        if let Some(durable) = &mut self.durable
            && batch.is_acknowledged()
        {
            if let Some(load) = durable.overloaded() {
                self.overloaded.note(load);
            }
            match std::mem::take(&mut self.stored) {
                none if none.is_empty() => durable.only_ids(),
                some => durable.persist(batch, some, self.publisher, self.patience.now, true),
            }
        }
    }

    /// False when the session has ended.
    fn push(&mut self, target: &Arc<Inbox>, item: InboxItem) -> bool {
        let durable = self.durable.as_ref();
        match durable.and_then(|durable| durable.wants(target, &item)) {
            Some(to) => {
                self.stored.push(to);
                if let Some(load) = target.overloaded() {
                    self.overloaded.note(load);
                }
            }
            None => match target.push(item, self.patience) {
                Pushed::Taken => {}
                Pushed::Overloaded(load) => self.overloaded.note(load),
                Pushed::Ended => return false,
            },
        }
        // A client that publishes to itself has to be read from to catch up.
        let is_other = || !self.publisher.is_some_and(|own| Arc::ptr_eq(own, target));
        let congested = target.congested_for(self.patience.now);
        if congested.is_some_and(|since| since < self.max_pause) && is_other() {
            self.congested = Some(target.clone());
        }
        true
    }
}

/// How a member of a shared subscription is served.
pub(in crate::actors) fn to_member(group: &Group<Inbox>, member: &Route<Inbox>) -> Delivery {
    Delivery {
        qos: member.qos,
        retain_as_published: member.retain_as_published,
        subscription_ids: (member.subscription_id != 0).then(|| [member.subscription_id].into()),
        group: Some(group.full_filter.clone().into()),
        places: None,
    }
}
