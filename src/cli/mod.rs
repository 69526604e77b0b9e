//! The command line of `nanomq`: what the user asks for, and the life of the process around a broker.
//!
//! ```text
//! args --> start --load--> Start --PidFile::lock--> [daemon::detach] --> run: logging, signals, one Broker
//!      --> control: the pid file names the broker that is told to stop or to reload
//!      --> check: a file alone
//!      --> store: the files of a durable store alone
//!      --> passwd: a file of users alone
//! ```

mod args;
mod check;
mod control;
mod daemon;
mod failure;
mod logging;
mod open_files;
mod passwd;
mod pid_file;
mod reloads;
mod run;
mod start;
mod store;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use args::{BrokerCommand, Cli, Command};
use failure::Failure;

/// Does what the command line of this process asks for. The exit code is 0 when that was done and 1 when it was not,
/// for the reason on the standard error stream; a command line that is not understood ends the process with 2.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Start(args) | Command::Broker(BrokerCommand::Start(args)) => start::start(&args),
        Command::Restart(args) | Command::Broker(BrokerCommand::Restart(args)) => {
            start::restart(&args)
        }
        Command::Stop(args) | Command::Broker(BrokerCommand::Stop(args)) => control::stop(&args),
        Command::Reload(args) | Command::Broker(BrokerCommand::Reload(args)) => {
            control::reload(&args)
        }
        Command::Check(args) => check::check(&args),
        Command::Store(command) => store::store(&command),
        Command::Passwd(args) => passwd::passwd(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Writes a message to the standard error stream. A terminal that is gone is no reason to fail.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "nanomq: {message}");
}

/// Writes a message to the standard output stream. A reader that is gone is no reason to fail.
fn say(message: &str) {
    let _ = writeln!(io::stdout(), "{message}");
}
