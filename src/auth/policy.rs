//! Everything that decides who may come in and who may do what: made of a configuration and a file of users, never
//! changed, and replaced as a whole.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    acl::{Action, Rules, Ruling, Subject},
    client_users::{ClientUsers, PasswordFile},
    password_hash,
    token::{ClientTokens, TokenError},
    verifier::Verifier,
};
use crate::{
    config::{Auth, AuthRequest, Config, DenyAction, Permit},
    mqtt::ReasonCode,
};

/// See the module's description.
pub struct Policy {
    /// Larger than that of the policy before.
    pub version: u64,
    config: Arc<Config>,
    users: ClientUsers,
    tokens: Option<ClientTokens>,
    rules: Rules,
    restricts: bool,
    asks: bool,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy {}", self.version)
    }
}

/// What a client gives in CONNECT.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// Client id.
    pub client_id: &'a str,
    /// User name, if it gives one.
    pub username: Option<&'a str>,
    /// Password, if it gives one.
    pub password: Option<&'a [u8]>,
}

/// Why a client may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// For CONNACK.
    pub reason: ReasonCode,
    /// For the log. The client itself is not told.
    pub why: &'static str,
}

/// What the chain comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainStep {
    /// The client may come in.
    Allow {
        /// It may do anything.
        superuser: bool,
        /// Until then, where what it shows has an end.
        until: Option<SystemTime>,
    },
    /// It may not.
    Deny(Denied),
    /// It may if the password is that of the verifier.
    Check(Verifier),
    /// The HTTP server decides.
    Ask,
}

impl ChainStep {
    fn deny(reason: ReasonCode, why: &'static str) -> Self {
        Self::Deny(Denied { reason, why })
    }
}

/// A wrong user name or password.
pub const WRONG_PASSWORD: Denied = Denied {
    reason: ReasonCode::BadUserNameOrPassword,
    why: "wrong user name or password",
};

impl Policy {
    /// The policy of a configuration and a file of users.
    ///
    /// # Errors
    /// A password or the key of the tokens cannot be used: which, and why.
    pub fn new(version: u64, config: Arc<Config>, file: Arc<PasswordFile>) -> Result<Self, String> {
        let auth = &config.auth;
        let rules = Rules::new(&auth.acl);
        let asks = is_sent(auth, &auth.http_auth.acl_req);
        let has_tokens = !auth.jwt.public.keyfile.as_os_str().is_empty();
        let tokens = has_tokens
            .then(|| ClientTokens::read(&auth.jwt))
            .transpose();
        Ok(Self {
            version,
            users: ClientUsers::new(auth, file)?,
            tokens: tokens.map_err(|error| format!("auth.jwt.public.keyfile: {error}"))?,
            restricts: !rules.is_empty() || asks || auth.no_match == Permit::Deny,
            rules,
            asks,
            config,
        })
    }

    /// The policy of a configuration alone.
    ///
    /// # Errors
    /// As [`Policy::new`].
    pub fn of(config: Arc<Config>) -> Result<Self, String> {
        Self::new(0, config, Arc::default())
    }

    /// The part of the configuration that it is made of.
    pub fn auth(&self) -> &Auth {
        &self.config.auth
    }

    /// The users.
    pub fn users(&self) -> &ClientUsers {
        &self.users
    }

    /// Whether a client is closed that does what it may not.
    pub fn disconnects(&self) -> bool {
        self.auth().deny_action == DenyAction::Disconnect
    }

    /// Whether there is anything that a client may not do.
    pub fn restricts(&self) -> bool {
        self.restricts
    }

    /// Whether nobody has to be asked about a client that wants in.
    pub fn is_open(&self) -> bool {
        self.knows_nobody() && !self.asks_for_logins()
    }

    fn knows_nobody(&self) -> bool {
        (self.users.is_empty() || !self.auth().enable) && self.tokens.is_none()
    }

    /// What a user's password is held against, while users count.
    pub fn verifier(&self, username: &str) -> Option<&Verifier> {
        self.users.find(username).filter(|_| self.auth().enable)
    }

    fn asks_for_logins(&self) -> bool {
        let http = &self.auth().http_auth;
        is_sent(self.auth(), &http.auth_req) || is_sent(self.auth(), &http.super_req)
    }

    /// Whether a client that may come in is asked about once more: may it do anything?
    pub fn asks_for_superuser(&self) -> bool {
        is_sent(self.auth(), &self.auth().http_auth.super_req)
    }

