//! `nanomq check`.

use std::sync::Arc;

use super::{Failure, args::FileArgs, complain, failure::line, say, start::config_path};
use crate::{
    actors::PolicyKeeper,
    broker::check_identities,
    config::{self, Problem, Severity, render_effective},
};

/// Checks a file, which is the one that `start` would read if none is given.
///
/// # Errors
/// [`Failure::Config`] with every problem when one is an error, [`Failure::NoFile`] without a file.
pub(super) fn check(file: &FileArgs) -> Result<(), Failure> {
    let path = config_path(file).ok_or(Failure::NoFile)?;
    let report = config::check(&path, file.form());
    let Some(effective) = report.effective else {
        return Err(Failure::Config(report.problems));
    };
    // What the broker reads beside it.
    PolicyKeeper::first(Arc::new(effective.clone()), Some(&path)).map_err(Failure::Config)?;
    let unusable = check_identities(&effective).into_iter();
    let unusable: Vec<Problem> = unusable
        .map(|error| Problem {
            severity: Severity::Error,
            file: Some(path.clone()),
            line: None,
            column: None,
            key: None,
            message: error.to_string(),
        })
        .collect();
    if !unusable.is_empty() {
        return Err(Failure::Config(unusable));
    }
    for problem in &report.problems {
        complain(&line(problem));
    }
    say(render_effective(&effective).trim_end());
    Ok(())
}
