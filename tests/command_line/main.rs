//! The command line of the real binary. Every test has a folder and a port of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod control;
mod full_disk;
mod open_files;
mod passwd;
mod setup;

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use rustix::process::Signal;

use setup::{Broker, Daemon, Setup, assert_serves, free_port, nanomq, stderr};

#[test]
fn a_signal_stops_the_broker_and_its_pid_file_is_removed() {
    for signal in [Signal::TERM, Signal::INT] {
        let setup = Setup::new();
        let broker = setup.start();
        assert_eq!(setup.pid_in_file(), broker.pid());
        broker.assert_serves();
        broker.signal(signal);
        assert_eq!(broker.wait().code(), Some(0));
        assert!(!setup.pid_file().exists());
    }
}

#[test]
fn a_second_broker_on_a_pid_file_is_refused_and_harms_nothing() {
    let setup = Setup::new();
    let broker = setup.start();
    for words in [&["start"][..], &["broker", "start"], &["start", "-d"]] {
        let second = setup.run(words);
        assert_eq!(second.status.code(), Some(1), "{words:?}");
        let expected = format!(
            "nanomq: already running as process {} (pid file {})\n",
            broker.pid(),
            setup.pid_file().display()
        );
        assert!(stderr(&second).ends_with(&expected), "{}", stderr(&second));
    }
    assert_eq!(setup.pid_in_file(), broker.pid());
    broker.assert_serves();
}

#[test]
fn a_pid_file_that_a_dead_broker_left_is_taken_over() {
    let setup = Setup::new();
    let broker = setup.start();
    let dead = broker.pid();
    broker.signal(Signal::KILL);
    assert_eq!(broker.wait().code(), None);
    assert_eq!(setup.pid_in_file(), dead);
    assert_eq!(setup.run(&["stop"]).status.code(), Some(1));

    let broker = setup.start();
    assert_eq!(setup.pid_in_file(), broker.pid());
}

#[test]
fn stop_and_reload_without_a_broker_are_errors() {
    let setup = Setup::new();
    for words in [&["stop"][..], &["reload"], &["broker", "stop"]] {
        let output = setup.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let expected = format!(
            "nanomq: no broker is running (pid file {})\n",
            setup.pid_file().display()
        );
        assert_eq!(stderr(&output), expected);
    }
}

#[test]
fn stop_ends_the_broker() {
    let setup = Setup::new();
    let broker = setup.start();
    let pid_file = setup.pid_file();
    let output = nanomq(&["stop", "--pid_file", &pid_file.display().to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // It has ended already: nothing can be removed, and no port be free, later than that.
    assert!(!pid_file.exists());
    assert!(TcpStream::connect(&broker.address).is_err());
    assert_eq!(broker.wait().code(), Some(0));
}

/// How many threads of the broker run actors.
fn threads_of_actors(broker: &Broker) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", broker.pid())).unwrap();
    threads
        .map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).unwrap())
        .filter(|name| name.starts_with("actix-rt"))
        .count()
}

#[test]
fn bridges_have_a_thread_from_the_first_one_on() {
    let setup = Setup::new();
    let mut broker = setup.start();
    let without = threads_of_actors(&broker);
    let mut more = "bridges.mqtt.one { server = \"mqtt-tcp://127.0.0.1:1\" }".to_owned();
    for name in ["one", "two"] {
        setup.configure("127.0.0.1:0", &more);
        assert_eq!(setup.run(&["reload"]).status.code(), Some(0));
        broker.wait_for(&format!("bridge \"{name}\""));
        assert_eq!(threads_of_actors(&broker), without + 1, "{name}");
        more.push_str("\nbridges.mqtt.two { server = \"mqtt-tcp://127.0.0.1:1\" }");
    }
    setup.configure("127.0.0.1:0", "");
    assert_eq!(setup.run(&["reload"]).status.code(), Some(0));
    broker.wait_for("bridge \"two\" ends");
    broker.signal(Signal::TERM);
    assert_eq!(broker.wait().code(), Some(0));
}

/// The reason code that a client with user name `u` and a password of one letter gets.
fn log_in(broker: &Broker, password: u8) -> u8 {
    let mut socket = TcpStream::connect(&broker.address).unwrap();
    let timeout = Some(Duration::from_secs(30));
    socket.set_read_timeout(timeout).unwrap();
    let mut connect = b"\x10\x13\0\x04MQTT\x04\xc2\0\0\0\x01a\0\x01u\0\x01".to_vec();
    connect.push(password);
    socket.write_all(&connect).unwrap();
    let mut connack = [0; 4];
    socket.read_exact(&mut connack).unwrap();
    connack[3]
}

