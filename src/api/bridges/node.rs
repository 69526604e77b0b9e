//! A bridge as it is configured, as NanoMQ shows and takes it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    api::configuration::MASK,
    config::{
        BridgeConfig, BridgeConnectProperties, BridgeForward, BridgeSubscribeProperties,
        BridgeSubscription, BridgeTls, Refusal, RemoteUrl, Secret,
    },
};

/// Members that say what a bridge does; they are shown and change nothing.
const STATUS: [&str; 11] = [
    "state",
    "client_id",
    "connected_to",
    "backlog",
    "backlog_bytes",
    "inflight",
    "inflight_window",
    "last_error",
    "connected_seconds",
    "next_attempt_seconds",
    "counters",
];

/// A bridge, NanoMQ's members first.
#[derive(Serialize)]
pub struct Node<'a> {
    name: &'a str,
    enable: bool,
    parallel: u16,
    connector: Connector<'a>,
    forwards: &'a [BridgeForward],
    subscription: &'a [BridgeSubscription],
    sub_properties: &'a BridgeSubscribeProperties,
    tls: Tls<'a>,
    /// The keys that NanoMQ does not show.
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// Members of [`BridgeConfig`] that [`Node`] shows under a name or in a place of NanoMQ.
const MOVED: [&str; 14] = [
    "enable",
    "max_parallel_processes",
    "server",
    "proto_ver",
    "clientid",
    "clean_start",
    "username",
    "password",
    "keepalive",
    "conn_properties",
    "forwards",
    "subscription",
    "sub_properties",
    "ssl",
];

#[derive(Serialize)]
struct Connector<'a> {
    server: Option<String>,
    #[serde(flatten)]
    login: Login<'a>,
    conn_properties: &'a BridgeConnectProperties,
}

/// How a bridge logs in at its remote, as all of NanoMQ's shapes have it.
#[derive(Serialize)]
pub struct Login<'a> {
    proto_ver: u8,
    clientid: Option<&'a str>,
    clean_start: bool,
    username: Option<&'a str>,
    password: Option<&'static str>,
    /// Seconds.
    keepalive: u16,
}

impl<'a> Login<'a> {
    /// Of a bridge; its password is never shown.
    pub fn new(config: &'a BridgeConfig) -> Self {
        Self {
            proto_ver: config.proto_ver,
            clientid: text(&config.clientid),
            clean_start: config.clean_start,
            username: text(&config.username),
            password: masked(&config.password),
            keepalive: config.keepalive,
        }
    }
}

#[derive(Serialize)]
struct Tls<'a> {
    enable: bool,
    key_password: Option<&'static str>,
    keyfile: Option<&'a str>,
    certfile: Option<&'a str>,
    cacertfile: Option<&'a str>,
    server_name: Option<&'a str>,
    verify_peer: bool,
    fail_if_no_peer_cert: bool,
}

impl<'a> Node<'a> {
    /// A bridge; its passwords are never shown.
    pub fn new(name: &'a str, config: &'a BridgeConfig) -> Self {
        Self {
            name,
            enable: config.enable,
            parallel: config.max_parallel_processes,
            connector: Connector {
                server: config.server.as_ref().map(RemoteUrl::to_string),
                login: Login::new(config),
                conn_properties: &config.conn_properties,
            },
            forwards: &config.forwards,
            subscription: &config.subscription,
            sub_properties: &config.sub_properties,
            tls: Tls::new(config),
            more: more(config),
        }
    }
}

impl<'a> Tls<'a> {
    fn new(config: &'a BridgeConfig) -> Self {
        let BridgeTls {
            cacertfile,
            certfile,
            keyfile,
            key_password,
            server_name,
        } = &config.ssl;
        Self {
            enable: config.server.as_ref().is_some_and(RemoteUrl::is_tls),
            key_password: masked(key_password),
            keyfile: keyfile.to_str().and_then(text),
            certfile: certfile.to_str().and_then(text),
            cacertfile: cacertfile.to_str().and_then(text),
            server_name: text(server_name),
            verify_peer: true,
            fail_if_no_peer_cert: true,
        }
    }
}

/// The keys that NanoMQ does not show.
fn more(config: &BridgeConfig) -> Map<String, Value> {
    // Texts, numbers and lists of them: serialising it does not fail.
    let mut more = match serde_json::to_value(config) {
        Ok(Value::Object(more)) => more,
        _ => Map::new(),
    };
    more.retain(|name, _| !MOVED.contains(&name.as_str()));
    more
}

/// The members beyond NanoMQ's, with their values by default.
pub fn more_members() -> Map<String, Value> {
    more(&BridgeConfig::default())
}

/// A text; none when it is empty.
fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// What stands in the place of a password that is there.
fn masked(secret: &Secret) -> Option<&'static str> {
    (!secret.expose().is_empty()).then_some(MASK)
}

/// Reads a bridge as it is shown, or as a file has it. What is masked is as in `known`.
///
/// # Errors
/// Every member that is unknown or not what it can be, and what does not go together.
pub fn read_node(
    mut node: Value,
    known: Option<&BridgeConfig>,
) -> Result<BridgeConfig, Vec<Refusal>> {
    if let Value::Object(members) = &mut node {
        members.retain(|name, _| !STATUS.contains(&name.as_str()));
    }
    let empty = Secret::default();
    let secrets = known.map(|known| (&known.password, &known.ssl.key_password));
    let (password, key_password) = secrets.unwrap_or((&empty, &empty));
    for (place, secret) in [
        ("/password", password),
        ("/connector/password", password),
        ("/tls/key_password", key_password),
        ("/ssl/key_password", key_password),
    ] {
        if let Some(member) = node.pointer_mut(place).filter(|member| *member == MASK) {
            *member = secret.expose().into();
        }
    }
    BridgeConfig::default().with_json(&node)
}
