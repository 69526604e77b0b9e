//! Who may come in: goes through the chain of a policy for each client, checks passwords off its thread, asks the HTTP
//! server, and counts failed logins.

mod http;
mod passwords;

use std::{cell::RefCell, net::IpAddr, rc::Rc, sync::Arc, time::Instant, time::SystemTime};

use actix::{Actor, Context, Handler, ResponseFuture};

use self::{http::Http, passwords::Passwords};
use crate::{
    auth::{
        failed_logins::{FailedLogins, LoginLimit},
        http_request::Facts,
        policy::{ChainStep, Credentials, Denied, Policy, WRONG_PASSWORD},
        scram::{ClientFirst, ScramError},
        verifier::Verifier,
    },
    messages::{
        AskAgain, AskPermissions, AskSuperuser, CountClientFailure, HttpAnswer, LogIn, LoginAnswer,
        ScramRefused, ScramStarted, StartScram,
    },
    mqtt::ReasonCode,
    stats::{Counters, Metric},
};

/// Questions that wait in its mailbox before askers have to.
const MAILBOX: usize = 4096;

const TOO_MANY_FAILED: Denied = Denied {
    reason: ReasonCode::ConnectionRateExceeded,
    why: "too many failed logins from this address",
};
const TOO_MANY_WAITING: Denied = Denied {
    reason: ReasonCode::ServerBusy,
    why: "too many passwords wait to be checked",
};
const NO_ANSWER: Denied = Denied {
    reason: ReasonCode::ServerUnavailable,
    why: "the HTTP authentication server did not answer as it should",
};
const DENIED_BY_HTTP: Denied = Denied {
    reason: ReasonCode::NotAuthorized,
    why: "denied by the HTTP authentication server",
};

/// See the module's description. It has an arbiter of its own, so that nobody else waits for what it waits for.
pub struct Authenticator(Rc<State>);

struct State {
    failed: RefCell<FailedLogins>,
    passwords: Passwords,
    http: Http,
    counters: Arc<Counters>,
}

impl Authenticator {
    /// Made on the thread where it runs.
    pub fn new(counters: Arc<Counters>) -> Self {
        Self(Rc::new(State {
            failed: RefCell::default(),
            passwords: Passwords::new(),
            http: Http::new(counters.clone()),
            counters,
        }))
    }
}

impl State {
    fn check_address(&self, policy: &Policy, address: IpAddr) -> Result<(), Denied> {
        let (failed, now) = (self.failed.borrow(), Instant::now());
        failed.check(address, limit(policy), now).map_err(|_| {
            self.counters.add(Metric::LoginsRefused, 1);
            TOO_MANY_FAILED
        })
    }

    fn count_failure(&self, policy: &Policy, address: IpAddr) {
        self.counters.add(Metric::LoginsFailed, 1);
        let mut failed = self.failed.borrow_mut();
        failed.count(address, limit(policy), Instant::now());
    }

    async fn log_in(&self, ask: LogIn) -> LoginAnswer {
        if let Err(denied) = self.check_address(&ask.policy, ask.address) {
            return LoginAnswer::Denied(denied);
        }
        let decided = self.decide(&ask).await;
        let (superuser, end) = match decided {
            Ok(decided) => decided,
            Err(denied) => {
                let is_guess = [ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized]
                    .contains(&denied.reason);
                if is_guess {
                    self.count_failure(&ask.policy, ask.address);
                }
                return LoginAnswer::Denied(denied);
            }
        };
        let superuser = superuser || self.is_superuser(&ask.policy, &ask.facts).await;
        let until = end.and_then(|end| {
            let left = end.duration_since(SystemTime::now()).unwrap_or_default();
            Instant::now().checked_add(left)
        });
        LoginAnswer::Allowed { superuser, until }
    }

    async fn is_superuser(&self, policy: &Policy, facts: &Facts) -> bool {
        let request = &policy.auth().http_auth.super_req;
        policy.asks_for_superuser() && self.http.ask(policy, request, facts).await.allowed
    }

