//! Client programs that are not written in Rust, each with a deadline and its output kept for the failure message.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Broker, DEADLINE};

/// The protocol versions that mosquitto's clients speak, as their `-V` option names them.
pub const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

/// What a program printed and how it ended.
pub struct Finished {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output and standard error, line by line as they came.
    pub output: String,
}

/// A client program that runs beside the test. Dropping it kills it.
pub struct Program {
    name: String,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    /// Starts `command`; `hint` says how to get the program when it is not there.
    pub fn start(command: &mut Command, hint: &str) -> Program {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("cannot run {name} ({error}): {hint}, or run ./scripts/test")
        });
        let (sender, lines) = mpsc::channel();
        let (stdout, stderr) = (
            child.stdout.take().expect("piped"),
            child.stderr.take().expect("piped"),
        );
        forward(stdout, sender.clone());
        forward(stderr, sender);
        Program {
            name,
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Writes `text` to the program's standard input and closes it.
    pub fn feed(&mut self, text: String) {
        let mut stdin = self.child.stdin.take().expect("stdin is fed once");
        // On a thread: the program may print more than a pipe holds before it has read everything.
        thread::spawn(move || {
            // A program that ends early is noticed by its exit code.
            let _ = stdin.write_all(text.as_bytes());
        });
    }

    /// The next line that `wanted` accepts; lines before it are skipped.
    ///
    /// Panics when the program ends or [`DEADLINE`] passes first.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.seen.push(shortened(&line));
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(reason) => {
                    let why = match reason {
                        RecvTimeoutError::Timeout => "in time",
                        RecvTimeoutError::Disconnected => "before it ended",
                    };
                    panic!(
                        "{} did not show {what} {why}; it printed:\n{}",
                        self.name,
                        self.seen.join("\n")
                    );
                }
            }
        }
    }

    /// Waits for the program to end by itself.
    pub fn finish(mut self) -> Finished {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!(
                        "{} did not end in time; it printed:\n{}",
                        self.name,
                        self.seen.join("\n")
                    )
                }
            }
        }
        // Both pipes are closed, so the process has ended or is about to.
        let status = self.child.wait().expect("the program can be waited for");
        Finished {
            code: status.code(),
            output: self.seen.join("\n"),
        }
    }

    /// Kills the program with SIGKILL: no DISCONNECT is sent.
    pub fn kill(mut self) {
        self.child.kill().expect("the program is running");
        self.child.wait().expect("the program can be waited for");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message as `mosquitto_sub` shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// The quality of service it was delivered with.
    pub qos: u8,
    /// The RETAIN flag it was delivered with.
    pub retain: bool,
    /// Its payload.
    pub payload: String,
}

impl Message {
    /// A message with these values, for comparing.
    pub fn new(topic: &str, qos: u8, retain: bool, payload: &str) -> Message {
        Message {
            topic: topic.to_owned(),
            qos,
            retain,
            payload: payload.to_owned(),
        }
    }
}

/// Marks the lines of `mosquitto_sub` that are messages; the others are its debug output.
const MESSAGE: &str = "MESSAGE|";

/// A running `mosquitto_sub`.
pub struct Subscriber {
    program: Program,
}

impl Subscriber {
    /// Starts `mosquitto_sub` and returns when the broker has acknowledged the subscription.
    pub fn start(broker: &Broker, version: &str, args: &[&str]) -> Subscriber {
        let mut subscriber = Subscriber::connect(broker, version, args);
        subscriber
            .program
            .wait_for("a SUBACK", |line| line.contains("SUBACK"));
        subscriber
    }

    /// As [`start`](Self::start), at a port of its own, over TLS if the arguments say so.
    pub fn start_at(broker: &Broker, port: u16, version: &str, args: &[&str]) -> Subscriber {
        let mut subscriber = Subscriber::connect_at(broker, port, version, args);
        subscriber
            .program
            .wait_for("a SUBACK", |line| line.contains("SUBACK"));
        subscriber
    }

    /// Starts `mosquitto_sub` without waiting for its subscription, for a client whose session has one already.
    pub fn connect(broker: &Broker, version: &str, args: &[&str]) -> Subscriber {
        Subscriber::connect_at(broker, broker.mqtt_port(), version, args)
    }

    fn connect_at(broker: &Broker, port: u16, version: &str, args: &[&str]) -> Subscriber {
        // Line by line, so that debug lines are not held back by the pipe.
        let mut command = Command::new("stdbuf");
        command
            .args(["-oL", "mosquitto_sub", "-d"])
            .args(["-F", &format!("{MESSAGE}%t|%q|%r|%p")]);
        address(&mut command, broker, port, version);
        require("mosquitto_sub");
        Subscriber {
            program: Program::start(
                command.args(args),
                "install coreutils and mosquitto-clients",
            ),
        }
    }

