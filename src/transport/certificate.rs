//! Certificates and private keys from PEM files, as a TLS server needs them.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

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
    fn new(file: &Path, why: impl Into<String>) -> Self {
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

/// The configuration of a TLS server (1.2 and 1.3) that shows a certificate and asks for none: `certfile` holds the
/// certificate and those of the authorities between it and the root, `keyfile` the private key (PKCS#8, PKCS#1 or SEC1)
/// without a password.
///
/// # Errors
/// [`BadCertificate`] with the file that is to blame.
pub fn server_config(certfile: &Path, keyfile: &Path) -> Result<ServerConfig, BadCertificate> {
    let unreadable = |error| BadCertificate::unreadable(certfile, "certificate", &error);
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_file_iter(certfile)
        .map_err(unreadable)?
        .collect();
    let chain = chain.map_err(unreadable)?;
    if chain.is_empty() {
        return Err(unreadable(pem::Error::NoItemsFound));
    }
    let what = "private key without a password";
    let key = PrivateKeyDer::from_pem_file(keyfile)
        .map_err(|error| BadCertificate::unreadable(keyfile, what, &error))?;
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| {
            let why = format!("it does not go with {}: {error}", keyfile.display());
            BadCertificate::new(certfile, why)
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
        let missing = folder.path().join("missing.pem");
        assert!(server_config(&cert, &key).is_ok());
        for (cert, key, expected) in [
            (&missing, &key, "missing.pem: No such file"),
            (&text, &key, "text.pem: it has no certificate"),
            (&key, &key, "key.pem: it has no certificate"),
            (&cert, &missing, "missing.pem: No such file"),
            (&cert, &text, "text.pem: it has no private key"),
            (&cert, &cert, "cert.pem: it has no private key"),
            (&cert, &foreign, "cert.pem: it does not go with"),
        ] {
            let error = server_config(cert, key).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
