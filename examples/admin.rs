//! A small admin client of the HTTP API: lists clients, subscriptions, statistics and retained messages, publishes, and
//! disconnects clients.
//!
//! `cargo run --example admin -- --help`

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::{
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    process::ExitCode,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};

/// How long the broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Parser)]
#[command(name = "admin", about = "A small admin client of nanomq's HTTP API")]
struct Cli {
    /// Host and port of the API.
    #[arg(long, default_value = "127.0.0.1:8081")]
    addr: String,
    /// User name and password, with a colon between them.
    #[arg(long, default_value = "admin:public")]
    user: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the clients.
    Clients,
    /// Lists the subscriptions.
    Subscriptions,
    /// Shows the statistics.
    Stats,
    /// Disconnects a client.
    Kick {
        /// Its client id.
        client_id: String,
        /// End its session too.
        #[arg(long)]
        session: bool,
    },
    /// Publishes a message.
    Publish {
        /// Where to.
        topic: String,
        /// What.
        payload: String,
        /// Quality of service.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
        qos: u8,
        /// Retain it.
        #[arg(long)]
        retain: bool,
    },
    /// Lists retained messages.
    Retained {
        /// A topic filter.
        #[arg(default_value = "#")]
        filter: String,
    },
}

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    /// The broker cannot be reached, or stopped in the middle.
    Io(io::Error),
    /// What came is no answer of the API.
    NotUnderstood(String),
    /// The API said no, with its result code.
    Refused { status: String, answer: String },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NotUnderstood(why) => write!(f, "the answer is not understood: {why}"),
            Self::Refused { status, answer } => write!(f, "{status}: {answer}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("admin: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<String, Failure> {
    let get = |path: &str| request(cli, "GET", path, None);
    Ok(match &cli.command {
        Command::Clients => table(
            &get("/clients")?,
            &[
                "clientid",
                "username",
                "conn_state",
                "proto_ver",
                "ip_address",
                "port",
                "mqueue_len",
            ],
        ),
        Command::Subscriptions => table(&get("/subscriptions")?, &["clientid", "topic", "qos"]),
        Command::Stats => lines(&get("/stats")?),
        Command::Retained { filter } => table(
            &get(&format!("/retained?_limit=10000&topic={}", encoded(filter)))?,
            &["topic", "qos", "payload_size", "payload"],
        ),
        Command::Kick { client_id, session } => {
            let path = format!("/clients/{}?session={session}", encoded(client_id));
            lines(&request(cli, "DELETE", &path, None)?)
        }
        Command::Publish {
            topic,
            payload,
            qos,
            retain,
        } => {
            let body = json!({ "topic": topic, "payload": payload, "qos": qos, "retain": retain });
            request(cli, "POST", "/mqtt/publish", Some(&body))?;
            String::new()
        }
    })
}

/// Sends a request and returns the member `data` of the answer.
fn request(cli: &Cli, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let mut socket = TcpStream::connect(&cli.addr)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    write!(
        socket,
        "{method} /api/v4{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Basic {}\r\nContent-Length: {}\r\n\r\n{body}",
        cli.addr,
        STANDARD.encode(&cli.user),
        body.len(),
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| Failure::NotUnderstood("it is not HTTP".to_owned()))?;
    let status = head.lines().next().unwrap_or_default();
    let status = status.split_once(' ').map_or("", |(_, status)| status);
    if !status.starts_with("200") {
        return Err(Failure::Refused {
            status: status.to_owned(),
            answer: body.to_owned(),
        });
    }
    let mut answer: Value =
        serde_json::from_str(body).map_err(|error| Failure::NotUnderstood(error.to_string()))?;
    Ok(answer["data"].take())
}

/// A text as it stands in a path or a query.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Rows with the given members, in columns.
fn table(rows: &Value, columns: &[&str]) -> String {
    let cells = |row: &Value| columns.iter().map(|name| plain(&row[*name])).collect();
    let head = columns.iter().map(|name| (*name).to_owned()).collect();
    let rows = rows.as_array().into_iter().flatten().map(cells);
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The members of an object, a line each, with those of objects in it.
fn lines(value: &Value) -> String {
    fn walk(at: &str, value: &Value, text: &mut String) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let dot = if at.is_empty() { "" } else { "." };
                    walk(&format!("{at}{dot}{name}"), member, text);
                }
            }
            other => text.push_str(&format!("{at} {}\n", plain(other))),
        }
    }
    let mut text = String::new();
    walk("", value, &mut text);
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = json!([{ "a": "ä", "b": 1 }, { "a": "long", "b": null }]);
        assert_eq!(table(&rows, &["a", "b"]), "a     b\nä     1\nlong  null\n");
    }

    #[test]
    fn ids_are_percent_encoded() {
        assert_eq!(encoded("a/ü +#"), "a%2F%C3%BC%20%2B%23");
    }
}
