//! Doors for clients: sockets that listen, and the acceptors that hand what they accept to a worker.

mod acceptor;
mod balance;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use socket2::{Domain, Protocol, Socket, Type};

pub use acceptor::Acceptor;
pub use balance::{Balance, Balancer, WorkerHandle};

use crate::actors::{Door, ListenerInfo};

/// Opens the sockets of a listener: one for each address that its `bind` stands for.
///
/// # Errors
/// With the address, as the operating system reports them; nothing is open then.
pub fn open(door: &Arc<Door>) -> io::Result<Vec<(TcpListener, Arc<Door>)>> {
    let addresses = door.config.bind.resolve()?.into_iter();
    addresses
        .map(|address| Ok((listen(address, door.config.backlog)?, door.clone())))
        .collect()
}

/// What statistics are to know of a listener, whether it is switched on or not; `opened` are its sockets.
///
/// # Errors
/// When a socket does not know its address.
pub fn describe(door: &Arc<Door>, opened: &[(TcpListener, Arc<Door>)]) -> io::Result<ListenerInfo> {
    let addresses: io::Result<Vec<SocketAddr>> = opened
        .iter()
        .map(|(socket, _)| socket.local_addr())
        .collect();
    Ok(ListenerInfo {
        door: door.clone(),
        addresses: addresses?,
    })
}

/// Opens a listening socket.
///
/// # Errors
/// With the address, as the operating system reports them.
pub fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let open = || {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // Without it a restarted broker would have to wait for connections of the old one to be forgotten.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        // The sockets that are accepted have it from this one.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(TcpListener::from(socket))
    };
    open().map_err(|error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}")))
}
