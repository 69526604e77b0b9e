//! Messages about who may come in and who may do what.

use std::{net::IpAddr, sync::Arc, time::Instant};

use actix::{Message, MessageResponse};

use crate::auth::{
    acl::Action,
    client_users::{ClientUserChange, ClientUserError},
    http_request::Facts,
    policy::{Denied, Policy},
    scram::{Exchange, ScramError},
};

/// A client wants in.
#[derive(Clone, Message)]
#[rtype(result = "LoginAnswer")]
pub struct LogIn {
    /// What decides.
    pub policy: Arc<Policy>,
    /// User name, if the client gives one.
    pub username: Option<Arc<str>>,
    /// Password, if the client gives one.
    pub password: Option<Vec<u8>>,
    /// What else is known of it.
    pub facts: Facts,
    /// Its address.
    pub address: IpAddr,
}

/// Whether a client may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, MessageResponse)]
pub enum LoginAnswer {
    /// It may.
    Allowed {
        /// It may do anything.
        superuser: bool,
        /// Until then, where what it came in with ends.
        until: Option<Instant>,
    },
    /// It may not.
    Denied(Denied),
}

/// Asks the HTTP server whether a client that has come in may do anything. No answer is a no.
#[derive(Clone, Message)]
#[rtype(result = "bool")]
pub struct AskSuperuser {
    /// What decides.
    pub policy: Arc<Policy>,
    /// The client.
    pub facts: Facts,
}

/// Asks the HTTP server whether a client may do something with each of some topics.
#[derive(Clone, Message)]
#[rtype(result = "Vec<HttpAnswer>")]
pub struct AskPermissions {
    /// What decides.
    pub policy: Arc<Policy>,
    /// The client.
    pub facts: Facts,
    /// What it wants to do.
    pub action: Action,
    /// The topics, or filters.
    pub topics: Vec<String>,
}

/// Asks the HTTP server again about subscriptions that it has granted, when it has time for it: at most half of the
/// requests at once are such. An answer that failed changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Vec<HttpAnswer>")]
pub struct AskAgain(pub AskPermissions);

/// What an HTTP server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Yes; never when it failed.
    pub allowed: bool,
    /// It did not answer, or not as it should.
    pub failed: bool,
}

impl HttpAnswer {
    /// No answer: the client may not.
    pub const FAILED: Self = Self {
        allowed: false,
        failed: true,
    };
}

/// Begins an exchange of SCRAM.
#[derive(Clone, Message)]
#[rtype(result = "Result<ScramStarted, ScramRefused>")]
pub struct StartScram {
    /// What decides.
    pub policy: Arc<Policy>,
    /// The client's first message.
    pub data: Vec<u8>,
    /// Its address.
    pub address: IpAddr,
}

/// An exchange that has begun.
#[derive(Debug)]
pub struct ScramStarted {
    /// Its state.
    pub exchange: Exchange,
    /// Whom it is about.
    pub username: Arc<str>,
    /// The message for the client.
    pub data: String,
}

/// Why an exchange has not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramRefused {
    /// The first message is wrong.
    Failed(ScramError),
    /// The address has had too many failed logins.
    TooMany(Denied),
}

/// A login has failed that was not checked by the actor that counts them.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct CountClientFailure {
    /// What decides.
    pub policy: Arc<Policy>,
    /// Where it came from.
    pub address: IpAddr,
}

/// Who may come in and who may do what, as it is now.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Arc<Policy>")]
pub struct GetPolicy;

/// Changes the users of the file, and writes it; all of it or nothing.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), ClientUserError>")]
pub struct ChangeClientUsers(pub ClientUserChange);
