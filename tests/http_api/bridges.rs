//! Bridges: shown, made, changed and ended; in the file and at once.

use serde_json::{Value, json};

use crate::{
    configuration::with_file,
    kit::{ADMIN, At, with_broker},
    security::{add, assert_code, basic, send},
};

/// A broker with one bridge, which nobody listens for.
const FILE: &str = "listeners.tcp { bind = \"127.0.0.1:0\" }\nhttp_server { ip_addr = \"127.0.0.1\", port = 0 }\n\
                    system.num_taskq_thread = 1\n\
                    bridges.mqtt.up { # to the cloud\n  server = \"tls+mqtt-tcp://127.0.0.1:1\"\n  username = ann\n  \
                    password = secret-one\n  ssl.key_password = secret-two\n  \
                    forwards = [{local_topic = \"a/#\", remote_topic = \"b/#\"}]\n}\n";

fn node(at: At, name: &str) -> Value {
    let answer: Value = serde_json::from_str(&at.ok(&format!("/bridges/{name}"))).unwrap();
    let nodes = &answer["data"]["bridge"]["nodes"];
    assert_eq!(nodes.as_array().unwrap().len(), 1);
    nodes[0].clone()
}

fn names(at: At) -> Vec<String> {
    let answer: Value = serde_json::from_str(&at.ok("/bridges")).unwrap();
    let nodes = answer["data"]["bridge"]["nodes"].as_array().unwrap();
    nodes
        .iter()
        .map(|node| node["name"].as_str().unwrap().to_owned())
        .collect()
}

fn request(at: At, method: &str, target: &str, body: &Value) -> crate::kit::Answer {
    send(at, method, target, ADMIN, &body.to_string())
}

fn done(at: At, method: &str, target: &str, body: &Value) {
    let answer = request(at, method, target, body);
    assert_eq!(
        (answer.status, &*answer.body),
        (200, "{\"code\":0}"),
        "{target}: {body}"
    );
}

#[test]
fn a_bridge_is_shown_in_the_shape_of_nanomq_and_without_passwords() {
    with_file(FILE, |at, _| {
        let body = at.ok("/bridges");
        assert!(!body.contains("secret-"), "{body}");
        let node = node(at, "up");
        assert_eq!(node["name"], "up");
        assert_eq!(node["enable"], true);
        let connector = &node["connector"];
        for (member, value) in [
            ("server", json!("tls+mqtt-tcp://127.0.0.1:1")),
            ("proto_ver", json!(4)),
            ("clientid", json!(null)),
            ("clean_start", json!(false)),
            ("username", json!("ann")),
            ("password", json!("******")),
            ("keepalive", json!(60)),
        ] {
            assert_eq!(connector[member], value, "{member}");
        }
        assert_eq!(
            node["forwards"],
            json!([{"local_topic": "a/#", "remote_topic": "b/#"}])
        );
        assert_eq!(node["tls"]["enable"], true);
        assert_eq!(node["tls"]["key_password"], "******");
        assert_eq!(node["backlog"], 0);
        assert_eq!(node["counters"]["sent_messages"], 0);
        at.await_ok("/bridges/up", |body| body.contains("\"state\":\"waiting\""));
    });
}

/// Method, target, body, status, code, and what the message names.
type Refusal = (
    &'static str,
    &'static str,
    &'static str,
    u16,
    u16,
    &'static str,
);

