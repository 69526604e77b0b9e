//! The members of the flat object and the keys they stand for.

use serde_json::Value;

use super::values::{
    address, flag, fraction, kilobytes, number, seconds, text, tls_address, ws_address, wss_address,
};
use crate::config::Config;

/// A member that stands for a key.
pub(super) struct Row {
    /// Its name in the specification's flat object.
    pub(super) name: &'static str,
    /// The HOCON key.
    pub(super) key: &'static str,
    /// What the member takes.
    pub(super) expects: &'static str,
    /// The value as a file would have it.
    pub(super) read: fn(&Value) -> Option<String>,
    /// The exact value of the running configuration, where what is shown for it is not.
    pub(super) exact: Option<fn(&Config) -> String>,
}

const fn row(
    name: &'static str,
    key: &'static str,
    expects: &'static str,
    read: fn(&Value) -> Option<String>,
) -> Row {
    Row {
        name,
        key,
        expects,
        read,
        exact: None,
    }
}

const fn shown_as(row: Row, exact: fn(&Config) -> String) -> Row {
    Row {
        exact: Some(exact),
        ..row
    }
}

pub(super) const NUMBER: &str = "a whole number";
const KILOBYTES: &str = "a whole number of kilobytes";
const SECONDS: &str = "a number of seconds";
const FLAG: &str = "true or false";
const TEXT: &str = "a text";

pub(super) const SECURE_WEBSOCKET: &str = "listeners.wss.default.enable";

/// Every member that stands for a key. The members of the section `basic` have the names of the flat object.
pub(super) const ROWS: &[Row] = &[
    row(
        "url",
        "listeners.tcp.default.bind",
        "an address such as nmq-tcp://0.0.0.0:1883",
        address,
    ),
    shown_as(
        row(
            "num_taskq_thread",
            "system.num_taskq_thread",
            NUMBER,
            number,
        ),
        |config| config.system.num_taskq_thread.to_string(),
    ),
    shown_as(
        row(
            "max_taskq_thread",
            "system.max_taskq_thread",
            NUMBER,
            number,
        ),
        |config| config.system.max_taskq_thread.to_string(),
    ),
    row("msq_len", "mqtt.max_mqueue_len", NUMBER, number),
    row("allow_anonymous", "auth.allow_anonymous", FLAG, flag),
    row("daemon", "system.daemon", FLAG, flag),
    shown_as(
        row(
            "max_packet_size",
            "mqtt.max_packet_size",
            KILOBYTES,
            kilobytes,
        ),
        |config| format!("{}B", config.mqtt.max_packet_size),
    ),
    shown_as(
        row(
            "client_max_packet_size",
            "mqtt.max_packet_size",
            KILOBYTES,
            kilobytes,
        ),
        |config| format!("{}B", config.mqtt.max_packet_size),
    ),
    row(
        "keepalive_backoff",
        "mqtt.keepalive_multiplier",
        "a number",
        fraction,
    ),
    row("tls.enable", "listeners.ssl.default.enable", FLAG, flag),
    row(
        "tls.url",
        "listeners.ssl.default.bind",
        "an address such as nmq-tls://0.0.0.0:8883",
        tls_address,
    ),
    row(
        "tls.keypass",
        "listeners.ssl.default.key_password",
        TEXT,
        text,
    ),
    row(
        "tls.key_password",
        "listeners.ssl.default.key_password",
        TEXT,
        text,
    ),
    row(
        "tls.verify_peer",
        "listeners.ssl.default.verify_peer",
        FLAG,
        flag,
    ),
    row(
        "tls.fail_if_no_peer_cert",
        "listeners.ssl.default.fail_if_no_peer_cert",
        FLAG,
        flag,
    ),
    row(
        "websocket.enable",
        "listeners.ws.default.enable",
        FLAG,
        flag,
    ),
    row(
        "websocket.url",
        "listeners.ws.default.bind",
        "an address such as nmq-ws://0.0.0.0:8083/mqtt",
        ws_address,
    ),
    row(
        "websocket.tls_enable",
        "listeners.wss.default.enable",
        FLAG,
        flag,
    ),
    row(
        "websocket.tls_url",
        "listeners.wss.default.bind",
        "an address such as nmq-wss://0.0.0.0:8084/mqtt",
        wss_address,
    ),
    shown_as(
        row("auth_http.enable", "auth.http_auth.enable", FLAG, flag),
        |config| config.auth.http_auth.enable.to_string(),
    ),
    row(
        "auth_http.timeout",
        "auth.http_auth.timeout",
        SECONDS,
        seconds,
    ),
    row(
        "auth_http.connect_timeout",
        "auth.http_auth.connect_timeout",
        SECONDS,
        seconds,
    ),
    row(
        "auth_http.pool_size",
        "auth.http_auth.pool_size",
        NUMBER,
        number,
    ),
    row(
        "auth_http.cache_ttl",
        "auth.http_auth.cache_ttl",
        SECONDS,
        seconds,
    ),
    row(
        "auth_http.auth_req.url",
        "auth.http_auth.auth_req.url",
        TEXT,
        text,
    ),
    row(
        "auth_http.auth_req.method",
        "auth.http_auth.auth_req.method",
        TEXT,
        text,
    ),
    row(
        "auth_http.super_req.url",
        "auth.http_auth.super_req.url",
        TEXT,
        text,
    ),
    row(
        "auth_http.super_req.method",
        "auth.http_auth.super_req.method",
        TEXT,
        text,
    ),
    row(
        "auth_http.acl_req.url",
        "auth.http_auth.acl_req.url",
        TEXT,
        text,
    ),
    row(
        "auth_http.acl_req.method",
        "auth.http_auth.acl_req.method",
        TEXT,
        text,
    ),
    row("http_server.enable", "http_server.enable", FLAG, flag),
    row("http_server.port", "http_server.port", NUMBER, number),
    row("http_server.addr", "http_server.ip_addr", TEXT, text),
    row("http_server.username", "http_server.username", TEXT, text),
    row("http_server.password", "http_server.password", TEXT, text),
    row("http_server.auth_type", "http_server.auth_type", TEXT, text),
];

/// Members that stand for what is in the file that a key names.
pub(super) const FILES: [(&str, &str); 3] = [
    ("tls.key", "listeners.ssl.default.keyfile"),
    ("tls.cert", "listeners.ssl.default.certfile"),
    ("tls.cacert", "listeners.ssl.default.cacertfile"),
];

/// Members that are accepted without effect, as in a file; they take whole numbers.
pub(super) const WITHOUT_EFFECT: [&str; 3] = ["parallel", "property_size", "qos_duration"];
