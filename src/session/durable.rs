//! Messages that are in the durable store as well: where they lie there, and which bodies are kept in memory.

use std::{collections::HashMap, sync::Arc};

use crate::{
    mqtt::{Message, QoS},
    stats::DropReason,
};

/// Where a message is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the message.
    pub message: u64,
    /// Place in the sequence of all messages of the session, from 1 on; it says the packet identifier.
    pub sequence: u64,
}

/// A message of a session that comes out of the store.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Where it is.
    pub place: Place,
    /// Its bytes, for limits.
    pub size: usize,
    /// As it is delivered.
    pub qos: QoS,
    /// As it is delivered.
    pub retain: bool,
    /// PUBREC has come for it.
    pub received: bool,
    /// Identifiers of the subscriptions.
    pub subscription_ids: Option<Arc<[u32]>>,
    /// The shared subscription.
    pub group: Option<Arc<str>>,
}

/// Bodies by the numbers of their messages, or why there is none to be had.
pub type Bodies = HashMap<u64, Result<Message, DropReason>>;

/// What the store is to know of a session, and what of its messages is in memory.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Places whose messages are needed no longer.
    pub(super) settled: Vec<u64>,
    /// Places for which PUBREC has come.
    pub(super) received: Vec<u64>,
    /// Bytes of bodies in the queue that are in memory.
    pub(super) loaded: usize,
}

impl Changes {
    /// Most bytes of bodies in a queue that are kept in memory. Those behind are read from the store when their turn
    /// comes.
    pub(super) const LOADED_MAX: usize = 256 * 1024;

    /// A message joins the queue.
    pub(super) fn queue(&mut self, content: &mut Content) {
        if self.loaded + content.size() > Self::LOADED_MAX {
            content.unload();
        }
        if content.is_loaded() {
            self.loaded += content.size();
        }
    }

    /// A message leaves the queue.
    pub(super) fn unqueue(&mut self, content: &Content) {
        if content.is_loaded() {
            self.loaded = self.loaded.saturating_sub(content.size());
        }
    }
}

/// A message, or where it is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// In memory alone.
    Here(Message),
    /// In the store, and perhaps in memory.
    Stored(Box<Stored>),
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    place: Place,
    size: usize,
    message: Option<Message>,
}

impl Content {
    pub(super) fn new(message: Message, place: Option<Place>) -> Self {
        match place {
            None => Self::Here(message),
            Some(place) => Self::Stored(Box::new(Stored {
                place,
                size: message.size(),
                message: Some(message),
            })),
        }
    }

    pub(super) fn in_store(place: Place, size: usize) -> Self {
        Self::Stored(Box::new(Stored {
            place,
            size,
            message: None,
        }))
    }

    /// The message, if it is in memory.
    pub(super) fn message(&self) -> Option<&Message> {
        match self {
            Self::Here(message) => Some(message),
            Self::Stored(stored) => stored.message.as_ref(),
        }
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.message().is_some()
    }

    /// Bytes, for limits.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Here(message) => message.size(),
            Self::Stored(stored) => stored.size,
        }
    }

    /// Where it is in the store.
    pub(super) fn place(&self) -> Option<Place> {
        match self {
            Self::Here(_) => None,
            Self::Stored(stored) => Some(stored.place),
        }
    }

    /// Leaves the body to the store.
    pub(super) fn unload(&mut self) {
        if let Self::Stored(stored) = self {
            stored.message = None;
        }
    }

    /// Takes the body, if it is among `bodies`; or says why it will never come.
    pub(super) fn provide(&mut self, bodies: &Bodies) -> Result<(), DropReason> {
        let Self::Stored(stored) = self else {
            return Ok(());
        };
        if stored.message.is_some() {
            return Ok(());
        }
        if let Some(body) = bodies.get(&stored.place.message) {
            stored.message = Some(body.clone()?);
        }
        Ok(())
    }
}
