//! How a batch becomes records: each message once, with the places it gets in the queues of its sessions.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    actors::durable,
    config::MqueuePolicy,
    messages::{DurableTarget, Persist, SessionCommand},
    mqtt::{MessageRef, QoS},
    session::Place,
    store::{Full, Need, Recipient, Store, WallClock},
};

/// As [`place`]. Where the store is full its policy decides: the oldest messages of the sessions that the batch is for make
/// room, if that is enough, and who has those sessions is told.
pub(super) fn place_by_policy(
    store: &mut Store,
    persist: &Persist,
    clock: &WallClock,
    policy: MqueuePolicy,
) -> Result<Vec<Arc<[Place]>>, Full> {
    if persist.from.is_some() {
        // It takes the room that it leaves.
        return Ok(place(store, persist, clock));
    }
    let need = need(persist);
    if let Err(full) = store.check(need) {
        match policy {
            MqueuePolicy::Reject => return Err(full),
            MqueuePolicy::DropOldest => make_room(store, persist, need)?,
        }
    }
    Ok(place(store, persist, clock))
}

fn make_room(store: &mut Store, persist: &Persist, need: Need) -> Result<(), Full> {
    let durable = |to: &DurableTarget| to.inbox.durable().map(NonZeroU64::get);
    let from: Vec<_> = persist
        .to
        .iter()
        .filter_map(|to| {
            let on_the_way = to.inbox.counters.inflight.load(Ordering::Relaxed);
            Some((durable(to)?, on_the_way as usize))
        })
        .collect();
    let mut evicted: HashMap<_, _> = store.evict(need, &from)?.into_iter().collect();
    for to in &persist.to {
        if let Some(places) = durable(to).and_then(|number| evicted.remove(&number)) {
            to.inbox.command(SessionCommand::Evicted(places));
        }
    }
    Ok(())
}

/// What the messages of a batch take.
fn need(persist: &Persist) -> Need {
    let mut need = Need::default();
    for index in 0..persist.batch.len() {
        if let Some(message) = persist.batch.get(index) {
            let takers = persist.to.iter().filter(|to| takes(to, index, &message));
            need.add(&message, takers.count());
        }
    }
    need
}

/// True for a message of the batch that is stored for this session.
fn takes(to: &DurableTarget, index: usize, message: &MessageRef<'_>) -> bool {
    to.range.contains(&index) && message.qos.min(to.delivery.qos) > QoS::AtMostOnce
}

/// Adds the messages of a batch to the store. Returns the places of each target's messages.
fn place(store: &mut Store, persist: &Persist, clock: &WallClock) -> Vec<Arc<[Place]>> {
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
        let recipients: Vec<Recipient<'_>> = persist
            .to
            .iter()
            .filter(|to| takes(to, index, &message))
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
        if recipients.is_empty() && origin.is_none() && persist.from.is_none() {
            continue;
        }
        let expires_at = durable::expiry(&message, clock);
        let published = match persist.from {
            Some(from) => store.transfer(from, &message, expires_at, recipients),
            None => store.publish(&message, expires_at, origin, recipients),
        };
        let mut sequences = published.sequences.into_iter();
        for (to, places) in persist.to.iter().zip(&mut places) {
            if takes(to, index, &message) {
                // A session that has ended gets a place that leads nowhere; so does its inbox.
                places.push(Place {
                    message: published.message,
                    sequence: sequences.next().flatten().unwrap_or(0),
                });
            }
        }
    }
    places.into_iter().map(Arc::from).collect()
}
