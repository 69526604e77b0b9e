//! The users that clients log in as, and what clients may do.

use std::fs;

use nanomq::config::{Config, Secret};
use serde_json::{Value, json};

use crate::{
    configuration::{Files, ok, with_file},
    kit::{ADMIN, At, with_broker},
    security::{add, assert_code, basic, send},
};

const PREFIX: &str = "# start\nlisteners.tcp { bind = \"127.0.0.1:0\" }\nhttp_server { ip_addr = \"127.0.0.1\", port = 0 }\n\
                      system.num_taskq_thread = 1\n";

fn passwd(files: &Files) -> String {
    fs::read_to_string(files.0.path().join("nanomq_passwd")).unwrap_or_default()
}

fn json_of(at: At, target: &str) -> Value {
    serde_json::from_str(&at.ok(target)).unwrap()
}

#[test]
fn users_of_clients_are_added_changed_and_removed() {
    let text = format!("{PREFIX}auth.password {{ fixed = secret }}\n");
    with_file(&text, |at, files| {
        for (method, target, body, status, code, part) in [
            ("POST", "/auth_username", "{}", 400, 107, "username"),
            (
                "POST",
                "/auth_username",
                r#"{"username":"ann"}"#,
                400,
                107,
                "password",
            ),
            (
                "POST",
                "/auth_username",
                r#"{"username":"a:b","password":"x"}"#,
                400,
                108,
                "username",
            ),
            (
                "POST",
                "/auth_username",
                r#"{"username":"ann","password":""}"#,
                400,
                108,
                "password",
            ),
            (
                "POST",
                "/auth_username",
                r#"{"username":"ann","password":"x","scram":1}"#,
                400,
                108,
                "scram",
            ),
            (
                "POST",
                "/auth_username",
                r#"{"username":"fixed","password":"x"}"#,
                400,
                108,
                "configuration",
            ),
            (
                "PUT",
                "/auth_username/ann",
                r#"{"password":"x"}"#,
                404,
                105,
                "ann",
            ),
            ("DELETE", "/auth_username/ann", "", 404, 105, "ann"),
            (
                "DELETE",
                "/auth_username/fixed",
                "",
                400,
                108,
                "configuration",
            ),
            ("GET", "/auth_username/ann", "", 404, 105, "ann"),
            (
                "POST",
                "/auth_username",
                r#"{"username":"ann","password":"one"}"#,
                200,
                0,
                "",
            ),
            (
                "POST",
                "/auth_username",
                r#"{"username":"ann","password":"x"}"#,
                400,
                113,
                "ann",
            ),
            (
                "POST",
                "/auth_username",
                r#"{"username":"b b","password":"two","scram":true}"#,
                200,
                0,
                "",
            ),
            (
                "PUT",
                "/auth_username/b%20b",
                r#"{"password":"three"}"#,
                200,
                0,
                "",
            ),
        ] {
            let answer = send(at, method, target, ADMIN, body);
            assert_code(&answer, status, code);
            assert!(answer.body.contains(part), "{target} {body}: {answer:?}");
        }
        assert_eq!(
            at.column("/auth_username", "username"),
            ["fixed", "ann", "b b"]
        );
        assert_eq!(
            at.column("/auth_username", "hash"),
            ["plain", "argon2", "argon2"]
        );
        let page = json_of(at, "/auth_username?_page=2&_limit=1");
        assert_eq!(
            page["data"],
            json!([{"username": "ann", "hash": "argon2", "configured": false}])
        );
        assert_eq!(page["meta"]["count"], 3);
        let one = json_of(at, "/auth_username/fixed");
        assert_eq!(
            one["data"],
            json!({"username": "fixed", "hash": "plain", "configured": true})
        );
        // The file has hashes only, and nobody else may read it.
        let text = passwd(files);
        assert!(
            text.starts_with("ann:$argon2id$") && text.contains("\nb b:$argon2id$"),
            "{text}"
        );
        // What somebody else wrote to it stays.
        let path = files.0.path().join("nanomq_passwd");
        fs::write(&path, format!("# by hand\n{text}eve:$6$broken\n")).unwrap();
        let refused = send(at, "DELETE", "/auth_username/ann", ADMIN, "");
        assert_code(&refused, 500, 102);
        fs::write(&path, format!("# by hand\n{text}eve:plain\n")).unwrap();
        assert_code(&send(at, "DELETE", "/auth_username/ann", ADMIN, ""), 200, 0);
        let text = passwd(files);
        assert!(
            text.starts_with("# by hand\nb b:$argon2id$") && text.ends_with("\neve:plain\n"),
            "{text}"
        );
        assert_eq!(
            at.column("/auth_username", "username"),
            ["fixed", "b b", "eve"]
        );
    });
}