    /// The next message.
    pub fn next(&mut self) -> Message {
        parse_message(
            &self
                .program
                .wait_for("a message", |line| line.starts_with(MESSAGE)),
        )
    }

    /// The next `count` messages.
    pub fn take(&mut self, count: usize) -> Vec<Message> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Ends it by SIGKILL, without a DISCONNECT.
    pub fn kill(self) {
        self.program.kill();
    }

    /// Waits until it disconnects and ends by itself, as `-E` and `-C` make it.
    pub fn finish(self) {
        let finished = self.program.finish();
        assert_eq!(
            finished.code,
            Some(0),
            "mosquitto_sub failed:\n{}",
            finished.output
        );
    }
}

/// Runs `mosquitto_pub` to its end; `input` is its standard input, for `-l` and `-s`.
pub fn publish_input(broker: &Broker, version: &str, args: &[&str], input: String) {
    require("mosquitto_pub");
    let mut command = Command::new("mosquitto_pub");
    address(&mut command, broker, broker.mqtt_port(), version);
    let mut program = Program::start(command.args(args), "install mosquitto-clients");
    program.feed(input);
    let finished = program.finish();
    assert_eq!(
        finished.code,
        Some(0),
        "mosquitto_pub {args:?} failed:\n{}",
        finished.output
    );
}

/// Runs `mosquitto_pub` at a port, over TLS if the arguments say so, to its end, whatever that is.
pub fn publish_to(broker: &Broker, port: u16, version: &str, args: &[&str]) -> Finished {
    require("mosquitto_pub");
    let mut command = Command::new("mosquitto_pub");
    address(&mut command, broker, port, version);
    Program::start(command.args(args), "install mosquitto-clients").finish()
}

/// Runs `mosquitto_pub` to its end.
pub fn publish(broker: &Broker, version: &str, args: &[&str]) {
    publish_input(broker, version, args, String::new());
}

/// Runs the Paho test program with one scenario and returns what it printed. Panics with its output when it fails.
pub fn paho(broker: &Broker, scenario: &str) -> String {
    let port = broker.mqtt_port().to_string();
    let finished = paho_program(&[broker.host(), &port, scenario]);
    assert_eq!(
        finished.code,
        Some(0),
        "scenario {scenario} failed:\n{}",
        finished.output
    );
    finished.output
}

/// Runs the Paho test program with any arguments.
pub fn paho_program(args: &[&str]) -> Finished {
    python_program("paho_suite.py", args)
}

/// Runs a program of `tests/clients/`.
pub fn python_program(name: &str, args: &[&str]) -> Finished {
    let hint = "install python3 and the packages paho-mqtt 2 or later and prometheus_client (NANOMQ_TEST_PYTHON names the interpreter)";
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name);
    let mut command = Command::new(python());
    command.arg("-B").arg(script).args(args);
    let finished = Program::start(&mut command, hint).finish();
    let absent = finished.output.contains("No module named '");
    assert!(
        !absent,
        "Python lacks a package: {hint}, or run ./scripts/test\n{}",
        finished.output
    );
    finished
}

/// The interpreter that `scripts/test` set up, else the one of the system.
fn python() -> PathBuf {
    if let Some(python) = env::var_os("NANOMQ_TEST_PYTHON") {
        return PathBuf::from(python);
    }
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-venv/bin/python");
    if venv.exists() {
        venv
    } else {
        PathBuf::from("python3")
    }
}

/// Fails when a program of mosquitto-clients is missing; `stdbuf` would hide that behind an exit code.
fn require(program: &str) {
    let found = env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).exists()));
    assert!(
        found,
        "{program} is missing: install the package mosquitto-clients, or run ./scripts/test"
    );
}

fn address(command: &mut Command, broker: &Broker, port: u16, version: &str) {
    command.args(["-h", broker.host(), "-p", &port.to_string(), "-V", version]);
}

fn forward(from: impl std::io::Read + Send + 'static, to: mpsc::Sender<String>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches(['\r', '\n'])
                .to_owned();
            if to.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
}

fn parse_message(line: &str) -> Message {
    let mut fields = line
        .strip_prefix(MESSAGE)
        .expect("a message line")
        .splitn(4, '|');
    let mut field = || {
        fields
            .next()
            .unwrap_or_else(|| panic!("not a message: {line}"))
    };
    let (topic, qos, retain, payload) = (field(), field(), field(), field());
    Message {
        topic: topic.to_owned(),
        qos: qos.parse().expect("a number"),
        retain: retain == "1",
        payload: payload.to_owned(),
    }
}

/// A line for the failure message: large payloads would bury it.
fn shortened(line: &str) -> String {
    line.chars().take(200).collect()
}

/// Repeats `done` until it holds; it must itself wait for an answer of the broker, so that this is no busy loop.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        thread::sleep(Duration::from_millis(5));
    }
}
