//! `nanomq passwd`.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::{Failure, args::PasswdArgs};
use crate::{
    actors::change_password_file,
    auth::{
        client_users::{ClientUserChange, MAX_PASSWORD, MAX_USERNAME, is_password, is_username},
        password_hash,
        scram::ScramVerifier,
    },
    config::Secret,
};

/// Writes a user's hash into a file of users, or removes the user.
///
/// # Errors
/// [`Failure::Passwd`]; the file is as it was.
pub(super) fn passwd(args: &PasswdArgs) -> Result<(), Failure> {
    let username = args.user.clone();
    if !is_username(&username) {
        return Err(Failure::Passwd(format!(
            "a user name has 1 to {MAX_USERNAME} bytes without a colon, quote or control character, and no space or # first"
        )));
    }
    let change = match args.delete {
        true => ClientUserChange::Remove { username },
        false => ClientUserChange::SetPassword {
            username,
            hash: hash(&read_password()?, args.scram)?,
        },
    };
    change_password_file(&args.file, &change).map_err(|error| Failure::Passwd(error.to_string()))
}

fn hash(password: &str, scram: bool) -> Result<Secret, Failure> {
    let failed = |error: String| Failure::Passwd(error);
    let hash = match scram {
        true => ScramVerifier::new(password)
            .map_err(|error| failed(error.to_string()))?
            .to_string(),
        false => password_hash::hash(password).map_err(|error| failed(error.to_string()))?,
    };
    Ok(Secret::new(hash))
}

/// One line of the standard input stream; from a terminal twice, without showing it.
fn read_password() -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::Passwd(format!("cannot read the password: {error}"));
    let stdin = io::stdin();
    let password = match stdin.is_terminal() {
        false => read_line().map_err(failed)?,
        true => {
            let first = prompt("Password: ").map_err(failed)?;
            if prompt("Again: ").map_err(failed)? != first {
                return Err(Failure::Passwd("the passwords differ".to_owned()));
            }
            first
        }
    };
    match is_password(&password) {
        true => Ok(password),
        false => Err(Failure::Passwd(format!(
            "a password has 1 to {MAX_PASSWORD} bytes without a control character"
        ))),
    }
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn prompt(text: &str) -> io::Result<String> {
    write!(io::stderr(), "{text}")?;
    let stdin = io::stdin();
    let shown = tcgetattr(&stdin)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
    let line = read_line();
    tcsetattr(&stdin, OptionalActions::Flush, &shown)?;
    writeln!(io::stderr())?;
    line
}
