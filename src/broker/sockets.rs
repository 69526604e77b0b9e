//! The sockets that are opened before anything runs.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use crate::{
    config::{BindAddr, Config},
    listeners,
};

/// Connections to the HTTP API that may wait in the kernel to be accepted.
const HTTP_BACKLOG: u32 = 128;

/// Opens the sockets of the HTTP API: one for each address that its host name stands for, none if it is off.
pub(super) fn open_http(config: &Config) -> io::Result<Vec<TcpListener>> {
    let http = &config.http_server;
    if !http.enable {
        return Ok(Vec::new());
    }
    let bind = http
        .bind()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let open = |addresses: Vec<SocketAddr>| {
        addresses
            .into_iter()
            .map(|address| listeners::listen(address, HTTP_BACKLOG))
            .collect()
    };
    bind.resolve()
        .and_then(open)
        .map_err(|error| cannot_listen(&bind, &error))
}

/// Says what an error of a listener is about.
pub(super) fn cannot_listen(bind: &BindAddr, error: &io::Error) -> io::Error {
    // The error begins with the address, which is another than `bind` only if that is a name.
    let (bind, text) = (bind.to_string(), error.to_string());
    let rest = text
        .strip_prefix(&bind)
        .and_then(|rest| rest.strip_prefix(": "));
    let why = rest.unwrap_or(&text);
    io::Error::new(error.kind(), format!("cannot listen on {bind}: {why}"))
}
