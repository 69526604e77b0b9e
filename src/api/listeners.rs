//! `GET /api/v4/listeners`.

use std::net::SocketAddr;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Serialize;

use super::{ApiError, ApiState, answer, query::Parameters, state::ask};
use crate::messages::{ListListeners, ListenerRow};

/// A listener as the list shows it.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    /// `tcp`.
    protocol: &'static str,
    /// Where it listens, as `address:port`; while it is switched off, where it would.
    bind: String,
    /// All the addresses that `bind` stands for; none while it is switched off.
    addresses: &'a [SocketAddr],
    enabled: bool,
    /// Open now.
    connections: usize,
    /// Most at once; 0: no limit.
    max_connections: usize,
    /// Most accepted in a second; 0: no limit.
    max_connection_rate: u32,
}

impl<'a> Row<'a> {
    fn new(listener: &'a ListenerRow) -> Self {
        let first = listener.addresses.first();
        Self {
            name: &listener.name,
            protocol: listener.protocol,
            bind: first.map_or_else(|| listener.bind.clone(), SocketAddr::to_string),
            addresses: &listener.addresses,
            enabled: listener.enabled,
            connections: listener.connections,
            max_connections: listener.max_connections,
            max_connection_rate: listener.max_connection_rate,
        }
    }
}

/// The MQTT listeners of the configuration.
pub async fn list(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    Parameters::parse(request.query_string())?.finish()?;
    let listeners = ask(&state.listeners, ListListeners).await?;
    let rows: Vec<Row<'_>> = listeners.iter().map(Row::new).collect();
    Ok(answer::data(rows))
}