#[test]
fn the_rules_are_replaced_in_the_file_and_at_once() {
    let before = "# rules\nauth { # here\n  acl.rules = [ {\"permit\": \"deny\", \"topics\": [\"x\"]}\n    ] # end\n}\n# after\n";
    let put = |at: At, body: &Value| send(at, "PUT", "/acl", ADMIN, &body.to_string());
    let rules = json!([
        {"permit": "allow", "action": "publish", "username": "ann", "topics": ["a/${clientid}/#"]},
        {"permit": "deny", "action": "pubsub", "or": [{"ipaddr": "10.0.0.0/8"}, {"clientid": "c"}]}
    ]);
    let hocon = format!("{PREFIX}{before}");
    let flat = "url=nmq-tcp://127.0.0.1:0\nnum_taskq_thread=1\nhttp_server.ip_addr=127.0.0.1\nhttp_server.port=0\n\
                acl.rule.1={\"permit\": \"deny\", \"topics\": [\"x\"]}\n";
    for text in [hocon, flat.to_owned()] {
        let rules = rules.clone();
        with_file(&text.clone(), move |at, files| {
            let shown = json_of(at, "/acl");
            assert_eq!(
                shown["data"]["rules"],
                json!([{"permit": "deny", "action": "pubsub", "topics": ["x"]}])
            );
            for (body, code, part) in [
                (json!({}), 107, "rules"),
                (json!({"rules": {}}), 108, "list of rules"),
                (
                    json!({"rules": [{"permit": "allow"}, {"permit": "x"}]}),
                    108,
                    "rule 2",
                ),
                (json!({"rules": [], "no_match": "perhaps"}), 108, "no_match"),
            ] {
                let answer = put(at, &body);
                assert_code(&answer, 400, code);
                assert!(answer.body.contains(part), "{answer:?}");
            }
            assert_eq!(files.text(), text);
            let answer = put(at, &json!({"rules": rules, "deny_action": "disconnect"}));
            assert_code(&answer, 200, 0);
            assert_eq!(
                answer.json()["applied"],
                json!(["auth.acl.rules", "auth.deny_action"])
            );
            let shown = json_of(at, "/acl");
            assert_eq!(
                shown["data"],
                json!({"enable": true, "no_match": "allow", "deny_action": "disconnect", "rules": rules})
            );
            // Once more, so that what was written is what is replaced.
            assert_code(&put(at, &json!({"rules": []})), 200, 0);
            assert_eq!(json_of(at, "/acl")["data"]["rules"], json!([]));
            assert_code(&put(at, &json!({"rules": rules})), 200, 0);
            let written = files.text();
            if written.contains("# here") {
                for comment in ["# start", "# rules", "# here", "# end", "# after"] {
                    assert!(written.contains(comment), "{written}");
                }
            }
            assert_code(&at.post("/reload", ""), 200, 0);
            assert_eq!(json_of(at, "/acl")["data"]["rules"], rules);
        });
    }
}

fn with_rules(config: &mut Config) {
    let rules = json!([
        {"permit": "allow", "username": "ann", "topics": ["a/#"]},
        {"permit": "deny", "ipaddr": "10.0.0.0/8"}
    ]);
    config.auth.acl.rules = nanomq::config::AclRule::read_all(&rules).unwrap();
    config.auth.password = vec![("ann".to_owned(), Secret::new("x"))];
}

#[test]
fn a_question_is_answered_with_the_rule_that_decides() {
    with_broker(with_rules, |at| {
        let ask = |body: &Value| send(at, "POST", "/acl/test", ADMIN, &body.to_string());
        for (body, allowed, by, rule) in [
            (
                json!({"clientid": "c", "username": "ann", "action": "publish", "topic": "a/b"}),
                true,
                "rule",
                json!(1),
            ),
            (
                json!({"clientid": "c", "username": "ann", "action": "subscribe", "topic": "#"}),
                true,
                "no_match",
                Value::Null,
            ),
            (
                json!({"clientid": "c", "username": "ann", "action": "subscribe", "topic": "$share/g/a/+"}),
                true,
                "rule",
                json!(1),
            ),
            (
                json!({"clientid": "c", "action": "publish", "topic": "a/b", "address": "10.1.1.1"}),
                false,
                "rule",
                json!(2),
            ),
            (
                json!({"clientid": "c", "action": "publish", "topic": "a/b"}),
                true,
                "no_match",
                Value::Null,
            ),
        ] {
            let answer = ask(&body);
            assert_code(&answer, 200, 0);
            let data = &answer.json()["data"];
            assert_eq!(
                (&data["allowed"], &data["decided_by"], &data["rule"]),
                (&json!(allowed), &json!(by), &rule),
                "{body}"
            );
        }
        for (body, code, part) in [
            (json!({"action": "publish", "topic": "a"}), 107, "clientid"),
            (json!({"clientid": "c", "topic": "a"}), 107, "action"),
            (
                json!({"clientid": "c", "action": "read", "topic": "a"}),
                108,
                "action",
            ),
            (
                json!({"clientid": "c", "action": "publish", "topic": "a/#"}),
                115,
                "topic",
            ),
            (
                json!({"clientid": "c", "action": "publish", "topic": "a", "address": "x"}),
                108,
                "address",
            ),
        ] {
            let answer = ask(&body);
            assert_code(&answer, 400, code);
            assert!(answer.body.contains(part), "{answer:?}");
        }
    });
}

