//! The part of the model that says how tokens of the HTTP API are checked.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values::JwtAlgorithm;

/// TLS of the HTTP API (`http_server.tls`), with a certificate of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpTls {
    /// Whether the API is served over TLS, and over nothing else. Default false.
    pub enable: bool,
    /// PEM file with the certificate and those of the authorities between it and the root. Default empty.
    pub certfile: PathBuf,
    /// PEM file with the private key, without a password. Default empty.
    pub keyfile: PathBuf,
}

/// JSON web tokens of the HTTP API (`http_server.jwt`), used when `auth_type` is `jwt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// The public key.
    pub public: JwtPublic,
    /// How long after its `exp` a token still holds, at most an hour. Default 0s.
    #[serde(with = "super::units::duration")]
    pub leeway: Duration,
    /// What tokens may be signed with. Default `[RS256]`.
    pub algorithms: Vec<JwtAlgorithm>,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            public: JwtPublic::default(),
            leeway: Duration::ZERO,
            algorithms: vec![JwtAlgorithm::Rs256],
        }
    }
}

/// The public key (`http_server.jwt.public`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtPublic {
    /// PEM file with the public key; its name without folders is the issuer (`iss`) of the tokens. Default empty.
    pub keyfile: PathBuf,
}
