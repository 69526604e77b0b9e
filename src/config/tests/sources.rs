//! The order of the sources: file, environment, command line.

use super::*;

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn the_environment_overrides_the_file_and_the_command_line_both() {
    let path = fixture("old.conf");
    let env = env(&[
        ("NANOMQ_BROKER_URL", "nmq-tcp://127.0.0.1:3883"),
        ("NANOMQ_MSQ_LEN", "65"),
        ("NANOMQ_MAX_PACKET_SIZE", "10"),
        ("NANOMQ_HTTP_SERVER_URL", "http://127.0.0.1:9090"),
        ("NANOMQ_HTTP_SERVER_ENABLE", "true"),
        ("NANOMQ_LOG_LEVEL", ""),
        ("NANOMQ_TLS_ENABLE", "false"),
        ("NANOMQ_TLS_URL", "tls+nmq-tcp://0.0.0.0:8883"),
        ("NANOMQ_SERVICE_HOST", "10.0.0.1"),
        ("NANOMQ_DEAMON", "true"),
        ("HOME", "/root"),
    ]);
    let overrides = Overrides {
        msq_len: Some(66),
        log_level: Some("debug".to_owned()),
        ..Overrides::default()
    };
    let loaded = Config::load(Some(&path), None, Strictness::Start, env, &overrides).unwrap();
    let config = loaded.config;
    assert_eq!(
        config.listeners.tcp["default"].bind.to_string(),
        "127.0.0.1:3883"
    );
    assert_eq!(
        (config.mqtt.max_mqueue_len, config.mqtt.max_packet_size),
        (66, 10_240)
    );
    assert_eq!(
        config.http_server.bind().unwrap().to_string(),
        "127.0.0.1:9090"
    );
    assert!(config.http_server.enable);
    assert_eq!(config.log.level, LogLevel::Debug);
    let from_env: Vec<String> = loaded
        .warnings
        .iter()
        .filter(|warning| warning.file.is_none())
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        from_env,
        ["NANOMQ_DEAMON: unknown variable; did you mean NANOMQ_DAEMON?"]
    );
}

#[test]
fn the_environment_can_name_the_file_and_have_problems() {
    let path = fixture("main.conf").display().to_string();
    let named = env(&[("NANOMQ_CONF_PATH", &path)]);
    let loaded = Config::load(None, None, Strictness::Start, named, &Overrides::default()).unwrap();
    assert_eq!(loaded.path, Some(PathBuf::from(path)));
    assert_eq!(loaded.config.mqtt.max_mqueue_len, 10);

    let wrong = env(&[("NANOMQ_DAEMON", "maybe"), ("NANOMQ_HTTP_SERVER_PORT", "x")]);
    let problems =
        Config::load(None, None, Strictness::Start, wrong, &Overrides::default()).unwrap_err();
    let expected = [
        "NANOMQ_DAEMON: expected true or false, got \"maybe\"",
        "NANOMQ_HTTP_SERVER_PORT: expected a number from 0 to 65535, got \"x\"",
    ];
    assert_eq!(shown(&problems), expected);
}

#[test]
fn without_any_source_the_defaults_are_in_force() {
    let loaded = Config::load(None, None, Strictness::Start, [], &Overrides::default()).unwrap();
    assert_eq!(
        loaded,
        Loaded {
            config: Config::default(),
            warnings: Vec::new(),
            form: None,
            path: None
        }
    );
}

