//! Loading from end to end: problems with their lines, includes, listeners, both forms.

mod against_each_other;
mod files;
mod flat_form;
mod listeners;
mod problems;
mod rules;
mod sources;

use std::path::{Path, PathBuf};

use super::render::tests::unusual;
use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/config")
        .join(name)
}

/// Loads a file to start with, without environment and command line.
fn start(path: &Path) -> Result<Loaded, Vec<Problem>> {
    Config::load(
        Some(path),
        None,
        Strictness::Start,
        [],
        &Overrides::default(),
    )
}

fn load_text(text: &str) -> Result<Loaded, Vec<Problem>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.conf");
    std::fs::write(&path, text).unwrap();
    start(&path)
}

/// Problems without the folder of their file.
fn shown(problems: &[Problem]) -> Vec<String> {
    let short = |problem: &Problem| Problem {
        file: problem
            .file
            .as_deref()
            .and_then(Path::file_name)
            .map(PathBuf::from),
        ..problem.clone()
    };
    problems
        .iter()
        .map(|problem| short(problem).to_string())
        .collect()
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let text = format!("{:?}", unusual());
    assert!(
        !text.contains("top secret") && !text.contains("pass word"),
        "{text}"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_loads_or_is_refused(text in "(mqtt|log|auth|url|a|[{}\\[\\]=:.,\"#/$+\\\\ \n\u{e9}]|1){0,40}") {
        // The result is of no interest: that there is one is.
        let _ = load_text(&text);
        let mut problems = Vec::new();
        flat::read(&std::sync::Arc::from(Path::new("x")), &text, &mut problems);
    }
}
