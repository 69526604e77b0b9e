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

/// Which part of the time that publishers wait for slow subscribers they wait where most keep up.
const HICCUP: u32 = 20;

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
        congested: Congested::default(),
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
    let congested = delivering
        .congested
        .choose(delivering.deliveries, delivering.max_pause);
    let until = congested.and_then(|(subscriber, left)| Some((subscriber, now.checked_add(left)?)));
    router.congested = until.or(router.congested.take());
}

/// Subscribers found with nearly as much waiting as they may have, but not for longer than publishers wait.
#[derive(Default)]
struct Congested {
    /// The one that has been so for the shortest time, of those that have to acknowledge what they got, ...
    acknowledging: Option<Latest>,
    /// ... and of the others.
    other: Option<Latest>,
    /// Deliveries to the others.
    deliveries: u64,
}

/// A subscriber, and for how long it has had nearly as much waiting as it may.
struct Latest {
    subscriber: Arc<Inbox>,
    age: Duration,
}

impl Congested {
    fn note(&mut self, subscriber: &Arc<Inbox>, age: Duration, number: usize, acknowledges: bool) {
        let latest = if acknowledges {
            &mut self.acknowledging
        } else {
            self.deliveries += number as u64;
            &mut self.other
        };
        if latest.as_ref().is_none_or(|latest| age < latest.age) {
            let subscriber = subscriber.clone();
            *latest = Some(Latest { subscriber, age });
        }
    }

    /// The one that the publisher of so many deliveries waits for, and how long.
    ///
    /// Where messages are not acknowledged and most are for subscribers that keep up, those that do not get only time for a
    /// hiccup: the publisher would be as slow for all.
    fn choose(self, deliveries: u64, max_pause: Duration) -> Option<(Arc<Inbox>, Duration)> {
        let are_most = self.deliveries > deliveries / 2;
        let for_others = if are_most {
            max_pause
        } else {
            max_pause / HICCUP
        };
        let left = |latest: Latest, pause: Duration| {
            let left = pause.checked_sub(latest.age).filter(|left| !left.is_zero());
            Some((latest.subscriber, left?))
        };
        let acknowledging = self
            .acknowledging
            .and_then(|latest| left(latest, max_pause));
        acknowledging.or_else(|| left(self.other?, for_others))
    }
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
    congested: Congested,
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
        let number = item.range.len();
        let acknowledges = item.is_acknowledged();
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
        if let Some(age) = target.congested_for(self.patience.now)
            && age < self.max_pause
            && is_other()
        {
            self.congested.note(target, age, number, acknowledges);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Owner;

    #[test]
    fn publishers_wait_for_most_and_for_those_that_acknowledge() {
        const PAUSE: Duration = Duration::from_millis(1000);
        let inbox = || Arc::new(Inbox::new("client".into(), Owner::Nobody, 0, None));
        let (acknowledging, other) = (inbox(), inbox());
        // Deliveries in all, those to a slow subscriber that does not acknowledge and since how many milliseconds it is slow,
        // the same of one that does, and which is waited for and how long.
        let cases = [
            (0, (0, 0), (0, 0), None),
            (1, (1, 0), (0, 0), Some((&other, 1000))),
            (1, (1, 400), (0, 0), Some((&other, 600))),
            (1, (1, 1000), (0, 0), None),
            (2, (1, 0), (0, 0), Some((&other, 50))),
            (2, (1, 49), (0, 0), Some((&other, 1))),
            (2, (1, 50), (0, 0), None),
            (3, (2, 50), (0, 0), Some((&other, 950))),
            (50, (25, 50), (0, 0), None),
            (50, (26, 50), (0, 0), Some((&other, 950))),
            (50, (0, 0), (1, 0), Some((&acknowledging, 1000))),
            (50, (26, 0), (1, 300), Some((&acknowledging, 700))),
            (50, (1, 10), (1, 1000), Some((&other, 40))),
        ];
        for (deliveries, (others, since), (acknowledged, since_too), expected) in cases {
            let mut congested = Congested::default();
            for (subscriber, number, since, acknowledges) in [
                (&other, others, since, false),
                (&acknowledging, acknowledged, since_too, true),
            ] {
                if number > 0 {
                    let age = Duration::from_millis(since);
                    congested.note(subscriber, age, number, acknowledges);
                    // What has been slow for longer is not what is waited for.
                    congested.note(&inbox(), age + PAUSE, 0, acknowledges);
                }
            }
            let found = congested.choose(deliveries, PAUSE);
            let found = found
                .as_ref()
                .map(|(inbox, left)| (Arc::as_ptr(inbox), left.as_millis()));
            let expected = expected.map(|(inbox, left)| (Arc::as_ptr(inbox), left));
            assert_eq!(
                found, expected,
                "{deliveries} {others} {since} {acknowledged} {since_too}"
            );
        }
    }
}
