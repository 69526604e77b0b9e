//! What the broker is known by in TLS.

use std::{io, sync::Arc};

use rustls::ServerConfig;

use crate::{
    config::{AnyListener, Config},
    transport::{IdentitySource, NewestCertificate, ServerIdentity},
};

/// Why certificates and keys of listeners and of the HTTP API cannot be used.
pub fn check_identities(config: &Config) -> Vec<io::Error> {
    let listeners = config.listeners.all();
    let of_listeners = listeners.map(|listener| listener_identity(&listener));
    let all = of_listeners.chain([http_identity(config)]);
    all.filter_map(Result::err).collect()
}

/// What a listener is known by in TLS, if it is switched on and speaks that.
pub(super) fn listener_identity(
    listener: &AnyListener<'_>,
) -> io::Result<Option<Arc<ServerIdentity>>> {
    match listener.tls {
        Some(tls) if listener.common.enable => {
            let name = format!("listeners.{}.{}", listener.kind.as_str(), listener.name);
            identity(name, IdentitySource::Listener(tls.clone())).map(Some)
        }
        _ => Ok(None),
    }
}

/// What the HTTP API is known by in TLS, if it speaks that.
pub(super) fn http_identity(config: &Config) -> io::Result<Option<Arc<ServerIdentity>>> {
    let tls = &config.http_server.tls;
    if !config.http_server.enable || !tls.enable {
        return Ok(None);
    }
    identity(
        "http_server.tls".to_owned(),
        IdentitySource::Http(tls.clone()),
    )
    .map(Some)
}

fn identity(name: String, source: IdentitySource) -> io::Result<Arc<ServerIdentity>> {
    let identity = ServerIdentity::open(name.clone(), source).map_err(|error| {
        let why = format!("{name}: {error}");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    })?;
    Ok(Arc::new(identity))
}

/// How the HTTP API speaks TLS, with the certificate that is the newest at the time of each handshake.
pub(super) fn http_tls(identity: Arc<ServerIdentity>) -> ServerConfig {
    let mut config = ServerConfig::clone(&identity.config());
    config.cert_resolver = Arc::new(NewestCertificate(identity));
    config
}
