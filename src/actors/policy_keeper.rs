//! Makes the policy of a configuration and its file of users, and publishes it. The config manager is the one who does.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use actix::Recipient;
use arc_swap::ArcSwap;

use super::private_file;
use crate::{
    auth::{
        client_users::{ClientUserChange, ClientUserError, PasswordFile},
        policy::Policy,
    },
    config::{Auth, Config, Problem, Severity},
    messages::RecheckClients,
    transport::ClientTls,
};

/// The file that the users are in unless `auth.password_file` names one.
const FILE_NAME: &str = "nanomq_passwd";
/// Largest file of users in bytes.
const MAX_FILE: u64 = 256 << 20;

/// See the module's description.
pub struct PolicyKeeper {
    published: Arc<ArcSwap<Policy>>,
    config_file: Option<PathBuf>,
    registry: Recipient<RecheckClients>,
}

impl PolicyKeeper {
    /// Publishes in `published`, and tells the registry what has changed.
    pub fn new(
        published: Arc<ArcSwap<Policy>>,
        config_file: Option<PathBuf>,
        registry: Recipient<RecheckClients>,
    ) -> Self {
        Self {
            published,
            config_file,
            registry,
        }
    }

    /// The policy to start with.
    ///
    /// # Errors
    /// A file cannot be used: every problem.
    pub fn first(config: Arc<Config>, config_file: Option<&Path>) -> Result<Policy, Vec<Problem>> {
        let file = read_users(&config.auth, config_file)?;
        let policy = make(1, config, Arc::new(file))?;
        warn_of_plain(&policy);
        Ok(policy)
    }

    /// The policy as it is published.
    pub fn policy(&self) -> Arc<Policy> {
        self.published.load_full()
    }

    /// The policy that belongs to a configuration; the file of users is read anew.
    ///
    /// # Errors
    /// Why there is none: every problem.
    pub fn prepare(&self, config: &Arc<Config>) -> Result<Policy, Vec<Problem>> {
        let file = read_users(&config.auth, self.config_file.as_deref())?;
        let before = self.published.load();
        let file = match file == **before.users().file() {
            true => before.users().file().clone(),
            false => Arc::new(file),
        };
        make(before.version.saturating_add(1), config.clone(), file)
    }

    /// Has everybody go by a policy from here on; says whether the file of users is another. The HTTP server is asked anew
    /// about the subscriptions that it has granted when `ask_again`, or when it is another.
    pub fn publish(&self, policy: Policy, ask_again: bool) -> bool {
        let policy = Arc::new(policy);
        let before = self.published.swap(policy.clone());
        if before.auth().password != policy.auth().password {
            warn_of_plain(&policy);
        }
        let same_users = Arc::ptr_eq(before.users().file(), policy.users().file());
        let other_server = before.auth().http_auth != policy.auth().http_auth;
        let ask_again = policy.asks() && (ask_again || other_server);
        if !same_users || ask_again || before.auth() != policy.auth() {
            self.registry.do_send(RecheckClients {
                before,
                ask_again,
                after: None,
            });
        }
        !same_users
    }

    /// Changes the users and writes their file.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn change_users(
        &self,
        config: &Arc<Config>,
        change: &ClientUserChange,
    ) -> Result<(), ClientUserError> {
        let (ClientUserChange::Add { username, .. }
        | ClientUserChange::SetPassword { username, .. }
        | ClientUserChange::Remove { username }) = change;
        let before = self.published.load_full();
        if before.users().is_configured(username) {
            return Err(ClientUserError::InConfiguration(username.clone()));
        }
        let path = users_file(&config.auth, self.config_file.as_deref());
        // As it is on disk now, so that nothing is lost that somebody else has written to it.
        let mut file = match &path {
            Some(_) => read_users(&config.auth, self.config_file.as_deref()).map_err(not_saved)?,
            None => (**before.users().file()).clone(),
        };
        file.change(change)?;
        match &path {
            Some(path) => private_file::replace(path, &file.render()).map_err(|error| {
                log::error!("{}: {error}; the users were not changed", path.display());
                ClientUserError::NotSaved
            })?,
            None => log::warn!("there is no file for the users; they are gone at the end"),
        }
        let version = before.version.saturating_add(1);
        let policy = make(version, config.clone(), Arc::new(file)).map_err(not_saved)?;
        self.publish(policy, false);
        Ok(())
    }
}

