//! How the config manager changes the configuration and its file.

use std::sync::Arc;

use actix::Handler;

use super::ConfigManager;
use crate::{
    config::{
        self, Change, Config, Refusal, Setting, Strictness, changes, edit_file, refusals,
        replace_file, with_settings,
    },
    messages::{ChangeConfig, ChangeRefused, ChangeReport, GetPending, Lasting, ReplaceConfig},
};

impl ConfigManager {
    fn change(
        &self,
        settings: &[Setting],
        lasting: Lasting,
    ) -> Result<ChangeReport, ChangeRefused> {
        let running = self.running.load_full();
        let wanted = with_settings(&running, settings).map_err(ChangeRefused::Keys)?;
        let hot = |setting: &&Setting| setting.is_hot();
        let new = settings.iter().filter(hot).cloned().collect::<Vec<_>>();
        let new = with_settings(&running, &new).map_err(ChangeRefused::Keys)?;
        let new = Arc::new(new);
        let policy = self.keeper.prepare(&new);
        let policy = policy.map_err(|problems| ChangeRefused::Keys(refusals(&problems)))?;
        match (lasting, &self.source.path) {
            (Lasting::InFile, Some(path)) => {
                let source = &self.source;
                let edited = edit_file(
                    path,
                    source.form,
                    &source.overrides,
                    config::environment(),
                    settings,
                )
                .map_err(ChangeRefused::Keys)?;
                if let Some(text) = edited.text {
                    replace_file(path, &text).map_err(not_written)?;
                }
            }
            (Lasting::InFile, None) => {
                refuse_cold(
                    &running,
                    settings,
                    "there is no configuration file to keep it in",
                )?;
            }
            (Lasting::WhileRunning, _) => {
                refuse_cold(&running, settings, "cannot change without a restart")?;
            }
        }
        let names = |changes: Vec<Change>| changes.into_iter().map(|change| change.key).collect();
        let report = ChangeReport {
            applied: names(changes(&running, &new)),
            needs_restart: names(changes(&new, &wanted)),
        };
        self.running.store(new);
        self.keeper.publish(policy);
        Ok(report)
    }

    fn replace(&self, text: &str) -> Result<(), ChangeRefused> {
        let path = self.source.path.as_deref().ok_or(ChangeRefused::NoFile)?;
        let source = &self.source;
        Config::load_text(
            path,
            text,
            source.form,
            Strictness::Start,
            config::environment(),
            &source.overrides,
        )
        .map_err(ChangeRefused::Text)?;
        replace_file(path, text).map_err(not_written)
    }
}

fn not_written(error: std::io::Error) -> ChangeRefused {
    ChangeRefused::NotWritten(error.to_string())
}

/// Refuses settings that would have to wait for a restart. How the others go together is seen here too, as no file
/// is read.
fn refuse_cold(running: &Config, settings: &[Setting], why: &str) -> Result<(), ChangeRefused> {
    let cold: Vec<Refusal> = settings
        .iter()
        .filter(|setting| !setting.is_hot() && !setting.holds_in(running))
        .map(|setting| Refusal {
            key: setting.key.to_owned(),
            why: why.to_owned(),
        })
        .collect();
    if !cold.is_empty() {
        return Err(ChangeRefused::Keys(cold));
    }
    let new = with_settings(running, settings).map_err(ChangeRefused::Keys)?;
    let refused = refusals(&new.problems());
    match refused.is_empty() {
        true => Ok(()),
        false => Err(ChangeRefused::Keys(refused)),
    }
}

impl Handler<ChangeConfig> for ConfigManager {
    type Result = Result<ChangeReport, ChangeRefused>;

    fn handle(&mut self, message: ChangeConfig, _: &mut Self::Context) -> Self::Result {
        let changed = self.change(&message.settings, message.lasting);
        match &changed {
            Ok(report) => log::info!(
                "configuration changed; applied: [{}]; needs a restart: [{}]",
                report.applied.join(", "),
                report.needs_restart.join(", ")
            ),
            Err(ChangeRefused::NotWritten(error)) => {
                log::error!("the configuration file cannot be written: {error}");
            }
            Err(_) => log::info!("a change of the configuration was refused"),
        }
        changed
    }
}

impl Handler<ReplaceConfig> for ConfigManager {
    type Result = Result<(), ChangeRefused>;

    fn handle(&mut self, message: ReplaceConfig, _: &mut Self::Context) -> Self::Result {
        let replaced = self.replace(&message.text);
        match &replaced {
            Ok(()) => log::info!("the configuration file was replaced; it waits for a reload"),
            Err(ChangeRefused::NotWritten(error)) => {
                log::error!("the configuration file cannot be written: {error}");
            }
            Err(_) => log::info!("a new configuration file was refused"),
        }
        replaced
    }
}

impl Handler<GetPending> for ConfigManager {
    type Result = Vec<Change>;

    fn handle(&mut self, _: GetPending, _: &mut Self::Context) -> Self::Result {
        // Without a file, or with one that does not load, there is nothing that a restart would change.
        let loaded = self.source.path.as_ref().map(|_| self.source.load());
        match loaded {
            Some(Ok(loaded)) => changes(&self.running.load(), &loaded.config),
            _ => Vec::new(),
        }
    }
}
