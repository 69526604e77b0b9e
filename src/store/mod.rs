//! The durable store: what the broker has acknowledged, on the disk.
//!
//! An append-only log of records in numbered segment files ([`segment`]), each record with a checksum of its own, and
//! an index of it in memory that holds no bodies of messages. A log was chosen over an embedded database: it writes a
//! message once, one sequential write and one sync for all that wait (group commit), a torn or changed record costs
//! that record and no other, and it makes no difference for the recovery at which byte a write was interrupted.
//!
//! # What is recorded, where, and in which order
//!
//! One thread writes: the actor [`StoreWriter`](crate::actors::StoreWriter). "Commit" below is a write for
//! `durability = none` and `async` (which syncs within `store.sync_interval`), and a write and a sync for `sync`.
//!
//! | change | recorded by | before |
//! |---|---|---|
//! | session opened, resumed, replaced; the will of its connection | registry: [`Record::Opened`] | CONNACK |
//! | connection ended, session kept, its delayed will | session store: [`Record::Kept`] | - |
//! | session ended | registry, or who had it where another one replaces it: [`Record::Ended`] | - |
//! | subscription entered, removed | registry: [`Record::Subscribed`], [`Record::Unsubscribed`] | SUBACK, UNSUBACK |
//! | QoS 1 or 2 message for a durable session | writer: [`Record::Message`] | it is put into the session's inbox; PUBACK, PUBREC |
//! | shared message goes on to another member | writer: [`Record::Moved`] | it is put into the member's inbox; the end of the session that had it |
//! | identifier of a QoS 2 message of a durable session | in its message's record, else [`Record::Taken`] | PUBREC |
//! | PUBREL came | connection: [`Record::Released`] | PUBCOMP |
//! | PUBREC of a subscriber came | connection: [`Record::Received`] | PUBREL |
//! | PUBACK or PUBCOMP of a subscriber came, message expired or dropped | connection, session store: [`Record::Settled`] | - |
//! | message retained, cleared | retained messages: [`Record::Retained`], [`Record::Unretained`] | PUBACK, PUBREC of its publisher |
//!
//! A session is durable when it was opened with a session expiry interval above zero. One that ends with its connection and
//! has a will is in the store for the sake of that alone: no message for it is.
//!
//! **Nothing acknowledged is lost.** A message for a durable session goes to the writer first. The writer gives it its
//! number, and for each session its place in the queue, commits, puts it into the inboxes, and only then says that the
//! acknowledgement may leave. A message whose commit fails is in no inbox, and its publisher is refused.
//!
//! **QoS 2 arrives once.** The place in a session's queue also is the packet identifier with which the client gets the
//! message. So after a restart the client gets it with the identifier that it knows, whether or not it was sent
//! before, and no record is needed when it is sent. PUBREL waits for the record of PUBREC: the client has forgotten
//! the identifier when it has answered PUBREL, and must not be sent the message again. PUBCOMP waits for the record of
//! PUBREL: the publisher uses the identifier anew then. A record of PUBACK or PUBCOMP that is lost costs a message sent
//! again with DUP (QoS 1), or a PUBREL sent again.
//!
//! **Shared messages are with one member.** A message that its member of a shared subscription did not get to acknowledge
//! leaves that session's queue and enters another one by one record. All of them have left before the record of the
//! session's end. A session that was replaced and whose end is not in the log is ended when the broker starts.
//!
//! **Order.** The writer is the only one who puts QoS 1 and 2 messages into the inboxes of durable sessions, in the
//! order of the log.
//!
//! **When the disk refuses.** Messages, new sessions and subscriptions are refused. What the state of the sessions that
//! there are comes to waits for the disk in memory, and so does what is answered to it: CONNACK, UNSUBACK, PUBREL and PUBCOMP.
//! When `store.max_waiting_changes` of them wait, sessions are not resumed either. So what waits is bounded: by that, and by
//! what can happen to the sessions and messages that were there when the disk began to refuse.

mod bytes;
mod disk;
mod index;
mod log;
mod outcome;
mod record;
mod recovery;
mod segment;
#[cfg(test)]
pub(crate) mod tests;
mod wall_clock;

pub use disk::{Disk, Folder, SegmentFile};
pub use index::{RecoveredEntry, RecoveredSession, Totals};
pub use log::{Figures, Full, Limits, Need, Places, Published, Store, StoredBody, Sureness};
pub use outcome::{Outcome, Part};
pub use record::{
    Body, Kept, LiveWill, MessageNumber, OwnedBody, Recipient, Record, SessionInfo, SessionNumber,
    SessionSnapshot, StoredMessage, StoredWill, Subscription,
};
pub use recovery::{Damage, DamageKind, Report};
pub use segment::VERSION;
pub use wall_clock::WallClock;
