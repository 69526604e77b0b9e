use super::*;
use crate::config::BridgeForward;

/// What a start makes of a text once `bridges` are in it, with the new text.
fn edit(text: &str, bridges: &BridgeChanges) -> Result<EditedFile, Vec<Refusal>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.conf");
    std::fs::write(&path, text).unwrap();
    let part = "bridges.mqtt.up { server = part, forwards = [a] }\n";
    std::fs::write(folder.path().join("part.conf"), part).unwrap();
    edit_file(&path, None, &Overrides::default(), [], &[], bridges)
}

fn up(json: serde_json::Value) -> BridgeConfig {
    BridgeConfig::default().with_json(&json).unwrap()
}

fn one(name: &str, bridge: Option<BridgeConfig>) -> BridgeChanges {
    BridgeChanges::from([(name.to_owned(), bridge)])
}

const HOCON: &str = "# one\nbridges.mqtt.other { server = h, forwards = [x] } # stays\nbridges { mqtt {\n  up { server = old # why\n    \
                     password = p, keepalive = 5s\n    forwards = [\n      {local_topic = a}\n    ]\n  }\n}}\n\
                     bridges.mqtt.up.username = u\nmqtt.max_qos = 1\n";

#[test]
fn a_bridge_is_changed_where_it_stands() {
    let forwards = serde_json::json!([{"local_topic": "b/#", "remote_topic": "c/#"}]);
    let bridge = up(serde_json::json!({
        "server": "new", "password": "p", "username": "v", "keepalive": 5, "forwards": forwards,
    }));
    let edited = edit(HOCON, &one("up", Some(bridge.clone()))).unwrap();
    let expected = HOCON
        .replace("server = old", "server = \"mqtt-tcp://new:1883\"")
        .replace("username = u", "username = \"v\"")
        .replace(
            "[\n      {local_topic = a}\n    ]",
            "[{\"local_topic\":\"b/#\",\"remote_topic\":\"c/#\"}]",
        );
    assert_eq!(edited.text.as_deref(), Some(expected.as_str()));
    assert_eq!(edited.config.bridges.mqtt["up"], bridge);
    let again = edit(&expected, &one("up", Some(bridge))).unwrap();
    assert_eq!(again.text, None);
}

#[test]
fn what_is_new_stands_in_the_section_of_the_bridge() {
    let bridge = |more: serde_json::Value| {
        let mut all =
            serde_json::json!({"server": "h", "forwards": ["a"], "keepalive": 7, "proto_ver": 5});
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        up(all)
    };
    let (plain, will) = (
        serde_json::json!({}),
        serde_json::json!({"will": {"topic": "w"}, "keepalive": 30}),
    );
    for (text, more, expected) in [
        (
            "bridges.mqtt.up {\n  server = h # why\n  forwards = [a]\n}\nmqtt.max_qos = 1\n",
            &plain,
            "bridges.mqtt.up {\n  server = h # why\n  forwards = [a]\n  keepalive = \"7s\"\n  proto_ver = 5\n}\nmqtt.max_qos = 1\n",
        ),
        (
            "bridges.mqtt { up { server = h, forwards = [a] }, other { server = h, forwards = [a] } }",
            &plain,
            "bridges.mqtt { up { server = h, forwards = [a], keepalive = \"7s\", proto_ver = 5 }, other { server = h, forwards = [a] } }",
        ),
        (
            "bridges {\r\n\tmqtt {\r\n\t\tup {\r\n\t\t\tserver = h\r\n\t\t\tforwards = [a]\r\n\t\t}\r\n\t}\r\n}\r\n",
            &plain,
            "bridges {\r\n\tmqtt {\r\n\t\tup {\r\n\t\t\tserver = h\r\n\t\t\tforwards = [a]\r\n\t\t\tkeepalive = \"7s\"\r\n\t\t\tproto_ver = 5\r\n\t\t}\r\n\t}\r\n}\r\n",
        ),
        (
            "bridges.mqtt.up {\n    server = h, forwards = [a], keepalive = 7s }\n",
            &will,
            "bridges.mqtt.up {\n    server = h, forwards = [a], keepalive = \"30s\", proto_ver = 5, will.topic = \"w\" }\n",
        ),
        // Without a section it stands at the end.
        (
            "bridges.mqtt.up.server = h\nbridges.mqtt.up.forwards = [a]\n",
            &plain,
            "bridges.mqtt.up.server = h\nbridges.mqtt.up.forwards = [a]\nbridges.mqtt.up.keepalive = \"7s\"\nbridges.mqtt.up.proto_ver = 5\n",
        ),
    ] {
        let wanted = bridge(more.clone());
        let edited = edit(text, &one("up", Some(wanted.clone()))).unwrap();
        assert_eq!(edited.config.bridges.mqtt["up"], wanted);
        assert_eq!(edited.text.as_deref(), Some(expected));
    }
}

