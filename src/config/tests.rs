//! Loading from end to end: problems with their lines, includes, listeners, both forms.

mod files;
mod sources;

use std::path::{Path, PathBuf};

use super::render::tests::unusual;
use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/config")
        .join(name)
}

/// Loads a file to start with, without environment and command line.
fn start(path: &Path) -> Result<Loaded, Vec<Problem>> {
    Config::load(
        Some(path),
        None,
        Strictness::Start,
        [],
        &Overrides::default(),
    )
}

fn load_text(text: &str) -> Result<Loaded, Vec<Problem>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.conf");
    std::fs::write(&path, text).unwrap();
    start(&path)
}

/// Problems without the folder of their file.
fn shown(problems: &[Problem]) -> Vec<String> {
    let short = |problem: &Problem| Problem {
        file: problem
            .file
            .as_deref()
            .and_then(Path::file_name)
            .map(PathBuf::from),
        ..problem.clone()
    };
    problems
        .iter()
        .map(|problem| short(problem).to_string())
        .collect()
}

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
        ["bridges.mqtt.up.server: must name the remote broker"]
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
fn named_listeners_and_the_one_without_a_name_live_together() {
    let text = "listeners.tcp { bind = \"127.0.0.1:1\", backlog = 5 }\nlisteners.tcp.b { bind = \"[::1]:2\", enable = no }";
    let loaded = load_text(text).unwrap();
    assert_eq!(loaded.warnings, []);
    let tcp = &loaded.config.listeners.tcp;
    assert_eq!(tcp.len(), 2);
    assert_eq!(
        (
            tcp["default"].bind.to_string().as_str(),
            tcp["default"].backlog
        ),
        ("127.0.0.1:1", 5)
    );
    assert_eq!(
        (tcp["b"].bind.to_string().as_str(), tcp["b"].enable),
        ("[::1]:2", false)
    );

    let only_named = load_text("listeners.tcp.b { bind = \"[::1]:2\" }").unwrap();
    assert_eq!(
        only_named.config.listeners.tcp.keys().collect::<Vec<_>>(),
        ["b"]
    );
    let none = load_text("mqtt.max_qos = 1").unwrap();
    assert_eq!(none.config.listeners, Listeners::default());
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
fn the_flat_form_is_recognised_and_its_units_converted() {
    let loaded = start(&fixture("old.conf")).unwrap();
    assert_eq!(loaded.form, Some(FileForm::Flat));
    let config = loaded.config;
    assert_eq!(
        config.listeners.tcp["default"].bind.to_string(),
        "127.0.0.1:2883"
    );
    assert_eq!(
        (config.system.daemon, config.system.num_taskq_thread),
        (true, 4)
    );
    assert_eq!(
        (config.mqtt.max_packet_size, config.mqtt.max_mqueue_len),
        (1 << 20, 64)
    );
    assert!((config.mqtt.keepalive_multiplier - 1.25).abs() < 1e-9);
    assert_eq!(
        (config.http_server.enable, config.http_server.port),
        (false, 8082)
    );
    assert_eq!(config.http_server.password, Secret::new("p@ss//word"));
    assert_eq!(config.log.level, LogLevel::Warn);
    assert!(!config.auth.allow_anonymous);
    assert_eq!(
        config.auth.password,
        [("admin".to_owned(), Secret::new("secret"))]
    );
    let keys: Vec<_> = loaded
        .warnings
        .iter()
        .map(|warning| warning.key.as_deref().unwrap_or(""))
        .collect();
    assert_eq!(keys, ["parallel", "qos_duration"]);
    let websocket = &config.listeners.ws["default"];
    assert!(websocket.common.enable && config.listeners.wss.values().all(|wss| !wss.common.enable));
    assert_eq!(websocket.common.bind.to_string(), "0.0.0.0:8083");
}

#[test]
fn the_flat_keys_of_tls_and_websocket_are_those_of_the_listeners() {
    let text = "tls.enable=true\ntls.url=tls+nmq-tcp://127.0.0.1:1\ntls.keyfile=/k\ntls.certfile=/c\n\
                tls.cacertfile=/a\ntls.verify_peer=true\ntls.fail_if_no_peer_cert=true\ntls.keypass=top\n\
                websocket.enable=true\nwebsocket.url=nmq-ws://127.0.0.1:2/a\n\
                websocket.tls_url=nmq-wss://127.0.0.1:3/b\n";
    let loaded = load_text(text).unwrap();
    assert_eq!(
        (loaded.form, loaded.warnings),
        (Some(FileForm::Flat), vec![])
    );
    let all: Vec<_> = loaded.config.listeners.all().collect();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|any| any.common.enable));
    let ports: Vec<_> = all.iter().map(|any| any.common.bind.port()).collect();
    assert_eq!(ports, [1883, 1, 2, 3]);
    let paths: Vec<_> = all.iter().filter_map(|any| any.websocket).collect();
    assert_eq!((&*paths[0].path, &*paths[1].path), ("/a", "/b"));
    for tls in all.iter().filter_map(|any| any.tls) {
        let files = (&tls.keyfile, &tls.certfile, &tls.cacertfile);
        assert_eq!(files, (&"/k".into(), &"/c".into(), &"/a".into()));
        assert!(tls.verify_peer && tls.fail_if_no_peer_cert);
        assert_eq!(tls.key_password, Secret::new("top"));
    }
    // Without TLS there is no WebSocket over it, and without a switch no TLS.
    for text in [
        "websocket.enable=true\ntls.enable=false\n",
        "tls.url=tls+nmq-tcp://:1\nwebsocket.enable=true\n",
    ] {
        let listeners = load_text(text).unwrap().config.listeners;
        let on: Vec<_> = listeners
            .all()
            .filter(|any| any.common.enable)
            .map(|any| any.kind)
            .collect();
        assert_eq!(on, [ListenerKind::Tcp, ListenerKind::Ws], "{text}");
    }
}

