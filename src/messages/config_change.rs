//! Messages that change the configuration from outside, all to the config manager.

use actix::{Message, MessageResponse};

use crate::config::{BridgeChanges, Change, Problem, Refusal, Secret, Setting};

/// Changes keys; all of them or none.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<ChangeReport, ChangeRefused>")]
pub struct ChangeConfig {
    /// The keys and the values they are to have.
    pub settings: Vec<Setting>,
    /// Files that are to have another text.
    pub texts: Vec<PemText>,
    /// Bridges that are to be others, or to end.
    pub bridges: BridgeChanges,
    /// How long that lasts.
    pub lasting: Lasting,
}

/// What is to be in the file that a key of the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemText {
    /// The HOCON key; one that names no file yet gets one beside the configuration file.
    pub key: &'static str,
    /// The whole text.
    pub text: Secret,
}

/// What the files hold that are named by the TLS listener that has no name in the configuration, and by the requests to an
/// HTTP authentication server.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "CertificateTexts")]
pub struct GetCertificates;

/// What the files hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, MessageResponse)]
pub struct CertificateTexts {
    /// Those of the listener; its authorities are those of client certificates.
    pub listener: PemTexts,
    /// Those of `auth_req`; its authorities are those of the server.
    pub auth_req: PemTexts,
    /// Those of `super_req`.
    pub super_req: PemTexts,
    /// Those of `acl_req`.
    pub acl_req: PemTexts,
}

/// PEM texts; none where no file is named, or it cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PemTexts {
    /// The private key.
    pub key: Option<Secret>,
    /// The certificate.
    pub cert: Option<String>,
    /// The authorities of the other side.
    pub cacert: Option<String>,
}

/// How long a change of the configuration lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// It is in the file. What can change while running is applied at once; the rest waits for a restart.
    InFile,
    /// Until the configuration is read anew. Only what can change while running can change so.
    WhileRunning,
}

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq, Eq, MessageResponse)]
pub struct ChangeReport {
    /// Keys that changed and hold now.
    pub applied: Vec<String>,
    /// Keys whose new value waits for a restart.
    pub needs_restart: Vec<String>,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeRefused {
    /// Keys that cannot have the value they were to get, every one of them.
    Keys(Vec<Refusal>),
    /// The new text has errors: all of its problems.
    Text(Vec<Problem>),
    /// There is no configuration file.
    NoFile,
    /// The file cannot be written: why.
    NotWritten(String),
}

/// Puts a text in the place of the configuration file, if it loads. Nothing of it is applied.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), ChangeRefused>")]
pub struct ReplaceConfig {
    /// The whole new file.
    pub text: String,
}

/// What a restart would change, because it is in the file and not in force.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<Change>")]
pub struct GetPending;
