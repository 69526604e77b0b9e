//! The config manager: owns the running configuration and is the only one to change it.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use actix::{Actor, Context, Handler, Recipient};
use arc_swap::ArcSwap;

use super::PolicyKeeper;
use crate::{
    auth::{client_users::ClientUserError, policy::Policy},
    config::{
        self, Config, FileForm, HttpServer, Loaded, Log, Overrides, Problem, Severity, Store,
        Strictness, changes,
    },
    messages::{ApplyBridges, ChangeClientUsers, GetConfig, GetPolicy, ReloadConfig, ReloadReport},
    transport::{Identity, ServerIdentity},
};

/// Where the configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct ConfigSource {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// Its form, where the command line says it.
    pub form: Option<FileForm>,
    /// What the command line sets.
    pub overrides: Overrides,
}

impl ConfigSource {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every problem, when at least one is an error.
    pub fn load(&self) -> Result<Loaded, Vec<Problem>> {
        Config::load(
            self.path.as_deref(),
            self.form,
            Strictness::Start,
            config::environment(),
            &self.overrides,
        )
    }
}

/// See the module's description.
pub struct ConfigManager {
    pub(super) source: ConfigSource,
    pub(super) running: Arc<ArcSwap<Config>>,
    pub(super) keeper: PolicyKeeper,
    identities: Arc<[Arc<ServerIdentity>]>,
    /// Who runs the bridges, once there is somebody.
    bridges: Option<Recipient<ApplyBridges>>,
}

impl ConfigManager {
    /// Manages `running`, which was read from `source`, and what servers over TLS are known by.
    pub fn new(
        source: ConfigSource,
        running: Arc<ArcSwap<Config>>,
        keeper: PolicyKeeper,
        identities: Arc<[Arc<ServerIdentity>]>,
    ) -> Self {
        Self {
            source,
            running,
            keeper,
            identities,
            bridges: None,
        }
    }

    /// Tells who runs the bridges whenever they change.
    pub fn telling(self, bridges: Recipient<ApplyBridges>) -> Self {
        Self {
            bridges: Some(bridges),
            ..self
        }
    }

    /// Puts a configuration in force.
    pub(super) fn run(&self, new: Arc<Config>) {
        let old = self.running.swap(Arc::clone(&new));
        if let Some(keeper) = &self.bridges
            && old.bridges != new.bridges
        {
            keeper.do_send(ApplyBridges(new.bridges.clone()));
        }
    }

    /// Reads the certificates anew: all of them or, with the reasons, none.
    pub(super) fn read_identities(&self) -> Result<Vec<Identity>, Vec<Problem>> {
        let mut read = Vec::new();
        let mut problems = Vec::new();
        for identity in self.identities.iter() {
            match identity.read() {
                Ok(new) => read.push(new),
                Err(error) => problems.push(Problem {
                    severity: Severity::Error,
                    file: None,
                    line: None,
                    column: None,
                    key: Some(identity.name().to_owned()),
                    message: error.to_string(),
                }),
            }
        }
        match problems.is_empty() {
            true => Ok(read),
            false => Err(problems),
        }
    }

    /// Shows what [`read_identities`](Self::read_identities) has read to those that connect from now on.
    pub(super) fn replace_identities(&self, read: Vec<Identity>) {
        for (identity, new) in self.identities.iter().zip(read) {
            identity.replace(new);
            identity.warn_of_end(SystemTime::now());
        }
    }

    fn reload(&self) -> ReloadReport {
        let loaded = self.source.load();
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(problems) => {
                return ReloadReport {
                    problems,
                    ..ReloadReport::default()
                };
            }
        };
        let old = self.running.load_full();
        let new = Arc::new(hot_parts(&old, loaded.config.clone()));
        let policy = match self.keeper.prepare(&new) {
            Ok(policy) => policy,
            Err(problems) => {
                return ReloadReport {
                    problems,
                    ..ReloadReport::default()
                };
            }
        };
        match self.read_identities() {
            Ok(read) => self.replace_identities(read),
            Err(problems) => {
                return ReloadReport {
                    problems,
                    ..ReloadReport::default()
                };
            }
        }
        let mut report = ReloadReport {
            problems: loaded.warnings,
            ..ReloadReport::default()
        };
        for change in changes(&old, &loaded.config) {
            match change.hot {
                true => report.applied.push(change.key),
                false => report.needs_restart.push(change.key),
            }
        }
        if loaded.config.log.level != old.log.level {
            log::set_max_level(loaded.config.log.level.into());
        }
        self.run(new);
        let users_changed = self.keeper.publish(policy, true);
        let file = "auth.password_file".to_owned();
        if users_changed && !report.applied.contains(&file) {
            report.applied.push(file);
        }
        report
    }
}