/// Makes a change in a file of users, which is made if there is none.
///
/// # Errors
/// It cannot be read or written, is broken, or the change cannot be made: why.
pub fn change_password_file(path: &Path, change: &ClientUserChange) -> io::Result<()> {
    let text = private_file::read(path, MAX_FILE)?.unwrap_or_default();
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let mut file = PasswordFile::parse(&text).map_err(|wrong| {
        let lines = wrong
            .iter()
            .map(|wrong| format!("{}:{}: {}", path.display(), wrong.line, wrong.message));
        invalid(lines.collect::<Vec<_>>().join("\n"))
    })?;
    let change = match change {
        ClientUserChange::SetPassword { username, hash } if file.find(username).is_none() => {
            &ClientUserChange::Add {
                username: username.clone(),
                hash: hash.clone(),
            }
        }
        other => other,
    };
    file.change(change).map_err(|error| match error {
        ClientUserError::Unknown(name) => invalid(format!("there is no user {name}")),
        error => invalid(format!("{error:?}")),
    })?;
    private_file::replace(path, &file.render())
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn not_saved(problems: Vec<Problem>) -> ClientUserError {
    for problem in problems {
        log::error!("{problem}; the users were not changed");
    }
    ClientUserError::NotSaved
}

fn make(
    version: u64,
    config: Arc<Config>,
    file: Arc<PasswordFile>,
) -> Result<Policy, Vec<Problem>> {
    check_requests(&config.auth)?;
    Policy::new(version, config, file).map_err(|message| vec![problem(None, None, message)])
}

/// The files of requests that are sent can be used.
fn check_requests(auth: &Auth) -> Result<(), Vec<Problem>> {
    let http = &auth.http_auth;
    let mut problems = Vec::new();
    for (name, request) in [
        ("auth_req", &http.auth_req),
        ("super_req", &http.super_req),
        ("acl_req", &http.acl_req),
    ] {
        if !http.enable || request.url.is_empty() || request.tls.is_default() {
            continue;
        }
        if let Err(bad) = ClientTls::read(&request.tls) {
            problems.push(Problem {
                key: Some(format!("auth.http_auth.{name}.tls")),
                ..problem(None, None, bad.to_string())
            });
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems),
    }
}

fn warn_of_plain(policy: &Policy) {
    if policy.users().has_plain() {
        log::warn!(
            "auth.password: there are passwords in plain text; `nanomq passwd` writes hashes"
        );
    }
}

fn users_file(auth: &Auth, config_file: Option<&Path>) -> Option<PathBuf> {
    match auth.password_file.as_os_str().is_empty() {
        false => Some(auth.password_file.clone()),
        true => config_file.map(|path| path.with_file_name(FILE_NAME)),
    }
}

fn read_users(auth: &Auth, config_file: Option<&Path>) -> Result<PasswordFile, Vec<Problem>> {
    let Some(path) = users_file(auth, config_file) else {
        return Ok(PasswordFile::default());
    };
    let text = private_file::read(&path, MAX_FILE)
        .map_err(|error| vec![problem(None, None, error.to_string())])?;
    let Some(text) = text else {
        // The API makes it with the first user.
        return Ok(PasswordFile::default());
    };
    let file = PasswordFile::parse(&text).map_err(|wrong| {
        let lines = wrong.into_iter();
        lines
            .map(|wrong| problem(Some(&path), Some(wrong.line), wrong.message))
            .collect::<Vec<_>>()
    })?;
    if file.has_plain() {
        log::warn!(
            "{}: there are passwords in plain text; `nanomq passwd` writes hashes",
            path.display()
        );
    }
    Ok(file)
}

fn problem(file: Option<&Path>, line: Option<u32>, message: String) -> Problem {
    Problem {
        severity: Severity::Error,
        file: file.map(Path::to_path_buf),
        line,
        column: None,
        key: None,
        message,
    }
}
