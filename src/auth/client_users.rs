//! The users that MQTT clients log in as: those of the configuration, and those of a file of their own.
//!
//! The file has a line `name:hash` each, in any form of [`Verifier`]; `"name": "password"`, as NanoMQ has it, is read too.
//! Empty lines and those that begin with `#` stay where they are when the file is written again.

use std::{collections::HashMap, fmt::Write, sync::Arc};

use super::verifier::Verifier;
use crate::config::{Auth, Secret};

/// Most users of the file.
pub const MAX_USERS: usize = 1_000_000;
/// Longest user name in bytes.
pub const MAX_USERNAME: usize = 1024;
/// Longest password in bytes.
pub const MAX_PASSWORD: usize = 512;

/// The users of a file, with everything else that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PasswordFile {
    lines: Vec<Line>,
    /// Where in `lines` each user is.
    index: HashMap<String, usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Other(String),
    User(String, Secret, Verifier),
}

/// What is wrong with a line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u32,
    /// What is wrong; nothing of a password stands in it.
    pub message: String,
}

/// A change of the users.
#[derive(Clone, Debug)]
pub enum ClientUserChange {
    /// There is another user.
    Add {
        /// Who.
        username: String,
        /// The password's hash.
        hash: Secret,
    },
    /// A user has another password.
    SetPassword {
        /// Whose.
        username: String,
        /// The password's hash.
        hash: Secret,
    },
    /// A user is gone.
    Remove {
        /// Who.
        username: String,
    },
}

/// Why the users did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientUserError {
    /// There is no such user.
    Unknown(String),
    /// There is one already.
    Exists(String),
    /// The configuration has this user, and only there it can be changed.
    InConfiguration(String),
    /// There are [`MAX_USERS`] already.
    TooMany,
    /// The file could not be written, or is broken; why stands in the log.
    NotSaved,
}

impl PasswordFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Every line that is wrong, at most a hundred.
    pub fn parse(text: &str) -> Result<Self, Vec<BadLine>> {
        let mut file = Self::default();
        let mut wrong = Vec::new();
        for (number, line) in (1_u32..).zip(text.lines()) {
            // A carriage return at the end is none of a password: it would be lost when the file is written.
            let line = line.trim_end_matches('\r');
            match read_line(line.trim_start_matches('\u{feff}')) {
                Ok(None) => file.lines.push(Line::Other(line.to_owned())),
                Ok(Some((name, secret, verifier))) => {
                    if let Some(message) = file.refuses(&name) {
                        wrong.push(BadLine {
                            line: number,
                            message,
                        });
                        continue;
                    }
                    file.index.insert(name.clone(), file.lines.len());
                    file.lines.push(Line::User(name, secret, verifier));
                }
                Err(message) => wrong.push(BadLine {
                    line: number,
                    message,
                }),
            }
            if wrong.len() >= 100 {
                break;
            }
        }
        match wrong.is_empty() {
            true => Ok(file),
            false => Err(wrong),
        }
    }

    fn refuses(&self, name: &str) -> Option<String> {
        if self.index.contains_key(name) {
            return Some(format!("the user {name:?} is there twice"));
        }
        (self.index.len() >= MAX_USERS).then(|| format!("more than {MAX_USERS} users"))
    }

    /// The text of the file.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for line in &self.lines {
            // Writing to a text does not fail.
            let _ = match line {
                Line::Other(text) => writeln!(out, "{text}"),
                Line::User(name, secret, _) => writeln!(out, "{name}:{}", secret.expose()),
            };
        }
        out
    }

    /// The users, in their order.
    pub fn users(&self) -> impl Iterator<Item = (&str, &Verifier)> {
        self.lines.iter().filter_map(|line| match line {
            Line::User(name, _, verifier) => Some((name.as_str(), verifier)),
            Line::Other(_) => None,
        })
    }

    /// What a user's password is held against.
    pub fn find(&self, username: &str) -> Option<&Verifier> {
        match self.lines.get(*self.index.get(username)?)? {
            Line::User(_, _, verifier) => Some(verifier),
            Line::Other(_) => None,
        }
    }

    /// Whether any password is there as it is.
    pub fn has_plain(&self) -> bool {
        self.users()
            .any(|(_, verifier)| matches!(verifier, Verifier::Plain(_)))
    }

    /// Makes a change.
    ///
    /// # Errors
    /// Why it cannot be made; nothing has changed then.
    pub fn change(&mut self, change: &ClientUserChange) -> Result<(), ClientUserError> {
        match change {
            ClientUserChange::Add { username, hash } => {
                if self.index.contains_key(username) {
                    return Err(ClientUserError::Exists(username.clone()));
                }
                if self.index.len() >= MAX_USERS {
                    return Err(ClientUserError::TooMany);
                }
                let line = user_line(username, hash)?;
                self.index.insert(username.clone(), self.lines.len());
                self.lines.push(line);
            }
            ClientUserChange::SetPassword { username, hash } => {
                let at = self.index.get(username);
                let line = at.and_then(|at| self.lines.get_mut(*at));
                let line = line.ok_or_else(|| ClientUserError::Unknown(username.clone()))?;
                *line = user_line(username, hash)?;
            }
            ClientUserChange::Remove { username } => {
                let at = self.index.remove(username);
                let at = at.ok_or_else(|| ClientUserError::Unknown(username.clone()))?;
                self.lines.remove(at);
                for other in self.index.values_mut().filter(|other| **other > at) {
                    *other -= 1;
                }
            }
        }
        Ok(())
    }
}