/// `new` as far as it can change while running; what needs a restart stays as it runs.
fn hot_parts(running: &Config, new: Config) -> Config {
    Config {
        system: running.system.clone(),
        listeners: running.listeners.clone(),
        http_server: HttpServer {
            username: new.http_server.username,
            password: new.http_server.password,
            hide_secrets: new.http_server.hide_secrets,
            max_failed_logins: new.http_server.max_failed_logins,
            failed_login_window: new.http_server.failed_login_window,
            jwt: new.http_server.jwt,
            ..running.http_server.clone()
        },
        log: Log {
            level: new.log.level,
            ..running.log.clone()
        },
        mqtt: new.mqtt,
        store: Store {
            enable: running.store.enable,
            path: running.store.path.clone(),
            durability: running.store.durability,
            ..new.store
        },
        auth: new.auth,
        bridges: new.bridges,
    }
}

impl ReloadReport {
    /// True when the configuration has errors and nothing was applied.
    pub fn failed(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }
}

impl Actor for ConfigManager {
    type Context = Context<Self>;
}

impl Handler<GetPolicy> for ConfigManager {
    type Result = Arc<Policy>;

    fn handle(&mut self, _: GetPolicy, _: &mut Self::Context) -> Self::Result {
        self.keeper.policy()
    }
}

impl Handler<ChangeClientUsers> for ConfigManager {
    type Result = Result<(), ClientUserError>;

    fn handle(&mut self, change: ChangeClientUsers, _: &mut Self::Context) -> Self::Result {
        self.keeper
            .change_users(&self.running.load_full(), &change.0)
    }
}

impl Handler<GetConfig> for ConfigManager {
    type Result = Arc<Config>;

    fn handle(&mut self, _: GetConfig, _: &mut Self::Context) -> Self::Result {
        self.running.load_full()
    }
}

impl Handler<ReloadConfig> for ConfigManager {
    type Result = ReloadReport;

    fn handle(&mut self, _: ReloadConfig, _: &mut Self::Context) -> Self::Result {
        let report = self.reload();
        for problem in &report.problems {
            match problem.severity {
                Severity::Error => log::error!("{problem}"),
                Severity::Warning => log::warn!("{problem}"),
            }
        }
        match report.failed() {
            true => log::error!("the configuration was not reloaded: it has errors"),
            false => log::info!(
                "configuration reloaded; applied: [{}]; needs a restart: [{}]",
                report.applied.join(", "),
                report.needs_restart.join(", ")
            ),
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{BridgeConfig, Listener, LogLevel, Secret};

    #[test]
    fn what_can_change_while_running_is_what_the_table_of_keys_calls_hot() {
        let running = Config::default();
        let mut new = Config::default();
        new.system.num_taskq_thread = 3;
        new.listeners
            .tcp
            .insert("more".to_owned(), Listener::default());
        new.http_server.port = 1;
        new.http_server.max_body = 2;
        new.http_server.username = "ann".to_owned();
        new.http_server.password = Secret::new("x");
        new.http_server.hide_secrets = true;
        new.http_server.users_file = "users.json".into();
        new.http_server.max_failed_logins = 1;
        new.http_server.failed_login_window = Duration::from_secs(1);
        new.http_server.jwt.leeway = Duration::from_secs(1);
        new.log.level = LogLevel::Error;
        new.mqtt.max_qos = 1;
        new.auth.allow_anonymous = false;
        let bridge = BridgeConfig::default();
        new.bridges.mqtt.insert("up".to_owned(), bridge);
        let merged = hot_parts(&running, new.clone());
        let applied: Vec<_> = changes(&running, &merged).into_iter().collect();
        assert!(!applied.is_empty() && applied.iter().all(|change| change.hot));
        let waiting = changes(&merged, &new);
        assert!(!waiting.is_empty() && waiting.iter().all(|change| !change.hot));
    }
}