    /// Whether the client may do anything, and when what it came in with ends; or why it may not come in.
    async fn decide(&self, ask: &LogIn) -> Result<(bool, Option<SystemTime>), Denied> {
        let given = Credentials {
            client_id: &ask.facts.client_id,
            username: ask.username.as_deref(),
            password: ask.password.as_deref(),
        };
        match ask.policy.begin(given, SystemTime::now()) {
            ChainStep::Allow { superuser, until } => Ok((superuser, until)),
            ChainStep::Deny(denied) => Err(denied),
            ChainStep::Check(verifier) => {
                let (username, password) = (given.username.unwrap_or_default(), &ask.password);
                let password = password.clone().unwrap_or_default();
                let most = ask.policy.auth().max_waiting_logins;
                let passwords = &self.passwords;
                match passwords.check(username, verifier, password, most).await {
                    Some(true) => Ok((false, None)),
                    Some(false) => Err(WRONG_PASSWORD),
                    None => {
                        self.counters.add(Metric::LoginsRefused, 1);
                        Err(TOO_MANY_WAITING)
                    }
                }
            }
            ChainStep::Ask => {
                let request = &ask.policy.auth().http_auth.auth_req;
                match self.http.ask(&ask.policy, request, &ask.facts).await {
                    HttpAnswer { allowed: true, .. } => Ok((false, None)),
                    HttpAnswer { failed: true, .. } => Err(NO_ANSWER),
                    HttpAnswer { .. } => Err(DENIED_BY_HTTP),
                }
            }
        }
    }

    async fn ask(&self, ask: AskPermissions) -> Vec<HttpAnswer> {
        let request = &ask.policy.auth().http_auth.acl_req;
        let mut facts = ask.facts;
        let mut answers = Vec::with_capacity(ask.topics.len());
        for topic in ask.topics {
            facts = Facts {
                wants: Some((ask.action, topic)),
                ..facts
            };
            let answer = self.http.ask(&ask.policy, request, &facts).await;
            answers.push(answer);
            // A server that does not answer is not asked about the rest of the packet, which is denied.
            if answer.failed {
                break;
            }
        }
        answers
    }

    fn start_scram(&self, ask: &StartScram) -> Result<ScramStarted, ScramRefused> {
        let too_many = ScramRefused::TooMany;
        self.check_address(&ask.policy, ask.address)
            .map_err(too_many)?;
        let begun = ClientFirst::parse(&ask.data).and_then(|first| {
            let username: Arc<str> = first.username.as_str().into();
            let verifier = match ask.policy.verifier(&username) {
                Some(Verifier::Scram(verifier)) => Some(&**verifier),
                _ => None,
            };
            let secret = self.passwords.secret();
            let secret = secret.map_err(|_| ScramError::NoRandom)?;
            let (exchange, data) = first.begin(verifier, secret)?;
            Ok(ScramStarted {
                exchange,
                username,
                data,
            })
        });
        begun.map_err(|error| {
            self.count_failure(&ask.policy, ask.address);
            ScramRefused::Failed(error)
        })
    }
}

fn limit(policy: &Policy) -> LoginLimit {
    LoginLimit {
        most: policy.auth().max_failed_logins,
        window: policy.auth().failed_login_window,
    }
}

impl Actor for Authenticator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<LogIn> for Authenticator {
    type Result = ResponseFuture<LoginAnswer>;

    fn handle(&mut self, ask: LogIn, _: &mut Self::Context) -> Self::Result {
        let state = self.0.clone();
        Box::pin(async move { state.log_in(ask).await })
    }
}

impl Handler<AskPermissions> for Authenticator {
    type Result = ResponseFuture<Vec<HttpAnswer>>;

    fn handle(&mut self, ask: AskPermissions, _: &mut Self::Context) -> Self::Result {
        let state = self.0.clone();
        Box::pin(async move { state.ask(ask).await })
    }
}

impl Handler<AskAgain> for Authenticator {
    type Result = ResponseFuture<Vec<HttpAnswer>>;

    fn handle(&mut self, AskAgain(ask): AskAgain, _: &mut Self::Context) -> Self::Result {
        let state = self.0.clone();
        Box::pin(async move {
            let _turn = state.http.background_turn(&ask.policy).await;
            state.ask(ask).await
        })
    }
}

impl Handler<AskSuperuser> for Authenticator {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, ask: AskSuperuser, _: &mut Self::Context) -> Self::Result {
        let state = self.0.clone();
        Box::pin(async move { state.is_superuser(&ask.policy, &ask.facts).await })
    }
}

impl Handler<StartScram> for Authenticator {
    type Result = Result<ScramStarted, ScramRefused>;

    fn handle(&mut self, ask: StartScram, _: &mut Self::Context) -> Self::Result {
        self.0.start_scram(&ask)
    }
}

impl Handler<CountClientFailure> for Authenticator {
    type Result = ();

    fn handle(&mut self, told: CountClientFailure, _: &mut Self::Context) {
        self.0.count_failure(&told.policy, told.address);
    }
}
