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
mod deadlines;
mod door;
mod drive;
mod held;
mod hold;
mod migrate;
mod open;
mod packets;
mod permissions;
mod reading;
mod retained;
mod subscribing;
mod unread;

pub use door::Door;
pub(super) use held::Held;
pub(super) use hold::Hold;
pub use migrate::{MoveRequest, MovedConnection};
pub(super) use open::{Opened, open_session};

use std::{
    collections::VecDeque,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::Waker,
    time::Instant,
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, Recipient};
use bytes::BytesMut;

use self::{
    authenticate::Authenticating,
    close::{Disposal, Parting},
    drive::Drive,
    unread::Unread,
};
use super::{
    Worker,
    awaiting::{Awaiting, Seat},
    timers::TimerKey,
};
use crate::{
    auth::{permissions::Permissions, scram::Exchange},
    messages::{EndSession, Inbox, InboxItem, SessionCommand, count_lost},
    routing::RetainedCursor,
    session::{Channel, CloseReason, Delivery, LazyDeque},
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
    /// What was read and is not handled yet.
    unread: Unread,
    /// Bytes to be written.
    wire: BytesMut,
    /// Armed for a time not after the earliest deadline.
    timer: Option<TimerKey>,
    /// Counts this connection once among those that are busy, see [`MoveRequest`].
    census: u32,
    /// Wakes the actor, for answers that come after the socket was driven in a turn.
    waker: Option<Waker>,
    /// What this publisher waits for before it is read from again.
    hold: Option<Box<Hold>>,
}

enum Phase {
    AwaitingConnect(Seat),
    /// The client's next message of an exchange of SCRAM is awaited.
    Authenticating(Box<Authenticating>),
    /// CONNECT is looked at, or accepted and the session is being opened. Commands for it wait.
    Opening(Vec<SessionCommand>),
    Connected(Box<Connected>),
    /// As connected, before the actor that it was on another worker knows that it is here.
    Arriving(Box<Connected>, Recipient<migrate::Arrived>),
    /// What is left to write is written; then the socket closes.
    Closing(Box<Closing>),
    /// The connection goes on as another actor, on another worker; commands for it wait until that one is there.
    Moved(Box<Left>),
}

/// Boxed, so that the phases take no more room than they need.
#[derive(Default)]
struct Left {
    deferred: Vec<SessionCommand>,
}

struct Closing {
    deadline: Instant,
    /// The peer has nothing more to say: it need not be waited for.
    peer_is_done: bool,
    /// A session that the registry has given to another connection, which is about to ask for it.
    awaited: Option<Parting>,
    /// The end of the stream is sent.
    finished: bool,
}

/// What is special about how a client came in.
enum Login {
    /// An authentication anew is under way.
    Exchange(Exchange),
    /// Its token ends then, and with it the connection.
    Until(Instant),
}

/// A connection with a session.
struct Connected {
    channel: Channel,
    inbox: Arc<Inbox>,
    generation: u64,
    /// What the client may do.
    permissions: Permissions,
    /// What is special about how it came in.
    login: Option<Box<Login>>,
    /// The answer of another actor is awaited: no packet is handled before it comes.
    asking: bool,
    /// Messages wait in the inbox.
    drain: bool,
    /// What was read last had a few QoS 1 or 2 messages in it, whose acknowledgements are not written yet.
    acknowledges: bool,
    /// Messages are not delivered until the output has room again, or publishers have waited for that as long as they do.
    backed_up: bool,
    /// Messages taken from the inbox and not yet delivered.
    items: LazyDeque<InboxItem>,
    /// Set while retained messages are to be sent for new subscriptions.
    retained: Option<Box<Retrieval>>,
    /// Acknowledgements that wait for the durable store.
    held: Held,
    /// Bodies of messages are on their way from the store.
    reading: bool,
    /// The actor that the connection was before it moved here may still have commands to send on.
    is_followed: bool,
}

