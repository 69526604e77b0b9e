//! What the tests share: a folder with a configuration, and brokers that end with the test.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before it counts as a failure. Nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(30);

/// A folder with a configuration and what belongs to it.
pub struct Setup {
    pub folder: TempDir,
}

impl Setup {
    /// A configuration that listens on a port the system chooses.
    pub fn new() -> Self {
        let setup = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        setup.configure("127.0.0.1:0", "");
        setup
    }

    /// Writes the configuration with the address to listen on and more lines, which begin in line 4.
    pub fn configure(&self, bind: &str, more: &str) {
        let text = format!(
            "system.pid_file = \"{}\"\n\
             listeners.tcp {{ bind = \"{bind}\" }}\n\
             http_server.enable = false\n\
             {more}\n",
            self.pid_file().display()
        );
        fs::write(self.conf(), text).unwrap();
    }

    pub fn conf(&self) -> PathBuf {
        self.folder.path().join("test.conf")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.folder.path().join("test.pid")
    }

    pub fn pid_in_file(&self) -> i32 {
        let text = fs::read_to_string(self.pid_file()).unwrap();
        text.trim().parse().unwrap()
    }

    /// The command with `--conf` of this set-up.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = nanomq(words);
        command.arg("--conf").arg(self.conf());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Starts a broker and waits until it is ready.
    pub fn start(&self) -> Broker {
        self.start_with(self.command(&["start"]))
    }

    pub fn start_with(&self, mut command: Command) -> Broker {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (lines, log) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let mut broker = Broker {
            child,
            log,
            address: String::new(),
            tls_address: String::new(),
        };
        let address = |line: &str| line.rsplit(' ').next().unwrap().to_owned();
        broker.address = address(&broker.wait_for("listening mqtt tcp default "));
        let mut before_ready = broker.wait_for("");
        while !before_ready.contains("nanomq is ready") {
            if before_ready.contains("listening mqtt ssl default ") {
                broker.tls_address = address(&before_ready);
            }
            before_ready = broker.wait_for("");
        }
        broker
    }
}

/// The binary with nothing of this process's environment.
pub fn nanomq(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanomq"));
    command.env_clear().stdin(Stdio::null()).args(words);
    command
}

/// A broker in the foreground, which ends with the test.
pub struct Broker {
    child: Child,
    log: Receiver<String>,
    pub address: String,
    /// Of the TLS listener; empty without one.
    pub tls_address: String,
}

impl Broker {
    /// Reads the log up to the line that contains `text`.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut read = Vec::new();
        while let Ok(line) = self
            .log
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if line.contains(text) {
                return line;
            }
            read.push(line);
        }
        panic!("no {text:?} in the log: {read:#?}");
    }

    pub fn pid(&self) -> i32 {
        Pid::from_child(&self.child).as_raw_pid()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, which the end of its log tells.
    pub fn wait(mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        while self
            .log
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .is_ok()
        {}
        assert!(Instant::now() < deadline, "the broker does not end");
        self.child.wait().unwrap()
    }

    pub fn assert_serves(&self) {
        assert_serves(&self.address);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects an MQTT 3.1.1 client.
pub fn assert_serves(address: &str) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
        .write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a")
        .unwrap();
    let mut connack = [0; 4];
    socket.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A broker in the background, which ends with the test.
pub struct Daemon<'a>(pub &'a Setup);

impl Daemon<'_> {
    pub fn stop(self) -> Output {
        self.0.run(&["stop"])
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.0.command(&["stop"]).stderr(Stdio::null()).status();
    }
}

/// An address whose port is free, as far as one can know.
pub fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// The section of a configuration that has the HTTP API at this address.
pub fn api(http: &str) -> String {
    let (ip, port) = http.split_once(':').unwrap();
    format!("http_server {{ enable = true, ip_addr = \"{ip}\", port = {port} }}")
}

/// A request as admin; the status and the body of its answer.
pub fn request(http: &str, method: &str, target: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(http).unwrap();
    let patience = Duration::from_secs(30);
    socket.set_read_timeout(Some(patience)).unwrap();
    write!(
        socket,
        "{method} /api/v4{target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YWRtaW46cHVibGlj\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