#[test]
fn urls_of_the_command_line_replace_the_listeners() {
    let url = [
        "nmq-tcp://127.0.0.1:1",
        "nmq-ws://0.0.0.0:8083/x",
        "127.0.0.1:2",
    ]
    .map(str::to_owned)
    .to_vec();
    let overrides = Overrides {
        url,
        ..Overrides::default()
    };
    let loaded = Config::load(None, None, Strictness::Start, [], &overrides).unwrap();
    let binds: Vec<_> = loaded
        .config
        .listeners
        .tcp
        .iter()
        .map(|(name, listener)| (name.as_str(), listener.bind.to_string()))
        .collect();
    assert_eq!(
        binds,
        [
            ("default", "127.0.0.1:1".to_owned()),
            ("url_3", "127.0.0.1:2".to_owned())
        ]
    );
    let websocket = &loaded.config.listeners.ws["default"];
    assert_eq!(
        (
            websocket.common.bind.to_string(),
            &*websocket.websocket.path
        ),
        ("0.0.0.0:8083".to_owned(), "/x")
    );
    assert_eq!(loaded.warnings, []);

    let overrides = Overrides {
        url: [
            "tls+nmq-tcp://127.0.0.1:1",
            "nmq-wss://127.0.0.1:2",
            "nmq-tls://127.0.0.1:3",
        ]
        .map(str::to_owned)
        .to_vec(),
        certfile: Some("c".to_owned()),
        keyfile: Some("k".to_owned()),
        key_password: Some(Secret::new("p")),
        cacertfile: Some("a".to_owned()),
        verify_peer: true,
        fail_if_no_peer_cert: true,
        ..Overrides::default()
    };
    let loaded = Config::load(None, None, Strictness::Start, [], &overrides).unwrap();
    let rows: Vec<_> = loaded
        .config
        .listeners
        .all()
        .map(|any| {
            let tls = any.tls.unwrap();
            assert!(tls.verify_peer && tls.fail_if_no_peer_cert);
            let files = (&tls.certfile, &tls.keyfile, &tls.cacertfile);
            assert_eq!(files, (&"c".into(), &"k".into(), &"a".into()));
            assert_eq!(tls.key_password, Secret::new("p"));
            (any.key("bind"), any.common.bind.port())
        })
        .collect();
    let expected = [
        ("listeners.ssl.default.bind".to_owned(), 1),
        ("listeners.ssl.url_3.bind".to_owned(), 3),
        ("listeners.wss.default.bind".to_owned(), 2),
    ];
    assert_eq!(rows, expected);

    let overrides = Overrides {
        url: vec!["nonsense".to_owned()],
        ..Overrides::default()
    };
    assert!(Config::load(None, None, Strictness::Start, [], &overrides).is_err());
}

/// The separate files of NanoMQ 0.7 and 0.8 are read where the command line or the environment names them.
#[test]
fn the_files_of_users_and_of_requests_are_read_beside_the_main_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let main = file(
        "nanomq.conf",
        "allow_anonymous=false\nauth.1.login=ann\nauth.1.password=a\n",
    );
    let users = file(
        "nanomq_auth_username.conf",
        "## users\nauth.1.login=ann\nauth.1.password=b\nauth.2.login=bob\nauth.2.password=c\n",
    );
    let requests = file(
        "nanomq_auth_http.conf",
        "auth.http.enable=true\nauth.http.auth_req.url=http://h/a\nauth.http.auth_req.params=c=%c,u=%u\n",
    );
    let wrong = file("wrong.conf", "auth.1.login=x\nurl=nmq-tcp://0.0.0.0:1\n");
    let by_option = Overrides {
        auth: Some(users.clone()),
        auth_http: Some(requests.clone()),
        ..Overrides::default()
    };
    let (users, requests) = (users.display().to_string(), requests.display().to_string());
    let by_env = env(&[
        ("NANOMQ_AUTH_CONF_PATH", &users),
        ("NANOMQ_AUTH_HTTP_CONF_PATH", &requests),
    ]);
    for (env, overrides) in [(Vec::new(), by_option), (by_env, Overrides::default())] {
        let loaded = Config::load(Some(&main), None, Strictness::Check, env, &overrides).unwrap();
        let auth = loaded.config.auth;
        let users: Vec<(&str, &str)> = auth
            .password
            .iter()
            .map(|(name, password)| (name.as_str(), password.expose()))
            .collect();
        assert_eq!(users, [("ann", "b"), ("bob", "c")]);
        assert_eq!(auth.http_auth.auth_req.url, "http://h/a");
        assert_eq!(auth.http_auth.auth_req.params.len(), 2);
        assert!(!auth.allow_anonymous);
    }
    let overrides = Overrides {
        auth: Some(wrong.clone()),
        auth_http: Some("/nowhere".into()),
        ..Overrides::default()
    };
    let problems = Config::load(Some(&main), None, Strictness::Start, [], &overrides).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let wrong = wrong.display();
    for part in [
        format!("{wrong}:1:1: auth.1.login: auth.1.password is missing"),
        format!("{wrong}:2:1: url: is not about auth and does not belong in this file"),
        "/nowhere: cannot be read".to_owned(),
    ] {
        assert!(
            shown.iter().any(|line| line.starts_with(&part)),
            "{shown:?}"
        );
    }
}