#[test]
fn listeners_of_all_kinds_have_names() {
    let text = "listeners.ssl { bind = \"0.0.0.0:1\", certfile = c, keyfile = k }\n\
                listeners.ssl.b { bind = \"nmq-tls://0.0.0.0:2\", certfile = d, keyfile = l }\n\
                listeners.ws.c { bind = \"nmq-ws://0.0.0.0:3/x\" }\nlisteners.wss { bind = \"0.0.0.0:4/y\" }\n\
                listeners.wss.b { bind = \"0.0.0.0:5\" }\n\
                listeners.wss.e { bind = \"0.0.0.0:6\", certfile = e, keyfile = e }\n";
    let loaded = load_text(text).unwrap();
    assert_eq!(loaded.warnings, []);
    let rows: Vec<_> = loaded
        .config
        .listeners
        .all()
        .map(|any| {
            let certfile = any.tls.map(|tls| tls.certfile.display().to_string());
            let path = any.websocket.map(|websocket| websocket.path.as_str());
            (
                any.key("bind"),
                certfile.unwrap_or_default(),
                path.unwrap_or_default(),
            )
        })
        .collect();
    let expected = [
        ("ssl.b", "d", ""),
        ("ssl.default", "c", ""),
        ("ws.c", "", "/x"),
        ("wss.b", "d", "/mqtt"),
        ("wss.default", "c", "/y"),
        ("wss.e", "e", "/mqtt"),
    ];
    let expected = expected.map(|(name, certfile, path)| {
        (format!("listeners.{name}.bind"), certfile.to_owned(), path)
    });
    assert_eq!(rows, expected);
}

const RULES: [&str; 2] = [
    r#"{"permit": "allow", "username": "dashboard", "action": "subscribe", "topics": ["$SYS/#"]}"#,
    r#"{"permit": "deny", "ipaddr": "10.0.0.0/8", "topics": ["a/${clientid}"]}"#,
];

