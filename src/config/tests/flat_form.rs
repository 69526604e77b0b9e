//! The flat form.

use super::*;

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
