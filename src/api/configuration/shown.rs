//! The configuration as the API shows it: the specification's flat object, and the sections of newer versions.

use serde::Serialize;
use serde_json::Value;

use super::auth_http::AuthHttp;
use super::bridge;
use super::doors::{Tls, WebSocket, WebSocketSection};
use super::sqlite::Sqlite;
use crate::config::{Config, DEFAULT_LISTENER, HttpServer, Secret};
use crate::messages::CertificateTexts;

/// What stands in the place of a secret that is not shown.
pub const MASK: &str = "******";

/// Requests at once, which have no bound of their own here.
const PARALLEL: u32 = 32;
/// Properties in a packet as NanoMQ counts them; `mqtt.max_properties` is the bound here.
const PROPERTY_SIZE: u32 = 32;
/// Seconds between attempts to send a message again, which is done when a client reconnects instead.
const QOS_DURATION: u32 = 60;

/// The specification's flat object, in the order of its example.
#[derive(Serialize)]
pub struct Flat<'a> {
    url: Option<String>,
    num_taskq_thread: usize,
    max_taskq_thread: usize,
    parallel: u32,
    property_size: u32,
    msq_len: usize,
    qos_duration: u32,
    allow_anonymous: bool,
    daemon: bool,
    tls: Tls,
    websocket: WebSocket,
    http_server: Http<'a>,
    bridge: bridge::Flat<'a>,
    /// Keys that a restart would change.
    pending: Vec<String>,
}

impl<'a> Flat<'a> {
    /// The running configuration, and what waits for a restart.
    pub fn new(config: &'a Config, texts: &CertificateTexts, pending: Vec<String>) -> Self {
        Self {
            url: url(config),
            num_taskq_thread: threads(config),
            max_taskq_thread: max_threads(config),
            parallel: PARALLEL,
            property_size: PROPERTY_SIZE,
            msq_len: config.mqtt.max_mqueue_len,
            qos_duration: QOS_DURATION,
            allow_anonymous: config.auth.allow_anonymous,
            daemon: config.system.daemon,
            tls: Tls::new(config, texts),
            websocket: WebSocket::new(config),
            http_server: Http::new(&config.http_server),
            bridge: bridge::Flat::new(config),
            pending,
        }
    }
}

/// Names of the sections of newer versions.
pub const SECTIONS: [&str; 8] = [
    "basic",
    "tls",
    "auth",
    "auth_http",
    "websocket",
    "http_server",
    "sqlite",
    "bridge",
];

