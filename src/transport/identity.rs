//! The identity of a TLS server, read anew from its files while connections go on.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::certificate::{BadCertificate, Identity};
use crate::config::{HttpTls, ListenerTls};

/// A certificate that ends within so many seconds is warned of.
const WARN_WITHIN: i64 = 30 * DAY;
const DAY: i64 = 86_400;

/// Where an identity comes from.
#[derive(Clone, Debug)]
pub enum IdentitySource {
    /// The files of a listener.
    Listener(ListenerTls),
    /// The files of the HTTP API.
    Http(HttpTls),
}

/// What a TLS server is known by. Connections keep what they began with.
pub struct ServerIdentity {
    name: String,
    source: IdentitySource,
    current: ArcSwap<Identity>,
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerIdentity").field(&self.name).finish()
    }
}

impl ServerIdentity {
    /// Reads the files; `name` is the section of the configuration, such as `listeners.ssl.default`.
    ///
    /// # Errors
    /// [`BadCertificate`] with the file that is to blame.
    pub fn open(name: String, source: IdentitySource) -> Result<Self, BadCertificate> {
        let current = ArcSwap::from_pointee(read(&source)?);
        Ok(Self {
            name,
            source,
            current,
        })
    }

    /// The section of the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the files anew, for [`replace`](Self::replace).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(&self) -> Result<Identity, BadCertificate> {
        read(&self.source)
    }

    /// Connections that begin from now on see this identity.
    pub fn replace(&self, identity: Identity) {
        self.current.store(Arc::new(identity));
    }

    /// How a connection that begins now speaks TLS.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.load().config.clone()
    }

    /// Seconds since 1970 at which the certificate's validity ends.
    pub fn not_after(&self) -> i64 {
        self.current.load().not_after
    }

    /// Full days that the certificate is still valid; negative when it has ended.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let left = self
            .not_after()
            .saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
        left.div_euclid(DAY)
    }

    /// Warns in the log when the certificate has ended, or will soon.
    pub fn warn_of_end(&self, now: SystemTime) {
        match self.days_left(now) {
            ..0 => log::error!("{}: the certificate is not valid any more", self.name),
            days if days < WARN_WITHIN / DAY => {
                log::warn!(
                    "{}: the certificate is valid for {days} more days",
                    self.name
                );
            }
            _ => {}
        }
    }
}

fn read(source: &IdentitySource) -> Result<Identity, BadCertificate> {
    match source {
        IdentitySource::Listener(tls) => Identity::of_listener(tls),
        IdentitySource::Http(tls) => Identity::of_http(tls),
    }
}

/// For servers that keep one configuration for ever, as that of the HTTP API does.
#[derive(Debug)]
pub struct NewestCertificate(pub Arc<ServerIdentity>);

impl ResolvesServerCert for NewestCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current.load().key.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    #[test]
    fn a_new_certificate_takes_the_place_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let (certfile, keyfile) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let make = |year| {
            let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            fs::write(&certfile, params.self_signed(&key).unwrap().pem()).unwrap();
            fs::write(&keyfile, key.serialize_pem()).unwrap();
        };
        make(2030);
        let tls = ListenerTls {
            certfile: certfile.clone(),
            keyfile: keyfile.clone(),
            ..ListenerTls::default()
        };
        let source = IdentitySource::Listener(tls);
        let identity = ServerIdentity::open("listeners.ssl.x".to_owned(), source).unwrap();
        let before = identity.config();
        let end = 1_893_456_000;
        assert_eq!(identity.not_after(), end);
        for (seconds, days) in [(end - 86_400, 1), (end - 1, 0), (end, 0), (end + 1, -1)] {
            let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap());
            assert_eq!(identity.days_left(now), days);
        }
        make(2040);
        identity.replace(identity.read().unwrap());
        assert_eq!(identity.not_after(), 2_208_988_800);
        assert!(!Arc::ptr_eq(&before, &identity.config()));
        fs::write(&certfile, "nothing").unwrap();
        assert!(identity.read().is_err());
    }
}