#[test]
fn a_bridge_is_taken_out_with_its_lines() {
    let edited = edit(HOCON, &one("up", None)).unwrap();
    assert_eq!(
        edited.text.as_deref(),
        Some(
            "# one\nbridges.mqtt.other { server = h, forwards = [x] } # stays\nbridges { mqtt {\n}}\nmqtt.max_qos = 1\n"
        )
    );
    let flat = "url=nmq-tcp://0.0.0.0:1883\n## bridge\nbridge.mqtt.bridge_mode=true\nbridge.mqtt.address=h:1\n\
                bridge.mqtt.forwards=a,b\nbridge.mqtt.up.address=h:2\ndaemon=false\n";
    let edited = edit(flat, &one("default", None)).unwrap();
    assert_eq!(
        edited.text.as_deref(),
        Some("url=nmq-tcp://0.0.0.0:1883\n## bridge\nbridge.mqtt.up.address=h:2\ndaemon=false\n")
    );
}

/// Every way in which a text can have a bridge, or not.
const TEXTS: &[&str] = &[
    "",
    "mqtt.max_qos = 1",
    "{ mqtt { max_qos = 1 } }",
    HOCON,
    "bridges.mqtt { a { server = h, forwards = [x] }, up { server = h, forwards = [x] }, b { server = h, forwards = [x] } }",
    "bridges.mqtt.up.server = h, bridges.mqtt.up.forwards = [x]\nbridges.mqtt.up.conn_properties.user_property { k = v }\n",
    "include \"part.conf\"\n",
    "bridges.mqtt.up = { server = h } { forwards = [x] }\n",
    "x = { server = h, forwards = [x] }\nbridges.mqtt.up = ${x}\n",
    "bridges.mqtt.up.forwards = [x]\nbridges.mqtt.up.forwards += y\nbridges.mqtt.up.server = h\n",
    "url=nmq-tcp://0.0.0.0:1\n",
    "url=nmq-tcp://0.0.0.0:1\nbridge.mqtt.up.bridge_mode=true\nbridge.mqtt.up.address=h:1 # x\nbridge.mqtt.up.subscription.1.topic=a\n\
     bridge.mqtt.up.subscription.2.topic=b\nbridge.mqtt.other.address=h:1\n",
];

#[test]
fn whatever_the_file_looks_like_only_the_bridge_changes() {
    let everything = up(serde_json::json!({
        "server": "wss://h:1/x", "hybrid_bridging": true, "hybrid_servers": ["a", "b:2"], "proto_ver": 5, "keepalive": "7s",
        "password": "p \"#${x}\\", "username": "u", "clean_start": true, "queue_policy": "reject", "backoff_max": "2m",
        "forwards": [{"local_topic": "a/+", "remote_topic": "b/+", "qos": 1, "retain": 0, "prefix": "p/", "suffix": "/s"}, "c"],
        "subscription": [{"remote_topic": "d/#", "local_topic": "e/#", "qos": 2, "nolocal": false, "retain_handling": 1}],
        "ssl": {"cacertfile": "ca.pem"},
        "will": {"topic": "w", "payload": "gone", "properties": {"user_property": {"k": "v"}}},
        "conn_properties": {"user_property": {"x": "y", "z": "1"}, "receive_maximum": 7},
    }));
    let plain = up(
        serde_json::json!({"server": "h:9", "forwards": ["z"], "username": "u", "password": "123"}),
    );
    let off = up(serde_json::json!({"enable": false, "server": "h", "forwards": ["z"]}));
    for text in TEXTS {
        for bridge in [
            Some(everything.clone()),
            Some(plain.clone()),
            Some(off.clone()),
            None,
        ] {
            let before = edit(text, &BridgeChanges::new()).unwrap().config;
            let change = one("up", bridge.clone());
            let edited =
                edit(text, &change).unwrap_or_else(|refused| panic!("{text}: {refused:?}"));
            assert_eq!(
                edited.config,
                with_bridges(before.clone(), &change),
                "{text}"
            );
            // And back, from what was written.
            let text = edited.text.as_deref().unwrap_or(text);
            let back = one("up", before.bridges.mqtt.get("up").cloned());
            let edited = edit(text, &back).unwrap_or_else(|refused| panic!("{text}: {refused:?}"));
            assert_eq!(edited.config, before, "{text}");
        }
    }
}

#[test]
fn names_are_written_as_they_must_be() {
    let bridge = up(serde_json::json!({"server": "h", "forwards": ["z"]}));
    for name in ["a.b", "include", "ü", "a b", "-"] {
        let edited = edit("{\n}\n", &one(name, Some(bridge.clone()))).unwrap();
        assert_eq!(edited.config.bridges.mqtt[name], bridge, "{name}");
        let text = edited.text.unwrap();
        assert_eq!(
            edit(&text, &one(name, None)).unwrap().text.unwrap().trim(),
            "{\n}"
        );
    }
}

#[test]
fn a_bridge_that_cannot_run_is_refused_by_its_key() {
    let bridge = BridgeConfig {
        forwards: vec![BridgeForward {
            local_topic: "a".to_owned(),
            ..BridgeForward::default()
        }],
        ..BridgeConfig::default()
    };
    for text in ["", "url=nmq-tcp://0.0.0.0:1\n"] {
        let refused = edit(text, &one("up", Some(bridge.clone()))).unwrap_err();
        assert_eq!(refused[0].key, "bridges.mqtt.up.server", "{refused:?}");
    }
}
