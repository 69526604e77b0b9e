//! What is wrong with a file is told, all of it, with its line.

use super::*;

#[test]
fn every_problem_is_reported_with_its_line() {
    let report = check(&fixture("everything-wrong.conf"), None);
    assert_eq!(report.effective, None);
    let expected = [
        "3:5: mqtt.max_packet_size: expected a size such as 10KB, at least 64B, got \"ten\"",
        "5:5: mqtt.max_mqeue_len: unknown key; did you mean mqtt.max_mqueue_len?",
        "6:5: mqtt.keepalive_multiplier: expected a number from 1 to 10, got \"0\"",
        "7:5: mqtt.max_qos: is set again; the last one counts, not that of line 4",
        "7:5: mqtt.max_qos: expected 0, 1 or 2, got \"7\"",
        "10:5: listeners.tcp.bind: expected an address such as 0.0.0.0:1883, got \"0.0.0.0\"",
        "13:23: listeners.tcp.third.bind: the address 0.0.0.0:1884 is already that of listeners.tcp.second.bind",
        "15:5: http_server.port: expected a number from 0 to 65535, got \"70000\"",
        "16:5: http_server.password: expected a text",
        "18:1: sistem: unknown key; did you mean system?",
        "19:1: log: is a section: expected { .. } with keys in it",
    ];
    assert_eq!(
        shown(&report.problems),
        expected.map(|line| format!("everything-wrong.conf:{line}"))
    );
}

#[test]
fn a_value_that_is_wrong_is_reported_once() {
    for (text, expected) in [
        (
            "bridges.mqtt.up { server = \"http://x\", forwards = [a] }",
            "x.conf:1:19: bridges.mqtt.up.server: expected an address such as mqtt-tcp://broker.example:1883, \
             got \"http://x\"",
        ),
        (
            "bridges.mqtt.up { address = \"http://x\", forwards = [a] }",
            "x.conf:1:19: bridges.mqtt.up.address: expected an address such as mqtt-tcp://broker.example:1883, \
             got \"http://x\"",
        ),
        (
            "bridge.mqtt.bridge_mode=true\nbridge.mqtt.address=mqtt-quic://x\nbridge.mqtt.forwards=a\n",
            "x.conf:2:1: bridge.mqtt.address: QUIC is not built yet",
        ),
        (
            "bridges.mqtt.up { forwards = [a], will.topic = \"+\", backoff_max = 1ms, server = h }",
            "x.conf:1:53: bridges.mqtt.up.backoff_max: expected a duration such as 1s, from 10ms to 1h, got \"1ms\"",
        ),
    ] {
        let problems = load_text(text).unwrap_err();
        assert_eq!(shown(&problems)[..1], [expected]);
        let is_once = problems.iter().filter(|problem| {
            problem.line == problems[0].line && problem.column == problems[0].column
        });
        assert_eq!(is_once.count(), 1, "{problems:?}");
    }
    // Where it is not set at all that is said.
    let problems = load_text("bridges.mqtt.up { forwards = [a] }").unwrap_err();
    assert_eq!(
        shown(&problems),
        ["x.conf:1:19: bridges.mqtt.up.server: must name the remote broker"]
    );
}

#[test]
fn an_unknown_key_does_not_keep_the_broker_down() {
    let loaded = load_text("mqtt.max_qos = 1\nmqtt.future = { a = 1, b = 2 }\n").unwrap();
    assert_eq!(loaded.config.mqtt.max_qos, 1);
    assert_eq!(
        shown(&loaded.warnings),
        ["x.conf:2:1: mqtt.future: unknown key, ignored"]
    );
}

#[test]
fn a_syntax_error_does_not_hide_what_stands_before_it_nor_show_a_secret() {
    let problems = start(&fixture("syntax-error.conf")).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(
        shown(&problems)[0],
        "syntax-error.conf:1:1: mqtt.max_qos: expected 0, 1 or 2, got \"9\""
    );
    assert!(
        shown(&problems)[1].starts_with("syntax-error.conf:2:"),
        "{problems:?}"
    );
    assert!(!format!("{problems:?}").contains("ss\""), "{problems:?}");
}

