//! What the configuration shows of the listeners over TLS and WebSocket that have no name in the file.

use serde::Serialize;

use super::shown::MASK;
use crate::{
    config::{Config, DEFAULT_LISTENER, HttpServer, RequestTls, Secret, SslListener},
    messages::{CertificateTexts, PemTexts},
};

/// TLS of the listener, or of a request.
#[derive(Serialize)]
pub struct Tls {
    enable: bool,
    /// Where it listens.
    url: Option<String>,
    key_password: Option<String>,
    keypass: Option<String>,
    /// PEM.
    key: Option<String>,
    /// PEM.
    cert: Option<String>,
    /// PEM.
    cacert: Option<String>,
    verify_peer: bool,
    fail_if_no_peer_cert: bool,
}

impl Default for Tls {
    fn default() -> Self {
        let mut listener = SslListener::default();
        listener.common.enable = false;
        let (http, texts) = (HttpServer::default(), PemTexts::default());
        Self::of(&listener, &http, &texts)
    }
}

impl Tls {
    /// The running configuration; switched off where there is no such listener.
    pub fn new(config: &Config, texts: &CertificateTexts) -> Self {
        match config.listeners.ssl.get(DEFAULT_LISTENER) {
            Some(listener) => Self::of(listener, &config.http_server, &texts.listener),
            None => Self::default(),
        }
    }

    /// A request, which always verifies the server.
    pub fn of_request(tls: &RequestTls, http: &HttpServer, texts: &PemTexts) -> Self {
        let password = shown(&tls.key_password, http);
        Self {
            enable: !tls.is_default(),
            url: None,
            key_password: password.clone(),
            keypass: password,
            key: texts.key.as_ref().and_then(|key| shown(key, http)),
            cert: texts.cert.clone(),
            cacert: texts.cacert.clone(),
            verify_peer: true,
            fail_if_no_peer_cert: false,
        }
    }

    fn of(listener: &SslListener, http: &HttpServer, texts: &PemTexts) -> Self {
        let SslListener { common, tls } = listener;
        let password = shown(&tls.key_password, http);
        Self {
            enable: common.enable,
            url: Some(format!("tls+nmq-tcp://{}", common.bind)),
            key_password: password.clone(),
            keypass: password,
            key: texts.key.as_ref().and_then(|key| shown(key, http)),
            cert: texts.cert.clone(),
            cacert: texts.cacert.clone(),
            verify_peer: tls.verify_peer,
            fail_if_no_peer_cert: tls.fail_if_no_peer_cert,
        }
    }
}

/// A secret, or what stands in its place; none where it is empty.
fn shown(secret: &Secret, http: &HttpServer) -> Option<String> {
    let secret = secret.expose();
    match (secret.is_empty(), http.hide_secrets) {
        (true, _) => None,
        (false, true) => Some(MASK.to_owned()),
        (false, false) => Some(secret.to_owned()),
    }
}

/// The WebSocket listeners in the flat object.
#[derive(Serialize)]
pub struct WebSocket {
    enable: bool,
    url: String,
    tls_url: String,
}

/// The section `websocket`.
#[derive(Serialize)]
pub struct WebSocketSection {
    enable: bool,
    tls_enable: bool,
    url: String,
    tls_url: String,
}

impl WebSocketSection {
    /// The running configuration; switched off where there is no such listener.
    pub fn new(config: &Config) -> Self {
        let ws = config.listeners.ws.get(DEFAULT_LISTENER);
        let wss = config.listeners.wss.get(DEFAULT_LISTENER);
        let is_on = |on: Option<bool>| on.unwrap_or(false);
        let (plain, secure) = (
            ws.cloned().unwrap_or_default(),
            wss.cloned().unwrap_or_default(),
        );
        Self {
            enable: is_on(ws.map(|ws| ws.common.enable)),
            tls_enable: is_on(wss.map(|wss| wss.common.enable)),
            url: format!("nmq-ws://{}{}", plain.common.bind, plain.websocket.path),
            tls_url: format!("nmq-wss://{}{}", secure.common.bind, secure.websocket.path),
        }
    }
}

impl WebSocket {
    /// As [`WebSocketSection::new`].
    pub fn new(config: &Config) -> Self {
        let WebSocketSection {
            enable,
            url,
            tls_url,
            ..
        } = WebSocketSection::new(config);
        Self {
            enable,
            url,
            tls_url,
        }
    }
}
