//! Messages to the writer of the durable store.

use std::{ops::Range, sync::Arc, time::Instant};

use actix::Message;

use super::Inbox;
use crate::{
    mqtt::{self, Batch, PacketId},
    session::{Bodies, Delivery, Place},
    store::{MessageNumber, Part, Record, SessionNumber},
};

/// Stores the QoS 1 and 2 messages of a batch and puts the batch into the inboxes of the durable sessions it is for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Persist {
    /// The messages.
    pub batch: Arc<Batch>,
    /// For whom.
    pub to: Vec<DurableTarget>,
    /// From whom, where identifiers of QoS 2 messages are to be stored with them.
    pub origin: Option<Origin>,
    /// When it was published.
    pub now: Instant,
    /// Told what becomes of it.
    pub part: Option<Part>,
    /// The place in the queue of a session that the only message of the batch leaves for this.
    pub from: Option<(SessionNumber, u64)>,
    /// To how many members its shared messages may go still, one after the other, where sessions end at that moment.
    pub offers: usize,
}

/// Moves a message of a shared subscription to another member. Where it is in the store it leaves its place there and gets
/// the new one at once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct MoveShared {
    /// The session that it leaves, and where it is in the store; none where it is not there.
    pub from: Option<(SessionNumber, Place)>,
    /// The message, where it need not be read from the store.
    pub message: Option<mqtt::Message>,
    /// Its bytes, for limits.
    pub size: usize,
    /// The member.
    pub inbox: Arc<Inbox>,
    /// How it wants the message.
    pub delivery: Delivery,
    /// When it is moved.
    pub now: Instant,
    /// Told what becomes of it.
    pub part: Option<Part>,
    /// To how many members it may go still if this one's session ends.
    pub offers: usize,
}

/// A durable session that messages are for.
#[derive(Debug)]
pub struct DurableTarget {
    /// Its inbox.
    pub inbox: Arc<Inbox>,
    /// Which of the messages.
    pub range: Range<usize>,
    /// How it wants them.
    pub delivery: Delivery,
}

/// The durable session of a publisher, and the identifiers of its QoS 2 messages by their index in the batch.
#[derive(Debug)]
pub struct Origin {
    /// The session.
    pub session: SessionNumber,
    /// Ascending.
    pub ids: Vec<(usize, PacketId)>,
}

/// What is done with a record while the disk refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// What depends on it goes on; it is stored when the disk takes it.
    GoOn,
    /// What depends on it waits until the disk takes it.
    Wait,
    /// It is not stored, and who asked for it learns that.
    Refuse,
}

/// Stores a change of state.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WriteRecord {
    /// The record's bytes.
    pub record: Vec<u8>,
    /// The session that begins with it.
    pub begins: Option<SessionNumber>,
    /// The session that ends with it.
    pub ends: Option<SessionNumber>,
    /// What is done while the disk refuses it.
    pub refused: Refused,
    /// Told when it is stored.
    pub part: Option<Part>,
}

impl WriteRecord {
    /// A change that nothing waits for.
    pub fn new(record: &Record<'_>) -> Self {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        Self {
            record: bytes,
            begins: None,
            ends: None,
            refused: Refused::GoOn,
            part: None,
        }
    }

    /// With what waits for it.
    #[must_use]
    pub fn with(mut self, part: Option<Part>) -> Self {
        self.part = part;
        self
    }

    /// Changes what is done while the disk refuses it.
    #[must_use]
    pub fn if_refused(mut self, refused: Refused) -> Self {
        self.refused = refused;
        self
    }
}

/// Asks for the bodies of messages. Those that cannot be read just now are left out of the answer.
#[derive(Debug, Message)]
#[rtype(result = "Bodies")]
pub struct ReadBodies(pub Vec<MessageNumber>);

/// Writes all that is known, has the disk confirm it, and closes the store. The answer comes when that is done.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct CloseStore;
