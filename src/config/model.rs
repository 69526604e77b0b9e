//! The model: every key the broker understands, with its unit and default. Both file forms are read into it.
//!
//! The field names are the HOCON keys. The reader's table (`keys.rs`) has one row a field; a test keeps the two equal.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::model_auth::Auth;
pub use super::model_bridges::Bridges;
pub use super::model_http::{HttpTls, Jwt, JwtPublic};
pub use super::model_listeners::{
    AnyListener, Listener, ListenerKind, ListenerTls, Listeners, SslListener, WebSocket,
    WsListener, WssListener,
};
pub use super::model_mqtt::Mqtt;
pub use super::model_store::Store;
pub use super::values::{
    BadAddress, BindAddr, CertUsername, Durability, HttpAuth, JwtAlgorithm, LogLevel, LogTarget,
    MqueuePolicy, Secret,
};

/// The name of the listener that has none in the file (`listeners.tcp { bind = .. }`).
pub const DEFAULT_LISTENER: &str = "default";

/// The whole configuration of a broker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Threads and process.
    pub system: System,
    /// Limits and rules of the protocol.
    pub mqtt: Mqtt,
    /// What survives the process.
    pub store: Store,
    /// Where clients connect.
    pub listeners: Listeners,
    /// The HTTP API.
    pub http_server: HttpServer,
    /// What is logged.
    pub log: Log,
    /// Who may connect, and what clients may do.
    pub auth: Auth,
    /// Connections to other brokers.
    pub bridges: Bridges,
}

/// Threads and process (`system`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct System {
    /// Worker threads, 1 to 255; 0 = the number of cores. Default 0.
    pub num_taskq_thread: usize,
    /// Most worker threads, 1 to 255; 0 = no bound. Default 0.
    pub max_taskq_thread: usize,
    /// Run in the background, detached from the terminal. Default false.
    pub daemon: bool,
    /// The file with the process id; empty = `nanomq/nanomq.pid` in the temporary folder. Default empty.
    pub pid_file: PathBuf,
    /// Bytes of messages that may wait for one worker thread before publishers are not read from. Default 32MB.
    #[serde(with = "super::units::size")]
    pub max_worker_backlog: usize,
}

impl Default for System {
    fn default() -> Self {
        Self {
            num_taskq_thread: 0,
            max_taskq_thread: 0,
            daemon: false,
            pid_file: PathBuf::new(),
            max_worker_backlog: 32 << 20,
        }
    }
}

impl System {
    /// The number of worker threads on a machine with `cores` cores: at least 1 and at most 255.
    pub fn workers(&self, cores: usize) -> usize {
        let wanted = if self.num_taskq_thread == 0 {
            cores
        } else {
            self.num_taskq_thread
        };
        let most = if self.max_taskq_thread == 0 {
            255
        } else {
            self.max_taskq_thread
        };
        wanted.min(most).clamp(1, 255)
    }
}

/// The HTTP API (`http_server`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpServer {
    /// Whether the API is served. Default true.
    pub enable: bool,
    /// TCP port; 0 lets the system choose. Default 8081.
    pub port: u16,
    /// IP address or host name to listen on, without port. Default `0.0.0.0`.
    pub ip_addr: String,
    /// Most connections open at once. Default 256.
    pub limit_conn: usize,
    /// Largest request body in bytes. Default 1MB.
    #[serde(with = "super::units::size")]
    pub max_body: usize,
    /// User name of the API. Default `admin`.
    pub username: String,
    /// Password of the API. Default `public`.
    pub password: Secret,
    /// How the API knows its user. Default `basic`.
    pub auth_type: HttpAuth,
    /// Whether passwords are masked where the API shows the configuration. Default false.
    pub hide_secrets: bool,
    /// File with the further users of the API; empty = `nanomq_users.json` beside the configuration file. Default empty.
    pub users_file: PathBuf,
    /// Failed logins of one address within `failed_login_window` before it is refused; 0 = unlimited. Default 10.
    pub max_failed_logins: u32,
    /// How long failed logins count, and an address is refused that has too many. Default 1m.
    #[serde(with = "super::units::duration")]
    pub failed_login_window: Duration,
    /// How tokens are checked.
    pub jwt: Jwt,
    /// TLS.
    pub tls: HttpTls,
}

impl Default for HttpServer {
    fn default() -> Self {
        Self {
            enable: true,
            port: 8081,
            ip_addr: "0.0.0.0".to_owned(),
            limit_conn: 256,
            max_body: 1 << 20,
            username: "admin".to_owned(),
            password: Secret::new("public"),
            auth_type: HttpAuth::Basic,
            hide_secrets: false,
            users_file: PathBuf::new(),
            max_failed_logins: 10,
            failed_login_window: Duration::from_secs(60),
            jwt: Jwt::default(),
            tls: HttpTls::default(),
        }
    }
}

impl HttpServer {
    /// `ip_addr` and `port` as one address.
    ///
    /// # Errors
    /// [`BadAddress`] when `ip_addr` is neither an IP address nor a host name; loading a file has checked that.
    pub fn bind(&self) -> Result<BindAddr, BadAddress> {
        BindAddr::new(&self.ip_addr, self.port)
    }
}

/// What is logged (`log`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least severe messages that are logged. Default `info`.
    pub level: LogLevel,
    /// Where they go. Default `[console]`.
    pub to: Vec<LogTarget>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            to: vec![LogTarget::Console],
        }
    }
}