const REFUSALS: &[Refusal] = &[
    ("GET", "/bridges/no", "", 404, 108, "no"),
    ("GET", "/bridges?x=1", "", 400, 108, "x"),
    ("GET", "/bridges/up?x=1", "", 400, 108, "x"),
    ("DELETE", "/bridges/no", "", 404, 108, "no"),
    ("PUT", "/bridges/no", r#"{"server":"h"}"#, 404, 108, "no"),
    ("PUT", "/bridges/up", "", 400, 109, "body"),
    ("PUT", "/bridges/up", "[]", 400, 109, "object"),
    ("PUT", "/bridges/up", "{}", 400, 108, "server"),
    (
        "PUT",
        "/bridges/up",
        r#"{"server":"http://h"}"#,
        400,
        108,
        "server",
    ),
    (
        "PUT",
        "/bridges/up",
        r#"{"up":{"server":"h","quos":1}}"#,
        400,
        108,
        "quos",
    ),
    (
        "PUT",
        "/bridges/up",
        r#"{"server":"h","keepalive":-1}"#,
        400,
        108,
        "keepalive",
    ),
    (
        "PUT",
        "/bridges/up",
        r#"{"server":"h","forwards":[{"local_topic":"a#"}]}"#,
        400,
        108,
        "forwards",
    ),
    (
        "PUT",
        "/bridges/up",
        r#"{"server":"h","forwards":[{"local_topic":"a","remote_topic":"b/#"}]}"#,
        400,
        108,
        "forwards",
    ),
    (
        "PUT",
        "/bridges/up",
        r#"{"server":"mqtt-quic://h"}"#,
        400,
        108,
        "QUIC",
    ),
    ("POST", "/bridges", "{}", 400, 107, "name"),
    (
        "POST",
        "/bridges",
        r#"{"name":1,"server":"h"}"#,
        400,
        108,
        "name",
    ),
    (
        "POST",
        "/bridges",
        r#"{"name":"up","server":"h"}"#,
        400,
        108,
        "up",
    ),
    (
        "POST",
        "/bridges",
        r#"{"name":"a/b","server":"h"}"#,
        400,
        108,
        "name",
    ),
    (
        "POST",
        "/bridges",
        r#"{"name":"cache","server":"h"}"#,
        400,
        108,
        "name",
    ),
    (
        "POST",
        "/bridges",
        r#"{"x":{"server":"h","forwards":{}}}"#,
        400,
        108,
        "forwards",
    ),
    (
        "POST",
        "/bridges",
        r#"{"name":"x","forwards":["a"]}"#,
        400,
        108,
        "server",
    ),
    (
        "POST",
        "/bridges/switch/no",
        r#"{"data":{"bridge_switch":true}}"#,
        404,
        108,
        "no",
    ),
    (
        "POST",
        "/bridges/switch/up",
        r#"{"data":{"bridge_switch":true}}"#,
        400,
        108,
        "data.bridge_switch",
    ),
    (
        "POST",
        "/bridges/switch/up",
        r#"{"data":{"bridge_switch":1}}"#,
        400,
        108,
        "data.bridge_switch",
    ),
    (
        "POST",
        "/bridges/switch/up",
        r#"{"data":{}}"#,
        400,
        107,
        "data.bridge_switch",
    ),
    ("POST", "/bridges/switch/up", "{}", 400, 107, "data"),
    (
        "POST",
        "/bridges/sub/no",
        r#"{"data":{"subscription":[{"remote_topic":"a"}]}}"#,
        404,
        108,
        "no",
    ),
    (
        "POST",
        "/bridges/sub/up",
        r#"{"data":{}}"#,
        400,
        107,
        "data.subscription",
    ),
    (
        "POST",
        "/bridges/sub/up",
        r#"{"data":{"subscription":{}}}"#,
        400,
        108,
        "data.subscription",
    ),
    (
        "POST",
        "/bridges/sub/up",
        r#"{"data":{"subscription":[{"remote_topic":"a#"}]}}"#,
        400,
        108,
        "number 1",
    ),
    (
        "POST",
        "/bridges/sub/up",
        r#"{"data":{"subscription":[],"sub_properties":{"identifier":-1}}}"#,
        400,
        108,
        "data.sub_properties.identifier",
    ),
    (
        "POST",
        "/bridges/unsub/no",
        r#"{"data":{"unsubscription":[{"topic":"a"}]}}"#,
        404,
        108,
        "no",
    ),
    (
        "POST",
        "/bridges/unsub/up",
        r#"{"data":{"unsubscription":[{}]}}"#,
        400,
        108,
        "data.unsubscription",
    ),
    (
        "POST",
        "/bridges/unsub/up",
        r#"{"data":{}}"#,
        400,
        107,
        "data.unsubscription",
    ),
    ("POST", "/bridges/up", "{}", 405, 102, "GET"),
    ("DELETE", "/bridges", "", 405, 102, "GET"),
];

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    with_file(FILE, |at, files| {
        for (method, target, body, status, code, part) in REFUSALS {
            let answer = send(at, method, target, ADMIN, body);
            assert_code(&answer, *status, *code);
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(
                message.contains(part),
                "{method} {target} {body}: {message}"
            );
        }
        assert_eq!(names(at), ["up"]);
        assert_eq!(files.text(), FILE);
    });
}

