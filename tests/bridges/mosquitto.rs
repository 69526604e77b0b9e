//! A real Mosquitto of its own: one process and one temporary folder each, ended when it is dropped.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::kit::DEADLINE;

/// Where Debian has it, which is not on everybody's path.
const PLACES: [&str; 2] = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];

pub struct Mosquitto {
    pub address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Mosquitto {
    /// Starts one on a free port; `more` is further configuration. What it has to keep it keeps in its folder when
    /// it is stopped.
    pub fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Another process can take the port before Mosquitto does.
        for _ in 0..20 {
            let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let address = free.local_addr().unwrap();
            drop(free);
            let text = format!(
                "user root\nlistener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
                 max_queued_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\n{more}\n",
                address.port(),
                folder.path().display()
            );
            fs::write(folder.path().join("mosquitto.conf"), text).unwrap();
            if let Some(child) = run(folder.path()) {
                return Self {
                    address,
                    child,
                    folder,
                };
            }
        }
        panic!("mosquitto does not start: is its configuration right? {more}");
    }

    /// Stops it by SIGTERM, after which it has written what it keeps.
    pub fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on its port, after [`Mosquitto::stop`].
    pub fn start_again(&mut self) {
        self.child = run(self.folder.path()).expect("the port is free still");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process when it runs; none when it has ended instead.
fn run(folder: &Path) -> Option<Child> {
    let program = PLACES.iter().find(|place| Path::new(place).exists());
    let mut child = Command::new(program.unwrap_or(&"mosquitto"))
        .arg("-v")
        .arg("-c")
        .arg(folder.join("mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mosquitto is needed: apt-get install mosquitto, or ./scripts/test, which does");
    let lines = follow(child.stderr.take().unwrap());
    let deadline = Instant::now() + DEADLINE;
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if line.ends_with(" running") {
            return Some(child);
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// The lines of the log; it is read to its end so that the pipe never fills up.
fn follow(stderr: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}
