//! Authorities and certificates, made for one test each.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

use crate::harness::unique;

/// An authority, with a folder for what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, as names of files.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, unique("authority"));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.crt"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// The file with its own certificate.
    pub fn file(&self) -> String {
        self.folder.path().join("ca.crt").display().to_string()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A certificate for localhost with a common name, valid until the begin of a year.
    pub fn sign(&self, common_name: &str, until: i32) -> Pair {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let write = |ending: &str, text: String| {
            let path = self.folder.path().join(format!("{common_name}.{ending}"));
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        Pair {
            certificate: write("crt", certificate.pem()),
            key: write("key", key.serialize_pem()),
        }
    }
}