fn user_line(username: &str, hash: &Secret) -> Result<Line, ClientUserError> {
    let verifier = Verifier::parse(hash.expose()).map_err(|_| ClientUserError::NotSaved)?;
    Ok(Line::User(username.to_owned(), hash.clone(), verifier))
}

/// A user, or nothing.
fn read_line(line: &str) -> Result<Option<(String, Secret, Verifier)>, String> {
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Ok(None);
    }
    let quoted = trimmed.strip_prefix('"').and_then(|rest| {
        let (name, rest) = rest.split_once('"')?;
        let rest = rest.trim_start().strip_prefix([':', '='])?.trim();
        let secret = rest.strip_suffix(',').unwrap_or(rest).trim_end();
        Some((name, secret.strip_prefix('"')?.strip_suffix('"')?))
    });
    let (name, secret) = match quoted {
        Some(pair) => pair,
        // Space may be part of a password that is there as it is.
        None => line
            .split_once(':')
            .ok_or("expected a line such as name:hash")?,
    };
    if !is_username(name) {
        return Err("that cannot be a user name".to_owned());
    }
    if secret.is_empty() {
        return Err(format!("the user {name:?} has no password"));
    }
    let verifier =
        Verifier::parse(secret).map_err(|message| format!("the password of {name:?} {message}"))?;
    Ok(Some((name.to_owned(), Secret::new(secret), verifier)))
}

/// True when a text can be the name of a user in the file: 1 to [`MAX_USERNAME`] bytes without a colon, a quote or a
/// control character, and neither space nor `#` at its start.
pub fn is_username(text: &str) -> bool {
    (1..=MAX_USERNAME).contains(&text.len())
        && !text.contains(|c: char| c == ':' || c == '"' || c.is_control())
        && !text.starts_with(|c: char| c == '#' || c.is_whitespace())
}

/// True when a text can be the password of such a user.
pub fn is_password(text: &str) -> bool {
    (1..=MAX_PASSWORD).contains(&text.len()) && !text.contains(char::is_control)
}

/// All users of a broker.
#[derive(Debug, Default)]
pub struct ClientUsers {
    configured: HashMap<String, Verifier>,
    file: Arc<PasswordFile>,
    has_slow: bool,
}

impl ClientUsers {
    /// The users of a configuration and a file. Where both have a name, the configuration counts.
    ///
    /// # Errors
    /// A password of the configuration that begins as a hash and is none: whose, and what is wrong.
    pub fn new(auth: &Auth, file: Arc<PasswordFile>) -> Result<Self, String> {
        let configured = auth.password.iter().map(|(name, secret)| {
            let verifier = Verifier::parse(secret.expose());
            let verifier = verifier.map_err(|why| format!("auth.password.{name}: {why}"))?;
            Ok((name.clone(), verifier))
        });
        let configured = configured.collect::<Result<HashMap<String, Verifier>, String>>()?;
        let of_file = file.users().map(|(_, verifier)| verifier);
        let has_slow = configured.values().chain(of_file).any(Verifier::is_slow);
        Ok(Self {
            has_slow,
            configured,
            file,
        })
    }

    /// Whether checking the password of some user is work.
    pub fn has_slow(&self) -> bool {
        self.has_slow
    }

    /// Whether the configuration has a password as it is.
    pub fn has_plain(&self) -> bool {
        self.configured
            .values()
            .any(|verifier| matches!(verifier, Verifier::Plain(_)))
    }