#[test]
fn broken_texts_are_errors_and_never_a_panic() {
    for text in [
        "mqtt {",
        "mqtt = \"",
        "mqtt { max_qos = 1 ]",
        "mqtt..x = 1",
        "[1]",
        "mqtt { a = ${b} }",
        "{{{{",
    ] {
        assert!(load_text(text).is_err(), "{text:?}");
    }
    let deep = "a {".repeat(5000);
    assert!(load_text(&deep).is_err());
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.conf");
    let problems = start(&missing).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].file.as_deref(), Some(missing.as_path()));
    let binary = folder.path().join("binary.conf");
    std::fs::write(&binary, b"mqtt {\n\xff }").unwrap();
    assert_eq!(
        shown(&start(&binary).unwrap_err()),
        ["binary.conf:2: is not UTF-8 text"]
    );
}

#[test]
fn includes_are_read_and_a_missing_one_is_a_warning() {
    let loaded = start(&fixture("main.conf")).unwrap();
    assert_eq!(loaded.config.mqtt.max_mqueue_len, 10);
    assert_eq!(loaded.config.mqtt.max_qos, 1);
    let users = [
        ("admin".to_owned(), Secret::new("public")),
        ("a.b".to_owned(), Secret::new("0123")),
    ];
    assert_eq!(loaded.config.auth.password, users);
    let expected = [
        "main.conf:6:1: included file \"missing.conf\" does not exist; it is left out",
        "part.conf:3:1: mqtt.nonsense: unknown key, ignored",
    ];
    assert_eq!(shown(&loaded.warnings), expected);
}

#[test]
fn what_is_not_built_is_said_once_for_each_thing() {
    let text = "listeners.tcp { enable = true }\nrules { enable = false, x = 1 }\n\
                webhook.a { url = \"x\", password = \"hidden\" }\nwebhook.b { url = \"y\" }\n\
                mqtt.retry_interval = 10s\nlog.to = [file]\n";
    let loaded = load_text(text).unwrap();
    let expected = [
        "x.conf:3:1: webhook: webhooks are not built yet and are ignored",
        "x.conf:5:1: mqtt.retry_interval: has no effect here: messages are sent again when the client reconnects, as the \
         standard asks",
        "x.conf:6:1: log.to: logging to file is not built yet; the log goes to the console",
    ];
    assert_eq!(shown(&loaded.warnings), expected);
    assert_eq!(loaded.config.log.to, [LogTarget::Console]);
}

#[test]
fn files_that_include_each_other_in_a_circle_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.conf");
    std::fs::write(&path, "include \"b.conf\"\n").unwrap();
    std::fs::write(
        folder.path().join("b.conf"),
        "mqtt { include \"a.conf\", include \"a.conf\" }\n",
    )
    .unwrap();
    let problems = start(&path).unwrap_err();
    assert!(
        shown(&problems)
            .iter()
            .any(|line| line.contains("circular")),
        "{problems:?}"
    );
}

#[test]
fn what_is_missing_is_told_with_the_place_where_its_listener_or_bridge_begins() {
    let cases = [
        (
            "# x\nlisteners.ssl.a { bind = \"127.0.0.1:8883\", keyfile = k }",
            "x.conf:2:19: listeners.ssl.a.certfile: must name a PEM file for a listener over TLS",
        ),
        (
            "bridges.mqtt.a { server = \"mqtt-tcp://a:1\", forwards = [a] }\nbridges.mqtt.b {\n forwards = [a]\n}",
            "x.conf:3:2: bridges.mqtt.b.server: must name the remote broker",
        ),
        (
            "log.to = [console, printer]",
            "x.conf:1:1: log.to: expected a list of console, file, syslog and uds, got [\"console\", \"printer\"]",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(&load_text(text).unwrap_err()), [expected], "{text}");
    }
}
