//! Messages to the subscription registry.

use std::{net::SocketAddr, sync::Arc};

use actix::{Message, MessageResponse, Recipient};
use smol_str::SmolStr;
use tokio::sync::oneshot;

use super::{Inbox, SessionCommand, WorkerLoad};
use crate::{
    auth::policy::Policy,
    mqtt::QoS,
    routing::{ClientInfo, DirectoryFull},
    session::{CloseReason, Granted, Session, SubscribeRequest, Will},
    store::Part,
};

/// A client was accepted: opens its session, or goes on with the one there is `[MQTT-3.1.2-4]` to
/// `[MQTT-3.1.2-6]`. An older connection of the client is told to leave `[MQTT-3.1.4-3]`.
#[derive(Debug, Message)]
#[rtype(result = "Result<OpenedSession, OpenRefused>")]
pub struct OpenSession {
    /// Client id.
    pub client_id: Arc<str>,
    /// What is known of the client.
    pub info: ClientInfo,
    /// Its will, for the durable store.
    pub will: Option<Box<Will>>,
    /// Ends the session there is, if any, and begins a new one.
    pub start_anew: bool,
    /// The new connection's actor.
    pub owner: Recipient<SessionCommand>,
    /// The load of its worker.
    pub load: Arc<WorkerLoad>,
    /// Told when the durable store has it.
    pub part: Option<Part>,
}

/// A session that belongs to the asking connection now.
#[derive(Debug)]
pub struct OpenedSession {
    /// Where its messages wait.
    pub inbox: Arc<Inbox>,
    /// The connection's number.
    pub generation: u64,
    /// Brings the state of the session that is resumed. Where it fails, the state is lost.
    pub resumed: Option<oneshot::Receiver<Session>>,
    /// The session was another user's.
    pub other_user: bool,
}

/// Why a session is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRefused {
    /// There are `mqtt.max_sessions` sessions already.
    TooMany,
    /// It would have to be stored, and the durable store takes nothing now.
    NotStored,
}

impl From<DirectoryFull> for OpenRefused {
    fn from(_: DirectoryFull) -> Self {
        Self::TooMany
    }
}

/// A connection has ended and its session is kept.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KeepSession {
    /// Client id.
    pub client_id: Arc<str>,
    /// The connection's number.
    pub generation: u64,
    /// For how many seconds; `u32::MAX`: for ever.
    pub expiry_interval: u32,
}

/// A session has ended, with its connection or after it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EndSession {
    /// Client id.
    pub client_id: Arc<str>,
    /// Number of the connection that owned it last.
    pub generation: u64,
}

/// Enters subscriptions. The answer, one for each, comes after publishers can see them.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Granted>")]
pub struct Subscribe {
    /// Client id.
    pub client_id: Arc<str>,
    /// The connection's number.
    pub generation: u64,
    /// The subscriptions.
    pub requests: Vec<SubscribeRequest>,
    /// Told when the durable store has them.
    pub part: Option<Part>,
    /// The policy that they were checked against; by another one they are checked again.
    pub policy: u64,
}

/// There is another policy: subscriptions that it does not permit are removed, sessions are told, and clients whose
/// users are gone are closed. Done in steps, so that the registry has time for others.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct RecheckClients {
    /// The policy before.
    pub before: Arc<Policy>,
    /// The HTTP server is asked again about what it has granted.
    pub ask_again: bool,
    /// Goes on behind this client.
    pub after: Option<Arc<str>>,
}

/// Removes subscriptions; the answer says of each whether it was there.
#[derive(Debug, Message)]
#[rtype(result = "Vec<bool>")]
pub struct Unsubscribe {
    /// Client id.
    pub client_id: Arc<str>,
    /// The connection's number.
    pub generation: u64,
    /// The whole filters.
    pub filters: Vec<Arc<str>>,
    /// Told when the durable store knows.
    pub part: Option<Part>,
}

/// Enters subscriptions for a client, connected or with a kept session, as a SUBSCRIBE of its own would. The answer
/// is as for [`Subscribe`], or none when the client is not known. A client that is connected gets the retained
/// messages; a kept session gets none, not even later.
#[derive(Debug, Message)]
#[rtype(result = "Option<Vec<Granted>>")]
pub struct AdminSubscribe {
    /// Client id.
    pub client_id: String,
    /// The subscriptions.
    pub requests: Vec<SubscribeRequest>,
    /// Told when the durable store knows.
    pub part: Part,
}

/// Removes subscriptions of a client, connected or with a kept session. The answer is as for [`Unsubscribe`], or
/// none when the client is not known.
#[derive(Debug, Message)]
#[rtype(result = "Option<Vec<bool>>")]
pub struct AdminUnsubscribe {
    /// Client id.
    pub client_id: String,
    /// The whole filters.
    pub filters: Vec<Arc<str>>,
    /// Told when the durable store knows.
    pub part: Part,
}