#[test]
fn both_forms_have_rules_users_and_requests() {
    let hocon = format!(
        "auth {{ no_match = deny, deny_action = disconnect, cache {{ max_size = 5, ttl = 2m }}\n acl {{ rules = [\n {}\n {} ] }}\n\
         password {{ ann = x }}\n http_auth {{ auth_req {{ url = \"https://h/a\", method = get\n\
         headers.content-type = \"application/json\", tls {{ cacertfile = \"ca\" }}, ssl.keyfile = \"k\", ssl.certfile = \"c\", params = {{ c = \"%c\", u = \"%u\" }} }}, timeout = 2s }} }}",
        RULES[0], RULES[1]
    );
    let flat = format!(
        "acl_nomatch=deny\nacl_deny_action=disconnect\nacl_cache_max_size=5\nacl_cache_ttl=2m\nacl.rule.10={}\nacl.rule.9={}\n\
         auth.1.login=ann\nauth.1.password=x\nauth.http.auth_req.url=https://h/a\nauth.http.auth_req.method=get\n\
         auth.http.auth_req.headers.content-type = application/json\nauth.http.auth_req.params = c=%c,u=%u\n\
         auth.http.auth_req.ssl.cacertfile = ca\nauth.http.auth_req.tls.keyfile = k\nauth.http.auth_req.tls.certfile = c\nauth.http.timeout = 2s\n",
        RULES[1], RULES[0]
    );
    let mut expected = Auth {
        no_match: Permit::Deny,
        deny_action: DenyAction::Disconnect,
        password: vec![("ann".to_owned(), Secret::new("x"))],
        ..Auth::default()
    };
    expected.cache.max_size = 5;
    expected.cache.ttl = std::time::Duration::from_secs(120);
    let rules = format!("[{},{}]", RULES[0], RULES[1]);
    expected.acl.rules = AclRule::read_all(&serde_json::from_str(&rules).unwrap()).unwrap();
    expected.http_auth.timeout = std::time::Duration::from_secs(2);
    let request = &mut expected.http_auth.auth_req;
    request.url = "https://h/a".to_owned();
    request.method = HttpMethod::Get;
    request.tls.cacertfile = "ca".into();
    request.tls.keyfile = "k".into();
    request.tls.certfile = "c".into();
    request
        .headers
        .insert("content-type".to_owned(), "application/json".to_owned());
    for (name, value) in [("c", "%c"), ("u", "%u")] {
        request.params.insert(name.to_owned(), value.to_owned());
    }
    for (text, form) in [(hocon, FileForm::Hocon), (flat, FileForm::Flat)] {
        let loaded = load_text(&text).unwrap_or_else(|problems| panic!("{:?}", shown(&problems)));
        assert_eq!(
            (loaded.form, loaded.warnings.len()),
            (Some(form), 0),
            "{:?}",
            loaded.warnings
        );
        assert_eq!(loaded.config.auth, expected);
    }
}

#[test]
fn a_broken_rule_is_told_with_its_line() {
    for (text, expected) in [
        (
            "auth.acl {\n rules = [{\"permit\": \"allow\"}, {\"permit\": \"alow\"}]\n}",
            "x.conf:2:32: auth.acl.rules: rule 2: unknown variant `alow`, expected `allow` or `deny`",
        ),
        (
            "auth.acl.rules = [a]",
            "x.conf:1:1: auth.acl.rules: expected a list of rules such as {\"permit\": \"allow\"}, got a list of 1",
        ),
        (
            "daemon=false\nacl.rule.1={\"permit\": \"allow\", \"topics\": [\"a#\"]}",
            "x.conf:2:1: acl.rule.1: topics: \"a#\" is no topic filter",
        ),
        (
            "daemon=false\nacl.rule.one={\"permit\": \"allow\"}",
            "x.conf:2:1: acl.rule.one: expected a number in the place of the last name",
        ),
        (
            "daemon=false\nacl.rule.1=allow",
            "x.conf:2:1: acl.rule.1: expected value at line 1 column 1",
        ),
        (
            "auth.http_auth.auth_req { params.a = \"%x\" }",
            "x.conf:1:27: auth.http_auth.auth_req.params.a: expected a text in which % stands before one of u, c, a, r, P, p, C, d, A, t, m and %, got \"%x\"",
        ),
        (
            "auth.http_auth.auth_req.headers.\"a b\" = x",
            "x.conf:1:1: auth.http_auth.auth_req.headers.a b: is not the name of a header",
        ),
        (
            "auth.http_auth.acl_req.url = \"ftp://x\"",
            "x.conf:1:1: auth.http_auth.acl_req.url: expected a URL that begins with http:// or https:// (\"\" = not asked), got \"ftp://x\"",
        ),
    ] {
        assert_eq!(shown(&load_text(text).unwrap_err()), [expected], "{text}");
    }
}

#[test]
fn a_form_can_be_forced() {
    let path = fixture("main.conf");
    let forced = Config::load(
        Some(&path),
        Some(FileForm::Flat),
        Strictness::Start,
        [],
        &Overrides::default(),
    );
    assert!(forced.is_err());
}