    /// The users of the file.
    pub fn file(&self) -> &Arc<PasswordFile> {
        &self.file
    }

    /// Whether a user is one of the configuration.
    pub fn is_configured(&self, username: &str) -> bool {
        self.configured.contains_key(username)
    }

    /// What a user's password is held against.
    pub fn find(&self, username: &str) -> Option<&Verifier> {
        let configured = self.configured.get(username);
        configured.or_else(|| self.file.find(username))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.configured.is_empty() && self.file.index.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# users\n\nann:secret\nbob:$6$AAEC$X\n";

    /// Found by fuzzing: a password with a carriage return at its end became another when the file was written.
    #[test]
    fn what_is_written_holds_the_same_passwords() {
        for text in [
            "ann:s\r",
            "ann:s\r\n",
            "ann:s\r\r\nbob:t",
            "# \r\r\nann:s",
            "ann: s \r",
        ] {
            let file = PasswordFile::parse(text).unwrap();
            let again = PasswordFile::parse(&file.render()).unwrap();
            assert!(again.users().eq(file.users()), "{text:?}");
            assert!(file.users().all(|(_, verifier)| !verifier.verify(b"s\r")));
        }
    }

    #[test]
    fn a_file_is_read_changed_and_written_with_its_comments() {
        let text = "# users\n\nann:a secret: of hers\n\"admin\": \"public\",\n  # end\n";
        let mut file = PasswordFile::parse(text).unwrap();
        assert!(file.has_plain());
        let find = |file: &PasswordFile, name: &str, password: &str| {
            file.find(name)
                .map(|found| found.verify(password.as_bytes()))
        };
        assert_eq!(find(&file, "ann", "a secret: of hers"), Some(true));
        assert_eq!(find(&file, "admin", "public"), Some(true));
        assert_eq!(find(&file, "admin", "\"public\""), Some(false));
        assert_eq!(find(&file, "bob", "x"), None);
        let set = |username: &str, hash: &str| ClientUserChange::SetPassword {
            username: username.to_owned(),
            hash: Secret::new(hash),
        };
        let add = |username: &str| ClientUserChange::Add {
            username: username.to_owned(),
            hash: Secret::new("x"),
        };
        let remove = |username: &str| ClientUserChange::Remove {
            username: username.to_owned(),
        };
        let unknown = Err(ClientUserError::Unknown("bob".to_owned()));
        assert_eq!(file.change(&set("bob", "x")), unknown);
        assert_eq!(file.change(&remove("bob")), unknown);
        assert_eq!(
            file.change(&add("ann")),
            Err(ClientUserError::Exists("ann".to_owned()))
        );
        assert_eq!(file.change(&add("bob")), Ok(()));
        assert_eq!(file.change(&remove("ann")), Ok(()));
        assert_eq!(file.change(&set("admin", "new")), Ok(()));
        assert_eq!(file.render(), "# users\n\nadmin:new\n  # end\nbob:x\n");
        assert_eq!(find(&file, "bob", "x"), Some(true));
        assert_eq!(find(&file, "admin", "new"), Some(true));
    }

    #[test]
    fn every_wrong_line_is_told_without_its_password() {
        let wrong = PasswordFile::parse(TEXT).unwrap_err();
        assert_eq!(wrong.len(), 1);
        assert_eq!((wrong[0].line, wrong[0].message.contains("bob")), (4, true));
        let text = "ann:x\nnonsense\n:x\nbob:\nann:y\nc\td:x\n";
        let wrong = PasswordFile::parse(text).unwrap_err();
        let lines: Vec<u32> = wrong.iter().map(|wrong| wrong.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6]);
        assert!(!format!("{wrong:?}").contains("nonsense"));
    }

    #[test]
    fn the_configuration_wins_over_the_file() {
        let mut auth = Auth {
            password: vec![("ann".to_owned(), Secret::new("configured"))],
            ..Auth::default()
        };
        let file = Arc::new(PasswordFile::parse("ann:filed\nbob:x\n").unwrap());
        let users = ClientUsers::new(&auth, file.clone()).unwrap();
        assert!(users.find("ann").unwrap().verify(b"configured"));
        assert!(users.find("bob").unwrap().verify(b"x"));
        assert!(users.is_configured("ann") && !users.is_configured("bob"));
        auth.password = vec![("ann".to_owned(), Secret::new("$7$broken"))];
        let error = ClientUsers::new(&auth, file).unwrap_err();
        assert!(
            error.contains("ann") && !error.contains("broken"),
            "{error}"
        );
    }
}
