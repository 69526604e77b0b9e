//! Messages to the actor that knows who may use the HTTP API. Each brings the configuration as it runs along.

use std::{net::IpAddr, sync::Arc, time::Duration};

use actix::{Message, MessageResponse};

use crate::{
    auth::{
        api_access::{Attempt, Login, LoginStep},
        api_users::{ApiUser, UserChange, UserError},
        token::TokenKey,
    },
    config::Config,
};

/// Begins a login by user name and password.
#[derive(Clone, Debug, Message)]
#[rtype(result = "NextStep")]
pub struct BeginLogin {
    /// The configuration.
    pub config: Arc<Config>,
    /// Who wants in.
    pub attempt: Arc<Attempt>,
}

/// What is to be done about a login.
#[derive(Clone, Debug, MessageResponse)]
pub struct NextStep(pub LoginStep);

/// Ends a login whose password was held against a hash: whom the request comes from, if it was right.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<Login>")]
pub struct FinishLogin {
    /// The configuration.
    pub config: Arc<Config>,
    /// Who wants in.
    pub attempt: Arc<Attempt>,
    /// The hash.
    pub hash: String,
    /// Whether the password has this hash.
    pub right: bool,
}

/// Counts a login that failed. If the address had too many before it, that is an error: the time it is to wait.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), Duration>")]
pub struct CountFailedLogin {
    /// The configuration.
    pub config: Arc<Config>,
    /// Where it came from.
    pub address: IpAddr,
}

/// The key that tokens are checked with; none if it could not be read.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<Arc<TokenKey>>")]
pub struct GetTokenKey(pub Arc<Config>);

/// The users beside the built-in administrator.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<ApiUser>")]
pub struct ListApiUsers;

/// Changes the users and writes them to their file; all of it or nothing.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), UserError>")]
pub struct ChangeApiUsers {
    /// The configuration.
    pub config: Arc<Config>,
    /// What changes.
    pub change: UserChange,
}
