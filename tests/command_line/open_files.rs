//! The limit of open files of the process.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use crate::setup::Setup;

/// Most open files of the broker in the test.
const LIMIT: usize = 64;

/// Connects without a user name to a broker that lets in only those with one, and does not wait for the answer.
fn knock(address: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    socket
        .write_all(b"\x10\x13\0\x04MQTT\x04\xc2\0\0\0\x01a\0\x01u\0\x01p")
        .unwrap();
    socket
}

fn code(mut socket: TcpStream) -> u8 {
    let mut connack = [0; 4];
    socket.read_exact(&mut connack).unwrap();
    connack[3]
}

/// Class 31: at the limit accepting pauses; a reload that cannot read its file leaves all as it was, the users too; and
/// who waits at the door is looked at when there is room again, as is the file.
#[test]
fn class_31_the_limit_of_open_files() {
    let setup = Setup::new();
    let users = "auth { allow_anonymous = false, password = { u = other } }";
    setup.configure("127.0.0.1:0", users);
    let mut shell = Command::new("sh");
    let start = format!("ulimit -n {LIMIT} && exec \"$0\" start --conf \"$1\"");
    shell
        .env_clear()
        .stdin(Stdio::null())
        .args(["-c", &start, env!("CARGO_BIN_EXE_nanomq")])
        .arg(setup.conf());
    let mut broker = setup.start_with(shell);
    // Sockets that say nothing yet, as many as the broker may have files: some have to wait in front of the door.
    let silent: Vec<TcpStream> = (0..LIMIT)
        .map(|_| TcpStream::connect(&broker.address).unwrap())
        .collect();
    let waiting = knock(&broker.address);
    broker.wait_for("accepting pauses");
    setup.configure("127.0.0.1:0", "");
    broker.signal(Signal::HUP);
    broker.wait_for("the configuration was not reloaded");
    drop(silent);
    assert_eq!(code(waiting), 4, "the users are those of before");
    assert_eq!(code(knock(&broker.address)), 4);
    broker.signal(Signal::HUP);
    broker.wait_for("configuration reloaded");
    broker.assert_serves();
}
