//! How the config manager changes the configuration and its file.

use std::sync::Arc;

use actix::Handler;

use super::{
    ConfigManager,
    certificate_files::{self, NewFiles},
};
use crate::{
    config::{
        self, BridgeChanges, Change, Config, Refusal, Setting, Strictness, changes, edit_file,
        refusals, replace_file, with_bridges, with_settings,
    },
    messages::{
        CertificateTexts, ChangeConfig, ChangeRefused, ChangeReport, GetCertificates, GetPending,
        Lasting, PemText, ReplaceConfig,
    },
};

impl ConfigManager {
    /// Changes everything that a change names, or nothing. Without a file, what is hot lasts while the broker runs.
    pub(super) fn change(&self, change: &ChangeConfig) -> Result<ChangeReport, ChangeRefused> {
        let ChangeConfig {
            settings,
            texts,
            bridges,
            lasting,
        } = change;
        let lasting = *lasting;
        let running = self.running.load_full();
        let files = self.place(texts, settings, lasting)?;
        let named = match &files {
            Some(files) => files.settings().map_err(ChangeRefused::Keys)?,
            None => Vec::new(),
        };
        let settings = &[settings.as_slice(), &named].concat();
        let wanted = with_settings(&running, settings).map_err(ChangeRefused::Keys)?;
        let wanted = with_bridges(wanted, bridges);
        let hot = |setting: &&Setting| setting.is_hot();
        let new = settings.iter().filter(hot).cloned().collect::<Vec<_>>();
        let new = with_settings(&running, &new).map_err(ChangeRefused::Keys)?;
        let new = Arc::new(with_bridges(new, bridges));
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
                    bridges,
                )
                .map_err(ChangeRefused::Keys)?;
                let written = files.as_ref().map(NewFiles::write);
                let written = written.transpose().map_err(not_written)?;
                if let Some(text) = edited.text
                    && let Err(error) = replace_file(path, &text)
                {
                    if let Some(written) = written {
                        written.undo();
                    }
                    return Err(not_written(error));
                }
            }
            (Lasting::InFile, None) => {
                refuse_cold(
                    &running,
                    settings,
                    bridges,
                    "there is no configuration file to keep it in",
                )?;
            }
            (Lasting::WhileRunning, _) => {
                refuse_cold(
                    &running,
                    settings,
                    bridges,
                    "cannot change without a restart",
                )?;
            }
        }
        let names = |changes: Vec<Change>| changes.into_iter().map(|change| change.key).collect();
        let mut report = ChangeReport {
            applied: names(changes(&running, &new)),
            needs_restart: names(changes(&new, &wanted)),
        };
        if let Some(files) = &files {
            self.show_new_certificates(&files.keys_in(&running), &mut report);
        }
        self.run(new);
        self.keeper.publish(policy, false);
        Ok(report)
    }

    /// Finds a place for new texts of files.
    fn place(
        &self,
        texts: &[PemText],
        settings: &[Setting],
        lasting: Lasting,
    ) -> Result<Option<NewFiles>, ChangeRefused> {
        if texts.is_empty() {
            return Ok(None);
        }
        let (Lasting::InFile, Some(path)) = (lasting, &self.source.path) else {
            let refuse = |text: &PemText| Refusal {
                key: text.key.to_owned(),
                why: "there is no configuration file to keep it beside".to_owned(),
            };
            return Err(ChangeRefused::Keys(texts.iter().map(refuse).collect()));
        };
        let loaded = self.source.load();
        let loaded = loaded.map_err(|problems| ChangeRefused::Keys(refusals(&problems)))?;
        NewFiles::place(texts, &loaded.config, settings, path)
            .map(Some)
            .map_err(ChangeRefused::Keys)
    }

    /// Files that were named already and have another text now are read at once.
    fn show_new_certificates(&self, keys: &[&'static str], report: &mut ChangeReport) {
        if keys.is_empty() {
            return;
        }
        let keys = keys.iter().map(|key| (*key).to_owned());
        match self.read_identities() {
            Ok(read) => {
                self.replace_identities(read);
                report.applied.extend(keys);
            }
            Err(problems) => {
                // With another password, or another file beside it, which wait for a restart too.
                for problem in problems {
                    log::warn!("{problem}");
                }
                report.needs_restart.extend(keys);
            }
        }
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
fn refuse_cold(
    running: &Config,
    settings: &[Setting],
    bridges: &BridgeChanges,
    why: &str,
) -> Result<(), ChangeRefused> {
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
    let refused = refusals(&with_bridges(new, bridges).problems());
    match refused.is_empty() {
        true => Ok(()),
        false => Err(ChangeRefused::Keys(refused)),
    }
}

impl Handler<ChangeConfig> for ConfigManager {
    type Result = Result<ChangeReport, ChangeRefused>;

    fn handle(&mut self, message: ChangeConfig, _: &mut Self::Context) -> Self::Result {
        let changed = self.change(&message);
        log_change(&changed);
        changed
    }
}

/// Says in the log what became of a change.
pub(super) fn log_change(changed: &Result<ChangeReport, ChangeRefused>) {
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

impl Handler<GetCertificates> for ConfigManager {
    type Result = CertificateTexts;

    fn handle(&mut self, _: GetCertificates, _: &mut Self::Context) -> Self::Result {
        certificate_files::read(&self.running.load())
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