#[test]
fn a_viewer_looks_and_changes_nothing() {
    with_broker(with_rules, |at| {
        add(at, "vic", "viewer");
        let viewer = basic("vic", "vic");
        let question = json!({"clientid": "c", "action": "publish", "topic": "a"}).to_string();
        for (method, target, body, status) in [
            ("GET", "/auth_username", "", 200),
            ("GET", "/auth_username/ann", "", 200),
            ("GET", "/acl", "", 200),
            ("POST", "/acl/test", &*question, 200),
            (
                "POST",
                "/auth_username",
                r#"{"username":"b","password":"x"}"#,
                403,
            ),
            ("PUT", "/auth_username/ann", r#"{"password":"x"}"#, 403),
            ("DELETE", "/auth_username/ann", "", 403),
            ("PUT", "/acl", r#"{"rules":[]}"#, 403),
        ] {
            let answer = send(at, method, target, &viewer, body);
            assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
        }
    });
}

#[test]
fn the_section_auth_http_is_shown_as_it_is_in_force() {
    let change = |config: &mut Config| {
        let http = &mut config.auth.http_auth;
        http.auth_req.url = "http://127.0.0.1:80/auth".to_owned();
        http.auth_req.params.insert("c".to_owned(), "%c".to_owned());
        http.auth_req
            .headers
            .insert("x-key".to_owned(), "secret".to_owned());
        http.cache_ttl = std::time::Duration::from_secs(30);
    };
    with_broker(change, |at| {
        let shown = &json_of(at, "/configuration/auth_http")["data"]["auth_http"];
        assert_eq!(
            (&shown["enable"], &shown["cache_ttl"]),
            (&json!(true), &json!(30))
        );
        let request = &shown["auth_req"];
        assert_eq!(request["url"], "http://127.0.0.1:80/auth");
        assert_eq!(request["method"], "post");
        assert_eq!(request["params"], json!([{"name": "c", "value": "%c"}]));
        assert_eq!(request["headers"], json!({"x-key": "secret"}));
        assert_eq!(shown["acl_req"]["url"], Value::Null);
        add(at, "vic", "viewer");
        let viewed = at.request(
            "GET",
            "/configuration/auth_http",
            Some(&basic("vic", "vic")),
        );
        assert!(!viewed.body.contains("secret"), "{viewed:?}");
    });
}

#[test]
fn the_section_auth_http_is_posted_written_and_in_force() {
    let text = format!(
        "{PREFIX}auth.http_auth {{ timeout = 2s, auth_req {{ params {{ c = \"%c\" }} }} }}\n"
    );
    with_file(&text, |at, files| {
        let posted = json!({"data": {"auth_http": {
            "enable": true, "timeout": 1.5, "connect_timeout": 1, "pool_size": 4, "cache_ttl": 30,
            "auth_req": {"url": "http://127.0.0.1:9/a", "method": "get"},
            "acl_req": {"url": "http://127.0.0.1:9/b"},
            "super_req": {"url": null},
        }}});
        let answer = ok(at, "/configuration", &posted);
        assert!(
            answer.contains("auth_http.auth_req.url") && answer.contains(r#""needs_restart":[]"#),
            "{answer}"
        );
        let shown = &json_of(at, "/configuration/auth_http")["data"]["auth_http"];
        let request = &shown["auth_req"];
        assert_eq!(
            [
                &shown["enable"],
                &shown["timeout"],
                &shown["pool_size"],
                &shown["cache_ttl"]
            ],
            [&json!(true), &json!(1.5), &json!(4), &json!(30)]
        );
        assert_eq!(
            [
                &request["url"],
                &request["method"],
                &shown["super_req"]["url"]
            ],
            [&json!("http://127.0.0.1:9/a"), &json!("get"), &Value::Null]
        );
        let file = fs::read_to_string(files.conf()).unwrap();
        assert!(file.contains("timeout = \"1500ms\""), "{file}");
        let refused = at.post(
            "/configuration",
            r#"{"data":{"auth_http":{"auth_req":{"url":"ftp://x","params":[{"name":"a","value":"%u"}]}}}}"#,
        );
        assert_eq!(refused.status, 400);
        for key in ["auth_http.auth_req.url", "auth_http.auth_req.params"] {
            assert!(refused.body.contains(key), "{refused:?}");
        }
        assert_eq!(fs::read_to_string(files.conf()).unwrap(), file);
    });
}