    /// Goes through the chain: the users, then tokens, then the HTTP server, then whether anybody may come in. Each says
    /// yes, no, or leaves it to the next.
    pub fn begin(&self, given: Credentials<'_>, now: SystemTime) -> ChainStep {
        if let Some(verifier) = given.username.and_then(|name| self.verifier(name)) {
            // A hash takes its time; who has no password need not wait for it.
            return match given.password {
                Some(_) => ChainStep::Check(verifier.clone()),
                None => ChainStep::Deny(WRONG_PASSWORD),
            };
        }
        if let (Some(tokens), Some(password)) = (&self.tokens, given.password)
            && let Some(token) = ClientTokens::token(password)
        {
            return match tokens.check(token, given.username, given.client_id, now) {
                Ok(granted) => ChainStep::Allow {
                    superuser: granted.superuser,
                    until: Some(granted.until),
                },
                Err(TokenError::Expired) => {
                    ChainStep::deny(ReasonCode::BadUserNameOrPassword, "the token has expired")
                }
                Err(TokenError::Wrong(why)) => {
                    ChainStep::deny(ReasonCode::BadUserNameOrPassword, why)
                }
            };
        }
        if is_sent(self.auth(), &self.auth().http_auth.auth_req) {
            return ChainStep::Ask;
        }
        match given.username {
            _ if self.auth().allow_anonymous
                && (given.username.is_none() || self.knows_nobody()) =>
            {
                ChainStep::Allow {
                    superuser: false,
                    until: None,
                }
            }
            // It takes as long as for a user who is known, so that the time does not tell.
            Some(_) if self.auth().enable && self.users.has_slow() && given.password.is_some() => {
                ChainStep::Check(Verifier::Argon2(password_hash::NOBODY.to_owned()))
            }
            Some(_) => ChainStep::deny(ReasonCode::BadUserNameOrPassword, "unknown user name"),
            None => ChainStep::deny(
                ReasonCode::NotAuthorized,
                "no user name, and auth.allow_anonymous is false",
            ),
        }
    }

    /// What is known of an action without asking anybody; none: the HTTP server is to be asked.
    pub fn decide(&self, subject: &Subject, action: Action, topic: &str) -> Option<bool> {
        if !self.restricts || subject.superuser {
            return Some(true);
        }
        let ruling = self.rules.decide(subject, action, topic);
        self.otherwise(ruling)
    }

    /// As [`Policy::decide`], if it is the same for all topics.
    pub fn decide_for_all(&self, subject: &Subject, action: Action) -> Option<bool> {
        if !self.restricts || subject.superuser {
            return Some(true);
        }
        let ruling = self.rules.decide_for_all(subject, action)?;
        self.otherwise(ruling)
    }

    fn otherwise(&self, ruling: Option<Ruling>) -> Option<bool> {
        match ruling {
            Some(ruling) => Some(ruling.allowed),
            None if self.asks => None,
            None => Some(self.auth().no_match == Permit::Allow),
        }
    }

    /// Whether a subscription that was granted may stay, and its messages be received. What the HTTP server has
    /// granted stays.
    pub fn may_keep(&self, subject: &Subject, filter: &str) -> bool {
        self.decide(subject, Action::Subscribe, without_share(filter))
            .unwrap_or(true)
    }

    /// Whether a subscription is granted by nobody but the HTTP server.
    pub fn leaves_to_http(&self, subject: &Subject, filter: &str) -> bool {
        self.asks
            && self
                .decide(subject, Action::Subscribe, without_share(filter))
                .is_none()
    }

    /// The rule that speaks of an action.
    pub fn ruling(&self, subject: &Subject, action: Action, topic: &str) -> Option<Ruling> {
        self.rules.decide(subject, action, topic)
    }

    /// Whether the HTTP server is asked about what no rule speaks of.
    pub fn asks(&self) -> bool {
        self.asks
    }

    /// Whether a user who came in under `before` may not have come in under this one: the user is gone or has another
    /// password.
    pub fn revokes(&self, before: &Self, username: Option<&str>) -> bool {
        let Some(username) = username else {
            return false;
        };
        match (before.verifier(username), self.verifier(username)) {
            (Some(old), Some(new)) => old != new,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Whether it permits every client what `other` does: only users differ, or nothing.
    pub fn permits_the_same(&self, other: &Self) -> bool {
        let (own, other) = (self.auth(), other.auth());
        own.acl == other.acl && own.no_match == other.no_match && own.http_auth == other.http_auth
    }

    /// How long local decisions are remembered by a connection, and how many; none: not at all.
    pub fn memory(&self) -> Option<(usize, Duration)> {
        let cache = &self.auth().cache;
        cache.enable.then_some((cache.max_size, cache.ttl))
    }
}

/// Whether a request is sent.
pub fn is_sent(auth: &Auth, request: &AuthRequest) -> bool {
    auth.http_auth.enable && !request.url.is_empty()
}

/// The pattern of a filter that may be `$share/group/pattern`.
pub fn without_share(filter: &str) -> &str {
    let shared = filter.strip_prefix("$share/");
    let pattern = shared.and_then(|rest| rest.split_once('/'));
    pattern.map_or(filter, |(_, pattern)| pattern)
}

#[cfg(test)]
mod tests;
