//! An MQTT load generator that checks what it measures, for any broker.
//!
//! `cargo run --release --example load -- --help`. `scripts/bench` runs it against brokers side by side.
//! Every run is bounded in time; a protocol error ends it with exit code 1.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backlog;
mod carrier;
mod churn;
mod conn;
mod cost;
mod flood;
mod idle;
mod pair;
mod pingpong;
mod poll;
mod publisher;
mod receivers;
mod report;
mod scaling;
mod senders;
mod subscriptions;
mod tally;
mod wire;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use tokio::time::timeout;

use crate::carrier::Tls;
use crate::wire::Version;

#[derive(Parser)]
#[command(name = "load", about = "A small MQTT load generator")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Connects many clients and holds them.
    Idle(idle::Options),
    /// Publishes as fast as possible, or at a fixed rate, and checks what arrives.
    Flood(flood::Options),
    /// Sends one message after another and prints how long each takes.
    Pingpong(pingpong::Options),
    /// Opens and closes many sessions.
    Churn(churn::Options),
    /// Enters many subscriptions and publishes among them.
    Subscriptions(subscriptions::Options),
    /// Leaves messages with the broker, retained or queued, and takes them back.
    Backlog(backlog::Options),
    /// Reads an HTTP API without a pause.
    Poll(poll::Options),
    /// Has the broker work off what waits in the sockets of many pairs, alone on the machine.
    Scaling(scaling::Options),
}

/// What every sub-command needs to reach a broker.
#[derive(Args, Clone)]
struct Target {
    /// Address of the broker.
    #[arg(long, default_value = "127.0.0.1:1883")]
    addr: SocketAddr,
    /// MQTT version: 4 (3.1.1) or 5.
    #[arg(long, default_value = "4", value_parser = parse_version)]
    version: Version,
    /// The broker's process: what it uses is measured and reported as `broker_...`.
    #[arg(long)]
    pid: Option<u32>,
    /// Speak TLS, trusting the authorities in this PEM file; the certificate must be that of localhost.
    #[arg(long, value_name = "CAFILE", value_parser = parse_tls)]
    tls: Option<Tls>,
    /// Speak WebSocket, at /mqtt.
    #[arg(long)]
    ws: bool,
}

impl Target {
    fn broker(&self) -> cost::Broker {
        cost::Broker(self.pid)
    }
}

/// Why a run failed.
#[derive(Debug)]
enum Failure {
    /// The options contradict each other.
    Usage(String),
    /// The broker said something it must not say, or nothing when it must.
    Protocol(String),
    /// A socket or the operating system refused.
    Io(io::Error),
}

type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    fn protocol(message: impl Into<String>) -> Self {
        Self::Protocol(message.into())
    }

    fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Protocol(message) => write!(f, "protocol error: {message}"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    raise_file_limit();
    let outcome = match cli.command {
        Command::Idle(options) => idle::run(&options),
        Command::Flood(options) => flood::run(options),
        Command::Pingpong(options) => pingpong::run(&options),
        Command::Churn(options) => churn::run(&options),
        Command::Subscriptions(options) => subscriptions::run(&options),
        Command::Backlog(options) => backlog::run(&options),
        Command::Poll(options) => poll::run(&options),
        Command::Scaling(options) => scaling::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("load: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Raises the soft limit of open files to the hard one; where that is refused, connecting will tell.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
}

/// An event loop for one thread.
fn event_loop() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Runs `work`, which has to end within so many seconds.
fn bounded(seconds: u64, work: impl Future<Output = Result<()>>) -> Result<()> {
    event_loop()?.block_on(async {
        timeout(Duration::from_secs(seconds), work)
            .await
            .map_err(|_| Failure::protocol(format!("not finished after {seconds} s")))?
    })
}

fn parse_tls(file: &str) -> std::result::Result<Tls, String> {
    Tls::trusting(Path::new(file))
}

fn parse_version(text: &str) -> std::result::Result<Version, String> {
    match text {
        "4" => Ok(Version::V4),
        "5" => Ok(Version::V5),
        _ => Err("4 or 5".to_owned()),
    }
}
