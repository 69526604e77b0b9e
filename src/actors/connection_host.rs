//! The actor that starts the connections of one worker.

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use actix::{Actor, Context, Handler, Message};

use super::{ClientConnection, Worker, client_connection::Door};

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

/// One a worker. Its mailbox is bounded by the rate of accepting.
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
}

impl Handler<Accepted> for ConnectionHost {
    type Result = ();

    fn handle(&mut self, accepted: Accepted, _: &mut Self::Context) {
        let peer = accepted.peer;
        let connection = ClientConnection::new(
            self.worker.clone(),
            accepted.door,
            accepted.socket,
            accepted.peer,
        );
        match connection {
            Ok(connection) => {
                connection.start();
            }
            Err(error) => log::warn!("{peer}: cannot serve the socket: {error}"),
        }
    }
}
