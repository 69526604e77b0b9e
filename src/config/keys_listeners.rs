//! The part of the table of keys that describes listeners. What all kinds have is written once.

use std::time::Duration;

use super::keys::{ANY_COUNT, COUNT, COUNT_OR_0, FLAG, Key, cold, cold_secret};
use super::model::{
    Config, Listener, ListenerKind, ListenerTls, SslListener, WebSocket, WsListener, WssListener,
};

const FILE: &str = "a file name";
const ADDRESS: &str = "an address such as 0.0.0.0:1883";
const ADDRESS_AND_PATH: &str = "an address such as 0.0.0.0:8083/mqtt";

/// The rows of the listeners.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    let common = [&TCP, &SSL, &WS, &WSS].into_iter().flatten();
    let tls = [&SSL_TLS, &WSS_TLS].into_iter().flatten();
    let websocket = [&WS_WEBSOCKET, &WSS_WEBSOCKET].into_iter().flatten();
    common.chain(tls).chain(websocket).chain(&BINDS)
}

/// What all kinds have, except for the address; `$of` finds it.
macro_rules! common {
    ($kind:literal, $of:ident) => {
        [
            cold(
                concat!("listeners.", $kind, ".*.enable"),
                FLAG,
                |c, v, name| v.flag(&mut $of(c, name).enable),
            ),
            cold(
                concat!("listeners.", $kind, ".*.max_connections"),
                COUNT,
                |c, v, name| v.int(&mut $of(c, name).max_connections, ANY_COUNT),
            ),
            cold(
                concat!("listeners.", $kind, ".*.max_connection_rate"),
                COUNT_OR_0,
                |c, v, name| v.int(&mut $of(c, name).max_connection_rate, 0..=1_000_000),
            ),
            cold(
                concat!("listeners.", $kind, ".*.connect_timeout"),
                "a duration such as 10s, from 1ms to 3650d",
                |c, v, name| {
                    v.duration(&mut $of(c, name).connect_timeout, Duration::from_millis(1))
                },
            ),
            cold(
                concat!("listeners.", $kind, ".*.backlog"),
                "a number from 1 to 65535",
                |c, v, name| v.int(&mut $of(c, name).backlog, 1..=65_535),
            ),
            cold(
                concat!("listeners.", $kind, ".*.proxy_protocol"),
                FLAG,
                |c, v, name| v.flag(&mut $of(c, name).proxy_protocol),
            ),
        ]
    };
}

macro_rules! tls {
    ($kind:literal, $of:ident) => {
        [
            cold(
                concat!("listeners.", $kind, ".*.certfile"),
                FILE,
                |c, v, name| v.path(&mut $of(c, name).certfile),
            ),
            cold(
                concat!("listeners.", $kind, ".*.keyfile"),
                FILE,
                |c, v, name| v.path(&mut $of(c, name).keyfile),
            ),
            cold_secret(
                concat!("listeners.", $kind, ".*.key_password"),
                |c, v, name| v.secret(&mut $of(c, name).key_password),
            ),
            cold(
                concat!("listeners.", $kind, ".*.cacertfile"),
                FILE,
                |c, v, name| v.path(&mut $of(c, name).cacertfile),
            ),
            cold(
                concat!("listeners.", $kind, ".*.verify_peer"),
                FLAG,
                |c, v, name| v.flag(&mut $of(c, name).verify_peer),
            ),
            cold(
                concat!("listeners.", $kind, ".*.fail_if_no_peer_cert"),
                FLAG,
                |c, v, name| v.flag(&mut $of(c, name).fail_if_no_peer_cert),
            ),
            cold(
                concat!("listeners.", $kind, ".*.peer_cert_as_username"),
                "disabled or cn",
                |c, v, name| v.word(&mut $of(c, name).peer_cert_as_username),
            ),
        ]
    };
}

macro_rules! websocket {
    ($kind:literal, $of:ident) => {
        [
            cold(
                concat!("listeners.", $kind, ".*.path"),
                "a path such as /mqtt",
                |c, v, name| v.url_path(&mut $of(c, name).path),
            ),
            cold(
                concat!("listeners.", $kind, ".*.max_frame_size"),
                "a size such as 256MB, at least 1KB",
                |c, v, name| v.size(&mut $of(c, name).max_frame_size, 1024..=1 << 40),
            ),
        ]
    };
}

static TCP: [Key; 6] = common!("tcp", tcp);
static SSL: [Key; 6] = common!("ssl", ssl);
static WS: [Key; 6] = common!("ws", ws);
static WSS: [Key; 6] = common!("wss", wss);
static SSL_TLS: [Key; 7] = tls!("ssl", ssl_tls);
static WSS_TLS: [Key; 7] = tls!("wss", wss_tls);
static WS_WEBSOCKET: [Key; 2] = websocket!("ws", ws_websocket);
static WSS_WEBSOCKET: [Key; 2] = websocket!("wss", wss_websocket);

static BINDS: [Key; 4] = [
    cold("listeners.tcp.*.bind", ADDRESS, |c, v, name| {
        v.bind(&mut tcp(c, name).bind, ListenerKind::Tcp)
    }),
    cold("listeners.ssl.*.bind", ADDRESS, |c, v, name| {
        v.bind(&mut ssl(c, name).bind, ListenerKind::Ssl)
    }),
    cold("listeners.ws.*.bind", ADDRESS_AND_PATH, |c, v, name| {
        let WsListener { common, websocket } = ws_of(c, name);
        v.bind_with_path(&mut common.bind, &mut websocket.path, ListenerKind::Ws)
    }),
    cold("listeners.wss.*.bind", ADDRESS_AND_PATH, |c, v, name| {
        let WssListener {
            common, websocket, ..
        } = wss_of(c, name);
        v.bind_with_path(&mut common.bind, &mut websocket.path, ListenerKind::Wss)
    }),
];

fn tcp<'a>(config: &'a mut Config, name: &str) -> &'a mut Listener {
    config.listeners.tcp.entry(name.to_owned()).or_default()
}

fn ssl_of<'a>(config: &'a mut Config, name: &str) -> &'a mut SslListener {
    config.listeners.ssl.entry(name.to_owned()).or_default()
}

fn ws_of<'a>(config: &'a mut Config, name: &str) -> &'a mut WsListener {
    config.listeners.ws.entry(name.to_owned()).or_default()
}

fn wss_of<'a>(config: &'a mut Config, name: &str) -> &'a mut WssListener {
    config.listeners.wss.entry(name.to_owned()).or_default()
}

fn ssl<'a>(config: &'a mut Config, name: &str) -> &'a mut Listener {
    &mut ssl_of(config, name).common
}

fn ssl_tls<'a>(config: &'a mut Config, name: &str) -> &'a mut ListenerTls {
    &mut ssl_of(config, name).tls
}

fn ws<'a>(config: &'a mut Config, name: &str) -> &'a mut Listener {
    &mut ws_of(config, name).common
}

fn ws_websocket<'a>(config: &'a mut Config, name: &str) -> &'a mut WebSocket {
    &mut ws_of(config, name).websocket
}

fn wss<'a>(config: &'a mut Config, name: &str) -> &'a mut Listener {
    &mut wss_of(config, name).common
}

fn wss_tls<'a>(config: &'a mut Config, name: &str) -> &'a mut ListenerTls {
    &mut wss_of(config, name).tls
}

fn wss_websocket<'a>(config: &'a mut Config, name: &str) -> &'a mut WebSocket {
    &mut wss_of(config, name).websocket
}
