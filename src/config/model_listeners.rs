//! The `listeners` section of the model: where clients connect, over what.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::DEFAULT_LISTENER;
use super::values::{BindAddr, CertUsername, Secret};

/// Where clients connect (`listeners`). Of each kind there may be several, by name; the one without a name in the file is
/// called [`DEFAULT_LISTENER`].
///
/// Default: one of each kind, of which only that of plain TCP is switched on. A file that describes any listener
/// describes them all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listeners {
    /// MQTT over TCP.
    pub tcp: BTreeMap<String, Listener>,
    /// MQTT over TLS.
    pub ssl: BTreeMap<String, SslListener>,
    /// MQTT over WebSocket.
    pub ws: BTreeMap<String, WsListener>,
    /// MQTT over WebSocket over TLS.
    pub wss: BTreeMap<String, WssListener>,
}

impl Default for Listeners {
    fn default() -> Self {
        Self {
            tcp: BTreeMap::from([(DEFAULT_LISTENER.to_owned(), Listener::default())]),
            ssl: switched_off(|listener: &mut SslListener| &mut listener.common),
            ws: switched_off(|listener: &mut WsListener| &mut listener.common),
            wss: switched_off(|listener: &mut WssListener| &mut listener.common),
        }
    }
}

/// The default listener of a kind, switched off.
fn switched_off<L: Default>(common: fn(&mut L) -> &mut Listener) -> BTreeMap<String, L> {
    let mut listener = L::default();
    common(&mut listener).enable = false;
    BTreeMap::from([(DEFAULT_LISTENER.to_owned(), listener)])
}

impl Listeners {
    /// No listener at all.
    pub fn none() -> Self {
        Self {
            tcp: BTreeMap::new(),
            ssl: BTreeMap::new(),
            ws: BTreeMap::new(),
            wss: BTreeMap::new(),
        }
    }

    /// True when there is none, not even one that is switched off.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }
}

/// What a listener speaks below MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenerKind {
    /// TCP.
    Tcp,
    /// TLS.
    Ssl,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl ListenerKind {
    /// The kind of a URL's scheme, those of NanoMQ.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        Some(match scheme {
            "nmq-tcp" | "mqtt-tcp" | "broker+tcp" => Self::Tcp,
            "tls+nmq-tcp" | "nmq-tls" | "tls+mqtt-tcp" => Self::Ssl,
            "nmq-ws" => Self::Ws,
            "nmq-wss" => Self::Wss,
            _ => return None,
        })
    }

    /// The section of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Ssl => "ssl",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

/// A listener of any kind.
#[derive(Debug, Clone, Copy)]
pub struct AnyListener<'a> {
    /// What it speaks below MQTT.
    pub kind: ListenerKind,
    /// Its name.
    pub name: &'a str,
    /// What all kinds have.
    pub common: &'a Listener,
    /// How it speaks TLS, if it does.
    pub tls: Option<&'a ListenerTls>,
    /// How it speaks WebSocket, if it does.
    pub websocket: Option<&'a WebSocket>,
}

impl AnyListener<'_> {
    /// The key of one of its fields, such as `listeners.ssl.default.certfile`.
    pub fn key(&self, field: &str) -> String {
        format!("listeners.{}.{}.{field}", self.kind.as_str(), self.name)
    }
}

impl Listeners {
    /// All listeners, those that are switched off too.
    pub fn all(&self) -> impl Iterator<Item = AnyListener<'_>> {
        let any = |kind, name, common, tls, websocket| AnyListener {
            kind,
            name,
            common,
            tls,
            websocket,
        };
        let tcp = self.tcp.iter();
        let tcp = tcp.map(move |(name, l)| any(ListenerKind::Tcp, name, l, None, None));
        let ssl = self.ssl.iter().map(move |(name, l)| {
            let tls = Some(&l.tls);
            any(ListenerKind::Ssl, name, &l.common, tls, None)
        });
        let ws = self.ws.iter().map(move |(name, l)| {
            let websocket = Some(&l.websocket);
            any(ListenerKind::Ws, name, &l.common, None, websocket)
        });
        let wss = self.wss.iter().map(move |(name, l)| {
            let tls = Some(self.tls_of_wss(name, l));
            let websocket = Some(&l.websocket);
            any(ListenerKind::Wss, name, &l.common, tls, websocket)
        });
        tcp.chain(ssl).chain(ws).chain(wss)
    }

    /// How a listener speaks TLS; none when there is none of that name, or it does not.
    pub fn tls_of(&self, kind: ListenerKind, name: &str) -> Option<&ListenerTls> {
        let found = self.all().find(|any| any.kind == kind && any.name == name);
        found.and_then(|any| any.tls)
    }

    /// A `wss` listener without a certificate has those of the `ssl` listener of its name, or else of the default one.
    fn tls_of_wss<'a>(&'a self, name: &str, wss: &'a WssListener) -> &'a ListenerTls {
        if wss.tls.certfile.as_os_str().is_empty() && wss.tls.keyfile.as_os_str().is_empty() {
            let ssl = self.ssl.get(name);
            if let Some(ssl) = ssl.or_else(|| self.ssl.get(DEFAULT_LISTENER)) {
                return &ssl.tls;
            }
        }
        &wss.tls
    }
}

