//! Certificates and private keys from PEM files, as a TLS server needs them.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
        pem::{self, PemObject},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::CertifiedKey,
};

use super::x509;
use crate::config::{HttpTls, ListenerTls, Secret};

/// Why a certificate cannot be used: the file, and what is wrong with it.
#[derive(Debug)]
pub struct BadCertificate {
    file: String,
    why: String,
}

impl fmt::Display for BadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

impl std::error::Error for BadCertificate {}

impl BadCertificate {
    /// The file that is to blame.
    pub fn file(&self) -> &Path {
        Path::new(&self.file)
    }

    /// What is wrong with it.
    pub fn why(&self) -> &str {
        &self.why
    }

    pub(super) fn new(file: &Path, why: impl Into<String>) -> Self {
        Self {
            file: file.display().to_string(),
            why: why.into(),
        }
    }

    fn unreadable(file: &Path, what: &str, error: &pem::Error) -> Self {
        let why = match error {
            pem::Error::NoItemsFound => format!("it has no {what}"),
            pem::Error::Io(error) => error.to_string(),
            other => format!("it is no PEM file: {other}"),
        };
        Self::new(file, why)
    }
}

/// PEM texts that stand for what files hold, as long as they are not written.
#[derive(Clone, Copy, Default)]
pub struct NewTexts<'a>(pub &'a [(PathBuf, Secret)]);

impl NewTexts<'_> {
    fn has(&self, file: &Path) -> bool {
        self.0.iter().any(|(name, _)| name == file)
    }

    /// The new text of a file, or what it holds.
    fn read(&self, file: &Path) -> Result<Vec<u8>, BadCertificate> {
        match self.0.iter().find(|(name, _)| name == file) {
            Some((_, text)) => Ok(text.expose().as_bytes().to_vec()),
            None => fs::read(file).map_err(|error| BadCertificate::new(file, error.to_string())),
        }
    }
}

/// What a TLS server shows, and what it asks of clients.
pub struct Identity {
    /// How connections that begin from now on speak TLS (1.2 and 1.3).
    pub config: Arc<ServerConfig>,
    /// The certificate and its key.
    pub key: Arc<CertifiedKey>,
    /// Seconds since 1970 at which the certificate's validity ends.
    pub not_after: i64,
}

impl Identity {
    /// Reads the files of a listener.
    ///
    /// # Errors
    /// [`BadCertificate`] with the file that is to blame.
    pub fn of_listener(tls: &ListenerTls) -> Result<Self, BadCertificate> {
        Self::with_texts(tls, NewTexts::default())
    }

    fn with_texts(tls: &ListenerTls, texts: NewTexts<'_>) -> Result<Self, BadCertificate> {
        let clients = match tls.verify_peer {
            true => Some((tls.cacertfile.as_path(), tls.fail_if_no_peer_cert)),
            false => None,
        };
        let (certfile, keyfile) = (&tls.certfile, &tls.keyfile);
        Self::read(certfile, keyfile, &tls.key_password, clients, texts)
    }

    /// Whether a listener can be opened with new texts in the place of some of its files; of one that has only a part of
    /// its files, whether each new text is one of its kind.
    ///
    /// # Errors
    /// As [`of_listener`](Self::of_listener).
    pub fn check(tls: &ListenerTls, texts: NewTexts<'_>) -> Result<(), BadCertificate> {
        if texts.has(&tls.cacertfile) {
            authorities(&tls.cacertfile, texts)?;
        }
        let is_set = |file: &Path| !file.as_os_str().is_empty();
        if is_set(&tls.certfile) && is_set(&tls.keyfile) {
            return Self::with_texts(tls, texts).map(drop);
        }
        if texts.has(&tls.certfile) {
            certificates(&tls.certfile, texts)?;
        }
        if texts.has(&tls.keyfile) {
            let key = private_key(&tls.keyfile, &tls.key_password, texts)?;
            aws_lc_rs::sign::any_supported_type(&key)
                .map_err(|error| BadCertificate::new(&tls.keyfile, error.to_string()))?;
        }
        Ok(())
    }