/// Closes every connection of a client that has a session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CloseClients(pub CloseReason);

/// Clients, connected or with a kept session, in the order of their ids. The answer is a page, so that a long list
/// does not keep the registry from its other work.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Page<ClientRow>")]
pub struct ListClients {
    /// Only those with this user name.
    pub username: Option<String>,
    /// Goes on behind this client.
    pub after: Option<Arc<str>>,
}

/// A part of a list.
#[derive(Debug, MessageResponse)]
pub struct Page<T: 'static> {
    /// The rows.
    pub rows: Vec<T>,
    /// The last client looked at, to go on behind; none at the end of the list.
    pub next: Option<Arc<str>>,
}

/// One client.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<ClientRow>")]
pub struct GetClient {
    /// Client id.
    pub client_id: String,
}

/// The clients that keep messages waiting, or for whom some were dropped, in pages as those of [`ListClients`].
#[derive(Clone, Debug, Message)]
#[rtype(result = "Page<ClientRow>")]
pub struct ListSlowClients {
    /// Goes on behind this client.
    pub after: Option<Arc<str>>,
}

/// Sums over the queues of the sessions of each page: at most one row, pages as those of [`ListClients`].
#[derive(Clone, Debug, Message)]
#[rtype(result = "Page<QueueTotals>")]
pub struct GetQueueTotals {
    /// Goes on behind this client.
    pub after: Option<Arc<str>>,
}

/// What waits in several sessions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueTotals {
    /// Sessions with messages in their queues.
    pub sessions: u64,
    /// Messages that wait.
    pub messages: u64,
    /// Bytes of the messages that wait.
    pub bytes: u64,
    /// Messages sent and not acknowledged.
    pub inflight: u64,
}

impl QueueTotals {
    /// Both together.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self {
            sessions: self.sessions + other.sessions,
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            inflight: self.inflight + other.inflight,
        }
    }
}

/// Closes a client's connection, if it has one, with reason code 0x98. The session of a client without one ends.
/// The answer is none for an unknown client.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<Kicked>")]
pub struct KickClient {
    /// Client id.
    pub client_id: String,
    /// Ends the session in any case.
    pub end_session: bool,
}

/// What [`KickClient`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kicked {
    /// A connection was told to close.
    pub connected: bool,
    /// The session and its subscriptions are gone; else it ends or is kept as its expiry interval says.
    pub session_ended: bool,
}

/// A client as lists show it.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// Client id.
    pub client_id: Arc<str>,
    /// A connection lasts.
    pub connected: bool,
    /// Of the latest connection.
    pub info: ClientInfo,
    /// PUBLISH packets received.
    pub received_messages: u64,
    /// PUBLISH packets sent.
    pub sent_messages: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Messages that wait.
    pub queued: u32,
    /// Bytes of the messages that wait.
    pub queued_bytes: u64,
    /// Messages not acknowledged.
    pub inflight: u32,
    /// Messages dropped.
    pub dropped: u64,
}

/// The sockets of one worker whose CONNECT has not come, in no order.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<IdleRow>")]
pub struct ListIdle;

/// A socket whose CONNECT has not come.
#[derive(Clone, Debug)]
pub struct IdleRow {
    /// Its peer.
    pub peer: SocketAddr,
    /// The listener that accepted it.
    pub listener: Arc<str>,
    /// When, in milliseconds since 1970.
    pub accepted_at: u64,
}

/// The subscriptions of all clients, in the order of client ids and filters, in pages as those of [`ListClients`].
#[derive(Clone, Debug, Message)]
#[rtype(result = "Page<SubscriptionRow>")]
pub struct ListSubscriptions {
    /// Only those with this whole filter, `$share/group/` included.
    pub topic: Option<String>,
    /// Goes on behind this client.
    pub after: Option<Arc<str>>,
}

/// The subscriptions of one client; none when it is not known.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<Vec<SubscriptionRow>>")]
pub struct GetSubscriptions {
    /// Client id.
    pub client_id: String,
}

/// Each subscription's client and whole filter, in pages as those of [`ListClients`]: what a
/// [`TopicTreeView`](crate::routing::TopicTreeView) is made of. It is made by who asks, since that may take longer
/// than the registry can be spared.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Page<(Arc<str>, SmolStr)>")]
pub struct GetTopicTree {
    /// Goes on behind this client.
    pub after: Option<Arc<str>>,
}

/// A subscription as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Client id.
    pub client_id: Arc<str>,
    /// The whole filter.
    pub topic: SmolStr,
    /// Granted QoS.
    pub qos: QoS,
}
