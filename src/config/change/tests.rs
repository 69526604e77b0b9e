use proptest::prelude::*;

use super::*;

fn setting(key: &'static str, value: &str) -> Setting {
    Setting {
        key,
        value: Secret::new(value),
    }
}

fn edit_text(text: &str, settings: &[Setting]) -> Result<EditedFile, Vec<Refusal>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.conf");
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.path().join("part.conf"), "http_server.port = 7000\n").unwrap();
    edit_file(
        &path,
        None,
        &Overrides::default(),
        [],
        settings,
        &BridgeChanges::new(),
    )
}

#[test]
fn a_key_is_changed_wherever_its_value_comes_from() {
    let port = [setting("http_server.port", "9000")];
    for (text, expected) in [
        ("", "http_server.port = 9000\n"),
        ("http_server { port = 1 }", "http_server { port = 9000 }"),
        (
            "http_server.port = 1\nhttp_server.port = 2",
            "http_server.port = 9000\nhttp_server.port = 9000",
        ),
        // An include that comes later than the key wins over it, so the key goes behind it.
        (
            "http_server.port = 1\ninclude \"part.conf\"",
            "http_server.port = 1\ninclude \"part.conf\"\nhttp_server.port = 9000\n",
        ),
        (
            "include \"part.conf\"",
            "include \"part.conf\"\nhttp_server.port = 9000\n",
        ),
        (
            "{ http_server { port = 1 } }",
            "{ http_server { port = 9000 } }",
        ),
        ("{ }", "{ \nhttp_server.port = 9000\n}"),
        ("daemon=true", "daemon=true\nhttp_server.port=9000\n"),
    ] {
        let edited = edit_text(text, &port).unwrap();
        assert_eq!(edited.text.as_deref(), Some(expected), "{text:?}");
        assert_eq!(edited.config.http_server.port, 9000);
        let again = edit_text(expected, &port).unwrap();
        assert_eq!(again.text, None, "{text:?}");
    }
}

#[test]
fn every_bad_value_is_named_and_what_does_not_go_together_too() {
    let keys = |settings: &[Setting], text: &str| -> Vec<String> {
        let refused = edit_text(text, settings).unwrap_err();
        refused.into_iter().map(|refusal| refusal.key).collect()
    };
    let bad = [
        setting("http_server.port", "70000"),
        setting("http_server.username", "ann"),
        setting("system.daemon", "perhaps"),
        setting("http_server.auth_type", "kerberos"),
    ];
    let expected = ["http_server.port", "system.daemon", "http_server.auth_type"];
    assert_eq!(keys(&bad, ""), expected);
    let together = [
        setting("http_server.username", "a:b"),
        setting("http_server.port", "1883"),
    ];
    let expected = ["http_server.username", "http_server.port"];
    assert_eq!(keys(&together, "mqtt.max_qos = 1"), expected);
    assert_eq!(keys(&[setting("http_server.port", "1")], "mqtt {"), [""]);
}

#[test]
fn what_the_command_line_sets_is_not_changed_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.conf");
    std::fs::write(&path, "").unwrap();
    let overrides = Overrides {
        port: Some(7000),
        ..Overrides::default()
    };
    let edit = |value| {
        let settings = [setting("http_server.port", value)];
        edit_file(
            &path,
            None,
            &overrides,
            [],
            &settings,
            &BridgeChanges::new(),
        )
    };
    assert_eq!(edit("7000").unwrap().text, None);
    assert_eq!(edit("9000").unwrap_err()[0].key, "http_server.port");
    let env = [("NANOMQ_MSQ_LEN".to_owned(), "7".to_owned())];
    let settings = [setting("mqtt.max_mqueue_len", "8")];
    let refused = edit_file(
        &path,
        None,
        &Overrides::default(),
        env,
        &settings,
        &BridgeChanges::new(),
    );
    assert_eq!(refused.unwrap_err()[0].key, "mqtt.max_mqueue_len");
}

/// Texts made of what has a meaning in one of the forms, and of anything else.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[\"'\\\\{}\\[\\]=:,#$/+ \t.a-z0-9]{1,4}",
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("${HOME}".to_owned()),
        Just("\"\"\"".to_owned()),
        Just("\\u0022".to_owned()),
        Just("include \"part.conf\"".to_owned()),
        Just("auth.allow_anonymous = false".to_owned()),
        Just(" #".to_owned()),
        Just("//".to_owned()),
        "\\PC{1,3}",
        "[\\x00-\\x1f\\x7f\u{85}\u{2028}]{1,2}",
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_value_never_becomes_configuration(
        value in hostile(),
        text in prop_oneof![
            Just(""),
            Just("http_server { password = old, port = 1 } # x\nmqtt.max_qos = 1\n"),
            Just("{ http_server { password = \"\"\"old\"\"\" } }"),
            Just("include \"part.conf\"\nhttp_server.password = ${?P}x\n"),
        ],
    ) {
        let mut expected = edit_text(text, &[]).unwrap().config;
        let edited = edit_text(text, &[setting("http_server.password", &value)]).unwrap();
        expected.http_server.password = Secret::new(value);
        prop_assert_eq!(edited.config, expected);
    }

    #[test]
    fn a_value_never_becomes_a_line_of_the_flat_form(value in hostile()) {
        let text = "## c\nurl=nmq-tcp://0.0.0.0:1\nhttp_server.password=old\ndaemon=false\n";
        let mut expected = edit_text(text, &[]).unwrap().config;
        let has_break = value.contains(['\n', '\r']);
        match edit_text(text, &[setting("http_server.password", &value)]) {
            Ok(edited) => {
                prop_assert!(!has_break);
                expected.http_server.password = Secret::new(value);
                prop_assert_eq!(edited.config, expected);
            }
            Err(refused) => prop_assert!(has_break, "{refused:?}"),
        }
    }
}
