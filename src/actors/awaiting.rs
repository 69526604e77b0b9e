//! Sockets whose CONNECT has not come: they have no client id by which the registry could know them.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Instant, SystemTime},
};

use slab::Slab;

use super::{Door, Worker, clock, durable::unix_millis};
use crate::messages::IdleRow;

/// A socket whose CONNECT has not come.
#[derive(Debug)]
pub struct Awaiting {
    peer: SocketAddr,
    listener: Arc<str>,
    accepted_at: u64,
    deadline: Instant,
}

impl Awaiting {
    /// One that was just accepted.
    pub fn new(door: &Door, peer: SocketAddr) -> Self {
        Self {
            peer,
            listener: door.id.clone(),
            accepted_at: unix_millis(SystemTime::now()),
            deadline: clock::now() + door.config.connect_timeout,
        }
    }

    /// As lists show it.
    pub fn row(&self) -> IdleRow {
        IdleRow {
            peer: self.peer,
            listener: self.listener.clone(),
            accepted_at: self.accepted_at,
        }
    }
}

/// The place of a socket among those of its worker; given up when it is dropped.
pub struct Seat {
    worker: Rc<Worker>,
    key: usize,
}

impl Seat {
    /// Enters a socket.
    pub fn take(worker: &Rc<Worker>, awaiting: Awaiting) -> Self {
        Self {
            worker: worker.clone(),
            key: worker.awaiting.borrow_mut().insert(awaiting),
        }
    }

    /// When CONNECT has to be there.
    pub fn deadline(&self) -> Instant {
        let awaiting: &RefCell<Slab<Awaiting>> = &self.worker.awaiting;
        match awaiting.borrow().get(self.key) {
            Some(awaiting) => awaiting.deadline,
            None => clock::now(),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.worker.awaiting.borrow_mut().try_remove(self.key);
    }
}