#[test]
fn logins_have_a_thread_from_the_first_one_that_is_checked_on() {
    let setup = Setup::new();
    let mut broker = setup.start();
    assert_eq!(log_in(&broker, b'x'), 0);
    let open = threads_of_actors(&broker);
    setup.configure("127.0.0.1:0", "auth.password { u = p }");
    assert_eq!(setup.run(&["reload"]).status.code(), Some(0));
    broker.wait_for("configuration reloaded");
    for (password, code) in [(b'p', 0), (b'x', 4), (b'p', 0)] {
        assert_eq!(log_in(&broker, password), code);
        assert_eq!(threads_of_actors(&broker), open + 1);
    }
    drop(broker);
    // Where users are there at start, nothing is changed by the first of them.
    let broker = setup.start();
    let before = threads_of_actors(&broker);
    assert_eq!(log_in(&broker, b'p'), 0);
    assert_eq!(threads_of_actors(&broker), before);
}

#[test]
fn reload_applies_what_can_change_and_a_broken_file_changes_nothing() {
    let setup = Setup::new();
    let mut broker = setup.start();

    setup.configure("127.0.0.1:0", "mqtt.max_qos = 1");
    let output = setup.run(&["reload"]);
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("changed: mqtt.max_qos"), "{told}");
    let line = broker.wait_for("configuration reloaded");
    assert!(line.contains("applied: [mqtt.max_qos]"), "{line}");

    setup.configure("127.0.0.1:0", "mqtt.max_qos = 7");
    let output = setup.run(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "{}:4:1: mqtt.max_qos: expected 0, 1 or 2",
        setup.conf().display()
    );
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));

    broker.signal(Signal::HUP);
    broker.wait_for(&expected);
    broker.wait_for("the configuration was not reloaded");
    // What only the running broker sees is told by the command.
    let users = setup.folder.path().join("nanomq_passwd");
    setup.configure("127.0.0.1:0", "mqtt.max_qos = 1");
    fs::write(&users, "no line of a user\n").unwrap();
    let output = setup.run(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("{}:1", users.display());
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    fs::remove_file(users).unwrap();
    broker.assert_serves();

    // The level is one of the things that change, so what only `debug` logs is seen from here on.
    setup.configure("127.0.0.1:0", "mqtt.max_qos = 1\nlog.level = debug");
    broker.signal(Signal::HUP);
    let line = broker.wait_for("configuration reloaded");
    assert!(line.contains("applied: [log.level]"), "{line}");
    broker.assert_serves();
    broker.wait_for(" DEBUG ");
}

#[test]
fn a_relative_file_is_found_again_by_a_reload_in_the_background() {
    let setup = Setup::new();
    let log = setup.folder.path().join("log");
    let output = nanomq(&["start", "-d", "--conf", "test.conf"])
        .current_dir(setup.folder.path())
        .stderr(File::create(&log).unwrap())
        .output()
        .unwrap();
    let daemon = Daemon(&setup);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(setup.run(&["reload"]).status.code(), Some(0));
    // The end of the process is the end of its log.
    assert_eq!(daemon.stop().status.code(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("nanomq is ready"), "{log}");
    assert!(log.contains("configuration reloaded"), "{log}");
}

#[test]
fn the_background_broker_is_ready_when_the_command_returns_and_stop_ends_it() {
    let setup = Setup::new();
    let port = free_port();
    setup.configure(&port, "system.daemon = true");
    for words in [&["start"][..], &["restart"]] {
        let output = setup.run(words);
        let daemon = Daemon(&setup);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let pid = setup.pid_in_file();
        let said = String::from_utf8_lossy(&output.stdout);
        let expected = format!("the broker runs in the background as process {pid}\n");
        assert!(said.ends_with(&expected), "{said}");
        assert_serves(&port);
        if words == ["restart"] {
            assert!(said.contains(" has stopped\n"), "{said}");
            assert_eq!(daemon.stop().status.code(), Some(0));
        } else {
            std::mem::forget(daemon);
        }
    }
    assert!(!setup.pid_file().exists());
    assert!(TcpStream::connect(&port).is_err());
}

#[test]
fn an_address_in_use_is_told_on_the_terminal() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let setup = Setup::new();
    let http = format!(
        "http_server {{ enable = true, ip_addr = \"127.0.0.1\", port = {} }}",
        address.port()
    );
    for (bind, more) in [(&*address.to_string(), ""), ("127.0.0.1:0", &http)] {
        setup.configure(bind, more);
        for words in [&["start"][..], &["start", "-d"]] {
            let output = setup.run(words);
            assert_eq!(output.status.code(), Some(1), "{words:?}");
            let expected = format!("nanomq: cannot listen on {address}: Address already in use\n");
            assert!(stderr(&output).ends_with(&expected), "{}", stderr(&output));
            assert!(!setup.pid_file().exists());
        }
    }
}

