//! `nanomq start` and `nanomq restart`.

use std::{
    env,
    path::{self, PathBuf},
};

use super::{
    Failure,
    args::{FileArgs, StartArgs},
    complain, control,
    daemon::{Detached, detach, stderr_is_a_file},
    failure::line,
    logging, open_files,
    pid_file::PidFile,
    run::run,
    say,
};
use crate::{
    actors::ConfigSource,
    config::{self, Config, Loaded, Overrides, Problem, Strictness},
};

/// The variable that names the configuration file.
const CONF_PATH: &str = "NANOMQ_CONF_PATH";

/// What a broker is started with.
pub(super) struct Start {
    /// The configuration.
    pub(super) config: Config,
    /// What is odd about it.
    warnings: Vec<Problem>,
    /// Where a reload reads it again.
    pub(super) source: ConfigSource,
    /// The pid file.
    pub(super) pid_file: PathBuf,
}

/// Starts a broker; returns when it has stopped, or when it is ready in the background.
///
/// # Errors
/// When it cannot start, or did not stop in order.
pub(super) fn start(args: &StartArgs) -> Result<(), Failure> {
    launch(load(&args.file, args.overrides())?)
}

/// Stops the broker that has the pid file, if there is one, and starts one.
///
/// # Errors
/// As [`start`], and when the running one does not stop.
pub(super) fn restart(args: &StartArgs) -> Result<(), Failure> {
    // The running broker goes on if there could be no other after it.
    let start = load(&args.file, args.overrides())?;
    match control::stop_at(&start.pid_file) {
        Ok(()) | Err(Failure::NotRunning { .. }) => launch(start),
        Err(failure) => Err(failure),
    }
}

/// Loads the configuration that the arguments and the environment ask for.
///
/// # Errors
/// [`Failure::Config`] when it has errors.
pub(super) fn load(file: &FileArgs, overrides: Overrides) -> Result<Start, Failure> {
    let path = config_path(file);
    let (form, strictness) = (file.form(), Strictness::Start);
    let Loaded {
        config, warnings, ..
    } = Config::load(
        path.as_deref(),
        form,
        strictness,
        config::environment(),
        &overrides,
    )
    .map_err(Failure::Config)?;
    let pid_file = match config.system.pid_file.as_os_str().is_empty() {
        true => env::temp_dir().join("nanomq").join("nanomq.pid"),
        false => config.system.pid_file.clone(),
    };
    Ok(Start {
        config,
        warnings,
        source: ConfigSource {
            path: path.map(absolute),
            form,
            overrides,
        },
        pid_file: absolute(pid_file),
    })
}

/// The configuration file: of the arguments, of the environment, beside the executable, or none.
pub(super) fn config_path(file: &FileArgs) -> Option<PathBuf> {
    let given = file.path().map(PathBuf::from);
    let named = || {
        let path = env::var_os(CONF_PATH).filter(|path| !path.is_empty());
        path.map(PathBuf::from)
    };
    let beside = || {
        let path = env::current_exe().ok()?.with_file_name("nanomq.conf");
        path.is_file().then_some(path)
    };
    given.or_else(named).or_else(beside)
}

/// A path that stays the same when the current folder changes.
fn absolute(path: PathBuf) -> PathBuf {
    // It fails only for an empty path or without a current folder; opening the file will tell.
    path::absolute(&path).unwrap_or(path)
}

fn launch(start: Start) -> Result<(), Failure> {
    let pid_file = PidFile::lock(&start.pid_file)?;
    if !start.config.system.daemon {
        return log_and_run(start, pid_file, || {});
    }
    for warning in &start.warnings {
        complain(&line(warning));
    }
    if !stderr_is_a_file() {
        complain("warning: the log is lost; to keep it, redirect standard error to a file");
    }
    match detach()? {
        Detached::Terminal(pid) => {
            say(&format!(
                "the broker runs in the background as process {pid}"
            ));
            Ok(())
        }
        Detached::Background(word) => {
            let mut word = Some(word);
            let done = log_and_run(start, pid_file, || {
                if let Some(word) = word.take() {
                    word.ready();
                }
            });
            match (done, word) {
                // The waiting process complains, on the same stream.
                (Err(failure), Some(word)) => {
                    word.failed(&failure.to_string());
                    Ok(())
                }
                (done, _) => done,
            }
        }
    }
}

fn log_and_run(
    start: Start,
    mut pid_file: PidFile,
    on_ready: impl FnOnce(),
) -> Result<(), Failure> {
    logging::init(start.config.log.level);
    for warning in &start.warnings {
        log::warn!("{warning}");
    }
    match &start.source.path {
        Some(path) => log::info!("configuration: {}", path.display()),
        None => log::info!("configuration: built-in defaults, no file"),
    }
    log::info!("pid file: {}", start.pid_file.display());
    open_files::raise_limit();
    run(start.config, start.source, &mut pid_file, on_ready)
}
