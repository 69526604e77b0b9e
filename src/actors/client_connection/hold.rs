//! What makes a publisher wait: a worker, or a subscriber, that has enough to do.

use std::{sync::Arc, task, time::Instant};

use super::ClientConnection;
use crate::{
    actors::Router,
    messages::{Inbox, Turn},
};

/// Why a connection is not read from.
#[derive(Debug)]
pub(in crate::actors) enum Hold {
    /// Too many bytes wait for a worker. It works them off, so this always ends.
    Worker(Turn),
    /// A connected subscriber has nearly as much waiting as it may. This ends at the latest at the given time, and
    /// is not done again for a subscriber that has not caught up by then: a slow one holds nobody up for long.
    Subscriber(Arc<Inbox>, Instant),
}

impl Hold {
    /// What the router found while it delivered the last messages.
    pub(in crate::actors) fn new(router: &mut Router, now: Instant) -> Option<Self> {
        if let Some(load) = router.take_overloaded() {
            return Some(Self::Worker(Turn::new(load)));
        }
        let (inbox, left) = router.take_congested(now)?;
        Some(Self::Subscriber(inbox, now.checked_add(left)?))
    }

    /// When it ends at the latest.
    pub(in crate::actors) fn until(&self) -> Option<Instant> {
        match self {
            Self::Worker(_) => None,
            Self::Subscriber(_, until) => Some(*until),
        }
    }
}

impl Hold {
    /// True while the publisher is not to be read from; the task is woken when that may have changed.
    /// For as long as there is one it has to be asked whenever the task is woken.
    pub(in crate::actors) fn holds(&mut self, cx: &mut task::Context<'_>, now: Instant) -> bool {
        match self {
            Self::Worker(turn) => turn.wait(cx.waker()),
            Self::Subscriber(inbox, until) => {
                now < *until && inbox.wait_uncongested(cx.waker(), now)
            }
        }
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
