//! The HTTP server itself.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App,
    dev::ServerHandle,
    middleware::from_fn,
    web::{Data, PayloadConfig},
};
use rustls::ServerConfig;

use super::{
    ApiState,
    authentication::warn_of_weakness,
    configure,
    connections::{Connections, close_if_crowded},
};
use crate::config;

/// How long a connection may be silent between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long the TLS handshake, and the head of a request, may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client gets to close its side.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Seconds that requests get to be answered when the server stops.
const STOP_TIMEOUT: u64 = 1;

/// How much nicer than the threads of the clients the server's thread is.
const NICENESS: i32 = 10;

/// Gives the calling thread a lower priority: where processors are scarce, messages come before long lists.
fn yield_to_messages() {
    if let Err(error) =
        rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS)
    {
        log::debug!("the priority of the HTTP API's thread is not lowered: {error}");
    }
}

/// The HTTP API, being served on a thread of its own.
pub struct HttpServer {
    addresses: Vec<SocketAddr>,
    handle: ServerHandle,
}

impl HttpServer {
    /// Serves the API on sockets that listen already, over TLS if `tls` says how. Needs the actix system of this thread.
    ///
    /// # Errors
    /// When a socket cannot be used.
    pub fn start(
        sockets: Vec<TcpListener>,
        state: ApiState,
        config: &config::HttpServer,
        tls: Option<ServerConfig>,
    ) -> io::Result<Self> {
        let max_body = config.max_body;
        let state = Data::new(state);
        let most = config.limit_conn.max(1);
        let on_connect = Connections::new(most).on_connect();
        let mut server = actix_web::HttpServer::new(move || {
            // Called once on the server's own thread.
            yield_to_messages();
            App::new()
                .wrap(from_fn(close_if_crowded))
                .app_data(state.clone())
                .app_data(PayloadConfig::new(max_body))
                .configure(configure)
        })
        .workers(1)
        // What is written is written whole: waiting for more would delay pipelined answers by the peer's delayed acknowledgement.
        .tcp_nodelay(true)
        .disable_signals()
        .max_connections(most)
        .on_connect(on_connect)
        .keep_alive(KEEP_ALIVE)
        .tls_handshake_timeout(REQUEST_TIMEOUT)
        .client_request_timeout(REQUEST_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .shutdown_timeout(STOP_TIMEOUT);
        let mut addresses = Vec::new();
        for socket in sockets {
            addresses.push(socket.local_addr()?);
            server = match &tls {
                Some(tls) => server.listen_rustls_0_23(socket, tls.clone())?,
                None => server.listen(socket)?,
            };
        }
        let server = server.run();
        let handle = server.handle();
        actix::spawn(async move {
            if let Err(error) = server.await {
                log::error!("the HTTP server has ended: {error}");
            }
        });
        for address in &addresses {
            let protocol = if tls.is_some() { "https" } else { "http" };
            log::info!("listening {protocol} {address}");
        }
        warn_of_weakness(
            config,
            addresses.iter().any(|address| !address.ip().is_loopback()),
        );
        Ok(Self { addresses, handle })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Accepts no more and ends when the requests there are have been answered, or after a second.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}
