//! The limit of open files of the process.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::setup::{Broker, Setup};

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

/// The command that starts the broker with so few open files.
fn limited(setup: &Setup) -> Command {
    let mut shell = Command::new("sh");
    let start = format!("ulimit -n {LIMIT} && exec \"$0\" start --conf \"$1\"");
    shell
        .env_clear()
        .stdin(Stdio::null())
        .args(["-c", &start, env!("CARGO_BIN_EXE_nanomq")])
        .arg(setup.conf());
    shell
}

fn code(mut socket: TcpStream) -> u8 {
    let mut connack = [0; 4];
    socket.read_exact(&mut connack).unwrap();
    connack[3]
}

/// For how long is looked at what the broker does while somebody waits at its door.
const WATCHED: Duration = Duration::from_secs(1);

/// Processor time that the broker has used.
fn cpu_time(broker: &Broker) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", broker.pid())).unwrap();
    // Behind the name, which may hold anything: fields 14 and 15 of proc(5), of which field 3 is the first here.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: u64 = [11, 12]
        .map(|at| fields[at].parse::<u64>().unwrap())
        .iter()
        .sum();
    // A tick is the same to every process, whatever the kernel's own is.
    Duration::from_millis(ticks * 10)
}

/// While somebody waits whom the broker has no file for, it does next to nothing: trying again and again would take a whole
/// processor.
fn assert_rests(broker: &Broker, waiting: &mut TcpStream) {
    let (before, began) = (cpu_time(broker), Instant::now());
    let whole = waiting.read_timeout().unwrap();
    waiting.set_read_timeout(Some(WATCHED)).unwrap();
    let answer = waiting.read(&mut [0]);
    waiting.set_read_timeout(whole).unwrap();
    assert!(answer.is_err(), "nobody is let in: {answer:?}");
    let (used, passed) = (cpu_time(broker) - before, began.elapsed());
    assert!(used < passed / 10, "{used:?} of {passed:?}");
}

/// Class 31: at the limit accepting pauses; a reload that cannot read its file leaves all as it was, the users too; and
/// who waits at the door is looked at when there is room again, as is the file.
#[test]
fn class_31_the_limit_of_open_files() {
    let setup = Setup::new();
    let users = "auth { allow_anonymous = false, password = { u = other } }";
    setup.configure("127.0.0.1:0", users);
    let mut broker = setup.start_with(limited(&setup));
    // Sockets that say nothing yet, as many as the broker may have files: some have to wait in front of the door.
    let silent: Vec<TcpStream> = (0..LIMIT)
        .map(|_| TcpStream::connect(&broker.address).unwrap())
        .collect();
    let mut waiting = knock(&broker.address);
    broker.wait_for("accepting pauses");
    assert_rests(&broker, &mut waiting);
    setup.configure("127.0.0.1:0", "");
    let output = setup.run(&["reload"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("Too many open files"), "{told}");
    broker.wait_for("the configuration was not reloaded");
    drop(silent);
    assert_eq!(code(waiting), 4, "the users are those of before");
    assert_eq!(code(knock(&broker.address)), 4);
    assert_eq!(setup.run(&["reload"]).status.code(), Some(0));
    broker.wait_for("configuration reloaded");
    broker.assert_serves();
}

/// Class 31, in front of a door with TLS: those who do not finish their handshake take all files; accepting pauses, says so,
/// and goes on when they have left.
#[test]
fn class_31_the_limit_of_open_files_at_a_tls_listener() {
    let setup = Setup::new();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = setup.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let certfile = file("c.pem", made.cert.pem());
    let keyfile = file("k.pem", made.signing_key.serialize_pem());
    let ssl = format!(
        "listeners.ssl {{ bind = \"127.0.0.1:0\", certfile = \"{certfile}\", keyfile = \"{keyfile}\" }}"
    );
    setup.configure("127.0.0.1:0", &ssl);
    let mut broker = setup.start_with(limited(&setup));
    let tls = broker.tls_address.clone();
    let silent: Vec<TcpStream> = (0..LIMIT)
        .map(|_| {
            let mut socket = TcpStream::connect(&tls).unwrap();
            // The begin of a record.
            socket.write_all(b"\x16\x03\x01").unwrap();
            socket
        })
        .collect();
    broker.wait_for("accepting pauses");
    assert_rests(&broker, &mut TcpStream::connect(&tls).unwrap());
    drop(silent);
    // Whoever comes now is served: something that is no handshake is answered by an alert and closed.
    let mut socket = TcpStream::connect(&tls).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    socket.write_all(b"\x10\x0c\x00\x04MQTT").unwrap();
    let mut alert = [0; 7];
    socket.read_exact(&mut alert).unwrap();
    assert_eq!(alert[0], 0x15, "{alert:?}");
    broker.assert_serves();
}