#[test]
fn keys_are_checked_against_each_other() {
    let cases = [
        (
            "mqtt { max_packet_size = 1KB, max_payload_size = 2KB }",
            "mqtt.max_payload_size",
            Severity::Warning,
        ),
        (
            "mqtt.max_packet_size = 20MB",
            "mqtt.max_packet_size",
            Severity::Warning,
        ),
        (
            "mqtt.max_packet_size = 256MB\nmqtt.max_mqueue_bytes = 1GB",
            "mqtt.max_packet_size",
            Severity::Warning,
        ),
        (
            "mqtt.session_expiry_interval = infinite",
            "mqtt.session_expiry_interval",
            Severity::Warning,
        ),
        (
            "system { num_taskq_thread = 4, max_taskq_thread = 2 }",
            "system.num_taskq_thread",
            Severity::Warning,
        ),
        (
            "listeners.tcp.enable = false",
            "listeners",
            Severity::Warning,
        ),
        (
            "listeners.ssl { certfile = a }",
            "listeners.ssl.default.keyfile",
            Severity::Error,
        ),
        (
            "listeners.ssl { certfile = a, keyfile = b, verify_peer = true }",
            "listeners.ssl.default.cacertfile",
            Severity::Error,
        ),
        (
            "listeners.ssl { certfile = a, keyfile = b, fail_if_no_peer_cert = true }",
            "listeners.ssl.default.fail_if_no_peer_cert",
            Severity::Warning,
        ),
        (
            "listeners.ssl { certfile = a, keyfile = b, peer_cert_as_username = dn }",
            "listeners.ssl.peer_cert_as_username",
            Severity::Error,
        ),
        (
            "listeners.ws.max_frame_size = 64KB",
            "listeners.ws.default.max_frame_size",
            Severity::Warning,
        ),
        (
            "listeners.ws.bind = \"0.0.0.0:8083/a b\"",
            "listeners.ws.bind",
            Severity::Error,
        ),
        (
            "listeners.ws.bind = \"nmq-tcp://0.0.0.0:8083\"",
            "listeners.ws.bind",
            Severity::Error,
        ),
        (
            "listeners.tcp.bind = \"0.0.0.0:1883/mqtt\"",
            "listeners.tcp.bind",
            Severity::Error,
        ),
        (
            "auth.allow_anonymous = false",
            "auth.allow_anonymous",
            Severity::Warning,
        ),
        (
            "http_server.auth_type = jwt",
            "http_server.jwt.public.keyfile",
            Severity::Error,
        ),
        (
            "http_server { auth_type = jwt, jwt.public.keyfile = /nowhere }",
            "http_server.jwt.public.keyfile",
            Severity::Error,
        ),
        (
            "http_server.jwt.algorithms = [HS256]",
            "http_server.jwt.algorithms",
            Severity::Error,
        ),
        (
            "http_server.jwt.algorithms = []",
            "http_server.jwt.algorithms",
            Severity::Error,
        ),
        (
            "http_server.jwt.leeway = 2h",
            "http_server.jwt.leeway",
            Severity::Error,
        ),
        (
            "http_server.failed_login_window = 0s",
            "http_server.failed_login_window",
            Severity::Error,
        ),
        (
            "http_server.password = \"\"",
            "http_server.password",
            Severity::Error,
        ),
        (
            "http_server.username = \"a:b\"",
            "http_server.username",
            Severity::Error,
        ),
        (
            "http_server.port = 1883",
            "http_server.port",
            Severity::Error,
        ),
        (
            "mqtt.protocol_versions = [4, 6]",
            "mqtt.protocol_versions",
            Severity::Error,
        ),
        (
            "mqtt.protocol_versions = []",
            "mqtt.protocol_versions",
            Severity::Error,
        ),
        (
            "mqtt.sys_interval = 10ms",
            "mqtt.sys_interval",
            Severity::Error,
        ),
        (
            "mqtt.max_keepalive = 1d",
            "mqtt.max_keepalive",
            Severity::Error,
        ),
        (
            "mqtt.receive_maximum = 0",
            "mqtt.receive_maximum",
            Severity::Error,
        ),
        (
            "mqtt.max_mqueue_len = { a = 1, b = 2 }",
            "mqtt.max_mqueue_len",
            Severity::Error,
        ),
    ];
    for (text, key, severity) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.conf");
        std::fs::write(&path, text).unwrap();
        let problems = check(&path, None).problems;
        let found: Vec<_> = problems
            .iter()
            .map(|p| (p.key.as_deref().unwrap_or(""), p.severity))
            .collect();
        assert_eq!(found, [(key, severity)], "{text}: {problems:?}");
    }
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let text = format!("{:?}", unusual());
    assert!(
        !text.contains("top secret") && !text.contains("pass word"),
        "{text}"
    );
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

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_loads_or_is_refused(text in "(mqtt|log|auth|url|a|[{}\\[\\]=:.,\"#/$+\\\\ \n\u{e9}]|1){0,40}") {
        // The result is of no interest: that there is one is.
        let _ = load_text(&text);
        let mut problems = Vec::new();
        flat::read(&std::sync::Arc::from(Path::new("x")), &text, &mut problems);
    }
}
