//! Who may use the HTTP API: owns its users and their file, the failed logins and the key of its tokens.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AtomicResponse, Context, Handler, WrapFuture};
use tokio::task::spawn_blocking;

use super::private_file;
use crate::{
    auth::{
        api_access::{ApiAccess, Login},
        api_users::{ApiUser, UserError, UserList},
        token::TokenKey,
    },
    config::{Config, HttpAuth, HttpServer},
    messages::{
        BeginLogin, ChangeApiUsers, CountFailedLogin, FinishLogin, GetTokenKey, ListApiUsers,
        NextStep,
    },
};

/// The file that the users are in unless `http_server.users_file` names one.
const FILE_NAME: &str = "nanomq_users.json";
/// Largest file of users in bytes: more than the most users with the longest texts have.
const MAX_FILE: u64 = 8 << 20;

/// See the module's description.
pub struct ApiUsers {
    access: ApiAccess,
    /// Where the users are kept; `None`: in memory only.
    file: Option<PathBuf>,
    token_key: Option<Arc<TokenKey>>,
    /// The configuration that the key was last read for. Each reload makes a new one.
    read_for: Arc<Config>,
}

impl ApiUsers {
    /// Reads the users, and the key of the tokens if they are used. Without a file of their own the users are in
    /// `nanomq_users.json` beside the configuration file, and without that in memory.
    ///
    /// # Errors
    /// A file cannot be used: what is wrong with which.
    pub fn open(config: Arc<Config>, config_file: Option<&Path>) -> io::Result<Self> {
        let http = &config.http_server;
        let file = users_file(http, config_file);
        let text = match &file {
            Some(file) => private_file::read(file, MAX_FILE)?,
            None => None,
        };
        let users = match (&file, text) {
            (Some(file), Some(text)) => UserList::from_json(&text).map_err(|error| {
                let message = format!("{}: {error}", file.display());
                io::Error::new(io::ErrorKind::InvalidData, message)
            })?,
            _ => UserList::default(),
        };
        let token_key = match http.auth_type {
            HttpAuth::Jwt => Some(Arc::new(TokenKey::read(&http.jwt)?)),
            HttpAuth::Basic | HttpAuth::NoAuth => None,
        };
        Ok(Self {
            access: ApiAccess::new(users),
            file,
            token_key,
            read_for: config,
        })
    }
}

fn users_file(http: &HttpServer, config_file: Option<&Path>) -> Option<PathBuf> {
    match http.users_file.as_os_str().is_empty() {
        false => Some(http.users_file.clone()),
        true => config_file.map(|path| path.with_file_name(FILE_NAME)),
    }
}

impl Actor for ApiUsers {
    type Context = Context<Self>;
}

impl Handler<BeginLogin> for ApiUsers {
    type Result = NextStep;

    fn handle(&mut self, login: BeginLogin, _: &mut Self::Context) -> NextStep {
        let http = &login.config.http_server;
        NextStep(self.access.begin(http, &login.attempt, Instant::now()))
    }
}

impl Handler<FinishLogin> for ApiUsers {
    type Result = Option<Login>;

    fn handle(&mut self, login: FinishLogin, _: &mut Self::Context) -> Option<Login> {
        let http = &login.config.http_server;
        let now = Instant::now();
        self.access
            .finish(http, &login.attempt, &login.hash, login.right, now)
    }
}

impl Handler<CountFailedLogin> for ApiUsers {
    type Result = Result<(), Duration>;

    fn handle(&mut self, failed: CountFailedLogin, _: &mut Self::Context) -> Self::Result {
        let (http, now) = (&failed.config.http_server, Instant::now());
        self.access.check_address(http, failed.address, now)?;
        self.access.count_failed(http, failed.address, now);
        Ok(())
    }
}

impl Handler<GetTokenKey> for ApiUsers {
    type Result = Option<Arc<TokenKey>>;

