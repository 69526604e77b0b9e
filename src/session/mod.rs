//! The protocol state of one client. Nothing here reads a clock, a socket or a mailbox: given a packet and `now`,
//! a [`Channel`] writes its answers into a buffer and says what else is to be done.
//!
//! ```text
//!  CONNECT --admit--> Admission --Channel::open--> Channel = link (version, limits, aliases, keep alive, will)
//!                                                          + Session (what outlives the connection)
//!  packets --handle--> Step (subscribe, unsubscribe, close, ...) and bytes to write
//!  batches --deliver-> bytes to write, or entries of the session's queue
//! ```

mod alias;
mod awaiting_release;
mod channel;
mod close;
mod connect;
mod durable;
mod keep_alive;
mod kept;
mod lazy_deque;
mod outbound;
mod publish_topic;
mod subscribe;
#[cfg(test)]
mod tests;
mod to_remote;
mod v3_bridge;
mod will;
mod writer;

pub use alias::IncomingAliases;
pub use channel::{Channel, Gate, GateAnswer, HeldAck, Published, Publishing, RemoteTerms, Step};
pub use close::{CloseReason, Violation};
pub use connect::{Admission, BRIDGE_SESSIONS, Refusal, admit, refuse};
pub use durable::{Bodies, Place, Restored};
pub use kept::Session;
pub use lazy_deque::LazyDeque;
pub use outbound::{Delivery, Orphan, Outbound};
pub use publish_topic::{TopicRefusal, check_topic};
pub use subscribe::{Granted, SubscribeJob, SubscribeRequest, UnsubscribeJob};
pub use to_remote::{ForwardRule, Sent, ToRemote, digest};
pub use v3_bridge::BridgeOf;
pub use will::Will;
pub use writer::{Broker, Writer};