/// A section of newer versions, with its name.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Section<'a> {
    Basic(Basic),
    Tls(Tls),
    Auth(Vec<User<'a>>),
    AuthHttp(Box<AuthHttp<'a>>),
    Websocket(WebSocketSection),
    HttpServer(HttpSection<'a>),
    Sqlite(Sqlite<'a>),
    Bridge(Box<bridge::Section<'a>>),
}

impl<'a> Section<'a> {
    /// The section with a name, if there is one.
    pub fn find(config: &'a Config, texts: &CertificateTexts, name: &str) -> Option<Self> {
        Some(match name {
            "basic" => Self::Basic(Basic::new(config)),
            "tls" => Self::Tls(Tls::new(config, texts)),
            "auth" => Self::Auth(users(config)),
            "auth_http" => Self::AuthHttp(Box::new(AuthHttp::new(config, texts))),
            "websocket" => Self::Websocket(WebSocketSection::new(config)),
            "http_server" => Self::HttpServer(HttpSection::new(&config.http_server)),
            "sqlite" => Self::Sqlite(Sqlite::new(config)),
            "bridge" => Self::Bridge(Box::new(bridge::Section::new(config))),
            _ => return None,
        })
    }
}

/// As a value, for comparison with what is posted. It does not keep the order.
fn to_json(shown: &impl Serialize) -> Value {
    // Structures of texts and numbers: serialising them does not fail.
    serde_json::to_value(shown).unwrap_or(Value::Null)
}

/// Everything that is shown, in both forms, as one object: what may be posted back without a change.
pub fn everything(config: &Config, texts: &CertificateTexts) -> Value {
    let mut all = to_json(&Flat::new(config, texts, Vec::new()));
    for name in SECTIONS {
        if let Some(section) = Section::find(config, texts, name) {
            merge(&mut all, to_json(&section));
        }
    }
    all
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The address of the listener that has no name in the file; none without one.
pub fn url(config: &Config) -> Option<String> {
    let listener = config.listeners.tcp.get(DEFAULT_LISTENER)?;
    Some(format!("nmq-tcp://{}", listener.bind))
}

/// Worker threads in use.
pub fn threads(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match config.system.num_taskq_thread {
        0 => config.system.workers(cores),
        number => number,
    }
}

/// Most worker threads; without a bound, those in use.
pub fn max_threads(config: &Config) -> usize {
    match config.system.max_taskq_thread {
        0 => threads(config),
        most => most,
    }
}

/// Kilobytes of a size in bytes, a rest counted as a whole one.
pub fn kilobytes(bytes: u32) -> u32 {
    bytes.div_ceil(1024)
}

/// A secret, or what stands in its place.
fn shown<'a>(secret: &'a Secret, config: &HttpServer) -> &'a str {
    match config.hide_secrets {
        true => MASK,
        false => secret.expose(),
    }
}

#[derive(Serialize)]
struct Http<'a> {
    enable: bool,
    port: u16,
    username: &'a str,
    password: &'a str,
    auth_type: &'static str,
}

impl<'a> Http<'a> {
    fn new(config: &'a HttpServer) -> Self {
        Self {
            enable: config.enable,
            port: config.port,
            username: &config.username,
            password: shown(&config.password, config),
            auth_type: config.auth_type.as_str(),
        }
    }
}

/// The section `http_server`.
#[derive(Serialize)]
pub struct HttpSection<'a> {
    enable: bool,
    port: u16,
    addr: &'a str,
    username: &'a str,
    password: &'a str,
    auth_type: &'static str,
}

impl<'a> HttpSection<'a> {
    fn new(config: &'a HttpServer) -> Self {
        Self {
            enable: config.enable,
            port: config.port,
            addr: &config.ip_addr,
            username: &config.username,
            password: shown(&config.password, config),
            auth_type: config.auth_type.as_str(),
        }
    }
}

/// The section `basic`.
#[derive(Serialize)]
pub struct Basic {
    url: Option<String>,
    num_taskq_thread: usize,
    max_taskq_thread: usize,
    parallel: u32,
    property_size: u32,
    daemon: bool,
    /// Kilobytes.
    max_packet_size: u32,
    /// Kilobytes.
    client_max_packet_size: u32,
    msq_len: usize,
    qos_duration: u32,
    keepalive_backoff: f64,
    allow_anonymous: bool,
    ipc_internal: bool,
}

impl Basic {
    fn new(config: &Config) -> Self {
        let packet_size = kilobytes(config.mqtt.max_packet_size);
        Self {
            url: url(config),
            num_taskq_thread: threads(config),
            max_taskq_thread: max_threads(config),
            parallel: PARALLEL,
            property_size: PROPERTY_SIZE,
            daemon: config.system.daemon,
            max_packet_size: packet_size,
            client_max_packet_size: packet_size,
            msq_len: config.mqtt.max_mqueue_len,
            qos_duration: QOS_DURATION,
            keepalive_backoff: config.mqtt.keepalive_multiplier,
            allow_anonymous: config.auth.allow_anonymous,
            ipc_internal: false,
        }
    }
}

/// What `GET /reload` shows, in its order.
#[derive(Serialize)]
pub struct Reloadable {
    property_size: u32,
    /// Kilobytes.
    max_packet_size: u32,
    /// Kilobytes.
    client_max_packet_size: u32,
    msq_len: usize,
    qos_duration: u32,
    keepalive_backoff: f64,
    allow_anonymous: bool,
    enable_mqtt_stream: bool,
    bridge_mode: bool,
}

impl Reloadable {
    /// The running configuration.
    pub fn new(config: &Config) -> Self {
        let packet_size = kilobytes(config.mqtt.max_packet_size);
        Self {
            property_size: PROPERTY_SIZE,
            max_packet_size: packet_size,
            client_max_packet_size: packet_size,
            msq_len: config.mqtt.max_mqueue_len,
            qos_duration: QOS_DURATION,
            keepalive_backoff: config.mqtt.keepalive_multiplier,
            allow_anonymous: config.auth.allow_anonymous,
            enable_mqtt_stream: false,
            bridge_mode: config.bridges.mqtt.values().any(|bridge| bridge.enable),
        }
    }

    /// As a value, for comparison with what is posted.
    pub fn to_value(&self) -> Value {
        to_json(self)
    }
}

/// A user of the section `auth`.
#[derive(Serialize)]
pub struct User<'a> {
    login: &'a str,
    password: &'a str,
}

fn users(config: &Config) -> Vec<User<'_>> {
    let users = config.auth.password.iter();
    users
        .map(|(login, password)| User {
            login,
            password: shown(password, &config.http_server),
        })
        .collect()
}
