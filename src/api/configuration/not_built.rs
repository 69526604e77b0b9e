//! What the configuration shows of things that are not built yet: switched off, with the values that NanoMQ has by
//! default, or null where it has none.

use serde::Serialize;

/// A value that nothing configures.
type Nothing = Option<&'static str>;

/// The TLS listener.
#[derive(Serialize)]
pub struct Tls {
    enable: bool,
    url: &'static str,
    key_password: Nothing,
    keypass: Nothing,
    key: Nothing,
    cert: Nothing,
    cacert: Nothing,
    verify_peer: bool,
    fail_if_no_peer_cert: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            enable: false,
            url: "tls+nmq-tcp://0.0.0.0:8883",
            key_password: None,
            keypass: None,
            key: None,
            cert: None,
            cacert: None,
            verify_peer: false,
            fail_if_no_peer_cert: false,
        }
    }
}

const WS_URL: &str = "nmq-ws://0.0.0.0:8083/mqtt";
const WSS_URL: &str = "nmq-wss://0.0.0.0:8084/mqtt";

/// The WebSocket listeners in the flat object.
#[derive(Serialize)]
pub struct WebSocket {
    enable: bool,
    url: &'static str,
    tls_url: &'static str,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            enable: false,
            url: WS_URL,
            tls_url: WSS_URL,
        }
    }
}

/// The section `websocket`.
#[derive(Serialize)]
pub struct WebSocketSection {
    enable: bool,
    tls_enable: bool,
    url: &'static str,
    tls_url: &'static str,
}

impl Default for WebSocketSection {
    fn default() -> Self {
        Self {
            enable: false,
            tls_enable: false,
            url: WS_URL,
            tls_url: WSS_URL,
        }
    }
}

/// The bridge of the flat object.
#[derive(Serialize)]
pub struct Bridge {
    bridge_mode: bool,
    address: Nothing,
    proto_ver: u8,
    clientid: Nothing,
    clean_start: bool,
    username: Nothing,
    password: Nothing,
    /// Seconds.
    keepalive: u16,
    parallel: u32,
    forwards: [Nothing; 0],
    subscription: [Nothing; 0],
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            bridge_mode: false,
            address: None,
            proto_ver: 4,
            clientid: None,
            clean_start: true,
            username: None,
            password: None,
            keepalive: 60,
            parallel: 2,
            forwards: [],
            subscription: [],
        }
    }
}

/// The section `bridge`.
#[derive(Default, Serialize)]
pub struct Bridges {
    nodes: [Nothing; 0],
    sqlite: Sqlite,
}

/// The section `sqlite`: stored messages.
#[derive(Serialize)]
pub struct Sqlite {
    enable: bool,
    disk_cache_size: u32,
    flush_mem_threshold: u32,
    /// Milliseconds.
    resend_interval: u32,
    mounted_file_path: Nothing,
}

impl Default for Sqlite {
    fn default() -> Self {
        Self {
            enable: false,
            disk_cache_size: 102_400,
            flush_mem_threshold: 100,
            resend_interval: 5000,
            mounted_file_path: None,
        }
    }
}