/// What listeners of all kinds have, and all that one of plain TCP has (`listeners.tcp` or `listeners.tcp.NAME`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// Whether it is opened at all. Default true.
    pub enable: bool,
    /// Address to listen on. Default `0.0.0.0:1883`; TLS 8883, WebSocket 8083, WebSocket over TLS 8084.
    pub bind: BindAddr,
    /// Most connections open at once; the limit of open files bounds it too. Default 1000000.
    pub max_connections: usize,
    /// Most connections accepted in a second, the others wait; 0 = unlimited. Default 0.
    pub max_connection_rate: u32,
    /// Time a client has to send a complete CONNECT; the PROXY header, the TLS handshake and the WebSocket upgrade
    /// before it count too. Default 10s.
    #[serde(with = "super::units::duration")]
    pub connect_timeout: Duration,
    /// Connections that may wait in the kernel to be accepted. Default 1024.
    pub backlog: u32,
    /// Whether every connection begins with a PROXY protocol header (version 1 or 2), which tells the client's address;
    /// one without is closed. Default false.
    pub proxy_protocol: bool,
}

impl Default for Listener {
    fn default() -> Self {
        Self::on(1883)
    }
}

impl Listener {
    fn on(port: u16) -> Self {
        Self {
            enable: true,
            bind: BindAddr::any(port),
            max_connections: 1_000_000,
            max_connection_rate: 0,
            connect_timeout: Duration::from_secs(10),
            backlog: 1024,
            proxy_protocol: false,
        }
    }
}

/// How a listener speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerTls {
    /// PEM file with the certificate and those of the authorities between it and the root. Default empty.
    pub certfile: PathBuf,
    /// PEM file with the private key (PKCS#8, PKCS#1 or SEC1). Default empty.
    pub keyfile: PathBuf,
    /// Password of the private key, if it is encrypted (PKCS#8 only). Default empty.
    pub key_password: Secret,
    /// PEM file with the authorities whose client certificates are accepted. Default empty.
    pub cacertfile: PathBuf,
    /// Whether clients are asked for a certificate; one that no authority in `cacertfile` vouches for ends the
    /// connection. Default false.
    pub verify_peer: bool,
    /// With `verify_peer`: whether a client without a certificate is refused. Default false.
    pub fail_if_no_peer_cert: bool,
    /// Which part of a client's certificate takes the place of the user name in its CONNECT. Default `disabled`.
    pub peer_cert_as_username: CertUsername,
}

impl Default for ListenerTls {
    fn default() -> Self {
        Self {
            certfile: PathBuf::new(),
            keyfile: PathBuf::new(),
            key_password: Secret::default(),
            cacertfile: PathBuf::new(),
            verify_peer: false,
            fail_if_no_peer_cert: false,
            peer_cert_as_username: CertUsername::Disabled,
        }
    }
}

/// How a listener speaks WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebSocket {
    /// The path of the upgrade request; `bind` may have it at its end. Default `/mqtt`.
    pub path: String,
    /// Largest payload of a frame in bytes; a larger one closes the connection with 1009. A frame is never kept in memory:
    /// `mqtt.max_packet_size` bounds that. Default 256MB.
    #[serde(with = "super::units::size")]
    pub max_frame_size: u64,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            path: "/mqtt".to_owned(),
            max_frame_size: 256 << 20,
        }
    }
}

/// A TLS listener (`listeners.ssl` or `listeners.ssl.NAME`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SslListener {
    /// What all kinds have.
    #[serde(flatten)]
    pub common: Listener,
    /// TLS.
    #[serde(flatten)]
    pub tls: ListenerTls,
}

impl Default for SslListener {
    fn default() -> Self {
        Self {
            common: Listener::on(8883),
            tls: ListenerTls::default(),
        }
    }
}

/// A WebSocket listener (`listeners.ws` or `listeners.ws.NAME`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WsListener {
    /// What all kinds have.
    #[serde(flatten)]
    pub common: Listener,
    /// WebSocket.
    #[serde(flatten)]
    pub websocket: WebSocket,
}

impl Default for WsListener {
    fn default() -> Self {
        Self {
            common: Listener::on(8083),
            websocket: WebSocket::default(),
        }
    }
}

/// A WebSocket listener over TLS (`listeners.wss` or `listeners.wss.NAME`). One that has no certificate of its own has
/// what the `ssl` listener of its name, or else the default one, has of TLS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WssListener {
    /// What all kinds have.
    #[serde(flatten)]
    pub common: Listener,
    /// TLS.
    #[serde(flatten)]
    pub tls: ListenerTls,
    /// WebSocket.
    #[serde(flatten)]
    pub websocket: WebSocket,
}

impl Default for WssListener {
    fn default() -> Self {
        Self {
            common: Listener::on(8084),
            tls: ListenerTls::default(),
            websocket: WebSocket::default(),
        }
    }
}