#[test]
fn a_missing_certificate_is_told_on_the_terminal() {
    let setup = Setup::new();
    let http = r#"http_server { enable = true, ip_addr = "127.0.0.1", port = 0, tls { enable = true, certfile = "/no/such.pem" } }"#;
    setup.configure("127.0.0.1:0", http);
    let output = setup.run(&["start"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "nanomq: http_server.tls: /no/such.pem: No such file or directory\n";
    assert!(stderr(&output).ends_with(expected), "{}", stderr(&output));
}

#[test]
fn a_restart_with_a_broken_file_leaves_the_broker_running() {
    let setup = Setup::new();
    let broker = setup.start();
    setup.configure("127.0.0.1:0", "mqtt.max_qos = 7");
    assert_eq!(setup.run(&["restart", "-d"]).status.code(), Some(1));
    broker.assert_serves();
}

#[test]
fn the_command_line_overrides_the_environment_and_that_the_file() {
    let setup = Setup::new();
    setup.configure("127.0.0.1:0", "log.level = error");
    let mut command = nanomq(&[
        "start",
        "--url",
        "nmq-tcp://127.0.0.1:0",
        "--log_level",
        "info",
    ]);
    command
        .env("NANOMQ_CONF_PATH", setup.conf())
        .env("NANOMQ_LOG_LEVEL", "warn")
        .env("NANOMQ_BROKER_URL", "nmq-tcp://192.0.2.1:1");
    let broker = setup.start_with(command);
    broker.assert_serves();
}

#[test]
fn check_tells_every_problem_with_its_place() {
    let file = fixture("tests/fixtures/config/everything-wrong.conf");
    let output = nanomq(&["check", "--conf", &file]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let told = stderr(&output);
    let expected = [
        (3, "mqtt.max_packet_size"),
        (5, "mqtt.max_mqeue_len"),
        (6, "mqtt.keepalive_multiplier"),
        (7, "mqtt.max_qos"),
        (10, "listeners.tcp.bind"),
        (13, "listeners.tcp.third.bind"),
        (15, "http_server.port"),
        (16, "http_server.password"),
        (18, "sistem"),
        (19, "log"),
    ];
    for (number, key) in expected {
        let place = format!("error: {file}:{number}:");
        let found = told
            .lines()
            .any(|line| line.starts_with(&place) && line.contains(&format!(": {key}: ")));
        assert!(found, "{place} {key} in\n{told}");
    }
}

#[test]
fn check_reads_the_certificates_of_listeners() {
    let setup = Setup::new();
    let nowhere = setup.conf().with_file_name("nowhere.pem");
    let nowhere = nowhere.display();
    let ssl = format!(
        "listeners.ssl {{ bind = \"127.0.0.1:0\", certfile = \"{nowhere}\", keyfile = \"{nowhere}\" }}"
    );
    fs::write(setup.conf(), ssl).unwrap();
    let output = setup.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("listeners.ssl.default: "), "{told}");
    assert!(told.contains("nowhere.pem"), "{told}");
}

#[test]
fn check_shows_what_a_good_file_makes() {
    let file = fixture("config/nanomq.conf");
    let output = nanomq(&["check", "--conf", &file]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));

    // What it shows is a file that makes the same, except for the password.
    let setup = Setup::new();
    fs::write(setup.conf(), &output.stdout).unwrap();
    let again = setup.run(&["check"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert_eq!(again.stdout, output.stdout);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("password = \"******\""), "{shown}");
}

#[test]
fn what_is_not_understood_is_refused_with_exit_code_2() {
    let cases: [&[&str]; 4] = [
        &[],
        &["begin"],
        &["start", "--log_file", "nanomq.log"],
        &["check", "x"],
    ];
    for words in cases {
        let output = nanomq(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!output.stderr.is_empty());
    }
}

fn fixture(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(path).display().to_string()
}
