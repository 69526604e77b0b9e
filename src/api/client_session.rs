//! What waits in the session of a client, whose sessions lag behind, and `DELETE /api/v4/clients/{clientid}`.

use std::cmp::Reverse;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Serialize;

use super::{ApiError, ApiState, answer, listing::Listing, query::Parameters, state::ask};
use crate::messages::{ClientRow, GetClient, KickClient, ListSlowClients};

/// Slow clients shown unless `limit` says otherwise, and the most it may say.
const DEFAULT_SLOW: usize = 10;
const MAX_SLOW: usize = 10_000;

#[derive(Serialize)]
struct Inflight<'a> {
    clientid: &'a str,
    connected: bool,
    /// Messages sent and not acknowledged.
    count: u32,
}

#[derive(Serialize)]
struct Queue<'a> {
    clientid: &'a str,
    connected: bool,
    /// Messages that wait.
    count: u32,
    /// Their bytes.
    bytes: u64,
    /// Messages dropped since the session began.
    dropped: u64,
}

#[derive(Serialize)]
struct Slow<'a> {
    clientid: &'a str,
    connected: bool,
    mqueue_len: u32,
    mqueue_bytes: u64,
    mqueue_dropped: u64,
    inflight: u32,
}

#[derive(Serialize)]
struct Gone {
    /// A connection was told to close.
    connection_closed: bool,
    /// The session and its subscriptions have ended; else that is up to its expiry interval.
    session_ended: bool,
}

/// How many messages a client has not acknowledged.
pub async fn inflight(
    client_id: Path<String>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let client = look_up(client_id.into_inner(), &request, &state).await?;
    Ok(answer::data(Inflight {
        clientid: &client.client_id,
        connected: client.connected,
        count: client.inflight,
    }))
}

/// What waits in a client's queue.
pub async fn queue(
    client_id: Path<String>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let client = look_up(client_id.into_inner(), &request, &state).await?;
    Ok(answer::data(Queue {
        clientid: &client.client_id,
        connected: client.connected,
        count: client.queued,
        bytes: client.queued_bytes,
        dropped: client.dropped,
    }))
}

async fn look_up(
    client_id: String,
    request: &HttpRequest,
    state: &ApiState,
) -> Result<ClientRow, ApiError> {
    Parameters::parse(request.query_string())?.finish()?;
    let client = ask(&state.client, GetClient { client_id }).await?;
    client.ok_or(ApiError::NoSuchClient)
}

/// The clients with the longest queues, then those for whom most was dropped.
pub async fn slow(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::once(request.query_string())?;
    let limit = parameters.number_in("limit", 1..=MAX_SLOW)?;
    parameters.finish()?;
    let limit = limit.unwrap_or(DEFAULT_SLOW);
    let clients = Listing::open(&state.slow_clients, |after| ListSlowClients { after });
    let slowest = clients.await?.fold(Vec::new(), |mut slowest, rows| {
        slowest.extend(rows);
        slowest.sort_by_key(|client: &ClientRow| Reverse((client.queued, client.dropped)));
        slowest.truncate(limit);
        slowest
    });
    let clients = slowest.await?;
    let rows: Vec<Slow<'_>> = clients
        .iter()
        .map(|client| Slow {
            clientid: &client.client_id,
            connected: client.connected,
            mqueue_len: client.queued,
            mqueue_bytes: client.queued_bytes,
            mqueue_dropped: client.dropped,
            inflight: client.inflight,
        })
        .collect();
    Ok(answer::data(rows))
}

/// Disconnects a client; with `?session=true`, or where it is not connected, its session ends too.
pub async fn kick(
    client_id: Path<String>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::once(request.query_string())?;
    let end_session = parameters.one_of("session", &[("true", true), ("false", false)])?;
    parameters.finish()?;
    let ask_for = KickClient {
        client_id: client_id.into_inner(),
        end_session: end_session.unwrap_or(false),
    };
    log::info!("http: client {:?} is disconnected", ask_for.client_id);
    let kicked = ask(&state.kick, ask_for).await?;
    let kicked = kicked.ok_or(ApiError::NoSuchClient)?;
    Ok(answer::data(Gone {
        connection_closed: kicked.connected,
        session_ended: kicked.session_ended,
    }))
}
