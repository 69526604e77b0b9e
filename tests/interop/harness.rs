//! The broker under test: one process and one temporary folder per [`Broker`], ended when it is dropped.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before the test calls it a failure. Never a waiting time: every wait ends with its event.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Names the broker to test instead of `nanomq`, as `host:port`.
const OTHER_BROKER: &str = "NANOMQ_TEST_BROKER";

/// The configuration in the folder of a broker.
const CONF: &str = "nanomq.conf";

/// A running broker.
pub struct Broker {
    host: String,
    mqtt_port: u16,
    own: Option<OwnBroker>,
}

/// The process that this test started.
struct OwnBroker {
    child: Child,
    http_port: u16,
    log: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

impl Broker {
    /// Starts `nanomq` on free ports of 127.0.0.1 with `extra_conf` (HOCON) at the end of its configuration and
    /// returns when it says that it is ready.
    pub fn start(extra_conf: &str) -> Broker {
        if let Ok(address) = env::var(OTHER_BROKER) {
            let (host, port) = address
                .rsplit_once(':')
                .expect("NANOMQ_TEST_BROKER is host:port");
            let mqtt_port = port
                .parse()
                .expect("the port in NANOMQ_TEST_BROKER is a number");
            return Broker {
                host: host.to_owned(),
                mqtt_port,
                own: None,
            };
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = configuration(
            &folder.path().join("nanomq.pid").display().to_string(),
            extra_conf,
        );
        fs::write(folder.path().join(CONF), text).expect("the configuration is written");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (child, lines) = spawn(&folder, &log);
        let own = OwnBroker {
            child,
            http_port: 0,
            log,
            folder,
        };
        let mut broker = Broker {
            host: "127.0.0.1".to_owned(),
            mqtt_port: 0,
            own: Some(own),
        };
        broker.wait_until_ready(&lines);
        broker
    }

    /// Ends the process by SIGKILL. Only for a broker of our own.
    pub fn kill(&mut self) {
        let own = self.own.as_mut().expect("only for a broker of our own");
        own.child.kill().expect("the broker is running");
        own.child.wait().expect("the broker can be waited for");
    }

    /// Starts the process again after its end, with the same configuration and folder, on other ports.
    pub fn start_again(&mut self) {
        let own = self.own.as_mut().expect("only for a broker of our own");
        own.log.lock().expect("the log can be read").clear();
        let (child, lines) = spawn(&own.folder, &own.log);
        own.child = child;
        self.wait_until_ready(&lines);
    }

    /// Where the configuration is, for a broker of our own.
    pub fn conf(&self) -> PathBuf {
        let own = self.own.as_ref().expect("only for a broker of our own");
        own.folder.path().join(CONF)
    }

    /// The lines of its log so far. Only for a broker of our own.
    pub fn log(&self) -> Vec<String> {
        let own = self.own.as_ref().expect("only for a broker of our own");
        own.log.lock().expect("the log can be read").clone()
    }

    /// The host that clients connect to.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port of the plain MQTT listener.
    pub fn mqtt_port(&self) -> u16 {
        self.mqtt_port
    }

    /// The port of a listener by its kind (`tcp`, `ssl`, `ws`, `wss`) and name. Only for a broker of our own.
    pub fn port(&self, kind: &str, name: &str) -> u16 {
        let own = self.own.as_ref().expect("only for a broker of our own");
        let marker = format!("listening mqtt {kind} {name} ");
        let log = own.log.lock().expect("the log can be read");
        log.iter()
            .find_map(|line| port_after(line, &marker))
            .unwrap_or_else(|| panic!("nanomq does not listen on {kind} {name}"))
    }

    /// The port of the HTTP API, or `None` when another broker is tested, which has none.
    pub fn http_port(&self) -> Option<u16> {
        self.own.as_ref().map(|own| own.http_port)
    }

    /// Whether the broker is `nanomq` itself, so that what only it promises can be checked.
    pub fn is_nanomq(&self) -> bool {
        self.own.is_some()
    }

    /// Sends SIGTERM and returns how the process ended. Only for a broker that [`is_nanomq`](Self::is_nanomq).
    pub fn terminate(&mut self) -> ExitStatus {
        let own = self
            .own
            .as_mut()
            .expect("only a broker of our own can be stopped");
        kill_process(Pid::from_child(&own.child), Signal::TERM).expect("the broker is running");
        let started = Instant::now();
        loop {
            if let Some(status) = own.child.try_wait().expect("the broker can be waited for") {
                return status;
            }
            assert!(
                started.elapsed() < DEADLINE,
                "the broker does not stop after SIGTERM"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the broker has said for the `times`th time that it is ready, after restarts in place, and takes the
    /// ports that it said last. Only for a broker of our own.
    pub fn until_ready(&mut self, times: usize) {
        let deadline = Instant::now() + DEADLINE;
        let is_ready = |line: &&String| line.contains("nanomq is ready");
        while self.log().iter().filter(is_ready).count() < times {
            assert!(Instant::now() < deadline, "nanomq did not become ready");
            thread::sleep(Duration::from_millis(5));
        }
        let log = self.log();
        let last = |marker| log.iter().rev().find_map(|line| port_after(line, marker));
        self.mqtt_port = last("listening mqtt tcp default ").expect("an MQTT port");
        if let (Some(own), Some(port)) = (&mut self.own, last("listening http ")) {
            own.http_port = port;
        }
    }

    /// Reads the log up to the line that says the broker is ready and takes the ports from it.
    fn wait_until_ready(&mut self, lines: &Receiver<String>) {
        let own = self.own.as_mut().expect("only for a broker of our own");
        let deadline = Instant::now() + DEADLINE;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(port) = port_after(&line, "listening mqtt tcp default ") {
                        self.mqtt_port = port;
                    } else if let Some(port) = port_after(&line, "listening http ")
                        .or_else(|| port_after(&line, "listening https "))
                    {
                        own.http_port = port;
                    } else if line.contains("nanomq is ready") {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("nanomq did not become ready"),
                Err(RecvTimeoutError::Disconnected) => panic!("nanomq ended before it was ready"),
            }
        }
        assert_ne!(
            self.mqtt_port, 0,
            "nanomq did not say which MQTT port it listens on"
        );
        assert_ne!(
            own.http_port, 0,
            "nanomq did not say which HTTP port it listens on"
        );
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let Some(own) = self.own.as_mut() else { return };
        // Both fail only when the process has ended already, which is what is wanted.
        let _ = own.child.kill();
        let _ = own.child.wait();
        if thread::panicking() {
            let log = own.log.lock().map(|log| log.join("\n")).unwrap_or_default();
            eprintln!("---- log of the broker ----\n{log}\n---- end of the log ----");
        }
    }
}

/// A name that no other test of this or a concurrent run uses: `prefix-<process>-<number>`, short enough for the
/// 23 characters of an MQTT 3.1 client identifier when `prefix` has at most 8.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{prefix}-{:x}-{:x}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

fn configuration(pid_file: &str, extra: &str) -> String {
    format!(
        r#"system.pid_file = "{pid_file}"
listeners.tcp {{ bind = "127.0.0.1:0" }}
http_server {{ ip_addr = "127.0.0.1", port = 0, username = admin, password = public }}
log.level = info
{extra}
"#
    )
}

/// Starts the process with the configuration of a folder.
fn spawn(folder: &TempDir, log: &Arc<Mutex<Vec<String>>>) -> (Child, Receiver<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nanomq"))
        .arg("start")
        .arg("--conf")
        .arg(folder.path().join(CONF))
        .current_dir(folder.path())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nanomq starts");
    let stderr = child.stderr.take().expect("stderr is piped");
    let lines = follow(stderr, Arc::clone(log));
    (child, lines)
}

/// Copies the log into `log` and to the receiver until the process closes it.
fn follow(
    stderr: impl std::io::Read + Send + 'static,
    log: Arc<Mutex<Vec<String>>>,
) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Ok(mut log) = log.lock() {
                log.push(line.clone());
            }
            // The receiver is gone once the broker is ready; the log is read on so that its pipe never fills up.
            let _ = sender.send(line);
        }
    });
    lines
}

/// The port in `... <marker>127.0.0.1:PORT ...`.
fn port_after(line: &str, marker: &str) -> Option<u16> {
    let (_, rest) = line.split_once(marker)?;
    let address = rest.split_whitespace().next()?;
    address.rsplit_once(':')?.1.parse().ok()
}

#[test]
fn ports_are_read_from_log_lines() {
    let cases = [
        (
            "[INFO nanomq] listening mqtt tcp default 127.0.0.1:4711",
            "listening mqtt tcp default ",
            Some(4711),
        ),
        (
            "listening http 127.0.0.1:80 (basic)",
            "listening http ",
            Some(80),
        ),
        (
            "listening mqtt tcp other 127.0.0.1:1",
            "listening mqtt tcp default ",
            None,
        ),
        ("listening http nowhere", "listening http ", None),
    ];
    for (line, marker, expected) in cases {
        assert_eq!(port_after(line, marker), expected, "{line}");
    }
}
