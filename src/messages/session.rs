//! Messages to the owner of a session: the actor of a connection, or the session store.

use std::{sync::Arc, time::Instant};

use actix::Message;
use tokio::sync::oneshot;

use super::Inbox;
use crate::{
    auth::acl::Subject,
    session::{CloseReason, Session, SubscribeRequest, Will},
    stats::Counters,
};

/// What the owner of a session is told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum SessionCommand {
    /// Messages wait in the session's inbox.
    Drain,
    /// Another connection goes on with the session.
    HandOver(HandOver),
    /// The session has ended for this reason: a new connection of the same client id starts anew, or somebody
    /// dropped it. So does the connection.
    Discard(CloseReason),
    /// Close the connection; nothing to a session without one.
    Close(CloseReason),
    /// What the client may do has changed: what waits for it is looked at again.
    Recheck,
    /// The HTTP server is to be asked anew about these subscriptions of the client, which it has granted before; they end
    /// where it says no. Nothing to a session without a connection.
    AskAgain(Vec<Arc<str>>),
    /// Subscriptions were entered for the client; their retained messages are to be sent to it. Nothing to a
    /// session without a connection.
    Subscribed(Vec<SubscribeRequest>),
    /// The store has dropped these places of the session's queue to make room for newer messages.
    Evicted(Vec<u64>),
    /// Answers when all before it has been handled. Only for the session store.
    Noted(oneshot::Sender<()>),
}

/// Asks for a session's state. Dropping it without an answer says that there is none.
#[derive(Debug)]
pub struct HandOver {
    /// Takes the state.
    pub reply: oneshot::Sender<Session>,
}

impl HandOver {
    /// Hands the state over. The asker may have gone: then the session ends here, as its connection did.
    pub fn answer(self, session: Session, counters: &Counters) {
        if let Err(mut session) = self.reply.send(session) {
            session.outbound_mut().discard(counters);
        }
    }
}

/// A [`SessionCommand`] for one of the sessions in the store.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AddressedCommand {
    /// Which session.
    pub client_id: Arc<str>,
    /// What it is told.
    pub command: SessionCommand,
}

/// Gives a session whose connection has ended to the session store.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KeptSession {
    /// Where its messages wait.
    pub inbox: Arc<Inbox>,
    /// Number of the connection that has ended.
    pub generation: u64,
    /// Its state.
    pub session: Session,
    /// Whose it is.
    pub subject: Subject,
    /// When it ends; none: never.
    pub expires_at: Option<Instant>,
    /// A will to be published at this time, or when the session ends `[MQTT-3.1.3-9]`.
    pub will: Option<(Instant, Box<Will>)>,
}
