//! Shared messages that go on to another member of their group: where a session ends, and where one is found to have
//! ended when they come.

use std::{ops::Range, sync::Arc};

use super::{Job, StoreWriter};
use crate::{
    actors::{durable, router::to_member},
    messages::{DurableTarget, Inbox, InboxItem, MoveShared, Patience, Persist, Pushed},
    mqtt::{Batch, Message},
    routing::{Group, Route, RouteTable},
    session::Place,
    stats::DropReason,
    store::{Part, Store, WallClock},
};

/// What a message that moves comes to as one that is published.
pub(super) fn to_persist(
    store: &Store,
    moved: MoveShared,
    clock: &WallClock,
) -> Result<Persist, DropReason> {
    let message = match moved.message {
        Some(message) => message,
        None => body(store, moved.from.map(|(_, place)| place), clock)?,
    };
    Ok(Persist {
        batch: Arc::new(Batch::of_message(&message, moved.now)),
        to: vec![DurableTarget {
            inbox: moved.inbox,
            range: 0..1,
            delivery: moved.delivery,
        }],
        origin: None,
        now: moved.now,
        part: moved.part,
        from: moved.from.map(|(session, place)| (session, place.sequence)),
        offers: moved.offers,
    })
}

fn body(store: &Store, place: Option<Place>, clock: &WallClock) -> Result<Message, DropReason> {
    let number = place.ok_or(DropReason::Unreadable)?.message;
    match store.read(number) {
        Ok(Some(body)) => Ok(durable::message(body, clock)),
        // It has made room for others.
        Ok(None) => Err(DropReason::StoreFull),
        Err(error) => {
            log::error!("store: a message is dropped because it cannot be read: {error}");
            Err(DropReason::Unreadable)
        }
    }
}

/// A member of a group whose session has not ended.
fn find_other<T>(
    routes: &RouteTable<Inbox>,
    group: Option<&str>,
    than: &Arc<Inbox>,
    found: impl FnOnce(&Group<Inbox>, &Route<Inbox>) -> T,
) -> Option<T> {
    let group = routes.read().group(group?)?;
    let other = group
        .others(than)
        .find(|member| !member.target.has_ended())?;
    Some(found(&group, other))
}

/// Shared messages are not given places in sessions that have ended, but in those of other members.
pub(super) fn redirect(persist: &mut Persist, routes: &RouteTable<Inbox>) {
    for to in &mut persist.to {
        if to.delivery.group.is_none() || !to.inbox.has_ended() {
            continue;
        }
        let other = find_other(
            routes,
            to.delivery.group.as_deref(),
            &to.inbox,
            |group, member| (member.target.clone(), to_member(group, member)),
        );
        if let Some((inbox, delivery)) = other {
            (to.inbox, to.delivery) = (inbox, delivery);
        }
    }
}

impl StoreWriter {
    /// Puts messages into an inbox. Those of a group whose member's session has ended meanwhile are to go to another one.
    /// How many are lost.
    pub(super) fn push(
        &mut self,
        batch: &Arc<Batch>,
        target: DurableTarget,
        places: &Arc<[Place]>,
        patience: Patience,
        (part, offers): (Option<&Part>, usize),
    ) -> u64 {
        let DurableTarget {
            inbox,
            range,
            mut delivery,
        } = target;
        // Other members need not be durable.
        delivery.places = inbox.durable().map(|_| places.clone());
        let group = delivery.group.clone();
        let item = InboxItem {
            batch: batch.clone(),
            range: range.clone(),
            delivery,
        };
        if !matches!(inbox.push(item, patience), Pushed::Ended) {
            return 0;
        }
        let number = range.len() as u64;
        if offers == 0 || group.is_none() {
            return number;
        }
        let moves = find_other(&self.routes, group.as_deref(), &inbox, |group, member| {
            moves(batch, range, &inbox, places)
                .map(|(message, from)| MoveShared {
                    from,
                    size: message.size(),
                    message: Some(message),
                    inbox: member.target.clone(),
                    delivery: to_member(group, member),
                    now: patience.now,
                    part: part.map(Part::another),
                    offers: offers - 1,
                })
                .collect::<Vec<_>>()
        });
        let Some(moves) = moves else {
            return number;
        };
        // The record of the session's end, which is behind this, finds nothing of them.
        for moved in moves {
            self.load.add(moved.size);
            self.jobs.push(Job::Move(moved));
        }
        0
    }

    /// A message that was to move is lost, because its body is.
    pub(super) fn lose(&self, reason: DropReason, size: usize) {
        self.counters.add(reason.metric(), 1);
        self.load.remove(size);
    }
}

/// A message, and the place that it leaves.
type Leaving = (Message, Option<(u64, Place)>);

fn moves(
    batch: &Batch,
    range: Range<usize>,
    ended: &Inbox,
    places: &[Place],
) -> impl Iterator<Item = Leaving> {
    let session = ended.durable();
    let mut places = places.iter();
    range.filter_map(move |index| {
        let message = batch.keep(index)?;
        // One that leads nowhere was not stored.
        let place = places.next().filter(|place| place.sequence > 0);
        let from = session.zip(place);
        Some((
            message,
            from.map(|(session, place)| (session.get(), *place)),
        ))
    })
}