    /// Reads the files of the HTTP API.
    ///
    /// # Errors
    /// As [`of_listener`](Self::of_listener).
    pub fn of_http(tls: &HttpTls) -> Result<Self, BadCertificate> {
        let (password, texts) = (Secret::default(), NewTexts::default());
        Self::read(&tls.certfile, &tls.keyfile, &password, None, texts)
    }

    /// `clients`: the file with the authorities of client certificates, and whether one has to be shown.
    fn read(
        certfile: &Path,
        keyfile: &Path,
        password: &Secret,
        clients: Option<(&Path, bool)>,
        texts: NewTexts<'_>,
    ) -> Result<Self, BadCertificate> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(certfile, texts)?;
        let not_after = chain.first().and_then(|first| x509::not_after(first));
        let key = private_key(keyfile, password, texts)?;
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
            let why = format!("it does not go with {}: {error}", keyfile.display());
            BadCertificate::new(certfile, why)
        })?;
        let config = server_config(&key, &provider, clients, texts)?;
        Ok(Self {
            config: Arc::new(config),
            key: Arc::new(key),
            not_after: not_after
                .ok_or_else(|| BadCertificate::new(certfile, "it has no end of validity"))?,
        })
    }
}

fn server_config(
    key: &CertifiedKey,
    provider: &Arc<CryptoProvider>,
    clients: Option<(&Path, bool)>,
    texts: NewTexts<'_>,
) -> Result<ServerConfig, BadCertificate> {
    let of_provider =
        |error: rustls::Error| BadCertificate::new(Path::new("TLS"), error.to_string());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(of_provider)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some((cacertfile, must)) => {
            let roots = authorities(cacertfile, texts)?;
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            let verifier = match must {
                true => verifier,
                false => verifier.allow_unauthenticated(),
            };
            let verifier = verifier
                .build()
                .map_err(|error| BadCertificate::new(cacertfile, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let resolver = rustls::sign::SingleCertAndKey::from(key.clone());
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    // A session is resumed with what its ticket holds: the broker keeps nothing of it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(of_provider)?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// The authorities in a PEM file.
pub(super) fn authorities(
    file: &Path,
    texts: NewTexts<'_>,
) -> Result<RootCertStore, BadCertificate> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, texts)? {
        roots
            .add(certificate)
            .map_err(|error| BadCertificate::new(file, error.to_string()))?;
    }
    Ok(roots)
}

/// All certificates of a PEM file, at least one.
pub(super) fn certificates(
    file: &Path,
    texts: NewTexts<'_>,
) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    let unreadable = |error| BadCertificate::unreadable(file, "certificate", &error);
    let text = texts.read(file)?;
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(unreadable)?;
    match chain.is_empty() {
        true => Err(unreadable(pem::Error::NoItemsFound)),
        false => Ok(chain),
    }
}

/// The first private key of a PEM file (PKCS#8, PKCS#1 or SEC1), decrypted if it is PKCS#8 with a password.
pub(super) fn private_key(
    file: &Path,
    password: &Secret,
    texts: NewTexts<'_>,
) -> Result<PrivateKeyDer<'static>, BadCertificate> {
    let text = String::from_utf8(texts.read(file)?)
        .map_err(|_| BadCertificate::new(file, "it is no PEM file: it is not UTF-8"))?;
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        let why = format!(
            "the key is encrypted in OpenSSL's old form; convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc \
             -in {} -out new.pem",
            file.display()
        );
        return Err(BadCertificate::new(file, why));
    }
    const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let encrypted = text
        .find(BEGIN)
        .and_then(|at| text.get(at..))
        .and_then(|rest| {
            let end = rest.find(END)?.checked_add(END.len())?;
            rest.get(..end)
        });
    match encrypted {
        Some(pem) => decrypted(file, pem, password),
        None => PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map_err(|error| BadCertificate::unreadable(file, "private key", &error)),
    }
}

