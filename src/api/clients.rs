//! `GET /api/v4/clients` and the look-ups of clients.

use std::net::IpAddr;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Serialize;

use super::{
    ApiError, ApiState, answer, clock,
    listing::Listing,
    query::{Parameters, Text},
    state::ask,
};
use crate::messages::{ClientRow, GetClient, IdleRow};

/// A client as lists show it: the members of the specification's example in its order, those of its table, and
/// ours.
#[derive(Serialize)]
struct Row<'a> {
    client_id: &'a str,
    username: &'a str,
    /// Seconds.
    keepalive: u16,
    conn_state: &'static str,
    clean_start: bool,
    proto_name: &'static str,
    proto_ver: u8,
    /// PUBLISH packets received.
    recv_msg: u64,
    clientid: &'a str,
    connected: bool,
    ip_address: IpAddr,
    port: u16,
    listener: &'a str,
    connected_at: String,
    /// Seconds that the session is kept; 4294967295: for ever.
    expiry_interval: u32,
    /// Messages in the queue.
    mqueue_len: u32,
    /// Messages dropped.
    mqueue_dropped: u64,
    /// Messages sent and not acknowledged.
    inflight: u32,
    /// PUBLISH packets sent.
    send_msg: u64,
    /// Bytes received.
    recv_oct: u64,
    /// Bytes sent.
    send_oct: u64,
    will_topic: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn new(client: &'a ClientRow) -> Self {
        let info = &client.info;
        Self {
            client_id: &client.client_id,
            username: username(client),
            keepalive: info.keep_alive,
            conn_state: match client.connected {
                true => "connected",
                false => "disconnected",
            },
            clean_start: info.clean_start,
            proto_name: info.version.name(),
            proto_ver: info.version.level(),
            recv_msg: client.received_messages,
            clientid: &client.client_id,
            connected: client.connected,
            ip_address: info.peer.ip,
            port: info.peer.port,
            listener: &info.listener,
            connected_at: clock::local_time(clock::moment(info.connected_at)),
            expiry_interval: info.expiry_interval,
            mqueue_len: client.queued,
            mqueue_dropped: client.dropped,
            inflight: client.inflight,
            send_msg: client.sent_messages,
            recv_oct: client.received_bytes,
            send_oct: client.sent_bytes,
            will_topic: info.will_topic.as_deref(),
        }
    }

    /// Nothing but the socket is known.
    fn idle(socket: &'a IdleRow) -> Self {
        Self {
            client_id: "",
            username: "",
            keepalive: 0,
            conn_state: "idle",
            clean_start: false,
            proto_name: "",
            proto_ver: 0,
            recv_msg: 0,
            clientid: "",
            connected: false,
            ip_address: socket.peer.ip(),
            port: socket.peer.port(),
            listener: &socket.listener,
            connected_at: clock::local_time(clock::moment(socket.accepted_at)),
            expiry_interval: 0,
            mqueue_len: 0,
            mqueue_dropped: 0,
            inflight: 0,
            send_msg: 0,
            recv_oct: 0,
            send_oct: 0,
            will_topic: None,
        }
    }
}

/// Which clients are asked for; a client has to meet all that is given.
#[derive(Debug)]
struct Filter {
    client_id: Option<Text>,
    username: Option<Text>,
    state: Option<ConnState>,
    clean_start: Option<bool>,
    protocol: Option<&'static str>,
    version: Option<u8>,
}

/// The values of `conn_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnState {
    Connected,
    Disconnected,
    /// The socket is open and CONNECT has not come. Such a client has no name yet, and is listed only where it is asked
    /// for.
    Idle,
}

