//! What a connection knows of the listener that accepted it.

use std::{
    io,
    sync::{Arc, atomic::AtomicUsize},
};

use crate::{
    config::{AnyListener, CertUsername, Listener, ListenerKind, WebSocket},
    transport::{Layers, ServerIdentity},
};

/// A listener, for those that came in through it.
#[derive(Debug)]
pub struct Door {
    /// What it speaks below MQTT.
    pub kind: ListenerKind,
    /// The listener's name.
    pub name: Arc<str>,
    /// Its kind and name, as `ssl:default`; of plain TCP the name alone.
    pub id: Arc<str>,
    /// What listeners of all kinds have.
    pub config: Listener,
    /// What it is known by in TLS, if it speaks that.
    pub identity: Option<Arc<ServerIdentity>>,
    /// Which part of a client's certificate is its user name.
    pub cert_username: CertUsername,
    /// How it speaks WebSocket, if it does.
    pub websocket: Option<WebSocket>,
    /// Connections that came in through it and last.
    pub open: AtomicUsize,
}

impl Door {
    /// The door of a listener; one over TLS has an `identity`.
    pub fn new(listener: AnyListener<'_>, identity: Option<Arc<ServerIdentity>>) -> Self {
        let id = match listener.kind {
            ListenerKind::Tcp => listener.name.to_owned(),
            kind => format!("{}:{}", kind.as_str(), listener.name),
        };
        Self {
            kind: listener.kind,
            name: listener.name.into(),
            id: id.into(),
            config: listener.common.clone(),
            identity,
            cert_username: listener
                .tls
                .map_or(CertUsername::Disabled, |tls| tls.peer_cert_as_username),
            websocket: listener.websocket.cloned(),
            open: AtomicUsize::new(0),
        }
    }

    /// What is between the socket of a new connection and MQTT; none if nothing is.
    ///
    /// # Errors
    /// When the configuration of TLS cannot be used.
    pub fn layers(&self) -> io::Result<Option<Box<Layers>>> {
        if self.kind == ListenerKind::Tcp && !self.config.proxy_protocol {
            return Ok(None);
        }
        let mut layers = Layers::none();
        if self.config.proxy_protocol {
            layers = layers.with_proxy_header();
        }
        if let Some(identity) = &self.identity {
            layers = layers.with_tls(identity.config())?;
        }
        if let Some(websocket) = &self.websocket {
            layers = layers.with_websocket(websocket);
        }
        Ok(Some(Box::new(layers)))
    }
}