fn decrypted(
    file: &Path,
    pem: &str,
    password: &Secret,
) -> Result<PrivateKeyDer<'static>, BadCertificate> {
    if password.expose().is_empty() {
        return Err(BadCertificate::new(
            file,
            "the key is encrypted and there is no key_password",
        ));
    }
    let no_pem =
        |error: &dyn fmt::Display| BadCertificate::new(file, format!("it is no PEM file: {error}"));
    let (_, document) = SecretDocument::from_pem(pem).map_err(|error| no_pem(&error))?;
    let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| no_pem(&error))?;
    let key = info.decrypt(password.expose()).map_err(|error| {
        let why = format!(
            "the key cannot be decrypted with key_password: {error}; what can be has PBES2, as made by: \
             openssl pkcs8 -topk8 -v2 aes-256-cbc"
        );
        BadCertificate::new(file, why)
    })?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn read(cert: &Path, key: &Path, password: &str) -> Result<Identity, BadCertificate> {
        Identity::read(cert, key, &Secret::new(password), None, NewTexts::default())
    }

    #[test]
    fn what_is_wrong_is_said_of_the_file_to_blame() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (one, other) = (make(), make());
        let cert = write("cert.pem", &one.cert.pem());
        let key = write("key.pem", &one.signing_key.serialize_pem());
        let foreign = write("foreign.pem", &other.signing_key.serialize_pem());
        let text = write("text.pem", "no PEM at all");
        let old = write(
            "old.pem",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        );
        let missing = folder.path().join("missing.pem");
        assert!(read(&cert, &key, "").is_ok());
        for (cert, key, expected) in [
            (&missing, &key, "missing.pem: No such file"),
            (&text, &key, "text.pem: it has no certificate"),
            (&key, &key, "key.pem: it has no certificate"),
            (&cert, &missing, "missing.pem: No such file"),
            (&cert, &text, "text.pem: it has no private key"),
            (&cert, &cert, "cert.pem: it has no private key"),
            (&cert, &foreign, "cert.pem: it does not go with"),
            (&cert, &old, "openssl pkcs8 -topk8 -v2 aes-256-cbc"),
        ] {
            let error = read(cert, key, "").err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let clients = Some((text.as_path(), true));
        let error = Identity::read(
            &cert,
            &key,
            &Secret::default(),
            clients,
            NewTexts::default(),
        );
        let error = error.err().unwrap().to_string();
        assert!(error.contains("text.pem: it has no certificate"), "{error}");
    }

    /// Keys in every form that OpenSSL writes, as made by `tests/fixtures/keys/README.md`.
    #[test]
    fn keys_are_read_in_every_form() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys");
        let file = |name: &str| -> PathBuf { folder.join(name) };
        for (cert, key, password) in [
            ("ec.crt", "ec-sec1.key", ""),
            ("ec.crt", "ec-pkcs8.key", ""),
            ("ec.crt", "ec-aes256.key", "secret"),
            ("ec.crt", "ec-3des.key", "secret"),
            ("ec.crt", "ec-scrypt.key", "secret"),
            ("rsa.crt", "rsa-pkcs1.key", ""),
            ("rsa.crt", "rsa-pkcs8.key", ""),
        ] {
            let read = read(&file(cert), &file(key), password);
            assert!(read.is_ok(), "{key}: {:?}", read.err());
        }
        for (key, password, expected) in [
            ("ec-aes256.key", "", "there is no key_password"),
            (
                "ec-aes256.key",
                "wrong",
                "cannot be decrypted with key_password",
            ),
            ("rsa-traditional.key", "secret", "OpenSSL's old form"),
        ] {
            let error = read(&file("ec.crt"), &file(key), password).err().unwrap();
            let error = error.to_string();
            assert!(error.contains(expected), "{key}: {error}");
            assert!(!error.contains("wrong"), "{error}");
        }
    }
}
