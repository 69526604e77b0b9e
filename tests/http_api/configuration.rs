//! Showing and changing the configuration.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, panic::resume_unwind, path::PathBuf};

use actix::System;
use nanomq::{
    actors::ConfigSource,
    broker::Broker,
    config::{Config, Secret},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{At, with_broker};

/// A configuration file with everything that writing it back has to keep.
pub const FILE: &str = "# A broker for tests.
listeners.tcp { bind = \"127.0.0.1:0\" } # any port
http_server {
    ip_addr = \"127.0.0.1\"
    port = 0 # any, too
    password = public
}
system.num_taskq_thread = 1
include \"users.conf\"
unknown_section { a = [1, 2] }
";

/// A folder with a configuration file, and one that it may include.
pub struct Files(pub TempDir);

impl Files {
    pub fn new(text: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        fs::write(files.conf(), text).unwrap();
        fs::write(files.0.path().join("users.conf"), "mqtt.max_qos = 1\n").unwrap();
        files
    }

    pub fn conf(&self) -> PathBuf {
        self.0.path().join("nanomq.conf")
    }

    pub fn text(&self) -> String {
        fs::read_to_string(self.conf()).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Runs a test against a broker whose configuration is a file.
pub fn with_file(text: &str, test: impl FnOnce(At, &Files) + Send + 'static) {
    with_files(Files::new(text), |at, _, files| test(at, files));
}

/// Runs a test against a broker with a file; it gets the address of the second listener, if there is one.
pub fn with_files(
    files: Files,
    test: impl FnOnce(At, Option<SocketAddr>, &Files) + Send + 'static,
) {
    let source = ConfigSource {
        path: Some(files.conf()),
        ..ConfigSource::default()
    };
    System::new().block_on(async move {
        let config = source.load().unwrap().config;
        let broker = Broker::start(config, source).await.unwrap();
        let at = At {
            mqtt: broker.mqtt()[0].1,
            http: broker.http().unwrap(),
        };
        let second = broker.mqtt().get(1).map(|(_, address)| *address);
        let result = tokio::task::spawn_blocking(move || test(at, second, &files)).await;
        broker.stop().await;
        if let Err(failed) = result {
            resume_unwind(failed.into_panic());
        }
    });
}

pub fn ok(at: At, target: &str, body: &Value) -> String {
    let answer = at.post(target, &body.to_string());
    assert_eq!(answer.status, 200, "{target} {body}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.body
}

pub fn data(at: At) -> Value {
    serde_json::from_str::<Value>(&at.ok("/configuration")).unwrap()["data"].clone()
}

pub const NOTHING: &str = r#"{"code":0,"applied":[],"needs_restart":[]}"#;

#[test]
fn the_flat_object_has_every_field_in_the_order_of_the_specification() {
    with_broker(
        |config| {
            config.system.max_taskq_thread = 4;
            config.mqtt.max_mqueue_len = 64;
        },
        |at| {
            let expected = concat!(
                r#"{"code":0,"data":{"url":"nmq-tcp://127.0.0.1:0","num_taskq_thread":1,"max_taskq_thread":4,"#,
                r#""parallel":32,"property_size":32,"msq_len":64,"qos_duration":60,"allow_anonymous":true,"daemon":false,"#,
                r#""tls":{"enable":false,"url":"tls+nmq-tcp://0.0.0.0:8883","key_password":null,"keypass":null,"#,
                r#""key":null,"cert":null,"cacert":null,"verify_peer":false,"fail_if_no_peer_cert":false},"#,
                r#""websocket":{"enable":false,"url":"nmq-ws://0.0.0.0:8083/mqtt","tls_url":"nmq-wss://0.0.0.0:8084/mqtt"},"#,
                r#""http_server":{"enable":true,"port":0,"username":"admin","password":"public","auth_type":"basic"},"#,
                r#""bridge":{"bridge_mode":false,"address":null,"proto_ver":4,"clientid":null,"clean_start":false,"#,
                r#""username":null,"password":null,"keepalive":60,"parallel":0,"forwards":[],"subscription":[]},"#,
                r#""pending":[]}}"#,
            );
            for target in ["/configuration", "/configuration/"] {
                assert_eq!(at.ok(target), expected, "{target}");
            }
        },
    );
}

#[test]
fn sections_are_shown_one_by_one() {
    let change = |config: &mut Config| {
        config.auth.password = vec![("ann".to_owned(), Secret::new("x"))];
    };
    with_broker(change, |at| {
        for (name, expected) in [
            (
                "basic",
                concat!(
                    r#"{"url":"nmq-tcp://127.0.0.1:0","num_taskq_thread":1,"max_taskq_thread":1,"parallel":32,"#,
                    r#""property_size":32,"daemon":false,"max_packet_size":1024,"client_max_packet_size":1024,"#,
                    r#""msq_len":2048,"qos_duration":60,"keepalive_backoff":1.5,"allow_anonymous":true,"ipc_internal":false}"#
                ),
            ),
            ("auth", r#"[{"login":"ann","password":"x"}]"#),
            (
                "websocket",
                r#"{"enable":false,"tls_enable":false,"url":"nmq-ws://0.0.0.0:8083/mqtt","tls_url":"nmq-wss://0.0.0.0:8084/mqtt"}"#,
            ),
            (
                "http_server",
                r#"{"enable":true,"port":0,"addr":"127.0.0.1","username":"admin","password":"public","auth_type":"basic"}"#,
            ),
            (
                "sqlite",
                r#"{"enable":false,"disk_cache_size":102400,"flush_mem_threshold":100,"resend_interval":5000,"mounted_file_path":null}"#,
            ),
        ] {
            let expected = format!(r#"{{"code":0,"data":{{"{name}":{expected}}}}}"#);
            assert_eq!(at.ok(&format!("/configuration/{name}")), expected);
        }
        for name in ["tls", "auth_http", "bridge"] {
            let body = at.get(&format!("/configuration/{name}")).json();
            assert!(body["data"][name].is_object(), "{body}");
        }
        for name in ["webhook", "Basic", "a%2Fb"] {
            let answer = at.get(&format!("/configuration/{name}"));
            assert_eq!((answer.status, &answer.json()["code"]), (404, &json!(101)));
        }
    });
}

#[test]
fn a_change_is_written_applied_and_shown() {
    with_file(FILE, |at, files| {
        fs::set_permissions(files.conf(), fs::Permissions::from_mode(0o600)).unwrap();
        let posted = json!({"data": {
            "msq_len": 5, "num_taskq_thread": 2, "daemon": false, "allow_anonymous": false,
            "http_server": {"password": "a\"b}\n#${x}", "port": 9999},
        }});
        assert_eq!(
            ok(at, "/configuration", &posted),
            concat!(
                r#"{"code":0,"applied":["allow_anonymous","http_server.password","msq_len"],"#,
                r#""needs_restart":["http_server.port","num_taskq_thread"]}"#
            )
        );
        let expected = FILE
            .replace("port = 0 #", "port = 9999 #")
            .replace("= public", r#"= "a\"b}\n#${x}""#)
            .replace("num_taskq_thread = 1", "num_taskq_thread = 2");
        let text = files.text();
        let added = text.strip_prefix(&expected).expect(&text);
        let mut added: Vec<&str> = added.lines().collect();
        added.sort_unstable();
        let lines = ["auth.allow_anonymous = false", "mqtt.max_mqueue_len = 5"];
        assert_eq!(added, lines);
        assert_eq!(
            files.names(),
            ["nanomq.conf", "nanomq.conf.old", "users.conf"]
        );
        let old = files.0.path().join("nanomq.conf.old");
        assert_eq!(fs::read_to_string(old).unwrap(), FILE);
        let mode = fs::metadata(files.conf()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // The new password holds from here on: admin:a"b}\n#${x}
        assert_eq!(at.get("/configuration").status, 401);
        let new = Some("Basic YWRtaW46YSJifQojJHt4fQ==");
        let shown = at.request("GET", "/configuration", new).json();
        let data = &shown["data"];
        assert_eq!(data["msq_len"], 5);
        assert_eq!(data["allow_anonymous"], false);
        assert_eq!(data["num_taskq_thread"], 1);
        assert_eq!(data["http_server"]["port"], 0);
        assert_eq!(
            data["pending"],
            json!(["http_server.port", "num_taskq_thread"])
        );
    });
}

#[test]
fn what_is_shown_can_be_posted_back_and_leaves_the_file_alone() {
    for hide in [false, true] {
        let text = format!("{FILE}http_server.hide_secrets = {hide}\nauth.password {{ u = p }}\n");
        with_file(&text.clone(), move |at, files| {
            let shown = data(at);
            let password = if hide { "******" } else { "public" };
            assert_eq!(shown["http_server"]["password"], password);
            assert_eq!(ok(at, "/configuration", &json!({ "data": shown })), NOTHING);
            for section in [
                "basic",
                "tls",
                "auth",
                "auth_http",
                "websocket",
                "http_server",
                "sqlite",
                "bridge",
            ] {
                let body: Value =
                    serde_json::from_str(&at.ok(&format!("/configuration/{section}"))).unwrap();
                let posted = json!({ "data": body["data"] });
                assert_eq!(ok(at, "/configuration", &posted), NOTHING, "{section}");
            }
            assert_eq!(files.text(), text);
            assert_eq!(files.names(), ["nanomq.conf", "users.conf"]);
        });
    }
}

#[test]
fn the_flat_file_is_written_back_in_its_own_form() {
    let text = "## old\nurl=nmq-tcp://127.0.0.1:0\nnum_taskq_thread=1\n\nhttp_server.ip_addr=127.0.0.1\nhttp_server.port=0\nmsq_len=7 # few\n";
    with_file(text, move |at, files| {
        let posted = json!({"data": {"msq_len": 8, "daemon": true, "url": "nmq-tcp://127.0.0.1:9998",
            "basic": {"max_packet_size": 2048, "keepalive_backoff": 2}}});
        let answer = ok(at, "/configuration", &posted);
        assert_eq!(
            answer,
            r#"{"code":0,"applied":["keepalive_backoff","msq_len","max_packet_size"],"needs_restart":["url","daemon"]}"#
        );
        let replaced = text
            .replace("=7", "=8")
            .replace("127.0.0.1:0", "127.0.0.1:9998");
        let written = files.text();
        let added = written.strip_prefix(&replaced).expect(&written);
        let mut added: Vec<&str> = added.lines().collect();
        added.sort_unstable();
        let lines = [
            "daemon=true",
            "keepalive_backoff=2.0",
            "max_packet_size=2048KB",
        ];
        assert_eq!(added, lines);
    });
}

#[test]
fn a_wrong_change_changes_nothing_and_names_every_bad_key() {
    with_file(FILE, |at, files| {
        for (body, code, named) in [
            (
                r#"{"data":{"msq_len":0,"daemon":"x","url":7,"allow_anonymous":false}}"#,
                108,
                vec!["daemon", "msq_len", "url"],
            ),
            (
                r#"{"data":{"msq_len":0,"http_server":{"port":70000}}}"#,
                108,
                vec!["http_server.port", "msq_len"],
            ),
            (
                r#"{"data":{"http_server":{"username":"a:b"},"msq_len":3}}"#,
                108,
                vec!["http_server.username"],
            ),
            (
                r#"{"data":{"http_server":{"auth_type":"kerberos"}}}"#,
                108,
                vec!["http_server.auth_type"],
            ),
            (r#"{"data":{"a\nb":1}}"#, 108, vec!["a\nb"]),
            (
                r#"{"data":{"auth":[{"login":"x","password":"y"}]}}"#,
                108,
                vec!["auth"],
            ),
            (r#"{"data":[]}"#, 108, vec!["data"]),
            (r#"{"data":null}"#, 107, vec!["data"]),
            ("{}", 107, vec!["data"]),
            ("", 109, vec![]),
            ("[]", 109, vec![]),
            (r#"{"data":{"msq_len":3}"#, 109, vec![]),
            (r#"{"data":{"msq_len":3}} x"#, 109, vec![]),
        ] {
            let answer = at.post("/configuration", body);
            let what = format!("{body}: {answer:?}");
            assert_eq!(answer.status, 400, "{what}");
            let json = answer.json();
            assert_eq!(json["code"], code, "{what}");
            let message = json["message"].as_str().unwrap();
            assert!(named.iter().all(|key| message.contains(key)), "{what}");
            if let Some(details) = json["details"].as_array() {
                let mut keys: Vec<&str> = details
                    .iter()
                    .map(|detail| detail["key"].as_str().unwrap())
                    .collect();
                keys.sort_unstable();
                assert_eq!(keys, named, "{what}");
            }
        }
        assert_eq!(files.text(), FILE);
        assert_eq!(data(at)["msq_len"], 2048);
    });
}

#[test]
fn a_file_that_cannot_be_written_changes_nothing() {
    with_file(FILE, |at, files| {
        // Nothing can be linked or copied to where a folder is.
        fs::create_dir(files.0.path().join("nanomq.conf.old")).unwrap();
        let answer = at.post("/configuration", r#"{"data":{"msq_len":3}}"#);
        assert_eq!((answer.status, &answer.json()["code"]), (500, &json!(118)));
        assert_eq!(files.text(), FILE);
        assert_eq!(data(at)["msq_len"], 2048);
    });
}

#[test]
fn without_a_file_only_what_can_change_while_running_changes() {
    with_broker(
        |_| {},
        |at| {
            let posted = json!({"data": {"msq_len": 9, "daemon": true}});
            let answer = at.post("/configuration", &posted.to_string());
            let body = answer.json();
            assert_eq!((answer.status, &body["code"]), (400, &json!(108)));
            assert_eq!(body["details"][0]["key"], "daemon");
            let message = body["details"][0]["message"].as_str().unwrap();
            assert!(message.contains("there is no configuration file"), "{body}");
            assert_eq!(data(at)["msq_len"], 2048);

            let posted = json!({"data": {"msq_len": 9, "daemon": false}});
            assert_eq!(
                ok(at, "/configuration", &posted),
                r#"{"code":0,"applied":["msq_len"],"needs_restart":[]}"#
            );
            assert_eq!(data(at)["msq_len"], 9);
            let answer = at.post("/config_update", "mqtt.max_qos = 1");
            assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(108)));
        },
    );
}

#[test]
fn concurrent_changes_do_not_mix() {
    with_file(FILE, |at, files| {
        let threads: Vec<_> = (1..=8)
            .map(|number| {
                let posted = json!({"data": {"msq_len": number, "num_taskq_thread": number}});
                std::thread::spawn(move || ok(at, "/configuration", &posted))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let text = files.text();
        let value = |key: &str| {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            line.rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!(
            value("mqtt.max_mqueue_len"),
            value("system.num_taskq_thread")
        );
        assert_eq!(text.lines().count(), FILE.lines().count() + 1);
    });
}

/// The body of the specification's own example of POST /configuration.
const EXAMPLE: &str = r#"{
"data": {
"url": "nmq-tcp://0.0.0.0:1883",
"num_taskq_thread": 8,
"max_taskq_thread": 4,
"parallel": 32,
"property_size": 32,
"msq_len": 64,
"allow_anonymous": true,
"daemon": false,
"tls": {
"enable": false,
"url": "nmq-tls://0.0.0.0:8883",
"key_password": null,
"key": null,
"cert": null,
"cacert": null,
"verify_peer": false,
"fail_if_no_peer_cert": false
},
"websocket": {
"enable": true,
"url": "nmq-ws://0.0.0.0:8083/mqtt",
"tls_url": "nmq-wss://0.0.0.0:8084/mqtt"
},
"http_server": {
"enable": true,
"port": 8081,
"username": "admin",
"password": "public",
"auth_type": "basic"
},
"bridge": {
"bridge_mode": false,
"address": "127.0.0.1:1883",
"proto_ver": 4,
"clientid": "bridge_client",
"clean_start": true,
"username": "user",
"password": "passwd",
"keepalive": 60,
"parallel": 1,
"forwards": [
"topic1/#",
"topic2/#"
],
"subscription": [
{
"topic": "cmd/topic1",
"qos": 1
}
]
}
}
}"#;

#[test]
fn the_example_of_the_specification_is_taken() {
    with_file(FILE, |at, files| {
        let answer = at.post("/configuration", EXAMPLE);
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        assert_eq!(json["code"], 0);
        assert_eq!(json.get("ignored"), None, "{json}");
        let bridge = data(at)["bridge"].clone();
        assert_eq!(bridge["address"], "mqtt-tcp://127.0.0.1:1883");
        assert_eq!(bridge["bridge_mode"], false);
        assert_eq!(bridge["forwards"], json!(["topic1/#", "topic2/#"]));
        assert_eq!(
            bridge["subscription"],
            json!([{"topic": "cmd/topic1", "qos": 1}])
        );
        let waiting = json["needs_restart"].as_array().unwrap();
        assert!(
            waiting.iter().any(|key| key == "websocket.enable"),
            "{json}"
        );
        assert_eq!(data(at)["msq_len"], 64);
        assert_eq!(data(at)["websocket"]["enable"], false);
        assert!(files.text().contains("listeners.ws.default.enable = true"));
        assert!(files.text().contains("64"));
    });
}
