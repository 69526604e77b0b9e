//! Files that must load: the one that is shipped, and those of NanoMQ.

use super::*;
use crate::config::keys::{self, Role};

#[test]
fn the_shipped_file_is_complete_and_equals_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/nanomq.conf");
    let report = check(&path, None);
    assert_eq!(report.problems, []);
    assert_eq!(report.effective, Some(Config::default()));

    let text = std::fs::read_to_string(&path).unwrap();
    let (rest, bridge) = with_the_bridge_of_the_comment(&text);
    let mut written = std::collections::HashSet::new();
    for item in scan::scan(&rest).into_iter().chain(scan::scan(&bridge)) {
        if let scan::Item::Value(span) = item {
            written.insert(span.path.join("."));
        }
    }
    for key in keys::all().filter(|key| matches!(key.role, Role::Setting { .. })) {
        let name = key.path.replace("bridges.mqtt.*", "bridges.mqtt.example");
        let name = name.replace(".*", "");
        assert!(
            written.contains(&name),
            "{name} is not in config/nanomq.conf"
        );
    }
    assert_eq!(
        text.matches("# Default: ").count(),
        keys::all()
            .filter(|key| matches!(key.role, Role::Setting { .. }))
            .count()
    );
}

/// A file with bridges describes them all, so the keys of one stand in a comment: the text before it, and the text in it.
fn with_the_bridge_of_the_comment(text: &str) -> (String, String) {
    let begin = text.find("# bridges.mqtt.example {").unwrap();
    let (rest, comment) = text.split_at(begin);
    let line = |line: &str| {
        line.strip_prefix("# ")
            .or(line.strip_prefix('#'))
            .unwrap()
            .to_owned()
    };
    let bridge: Vec<String> = comment.lines().map(line).collect();
    (rest.to_owned(), bridge.join("\n"))
}

#[test]
fn the_bridge_of_the_comment_has_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/nanomq.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    let (rest, bridge) = with_the_bridge_of_the_comment(&text);
    let bridge = bridge.replace("enable = true", "enable = false");
    let loaded = load_text(&(rest + &bridge)).unwrap();
    assert_eq!(shown(&loaded.warnings), [""; 0]);
    let off = BridgeConfig {
        enable: false,
        ..BridgeConfig::default()
    };
    assert_eq!(loaded.config.bridges.mqtt["example"], off);
    // As it stands it names no remote.
    let (rest, bridge) = with_the_bridge_of_the_comment(&text);
    let refused = load_text(&(rest + &bridge)).unwrap_err();
    let refused: Vec<_> = refused.iter().filter_map(|p| p.key.as_deref()).collect();
    assert!(
        refused.contains(&"bridges.mqtt.example.server"),
        "{refused:?}"
    );
}

#[test]
fn the_table_of_keys_and_the_model_name_the_same_fields() {
    let mut config = unusual();
    config.auth.password = vec![("user".to_owned(), Secret::new("x"))];
    let http = &mut config.auth.http_auth;
    for request in [&mut http.auth_req, &mut http.super_req, &mut http.acl_req] {
        request.headers.insert("name".to_owned(), "x".to_owned());
        request.params.insert("name".to_owned(), "x".to_owned());
    }
    config.listeners = Listeners::default();
    let mut bridge = BridgeConfig::default();
    for properties in [
        &mut bridge.conn_properties.user_property,
        &mut bridge.sub_properties.user_property,
        &mut bridge.will.properties.user_property,
    ] {
        properties.insert("name".to_owned(), "x".to_owned());
    }
    config.bridges.mqtt = [("default".to_owned(), bridge)].into();
    let mut fields = Vec::new();
    leaf_names(&serde_json::to_value(&config).unwrap(), "", &mut fields);
    let mut fields: Vec<String> = fields
        .iter()
        .map(|name| {
            name.replace(".default.", ".*.")
                .replace("password.user", "password.*")
                .replace("headers.name", "headers.*")
                .replace("params.name", "params.*")
                .replace("user_property.name", "user_property.*")
        })
        .collect();
    let mut rows: Vec<String> = keys::all()
        .filter(|key| matches!(key.role, Role::Setting { .. }))
        .map(|key| key.path.to_owned())
        .collect();
    fields.sort();
    rows.sort();
    assert_eq!(fields, rows);
}

