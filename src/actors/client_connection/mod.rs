//! The actor of one connection: a socket, and from CONNECT on the session of its client.
//!
//! ```text
//!  AwaitingConnect --CONNECT--> [Authenticating] --> Opening --session--> Connected --any end--> Closing --all written--> stopped
//!        |  refused, malformed, too late                                        ^
//!        +----------------------------------------------------------------------+
//! ```
//!
//! One future drives the socket ([`drive`]); it runs after the mailbox in each turn of the actor, so everything
//! that a turn writes leaves in one go. An idle connection owns no buffer.

mod authenticate;
mod close;
mod door;
mod drive;
mod held;
mod hold;
mod migrate;
mod open;
mod packets;
mod permissions;

pub use door::Door;
pub(super) use held::Held;
pub(super) use hold::Hold;
pub use migrate::{MoveRequest, MovedConnection};
pub(super) use open::{Opened, open_session};

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::Waker,
    time::Instant,
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, Recipient};
use bytes::{Bytes, BytesMut};
use tokio::time::Sleep;

use self::{
    authenticate::Authenticating,
    close::{Disposal, Parting},
    drive::Drive,
};
use super::Worker;
use crate::{
    auth::{permissions::Permissions, scram::Exchange},
    messages::{EndSession, Inbox, InboxItem, Owner, SessionCommand},
    routing::RetainedCursor,
    session::{Channel, CloseReason, Delivery},
    transport::{Detached, Transport},
};

/// Subscriptions made for a client by others whose retained messages may wait to be sent to it.
const RETAINED_WAITING_MAX: usize = 10_000;

/// See the module's description.
pub struct ClientConnection {
    worker: Rc<Worker>,
    door: Arc<Door>,
    peer: SocketAddr,
    transport: Transport,
    phase: Phase,
    /// The beginning of a packet whose rest has not come.
    partial: BytesMut,
    /// Bytes behind a packet whose answer is awaited.
    waiting: Bytes,
    /// Bytes to be written.
    wire: BytesMut,
    /// Armed for a time not after the earliest deadline.
    timer: Option<Pin<Box<Sleep>>>,
    /// The actor that the connection was before it moved here, until it knows.
    left: Option<Recipient<migrate::Arrived>>,
    /// Counts this connection once among those that are busy, see [`MoveRequest`].
    census: u32,
    /// Wakes the actor, for answers that come after the socket was driven in a turn.
    waker: Option<Waker>,
    /// What this publisher waits for before it is read from again.
    hold: Option<Hold>,
}

enum Phase {
    AwaitingConnect {
        deadline: Instant,
    },
    /// The client's next message of an exchange of SCRAM is awaited.
    Authenticating {
        deadline: Instant,
        exchange: Box<Authenticating>,
    },
    /// CONNECT is looked at, or accepted and the session is being opened. Commands for it wait.
    Opening {
        deferred: Vec<SessionCommand>,
    },
    Connected(Box<Connected>),
    /// What is left to write is written; then the socket closes.
    Closing {
        deadline: Instant,
        /// The peer has nothing more to say: it need not be waited for.
        peer_is_done: bool,
        /// A session that the registry has given to another connection, which is about to ask for it.
        awaited: Option<Box<Parting>>,
        /// The end of the stream is sent.
        finished: bool,
    },
    /// The connection goes on as another actor, on another worker; commands for it wait until that one is there.
    Moved {
        deferred: Vec<SessionCommand>,
    },
}

/// A connection with a session.
struct Connected {
    channel: Channel,
    inbox: Arc<Inbox>,
    generation: u64,
    /// What the client may do.
    permissions: Permissions,
    /// An authentication anew that is under way.
    exchange: Option<Box<Exchange>>,
    /// The answer of another actor is awaited: no packet is handled before it comes.
    asking: bool,
    /// Messages wait in the inbox.
    drain: bool,
    /// Messages taken from the inbox and not yet delivered.
    items: VecDeque<InboxItem>,
    /// Retained messages to be sent for new subscriptions.
    retained: VecDeque<(RetainedCursor, Delivery)>,
    fetching: bool,
    /// Acknowledgements that wait for the durable store.
    held: Held,
    /// Bodies of messages are on their way from the store.
    reading: bool,
    received_messages: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

impl ClientConnection {
    /// A connection that was just accepted.
    ///
    /// # Errors
    /// As the operating system reports them.
    pub fn new(
        worker: Rc<Worker>,
        door: Arc<Door>,
        stream: Detached,
        peer: SocketAddr,
    ) -> std::io::Result<Self> {
        let deadline = Instant::now() + door.config.connect_timeout;
        let transport = Transport::attach(stream)?;
        worker.shared.gauges.sockets.increment();
        door.open.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            worker,
            door,
            peer,
            transport,
            phase: Phase::AwaitingConnect { deadline },
            partial: BytesMut::new(),
            waiting: Bytes::new(),
            wire: BytesMut::new(),
            timer: None,
            left: None,
            census: 0,
            waker: None,
            hold: None,
        })
    }
}

impl Connected {
    /// Ends the session of a connection that a fault has ended.
    fn abandon(&self, worker: &Worker) {
        self.inbox
            .pass_on(self.generation, &worker.counters, || Owner::Nobody);
        worker.shared.registry.end.do_send(EndSession {
            client_id: self.channel.client_id().clone(),
            generation: self.generation,
        });
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        // Only a fault ends an actor that has not parted from its session: the session ends with it.
        if let Phase::Connected(connected) = &self.phase {
            connected.abandon(&self.worker);
        }
        let gauges = &self.worker.shared.gauges;
        gauges.sockets.decrement();
        if let Phase::Closing { .. } = self.phase {
            gauges.closing.decrement();
        }
        self.door.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Actor for ClientConnection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arrive(ctx);
        ctx.spawn(Drive);
    }
}

impl Handler<SessionCommand> for ClientConnection {
    type Result = ();

    fn handle(&mut self, command: SessionCommand, _: &mut Self::Context) {
        match &mut self.phase {
            Phase::AwaitingConnect { .. } | Phase::Authenticating { .. } => {}
            Phase::Opening { deferred } => deferred.push(command),
            Phase::Connected(connected) => match command {
                SessionCommand::Drain => connected.drain = true,
                SessionCommand::HandOver(hand_over) => {
                    self.leave(&CloseReason::TakenOver, Disposal::HandOver(hand_over));
                }
                SessionCommand::Discard(reason) => self.leave(&reason, Disposal::Discard),
                SessionCommand::Noted(_) => {}
                SessionCommand::Close(reason) => self.leave(&reason, Disposal::ByExpiry),
                SessionCommand::Recheck => self.recheck(),
                SessionCommand::Subscribed(requests) => {
                    if connected.retained.len() < RETAINED_WAITING_MAX {
                        connected.want_retained(requests);
                    } else {
                        let client_id = connected.channel.client_id();
                        log::warn!(
                            "{client_id:?} is sent no more retained messages: it does not read"
                        );
                    }
                }
            },
            Phase::Closing { awaited, .. } => {
                if let Some(parting) = awaited.take() {
                    self.settle(*parting, command);
                }
            }
            Phase::Moved { deferred } => deferred.push(command),
        }
    }
}

/// The last message to itself: whatever was sent before it has been handled.
#[derive(Message)]
#[rtype(result = "()")]
struct Finish;

impl Handler<Finish> for ClientConnection {
    type Result = ();

    fn handle(&mut self, _: Finish, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl ClientConnection {
    /// Has the socket driven once more.
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    fn finish(&mut self, ctx: &mut Context<Self>) {
        ctx.address().do_send(Finish);
    }
}