impl Filter {
    fn read(parameters: &mut Parameters) -> Result<Self, ApiError> {
        use ConnState::{Connected, Disconnected, Idle};
        let states = [
            ("connected", Connected),
            ("idle", Idle),
            ("disconnected", Disconnected),
        ];
        // `MQIsdp` is what a client of MQTT 3.1 says. The gateways that would have the others do not exist.
        let protocols = ["MQTT", "MQIsdp", "CoAP", "LwM2M", "MQTT-SN"].map(|name| (name, name));
        let with_underscore = parameters.text("client_id");
        Ok(Self {
            client_id: parameters.text("clientid").or(with_underscore),
            username: parameters.text("username"),
            state: parameters.one_of("conn_state", &states)?,
            clean_start: parameters.one_of("clean_start", &[("true", true), ("false", false)])?,
            protocol: parameters.one_of("proto_name", &protocols)?,
            version: parameters.one_of("proto_ver", &[("3", 3), ("4", 4), ("5", 5)])?,
        })
    }

    /// True when what is asked for can only be known from CONNECT.
    fn needs_connect(&self) -> bool {
        self.client_id.is_some()
            || self.username.is_some()
            || self.clean_start.is_some()
            || self.protocol.is_some()
            || self.version.is_some()
    }

    fn admits(&self, client: &ClientRow) -> bool {
        let info = &client.info;
        let state = match client.connected {
            true => ConnState::Connected,
            false => ConnState::Disconnected,
        };
        meets(&self.client_id, |id| id.is(&client.client_id))
            && meets(&self.username, |name| name.is(username(client)))
            && meets(&self.state, |wanted| *wanted == state)
            && meets(&self.clean_start, |wanted| *wanted == info.clean_start)
            && meets(&self.protocol, |name| *name == info.version.name())
            && meets(&self.version, |level| *level == info.version.level())
    }
}

/// True when nothing is wanted, or what is wanted is there.
fn meets<T>(wanted: &Option<T>, there: impl FnOnce(&T) -> bool) -> bool {
    wanted.as_ref().is_none_or(there)
}

/// Empty for a client without user name, as the specification shows it.
fn username(client: &ClientRow) -> &str {
    client.info.username.as_deref().unwrap_or("")
}

/// The clients that meet the filters of the query.
pub async fn list(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::parse(request.query_string())?;
    let filter = Filter::read(&mut parameters)?;
    let paging = parameters.paging()?;
    parameters.finish()?;
    if filter.state == Some(ConnState::Idle) {
        let sockets = match filter.needs_connect() {
            true => Listing::whole(Vec::new()),
            false => state.idle_sockets().await?,
        };
        let answer = sockets.answer(&request, paging, |socket, rows| {
            rows.push(&Row::idle(socket));
        });
        return answer.await;
    }
    let clients = match filter.client_id.as_ref().and_then(Text::single) {
        // One client is found faster than all.
        Some(id) => {
            let ask_for = GetClient {
                client_id: id.to_owned(),
            };
            Listing::whole(ask(&state.client, ask_for).await?.into_iter().collect())
        }
        None => {
            let username = filter.username.as_ref().and_then(Text::single);
            state.clients_of(username.map(str::to_owned)).await?
        }
    };
    let answer = clients.answer(&request, paging, move |client, rows| {
        if filter.admits(client) {
            rows.push(&Row::new(client));
        }
    });
    answer.await
}

/// The client with an id.
pub async fn one(
    client_id: Path<String>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    Parameters::parse(request.query_string())?.finish()?;
    let ask_for = GetClient {
        client_id: client_id.into_inner(),
    };
    let client = ask(&state.client, ask_for).await?;
    let client = client.ok_or(ApiError::NoSuchClient)?;
    Ok(answer::data([Row::new(&client)]))
}

/// The clients with a user name.
pub async fn of_user(
    username: Path<String>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::parse(request.query_string())?;
    let paging = parameters.paging()?;
    parameters.finish()?;
    let clients = state.clients_of(Some(username.into_inner())).await?;
    if clients.is_empty() {
        return Err(ApiError::NoSuchUser);
    }
    let answer = clients.answer(&request, paging, |client, rows| {
        rows.push(&Row::new(client));
    });
    answer.await
}
