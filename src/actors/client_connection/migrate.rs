//! Moving a connection to another worker while its client notices nothing.
//!
//! The socket and the session are values: they travel in one message, and a new actor goes on where the old one
//! left off. The old one stays until the new one owns the inbox, and sends it the commands that came meanwhile; until it
//! has, the new one does not move again, so that they find it.

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use actix::{ActorContext, AsyncContext, Context, Handler, Message, Recipient};
use bytes::BytesMut;

use super::{ClientConnection, Connected, Door, Phase, unread::Unread};
use crate::{
    actors::Worker,
    messages::{Owner, SessionCommand},
    transport::{Detached, Transport},
};

/// Asks the connections of a worker to leave for another: the next `connections` that are busy do.
#[derive(Debug)]
pub struct MoveRequest {
    /// Takes them in.
    pub to: Recipient<MovedConnection>,
    /// How many still.
    pub connections: usize,
}

/// A connection on its way to another worker.
#[derive(Message)]
#[rtype(result = "()")]
pub struct MovedConnection {
    stream: Detached,
    peer: SocketAddr,
    door: Arc<Door>,
    connected: Box<Connected>,
    unread: Unread,
    wire: BytesMut,
    /// The old actor.
    left: Recipient<Arrived>,
}

/// Tells the old actor of a connection that the new one owns it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Arrived {
    /// None when the connection was lost on its way.
    now_at: Option<(Recipient<SessionCommand>, Recipient<Forwarded>)>,
}

/// The old actor of a connection has sent the new one all that came for it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Forwarded;

impl ClientConnection {
    /// Leaves for another worker if this one is to be relieved and nothing is under way; true when it has left.
    pub(super) fn move_if_asked(&mut self, ctx: &mut Context<Self>) -> bool {
        let worker = self.worker.clone();
        if self.census != worker.census.get() {
            self.census = worker.census.get();
            worker
                .busy_connections
                .set(worker.busy_connections.get() + 1);
        }
        let mut slot = worker.moving.borrow_mut();
        let Some(request) = &mut *slot else {
            return false;
        };
        match &self.phase {
            Phase::Connected(connected)
                if !connected.asking
                    && !connected.reading
                    && !connected.is_followed
                    && connected.retained.is_none() => {}
            _ => return false,
        }
        request.connections = request.connections.saturating_sub(1);
        let to = request.to.clone();
        if request.connections == 0 {
            *slot = None;
        }
        self.move_to(&to, ctx)
    }

    fn move_to(&mut self, to: &Recipient<MovedConnection>, ctx: &mut Context<Self>) -> bool {
        let stream = match self.transport.take() {
            Ok(stream) => stream,
            Err(error) => {
                self.close(&crate::session::CloseReason::Socket(error.kind()));
                return false;
            }
        };
        let before = std::mem::replace(&mut self.phase, Phase::Moved(Box::default()));
        let Phase::Connected(connected) = before else {
            return false;
        };
        self.stop_timer();
        // It waits again behind what it publishes next: if it had to stay, subscribers would leave without their publishers.
        self.hold = None;
        to.do_send(MovedConnection {
            stream,
            peer: self.peer,
            door: self.door.clone(),
            connected,
            unread: std::mem::take(&mut self.unread),
            wire: std::mem::take(&mut self.wire),
            left: ctx.address().recipient(),
        });
        true
    }

    /// A connection that comes from another worker.
    ///
    /// # Errors
    /// When its socket cannot be watched here; the session then ends as with any fault.
    pub fn from_moved(worker: Rc<Worker>, moved: MovedConnection) -> std::io::Result<Self> {
        let MovedConnection {
            stream,
            peer,
            door,
            connected,
            unread,
            wire,
            left,
        } = moved;
        let transport = match Transport::attach(stream) {
            Ok(transport) => transport,
            Err(error) => {
                connected.abandon(&worker);
                left.do_send(Arrived { now_at: None });
                return Err(error);
            }
        };
        let phase = Phase::Arriving(connected, left);
        let mut connection = Self::with(worker, door, transport, peer, phase);
        connection.unread = unread;
        connection.wire = wire;
        Ok(connection)
    }

    /// Takes the inbox over from the actor that the connection left behind, if it comes from one.
    pub(super) fn arrive(&mut self, ctx: &mut Context<Self>) {
        let before = std::mem::replace(&mut self.phase, Phase::Opening(Vec::new()));
        let Phase::Arriving(mut connected, left) = before else {
            self.phase = before;
            return;
        };
        let now_at: Recipient<SessionCommand> = ctx.address().recipient();
        let load = self.worker.load.clone();
        // If the registry has given the session away meanwhile, its farewell waits with the old actor.
        connected.inbox.pass_on(connected.generation, || {
            Owner::Connection(now_at.clone(), load)
        });
        connected.drain = true;
        connected.is_followed = true;
        self.phase = Phase::Connected(connected);
        left.do_send(Arrived {
            now_at: Some((now_at, ctx.address().recipient())),
        });
    }
}

impl Handler<Arrived> for ClientConnection {
    type Result = ();

    fn handle(&mut self, arrived: Arrived, ctx: &mut Self::Context) {
        if let (Phase::Moved(left), Some((now_at, done))) = (&mut self.phase, &arrived.now_at) {
            for command in left.deferred.drain(..) {
                now_at.do_send(command);
            }
            done.do_send(Forwarded);
        }
        ctx.stop();
    }
}

impl Handler<Forwarded> for ClientConnection {
    type Result = ();

    fn handle(&mut self, _: Forwarded, _: &mut Self::Context) {
        if let Phase::Connected(connected) = &mut self.phase {
            connected.is_followed = false;
        }
    }
}