#[test]
fn bridges_are_made_changed_and_ended_in_the_file_too() {
    with_file(FILE, |at, files| {
        let forwards = json!([{"local_topic": "x/+", "remote_topic": "y/+", "qos": 1}]);
        // In both forms.
        done(
            at,
            "POST",
            "/bridges",
            &json!({"name": "a b", "server": "127.0.0.1:2", "forwards": forwards}),
        );
        done(
            at,
            "POST",
            "/bridges",
            &json!({"nested": {"connector": {"server": "127.0.0.1:3"}, "enable": false}}),
        );
        assert_eq!(names(at), ["a b", "nested", "up"]);
        assert_eq!(node(at, "a%20b")["forwards"], forwards);
        assert_eq!(node(at, "nested")["state"], "disabled");

        // What is shown changes nothing when it is put back, passwords included.
        let before = files.text();
        done(at, "PUT", "/bridges/up", &node(at, "up"));
        assert_eq!(files.text(), before);

        let named = json!({"up": {"server": "127.0.0.1:4", "username": "ann", "password": "******", "keepalive": "5s"}});
        done(at, "PUT", "/bridges/up", &named);
        let changed = node(at, "up");
        assert_eq!(changed["connector"]["server"], "mqtt-tcp://127.0.0.1:4");
        assert_eq!(changed["connector"]["keepalive"], 5);
        assert_eq!(changed["forwards"], json!([]));
        assert_eq!(changed["tls"]["key_password"], json!(null));
        let text = files.text();
        assert!(
            text.contains("# to the cloud\n  server = \"mqtt-tcp://127.0.0.1:4\""),
            "{text}"
        );
        assert!(text.contains("password = secret-one"), "{text}");

        done(at, "DELETE", "/bridges/nested", &json!({}));
        done(at, "DELETE", "/bridges/a%20b", &json!({}));
        assert_eq!(names(at), ["up"]);
        // What is new in it stands in its section.
        let own = &text[..text.find("bridges.mqtt.\"a b\"").unwrap()];
        assert!(own.ends_with("  keepalive = \"5s\"\n}\n"), "{own}");
        assert_eq!(files.text(), own);
        assert_eq!(at.ok("/configuration").matches("\"pending\":[]").count(), 1);
    });
}

#[test]
fn topics_are_added_and_taken_away() {
    with_file(FILE, |at, files| {
        let subscribe = |list: Value| {
            done(
                at,
                "POST",
                "/bridges/sub/up",
                &json!({"data": {"subscription": list}}),
            )
        };
        subscribe(
            json!([{"remote_topic": "c/#", "local_topic": "d/#", "qos": 2}, {"remote_topic": "e"}]),
        );
        subscribe(json!([{"remote_topic": "e", "local_topic": "f", "qos": 0}]));
        let shown = node(at, "up")["subscription"].clone();
        let expected = json!([
            {"remote_topic": "c/#", "local_topic": "d/#", "qos": 2},
            {"remote_topic": "e", "local_topic": "f", "qos": 0},
        ]);
        assert_eq!(shown, expected);
        let properties = json!({"data": {"subscription": [], "sub_properties": {"identifier": 7}}});
        done(at, "POST", "/bridges/sub/up", &properties);
        assert_eq!(node(at, "up")["sub_properties"]["identifier"], 7);

        let unsubscribe =
            json!({"data": {"unsubscription": [{"topic": "c/#"}, {"topic": "never"}, "e"]}});
        done(at, "POST", "/bridges/unsub/up", &unsubscribe);
        assert_eq!(node(at, "up")["subscription"], json!([]));
        let text = files.text();
        assert!(text.contains("subscription = []"), "{text}");
    });
}

#[test]
fn a_bridge_is_switched_off_and_on() {
    with_file(FILE, |at, files| {
        let switch = |on: bool| json!({"data": {"bridge_switch": on}});
        done(at, "POST", "/bridges/switch/up", &switch(false));
        at.await_ok("/bridges/up", |body| {
            body.contains("\"state\":\"disabled\"")
        });
        assert!(files.text().contains("enable = false"));
        let again = request(at, "POST", "/bridges/switch/up", &switch(false));
        assert_code(&again, 400, 108);
        done(at, "POST", "/bridges/switch/up", &switch(true));
        at.await_ok("/bridges/up", |body| {
            !body.contains("\"state\":\"disabled\"")
        });
    });
}

