//! How the broker speaks TLS as a client.

use std::path::Path;

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
};

use super::certificate::{BadCertificate, NewTexts, authorities, certificates, private_key};
use crate::config::RequestTls;

/// What the files of a request hold.
pub struct ClientTls {
    /// Who vouches for the server; none = whom the operating system trusts.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The certificate that is shown and its key without a password, in PEM; none = none is shown.
    pub identity: Option<Vec<u8>>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`BadCertificate`] with the file that is to blame.
    pub fn read(tls: &RequestTls) -> Result<Self, BadCertificate> {
        let is_set = |file: &Path| !file.as_os_str().is_empty();
        let texts = NewTexts::default();
        let mut read = Self {
            authorities: Vec::new(),
            identity: None,
        };
        if is_set(&tls.cacertfile) {
            // What is no authority is found here.
            authorities(&tls.cacertfile, texts)?;
            read.authorities = certificates(&tls.cacertfile, texts)?;
        }
        let (certfile, keyfile) = (&tls.certfile, &tls.keyfile);
        if !is_set(certfile) && !is_set(keyfile) {
            return Ok(read);
        }
        let chain = certificates(certfile, texts)?;
        let key = private_key(keyfile, &tls.key_password, texts)?;
        let mut pem = String::new();
        for certificate in &chain {
            push_pem(&mut pem, "CERTIFICATE", certificate);
        }
        let label = match &key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        push_pem(&mut pem, label, key.secret_der());
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| {
            let why = format!("it does not go with {}: {error}", keyfile.display());
            BadCertificate::new(certfile, why)
        })?;
        read.identity = Some(pem.into_bytes());
        Ok(read)
    }
}

fn push_pem(pem: &mut String, label: &str, der: &[u8]) {
    let text = BASE64_STANDARD.encode(der);
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
}
