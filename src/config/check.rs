//! Checking a file without starting anything.

use std::path::Path;

use super::load::{FileForm, Overrides, Strictness};
use super::model::Config;
use super::problem::Problem;

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Every problem, in the order of the lines.
    pub problems: Vec<Problem>,
    /// The configuration the file makes; none when a problem is an error.
    pub effective: Option<Config>,
}

/// Checks a file by itself: the environment and the command line do not count, and an unknown key is an error.
/// Without `form` it is guessed from the text.
pub fn check(path: &Path, form: Option<FileForm>) -> Report {
    match Config::load(
        Some(path),
        form,
        Strictness::Check,
        [],
        &Overrides::default(),
    ) {
        Ok(loaded) => Report {
            problems: loaded.warnings,
            effective: Some(loaded.config),
        },
        Err(problems) => Report {
            problems,
            effective: None,
        },
    }
}
