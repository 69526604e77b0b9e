//! The actor that starts the connections of one worker.

use std::{future::poll_fn, net::SocketAddr, rc::Rc, sync::Arc};

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult, Recipient, WrapFuture};

use super::{ClientConnection, Door, MoveRequest, MovedConnection, Worker};
use crate::{
    messages::{IdleRow, ListIdle},
    transport::Detached,
};

/// A socket that was accepted, for the worker to serve.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Accepted {
    /// The socket.
    pub socket: std::net::TcpStream,
    /// Its peer.
    pub peer: SocketAddr,
    /// The listener that accepted it.
    pub door: Arc<Door>,
}

/// Begins to count the busy connections of a worker.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct CountBusy;

/// Has a part of the busy connections of a worker, as counted since [`CountBusy`], leave for another.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Relieve {
    /// Takes them in.
    pub to: Recipient<MovedConnection>,
    /// Which part, 0 to 1.
    pub part: f64,
}

/// One a worker. It also runs the deadlines of the connections. Its mailbox is bounded by the rate of accepting.
pub struct ConnectionHost {
    worker: Rc<Worker>,
}

impl ConnectionHost {
    /// Starts connections on the thread of `worker`.
    pub fn new(worker: Rc<Worker>) -> Self {
        Self { worker }
    }
}

impl Actor for ConnectionHost {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let worker = self.worker.clone();
        let deadlines = poll_fn(move |cx| worker.timers.borrow_mut().poll(cx));
        ctx.spawn(deadlines.into_actor(self));
    }
}

impl Handler<ListIdle> for ConnectionHost {
    type Result = MessageResult<ListIdle>;

    fn handle(&mut self, _: ListIdle, _: &mut Self::Context) -> Self::Result {
        let awaiting = self.worker.awaiting.borrow();
        let rows: Vec<IdleRow> = awaiting.iter().map(|(_, socket)| socket.row()).collect();
        MessageResult(rows)
    }
}

impl Handler<CountBusy> for ConnectionHost {
    type Result = ();

    fn handle(&mut self, _: CountBusy, _: &mut Self::Context) {
        self.worker
            .census
            .set(self.worker.census.get().wrapping_add(1));
        self.worker.busy_connections.set(0);
        *self.worker.moving.borrow_mut() = None;
    }
}

impl Handler<Relieve> for ConnectionHost {
    type Result = ();

    fn handle(&mut self, told: Relieve, _: &mut Self::Context) {
        let connections = (self.worker.busy_connections.get() as f64 * told.part) as usize;
        *self.worker.moving.borrow_mut() = (connections > 0).then_some(MoveRequest {
            to: told.to,
            connections,
        });
    }
}

impl Handler<MovedConnection> for ConnectionHost {
    type Result = ();

    fn handle(&mut self, moved: MovedConnection, _: &mut Self::Context) {
        match ClientConnection::from_moved(self.worker.clone(), moved) {
            Ok(connection) => {
                connection.start();
            }
            Err(error) => log::warn!("a connection was lost on its way to another worker: {error}"),
        }
    }
}

impl Handler<Accepted> for ConnectionHost {
    type Result = ();

    fn handle(&mut self, accepted: Accepted, _: &mut Self::Context) {
        let peer = accepted.peer;
        let connection = accepted.door.layers().and_then(|layers| {
            let stream = Detached::new(accepted.socket, layers);
            ClientConnection::new(self.worker.clone(), accepted.door, stream, peer)
        });
        match connection {
            Ok(connection) => {
                connection.start();
            }
            Err(error) => log::warn!("{peer}: cannot serve the socket: {error}"),
        }
    }
}
