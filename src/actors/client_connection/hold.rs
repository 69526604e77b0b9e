//! What makes a publisher wait: a worker, or a subscriber, that has enough to do.

use std::{sync::Arc, task, time::Instant};

use super::ClientConnection;
use crate::{
    actors::Router,
    messages::{Inbox, Turn},
};

/// Why a connection is not read from: first the one, then the other.
#[derive(Debug)]
pub(in crate::actors) struct Hold {
    /// Too many bytes wait for workers. They work them off, so this always ends.
    turn: Option<Turn>,
    /// A connected subscriber has nearly as much waiting as it may. This ends at the latest at the given time, and
    /// is not done again for a subscriber that has not caught up by then: one that does not read holds nobody up for long.
    subscriber: Option<(Arc<Inbox>, Instant)>,
}

impl Hold {
    /// What the router found while it delivered the last messages.
    pub(in crate::actors) fn new(router: &mut Router) -> Option<Self> {
        let turn = router.take_turn();
        let subscriber = router.take_congested();
        (turn.is_some() || subscriber.is_some()).then_some(Self { turn, subscriber })
    }

    /// When it ends at the latest.
    pub(in crate::actors) fn until(&self) -> Option<Instant> {
        match (&self.turn, &self.subscriber) {
            (None, Some((_, until))) => Some(*until),
            _ => None,
        }
    }

    /// True while the publisher is not to be read from; the task is woken when that may have changed.
    /// For as long as there is one it has to be asked whenever the task is woken.
    pub(in crate::actors) fn holds(&mut self, cx: &mut task::Context<'_>, now: Instant) -> bool {
        if let Some(turn) = &mut self.turn {
            if turn.wait(cx.waker()) {
                return true;
            }
            self.turn = None;
        }
        let subscriber = self.subscriber.as_ref();
        subscriber
            .is_some_and(|(inbox, until)| now < *until && inbox.wait_uncongested(cx.waker(), now))
    }
}

impl ClientConnection {
    /// True while the client is not to be read from; the task is woken when that may have changed.
    pub(super) fn is_held(&mut self, cx: &mut task::Context<'_>, now: Instant) -> bool {
        let held = match self.hold.as_deref_mut() {
            None => return false,
            Some(hold) => hold.holds(cx, now),
        };
        if !held {
            self.hold = None;
        }
        held
    }
}