fn leaf_names(value: &serde_json::Value, path: &str, names: &mut Vec<String>) {
    match value.as_object() {
        Some(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                leaf_names(value, &path, names);
            }
        }
        None => names.push(path.to_owned()),
    }
}

/// NanoMQ's own files, where the shared folder is there.
#[test]
fn the_published_files_of_nanomq_load() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/nanomq-conf");
    let folder = std::env::var_os("NANOMQ_FIXTURES").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    let files = [
        ("current/nanomq.conf", FileForm::Hocon),
        ("current/nanomq_example.conf", FileForm::Hocon),
        ("current/nanomq_bridge.conf", FileForm::Hocon),
        ("current/nanomq_acl.conf", FileForm::Hocon),
        ("current/nanomq_pwd.conf", FileForm::Hocon),
        ("current/nanomq_old.conf", FileForm::Flat),
        ("flat-0.8/nanomq.conf", FileForm::Flat),
        ("flat-0.8/nanomq_auth_http.conf", FileForm::Flat),
        ("flat-0.8/nanomq_bridge.conf", FileForm::Flat),
        ("flat-0.8/nanomq_gateway.conf", FileForm::Flat),
        ("flat-0.8/nanomq_web_hook.conf", FileForm::Flat),
    ];
    for (file, form) in files {
        let loaded = start(&folder.join(file))
            .unwrap_or_else(|problems| panic!("{file}: {:#?}", shown(&problems)));
        assert_eq!(loaded.form, Some(form), "{file}");
        assert!(
            loaded.warnings.iter().all(|warning| warning.line.is_some()),
            "{file}: {:?}",
            shown(&loaded.warnings)
        );
    }
    let example = start(&folder.join("current/nanomq_example.conf"))
        .unwrap()
        .config;
    assert_eq!(example.mqtt.max_packet_size, 1024);
    assert_eq!(example.listeners.tcp.len(), 3);
    assert_eq!(example.auth.password.len(), 2);
    let bridge = &example.bridges.mqtt["emqx1"];
    assert_eq!((bridge.proto_ver, bridge.forwards.len()), (5, 2));
    assert_eq!(bridge.subscription[1].local_topic, "topic4");
    assert_eq!(bridge.will.payload, "will_message");
    assert_eq!(bridge.conn_properties.user_property["key2"], "value2");
    let old = start(&folder.join("current/nanomq_old.conf"))
        .unwrap()
        .config;
    let bridge = &old.bridges.mqtt["emqx"];
    assert!(!bridge.enable);
    assert_eq!((bridge.keepalive, bridge.max_send_queue_len), (60, 32));
    assert_eq!(bridge.forwards[0].remote_topic, "fwd/topic1");
    assert_eq!(bridge.subscription[1].qos, 2);
    assert_eq!(bridge.will.properties.user_property["key1"], "value1");
    assert_eq!(old.bridges.mqtt.len(), 1);
    let flat = start(&folder.join("flat-0.8/nanomq_bridge.conf")).unwrap();
    let bridge = &flat.config.bridges.mqtt[DEFAULT_BRIDGE];
    assert_eq!(bridge.server.as_ref().unwrap().host(), "broker.emqx.io");
    assert_eq!(bridge.forwards[1].local_topic, "topic2/#");
    assert_eq!(bridge.subscription[0].remote_topic, "cmd/topic1");
    assert_eq!((bridge.max_parallel_processes, bridge.enable), (2, false));
    let current = start(&folder.join("current/nanomq.conf")).unwrap().config;
    assert_eq!(current.mqtt.max_packet_size, MAX_PACKET_SIZE);
    assert!((current.mqtt.keepalive_multiplier - 1.25).abs() < 1e-9);
}
