//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether the broker can start in spite of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot start.
    Error,
    /// It can; something is ignored or probably not meant so.
    Warning,
}

/// One problem of a configuration. Its `Display` is one line such as
/// `nanomq.conf:12:5: mqtt.max_packet_size: expected a size such as 10KB, got "ten"`; a secret value never stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the broker can start in spite of it.
    pub severity: Severity,
    /// The file it is in; none for the environment, the command line and values that are nobody's.
    pub file: Option<PathBuf>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column in characters, from 1.
    pub column: Option<u32>,
    /// The key, the environment variable or the option, as written.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    /// Whether both are about the same place of a file.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        let place = |problem: &Self| (problem.file.clone(), problem.line, problem.column);
        self.line.is_some() && place(self) == place(other)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
                if let Some(column) = self.column {
                    write!(f, ":{column}")?;
                }
            }
            f.write_str(": ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Where a value was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Option<Arc<Path>>,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
}

impl Place {
    /// A whole file.
    pub(crate) fn file(file: &Arc<Path>) -> Self {
        Self {
            file: Some(Arc::clone(file)),
            line: None,
            column: None,
        }
    }

    /// A line and column of a file.
    pub(crate) fn at(file: &Arc<Path>, line: u32, column: u32) -> Self {
        Self {
            file: Some(Arc::clone(file)),
            line: Some(line),
            column: Some(column),
        }
    }

    fn problem(&self, severity: Severity, key: Option<&str>, message: String) -> Problem {
        Problem {
            severity,
            file: self.file.as_deref().map(Path::to_path_buf),
            line: self.line,
            column: self.column,
            key: key.map(str::to_owned),
            message,
        }
    }

    /// An error here.
    pub(crate) fn error(&self, key: Option<&str>, message: impl Into<String>) -> Problem {
        self.problem(Severity::Error, key, message.into())
    }

    /// A warning here.
    pub(crate) fn warning(&self, key: Option<&str>, message: impl Into<String>) -> Problem {
        self.problem(Severity::Warning, key, message.into())
    }
}

/// Whether any of the problems keeps the broker from starting.
pub fn any_error(problems: &[Problem]) -> bool {
    problems
        .iter()
        .any(|problem| problem.severity == Severity::Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line() {
        let file: Arc<Path> = Arc::from(Path::new("nanomq.conf"));
        let cases = [
            (
                Place::at(&file, 12, 5),
                Some("mqtt.max_qos"),
                "nanomq.conf:12:5: mqtt.max_qos: bad",
            ),
            (Place::file(&file), None, "nanomq.conf: bad"),
            (
                Place::default(),
                Some("NANOMQ_DAEMON"),
                "NANOMQ_DAEMON: bad",
            ),
            (Place::default(), None, "bad"),
        ];
        for (place, key, line) in cases {
            assert_eq!(place.error(key, "bad").to_string(), line);
        }
    }
}