/// Retained messages that are to be sent.
#[derive(Default)]
struct Retrieval {
    waiting: VecDeque<(RetainedCursor, Delivery)>,
    /// A page of them is on its way.
    fetching: bool,
    /// Filters that were unsubscribed from since that was asked for.
    gone: Vec<Arc<str>>,
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
        let transport = Transport::attach(stream)?;
        let seat = Seat::take(&worker, Awaiting::new(&door, peer));
        Ok(Self::with(
            worker,
            door,
            transport,
            peer,
            Phase::AwaitingConnect(seat),
        ))
    }

    fn with(
        worker: Rc<Worker>,
        door: Arc<Door>,
        transport: Transport,
        peer: SocketAddr,
        phase: Phase,
    ) -> Self {
        worker.shared.gauges.sockets.increment();
        door.open.fetch_add(1, Ordering::Relaxed);
        Self {
            worker,
            door,
            peer,
            transport,
            phase,
            unread: Unread::default(),
            wire: BytesMut::new(),
            timer: None,
            census: 0,
            waker: None,
            hold: None,
        }
    }
}

impl Connected {
    /// When the client's login ends, if it does.
    fn login_ends(&self) -> Option<Instant> {
        match self.login.as_deref()? {
            Login::Until(end) => Some(*end),
            Login::Exchange(_) => None,
        }
    }

    /// Ends the session of a connection that a fault has ended.
    fn abandon(&self, worker: &Worker) {
        self.inbox.end(self.generation, |items| {
            count_lost(&items, &worker.counters);
        });
        worker.shared.registry.end.do_send(EndSession {
            client_id: self.channel.client_id().clone(),
            generation: self.generation,
        });
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        // Only a fault ends an actor that has not parted from its session: the session ends with it.
        if let Phase::Connected(connected) | Phase::Arriving(connected, _) = &self.phase {
            connected.abandon(&self.worker);
        }
        self.stop_timer();
        let gauges = &self.worker.shared.gauges;
        gauges.sockets.decrement();
        if let Phase::Closing(_) = self.phase {
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

    fn handle(&mut self, command: SessionCommand, ctx: &mut Self::Context) {
        match &mut self.phase {
            Phase::AwaitingConnect(_) | Phase::Authenticating(_) | Phase::Arriving(..) => {}
            Phase::Opening(deferred) => deferred.push(command),
            Phase::Connected(connected) => match command {
                SessionCommand::Drain => connected.drain = true,
                SessionCommand::HandOver(hand_over) => {
                    self.leave(&CloseReason::TakenOver, Disposal::HandOver(hand_over));
                }
                SessionCommand::Discard(reason) => self.leave(&reason, Disposal::Discard),
                SessionCommand::Noted(_) => {}
                SessionCommand::Close(reason) => self.leave(&reason, Disposal::ByExpiry),
                SessionCommand::Evicted(places) => {
                    let outbound = connected.channel.session_mut().outbound_mut();
                    outbound.evict(&places, &self.worker.counters);
                }
                SessionCommand::Recheck => self.recheck(),
                SessionCommand::AskAgain(filters) => self.ask_again(filters, ctx),
                SessionCommand::Subscribed(requests) => {
                    let waiting = connected.retained.as_ref();
                    if waiting.map_or(0, |retained| retained.waiting.len()) < RETAINED_WAITING_MAX {
                        connected.want_retained(requests);
                    } else {
                        let client_id = connected.channel.client_id();
                        log::warn!(
                            "{client_id:?} is sent no more retained messages: it does not read"
                        );
                    }
                }
            },
            Phase::Closing(closing) => {
                if let Some(parting) = closing.awaited.take() {
                    self.settle(parting, command);
                }
            }
            Phase::Moved(left) => left.deferred.push(command),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::ClientEntry;

    /// What there is of each for every client is what an idle one costs; the allocator rounds up to such sizes.
    #[test]
    fn an_idle_client_takes_no_more_room_than_it_did() {
        for (what, size, most) in [
            ("the actor", size_of::<ClientConnection>(), 200),
            ("its session", size_of::<Connected>(), 320),
            ("its inbox", size_of::<Inbox>(), 208),
            (
                "its entry in the registry",
                size_of::<ClientEntry<Inbox>>(),
                128,
            ),
        ] {
            assert!(size <= most, "{what}: {size} bytes");
        }
    }
}
