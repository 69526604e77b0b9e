//! How a request's user is found: what is asked of the actor that knows the users, and the hashing in between.

use std::{net::IpAddr, sync::Arc, time::Duration, time::SystemTime};

use actix::Recipient;
use actix_web::{rt, web};
use tokio::sync::Semaphore;

use super::{ApiError, state::ask};
use crate::{
    auth::{
        api_access::{Attempt, Login, LoginStep},
        password_hash,
        token::TokenError,
    },
    config::Config,
    messages::{
        BeginLogin, ChangeApiUsers, CountFailedLogin, FinishLogin, GetTokenKey, ListApiUsers,
    },
};

/// Passwords that may wait to be hashed.
const MOST_WAITING: usize = 64;
/// When to come back if there are more.
const BUSY: Duration = Duration::from_secs(1);

/// Who knows the users of the API.
#[derive(Clone)]
pub struct Access {
    /// Begins a login.
    pub begin: Recipient<BeginLogin>,
    /// Ends a login.
    pub finish: Recipient<FinishLogin>,
    /// Counts a failed login.
    pub count_failed: Recipient<CountFailedLogin>,
    /// Knows the key of tokens.
    pub token_key: Recipient<GetTokenKey>,
    /// Lists the users.
    pub users: Recipient<ListApiUsers>,
    /// Changes the users.
    pub change: Recipient<ChangeApiUsers>,
    /// Where passwords are hashed.
    pub hashing: Hashing,
}

/// Hashes one password at a time, off the server's thread: each takes 19 MiB and tens of milliseconds, and strangers
/// can ask for it.
#[derive(Clone)]
pub struct Hashing {
    waiting: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

/// The turn of one who hashes.
pub struct Turn {
    _waiting: tokio::sync::OwnedSemaphorePermit,
    _turn: tokio::sync::OwnedSemaphorePermit,
}

impl Hashing {
    /// Waits for a turn.
    ///
    /// # Errors
    /// [`ApiError::TooManyFailedLogins`] when too many wait.
    pub async fn turn(&self) -> Result<Turn, ApiError> {
        let waiting = self.waiting.clone().try_acquire_owned();
        let busy = ApiError::TooManyFailedLogins { wait: BUSY };
        Ok(Turn {
            _waiting: waiting.map_err(|_| busy)?,
            _turn: self.turn.clone().acquire_owned().await.map_err(|error| {
                log::error!("http: {error}");
                ApiError::NoAnswer
            })?,
        })
    }
}

impl Turn {
    /// Hashes in this turn. The turn lasts as long as the work, whoever still waits for it.
    ///
    /// # Errors
    /// [`ApiError::NoAnswer`] when the work panics.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let done = web::block(move || {
            let result = work();
            drop(self);
            result
        });
        done.await.map_err(|error| {
            log::error!("http: hashing: {error}");
            ApiError::NoAnswer
        })
    }
}

impl Access {
    /// Finds a user by name and password.
    ///
    /// # Errors
    /// [`ApiError::WrongCredentials`], or [`ApiError::TooManyFailedLogins`] when it was not even tried.
    pub async fn log_in(&self, config: Arc<Config>, attempt: Attempt) -> Result<Login, ApiError> {
        let attempt = Arc::new(attempt);
        let begin = BeginLogin { config, attempt };
        match ask(&self.begin, begin.clone()).await?.0 {
            LoginStep::Check(_) => {
                // Who hangs up before the end must not get more tries by it: the login goes on by itself.
                let login = self.clone().check(begin);
                rt::spawn(login).await.unwrap_or(Err(ApiError::NoAnswer))
            }
            step => settle(step),
        }
    }

    async fn check(self, begin: BeginLogin) -> Result<Login, ApiError> {
        let turn = self.hashing.turn().await?;
        // Those who were before may have had the same password, or too many wrong ones.
        let hash = match ask(&self.begin, begin.clone()).await?.0 {
            LoginStep::Check(hash) => hash,
            step => return settle(step),
        };
        let BeginLogin { config, attempt } = begin;
        let (of, with) = (hash.clone(), attempt.password.clone());
        let verify = move || password_hash::verify(&of, with.expose());
        let right = turn.run(verify).await?;
        let finish = FinishLogin {
            config,
            attempt,
            hash,
            right,
        };
        let login = ask(&self.finish, finish).await?;
        login.ok_or(ApiError::WrongCredentials)
    }

    /// Finds the user that a token names.
    ///
    /// # Errors
    /// [`ApiError::WrongToken`], [`ApiError::ExpiredToken`], or [`ApiError::TooManyFailedLogins`] when there were too
    /// many wrong ones before; a right one is let in even then, because it cannot be guessed.
    pub async fn check_token(
        &self,
        config: Arc<Config>,
        address: IpAddr,
        token: &str,
    ) -> Result<Login, ApiError> {
        let key = ask(&self.token_key, GetTokenKey(config.clone())).await?;
        let key = key.ok_or(ApiError::NoAnswer)?;
        match key.check(token, SystemTime::now()) {
            Ok(login) => Ok(login),
            Err(TokenError::Expired) => Err(ApiError::ExpiredToken),
            Err(TokenError::Wrong(why)) => {
                self.count_failed(config, address).await?;
                Err(ApiError::WrongToken(why))
            }
        }
    }

    /// Counts a failed login.
    ///
    /// # Errors
    /// [`ApiError::TooManyFailedLogins`] when the address had too many before.
    pub async fn count_failed(&self, config: Arc<Config>, address: IpAddr) -> Result<(), ApiError> {
        let counted = ask(&self.count_failed, CountFailedLogin { config, address }).await?;
        counted.map_err(|wait| ApiError::TooManyFailedLogins { wait })
    }
}

fn settle(step: LoginStep) -> Result<Login, ApiError> {
    match step {
        LoginStep::Known(login) => Ok(login),
        LoginStep::Refused(wait) => Err(ApiError::TooManyFailedLogins { wait }),
        LoginStep::Wrong | LoginStep::Check(_) => Err(ApiError::WrongCredentials),
    }
}