    fn handle(&mut self, GetTokenKey(config): GetTokenKey, _: &mut Self::Context) -> Self::Result {
        if !Arc::ptr_eq(&config, &self.read_for) {
            // Once a reload; the file is small.
            match TokenKey::read(&config.http_server.jwt) {
                Ok(key) => self.token_key = Some(Arc::new(key)),
                Err(error) => log::error!("http_server.jwt: {error}; the key stays as it was"),
            }
            self.read_for = config;
        }
        self.token_key.clone()
    }
}

impl Handler<ListApiUsers> for ApiUsers {
    type Result = Vec<ApiUser>;

    fn handle(&mut self, _: ListApiUsers, _: &mut Self::Context) -> Self::Result {
        self.access.users().as_slice().to_vec()
    }
}

impl Handler<ChangeApiUsers> for ApiUsers {
    type Result = AtomicResponse<Self, Result<(), UserError>>;

    /// No other message is handled before the file is written, so that changes do not overtake each other.
    fn handle(&mut self, told: ChangeApiUsers, _: &mut Self::Context) -> Self::Result {
        let mut users = self.access.users().clone();
        let changed = users.change(told.change, &told.config.http_server.username);
        let file = self.file.clone();
        let saved = async move {
            changed?;
            match file {
                Some(file) => save(file, users).await,
                None => {
                    log::warn!("http: there is no file for the users; they are gone at the end");
                    Ok(users)
                }
            }
        };
        let done = saved.into_actor(self).map(|saved, this, _| {
            this.access.set_users(saved?);
            Ok(())
        });
        AtomicResponse::new(Box::pin(done))
    }
}

async fn save(file: PathBuf, users: UserList) -> Result<UserList, UserError> {
    let written = spawn_blocking(move || {
        let text = users.to_json()?;
        private_file::replace(&file, &text).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", file.display()))
        })?;
        Ok::<_, io::Error>(users)
    });
    match written.await {
        Ok(Ok(users)) => Ok(users),
        Ok(Err(error)) => {
            log::error!("http: the users were not changed: {error}");
            Err(UserError::NotSaved)
        }
        Err(error) => {
            log::error!("http: the users were not changed: {error}");
            Err(UserError::NotSaved)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_users_are_kept() {
        let beside = Some(Path::new("/etc/nanomq.conf"));
        for (configured, config_file, expected) in [
            ("", beside, Some("/etc/nanomq_users.json")),
            ("", Some(Path::new("my.conf")), Some("nanomq_users.json")),
            ("", None, None),
            ("/var/u.json", beside, Some("/var/u.json")),
            ("/var/u.json", None, Some("/var/u.json")),
        ] {
            let http = HttpServer {
                users_file: configured.into(),
                ..HttpServer::default()
            };
            let file = users_file(&http, config_file);
            assert_eq!(file.as_deref(), expected.map(Path::new), "{configured}");
        }
    }

    #[test]
    fn a_broken_file_of_users_or_key_is_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users.json");
        let mut config = Config::default();
        config.http_server.users_file = users.clone();
        assert!(ApiUsers::open(Arc::new(config.clone()), None).is_ok());
        std::fs::write(&users, "{").unwrap();
        let error = ApiUsers::open(Arc::new(config.clone()), None)
            .err()
            .unwrap();
        assert!(error.to_string().contains("users.json"), "{error}");
        std::fs::remove_file(&users).unwrap();
        config.http_server.auth_type = HttpAuth::Jwt;
        for keyfile in ["missing.pub", "users.json"] {
            config.http_server.jwt.public.keyfile = folder.path().join(keyfile);
            std::fs::write(&users, "no key").unwrap();
            config.http_server.users_file = PathBuf::new();
            let error = ApiUsers::open(Arc::new(config.clone()), None)
                .err()
                .unwrap();
            assert!(error.to_string().contains(keyfile), "{error}");
        }
    }
}
