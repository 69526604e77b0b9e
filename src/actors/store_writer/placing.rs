//! How a batch becomes records: each message once, with the places it gets in the queues of its sessions.

use std::sync::{Arc, atomic::Ordering};

use crate::{
    actors::durable,
    config::MqueuePolicy,
    messages::{DurableTarget, Persist, SessionCommand},
    mqtt::QoS,
    session::Place,
    store::{Full, Recipient, Store, WallClock},
};

/// How often room is made for a batch: bytes may take more than one message for each.
const ROUNDS: usize = 4;

/// As [`place`], and where the store is full as its policy says: the oldest messages of the sessions that a batch is for make
/// room, and who has those sessions is told.
pub(super) fn place_by_policy(
    store: &mut Store,
    persist: &Persist,
    clock: &WallClock,
    policy: MqueuePolicy,
) -> Result<Vec<Arc<[Place]>>, Full> {
    let mut rounds = match policy {
        MqueuePolicy::Reject => 0,
        MqueuePolicy::DropOldest => ROUNDS,
    };
    loop {
        match place(store, persist, clock) {
            Err(Full) if rounds > 0 && make_room(store, persist) => rounds -= 1,
            placed => return placed,
        }
    }
}

/// Drops as many messages of each session as are to be added to it; false when there is none.
fn make_room(store: &mut Store, persist: &Persist) -> bool {
    let mut made = false;
    for to in &persist.to {
        let Some(session) = to.inbox.durable() else {
            continue;
        };
        let on_the_way = to.inbox.counters.inflight.load(Ordering::Relaxed) as usize;
        let places = store.evict(session.get(), on_the_way, to.range.len());
        if !places.is_empty() {
            made = true;
            to.inbox.command(SessionCommand::Evicted(places));
        }
    }
    made
}

/// Adds the messages of a batch to the store. Returns the places of each target's messages.
pub(super) fn place(
    store: &mut Store,
    persist: &Persist,
    clock: &WallClock,
) -> Result<Vec<Arc<[Place]>>, Full> {
    let mark = store.mark();
    let mut places: Vec<Vec<Place>> = persist.to.iter().map(|_| Vec::new()).collect();
    let mut ids = persist.origin.iter().flat_map(|origin| {
        let session = origin.session;
        origin
            .ids
            .iter()
            .map(move |(at, id)| (*at, (session, id.get())))
    });
    let mut next_id = ids.next();
    for index in 0..persist.batch.len() {
        let Some(message) = persist.batch.get(index) else {
            break;
        };
        let origin = next_id.filter(|(at, _)| *at == index).map(|(_, id)| id);
        if origin.is_some() {
            next_id = ids.next();
        }
        let takers = |to: &DurableTarget| {
            to.range.contains(&index) && message.qos.min(to.delivery.qos) > QoS::AtMostOnce
        };
        let recipients: Vec<Recipient<'_>> = persist
            .to
            .iter()
            .filter(|to| takers(to))
            .map(|to| Recipient {
                session: to.inbox.durable().map_or(0, |number| number.get()),
                sequence: 0,
                qos: message.qos.min(to.delivery.qos),
                retain: message.retain && to.delivery.retain_as_published,
                subscription_ids: to
                    .delivery
                    .subscription_ids
                    .as_deref()
                    .unwrap_or(&[])
                    .to_vec(),
                group: to.delivery.group.as_deref(),
            })
            .collect();
        if recipients.is_empty() && origin.is_none() {
            continue;
        }
        let expires_at = durable::expiry(&message, clock);
        let published = match store.publish(&message, expires_at, origin, recipients) {
            Ok(published) => published,
            Err(full) => {
                store.roll_back(mark);
                return Err(full);
            }
        };
        let mut sequences = published.sequences.into_iter();
        for (to, places) in persist.to.iter().zip(&mut places) {
            if takers(to) {
                // A session that has ended gets a place that leads nowhere; so does its inbox.
                places.push(Place {
                    message: published.message,
                    sequence: sequences.next().flatten().unwrap_or(0),
                });
            }
        }
    }
    Ok(places.into_iter().map(Arc::from).collect())
}