#[test]
fn without_a_file_changes_last_while_the_broker_runs() {
    with_broker(
        |_| {},
        |at| {
            done(
                at,
                "POST",
                "/bridges",
                &json!({"name": "x", "server": "127.0.0.1:1", "forwards": ["a"]}),
            );
            assert_eq!(names(at), ["x"]);
            done(at, "DELETE", "/bridges/x", &json!({}));
            assert!(names(at).is_empty());
        },
    );
}

#[test]
fn viewers_see_bridges_and_change_none() {
    with_file(FILE, |at, files| {
        add(at, "eve", "viewer");
        let eve = basic("eve", "eve");
        assert_eq!(at.request("GET", "/bridges/up", Some(&eve)).status, 200);
        for (method, target, body) in [
            ("POST", "/bridges", r#"{"name":"x","server":"h"}"#),
            ("PUT", "/bridges/up", r#"{"server":"h"}"#),
            ("DELETE", "/bridges/up", ""),
            (
                "POST",
                "/bridges/switch/up",
                r#"{"data":{"bridge_switch":false}}"#,
            ),
            ("POST", "/bridges/sub/up", r#"{"data":{"subscription":[]}}"#),
            (
                "POST",
                "/bridges/unsub/up",
                r#"{"data":{"unsubscription":[]}}"#,
            ),
        ] {
            assert_code(&send(at, method, target, &eve, body), 403, 103);
        }
        assert_eq!(files.text(), FILE);
    });
}

#[test]
fn the_flat_object_has_the_bridge_and_changes_it() {
    with_file(FILE, |at, files| {
        let flat = |at: At| -> Value {
            let answer: Value = serde_json::from_str(&at.ok("/configuration")).unwrap();
            answer["data"]["bridge"].clone()
        };
        let expected = json!({
            "bridge_mode": true, "address": "tls+mqtt-tcp://127.0.0.1:1", "proto_ver": 4, "clientid": null,
            "clean_start": false, "username": "ann", "password": "******", "keepalive": 60, "parallel": 0,
            "forwards": ["a/#"], "subscription": [],
        });
        assert_eq!(flat(at), expected);
        let post = |bridge: Value| {
            at.post(
                "/configuration",
                &json!({"data": {"bridge": bridge}}).to_string(),
            )
        };
        // Posted back, it changes nothing.
        assert_eq!(post(flat(at)).status, 200);
        assert_eq!(files.text(), FILE);

        let answer = post(json!({
            "address": "127.0.0.1:5", "keepalive": 30, "forwards": ["a/#", "n"],
            "subscription": [{"topic": "cmd/1", "qos": 2}],
        }));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains("bridges.mqtt.up.server"), "{answer:?}");
        let shown = node(at, "up");
        // What the flat object does not show stays.
        assert_eq!(
            shown["forwards"][0],
            json!({"local_topic": "a/#", "remote_topic": "b/#"})
        );
        assert_eq!(shown["forwards"][1]["local_topic"], "n");
        assert_eq!(
            shown["subscription"],
            json!([{"remote_topic": "cmd/1", "local_topic": "", "qos": 2}])
        );
        assert_eq!(shown["connector"]["username"], "ann");
        assert!(files.text().contains("secret-one"), "{}", files.text());

        for (bridge, key) in [
            (json!({"address": "http://x"}), "bridge.address"),
            (json!({"proto_ver": 6}), "bridge.proto_ver"),
            (json!({"forwards": ["a#"]}), "bridge.forwards"),
            (json!({"nothing": 1}), "bridge.nothing"),
            (json!({"nodes": [{"name": "a/b"}]}), "bridge.nodes[0].name"),
            (
                json!({"nodes": [{"name": "x", "server": "http://x"}]}),
                "bridge.nodes[0].server",
            ),
        ] {
            let refused = post(bridge.clone());
            assert_code(&refused, 400, 108);
            assert_eq!(refused.json()["details"][0]["key"], key, "{bridge}");
        }
    });
}

#[test]
fn the_section_has_all_bridges_and_changes_them() {
    with_file(FILE, |at, files| {
        let section = |at: At| -> Value {
            let answer: Value = serde_json::from_str(&at.ok("/configuration/bridge")).unwrap();
            answer["data"]["bridge"].clone()
        };
        let shown = section(at);
        assert_eq!(shown["nodes"][0]["name"], "up");
        assert_eq!(shown["nodes"][0]["connector"]["password"], "******");
        assert!(shown["nodes"][0].get("state").is_none());
        let post = |bridge: &Value| {
            at.post(
                "/configuration",
                &json!({"data": {"bridge": bridge}}).to_string(),
            )
        };
        assert_eq!(post(&shown).status, 200);
        assert_eq!(files.text(), FILE);

        let mut more = shown.clone();
        let nodes = more["nodes"].as_array_mut().unwrap();
        nodes.push(json!({"name": "two", "server": "127.0.0.1:6", "forwards": ["z"]}));
        nodes[0]["connector"]["keepalive"] = json!(7);
        assert_eq!(post(&more).status, 200);
        assert_eq!(names(at), ["two", "up"]);
        assert_eq!(node(at, "up")["connector"]["keepalive"], 7);
        more["nodes"].as_array_mut().unwrap().remove(0);
        // By its own path, with its name around it or without.
        for data in [json!({"bridge": shown}), more] {
            let body = json!({"data": data}).to_string();
            assert_eq!(
                at.post("/configuration/bridge", &body).status,
                200,
                "{body}"
            );
        }
        assert_code(&at.post("/configuration/none", "{\"data\":{}}"), 404, 101);
        assert_eq!(names(at), ["two"]);
        assert!(!files.text().contains("secret-one"), "{}", files.text());
    });
}

#[test]
fn a_flat_file_is_written_back_in_its_own_form() {
    let text = "## NanoMQ 0.8\nurl=nmq-tcp://127.0.0.1:0\nhttp_server.enable=true\nhttp_server.port=0\n\
                http_server.ip_addr=127.0.0.1\nnum_taskq_thread=1\nbridge.mqtt.bridge_mode=true\n\
                bridge.mqtt.address=mqtt-tcp://127.0.0.1:1 # the cloud\nbridge.mqtt.forwards=a/#,b\n";
    with_file(text, move |at, files| {
        let posted = json!({"data": {"bridge": {
            "address": "127.0.0.1:2", "forwards": ["a/#"], "subscription": [{"topic": "c", "qos": 1}],
        }}});
        let answer = at.post("/configuration", &posted.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let expected = text
            .replace("127.0.0.1:1 #", "127.0.0.1:2 #")
            .replace("bridge.mqtt.forwards=a/#,b\n", "");
        let written = files.text();
        assert!(written.starts_with(&expected), "{written}");
        let added = &written[expected.len()..];
        for line in [
            "bridge.mqtt.forwards.1.local_topic=\"a/#\"\n",
            "bridge.mqtt.subscription.1.remote_topic=c\n",
        ] {
            assert!(added.contains(line), "{added}");
        }
        assert_eq!(
            node(at, "default")["connector"]["server"],
            "mqtt-tcp://127.0.0.1:2"
        );
        assert_eq!(at.ok("/configuration").matches("\"pending\":[]").count(), 1);
        done(at, "DELETE", "/bridges/default", &json!({}));
        assert!(!files.text().contains("bridge."), "{}", files.text());
    });
}

#[test]
fn statistics_have_rows_for_each_bridge() {
    with_file(FILE, |at, _| {
        done(
            at,
            "POST",
            "/bridges",
            &json!({"name": "off", "server": "127.0.0.1:6", "enable": false}),
        );
        let stats: Value = serde_json::from_str(&at.ok("/stats")).unwrap();
        let bridges = &stats["data"]["bridges"];
        assert_eq!(bridges["off"]["state"], "disabled");
        for name in ["off", "up"] {
            assert_eq!(bridges[name]["backlog"], 0, "{name}");
            assert_eq!(bridges[name]["sent_messages"], 0, "{name}");
        }
        let metrics: Value = serde_json::from_str(&at.ok("/metrics")).unwrap();
        let rows = metrics["metrics"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["bridge name"], "up");
        assert_eq!(rows[0]["sent messages"], 0);
        let page = at.get("/prometheus").body;
        for line in [
            "# TYPE nanomq_bridge_connected gauge",
            "nanomq_bridge_connected{bridge=\"up\"} 0",
            "nanomq_bridge_enabled{bridge=\"off\"} 0",
            "nanomq_bridge_messages_sent_total{bridge=\"up\"} 0",
        ] {
            assert!(page.lines().any(|other| other == line), "{line}:\n{page}");
        }
        crate::prometheus::parse_exposition(&page);
    });
}
