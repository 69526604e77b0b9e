//! The users of the API and what their roles let them do.

use std::{fs, os::unix::fs::PermissionsExt};

use nanomq::config::Config;
use serde_json::json;

use crate::{
    kit::{ADMIN, At, with_broker},
    security::{add, assert_code, basic, send},
};

fn names(at: At) -> Vec<String> {
    at.column("/users", "username")
}

/// A reaction to a request: method, target, body, status, code, and what the message names.
type Case<'a> = (&'a str, &'a str, &'a str, u16, u16, &'a str);

#[test]
fn users_are_added_changed_and_removed() {
    let cases: &[Case<'_>] = &[
        ("POST", "/users", "", 400, 109, "body"),
        ("POST", "/users", "[]", 400, 109, "object"),
        ("POST", "/users", r#"{"username":"ann""#, 400, 109, "line 1"),
        ("POST", "/users", "{}", 400, 107, "username"),
        (
            "POST",
            "/users",
            r#"{"username":"ann"}"#,
            400,
            107,
            "password",
        ),
        (
            "POST",
            "/users",
            r#"{"username":1,"password":"x"}"#,
            400,
            108,
            "username",
        ),
        (
            "POST",
            "/users",
            r#"{"username":"","password":"x"}"#,
            400,
            108,
            "username",
        ),
        (
            "POST",
            "/users",
            r#"{"username":"a:b","password":"x"}"#,
            400,
            108,
            "username",
        ),
        (
            "POST",
            "/users",
            r#"{"username":"ann","password":""}"#,
            400,
            108,
            "password",
        ),
        (
            "POST",
            "/users",
            r#"{"username":"ann","password":"a\nb"}"#,
            400,
            108,
            "password",
        ),
        (
            "POST",
            "/users",
            r#"{"username":"ann","password":"x","role":"root"}"#,
            400,
            108,
            "role",
        ),
        (
            "POST",
            "/users",
            r#"{"username":"ann","password":"x","description":[]}"#,
            400,
            108,
            "description",
        ),
        (
            "POST",
            "/users",
            r#"{"username":"admin","password":"x"}"#,
            400,
            113,
            "admin",
        ),
        (
            "POST",
            "/users",
            r#"{"username":"a n/ü","password":"x"}"#,
            200,
            0,
            "",
        ),
        (
            "POST",
            "/users",
            r#"{"username":"a n/ü","password":"y"}"#,
            400,
            113,
            "a n/ü",
        ),
        (
            "PUT",
            "/users/a%20n%2F%C3%BC",
            r#"{"role":"administrator"}"#,
            200,
            0,
            "",
        ),
        (
            "PUT",
            "/users/a%20n%2F%C3%BC",
            r#"{"description":"d"}"#,
            200,
            0,
            "",
        ),
        (
            "PUT",
            "/users/a%20n%2F%C3%BC",
            r#"{"role":"none"}"#,
            400,
            108,
            "role",
        ),
        ("PUT", "/users/a%20n%2F%C3%BC", "{}", 400, 107, "role"),
        ("PUT", "/users/bob", r#"{"role":"viewer"}"#, 404, 105, "bob"),
        (
            "PUT",
            "/users/admin",
            r#"{"role":"viewer"}"#,
            400,
            108,
            "http_server",
        ),
        (
            "PUT",
            "/change_pwd/a%20n%2F%C3%BC",
            r#"{"new_pwd":"y","old_pwd":"z"}"#,
            400,
            114,
            "old_pwd",
        ),
        (
            "PUT",
            "/change_pwd/a%20n%2F%C3%BC",
            r#"{"new_pwd":"y"}"#,
            400,
            107,
            "old_pwd",
        ),
        (
            "PUT",
            "/change_pwd/a%20n%2F%C3%BC",
            r#"{"old_pwd":"x"}"#,
            400,
            107,
            "new_pwd",
        ),
        (
            "PUT",
            "/change_pwd/a%20n%2F%C3%BC",
            r#"{"new_pwd":"","old_pwd":"x"}"#,
            400,
            108,
            "new_pwd",
        ),
        (
            "PUT",
            "/change_pwd/a%20n%2F%C3%BC",
            r#"{"new_pwd":"y","old_pwd":"x"}"#,
            200,
            0,
            "",
        ),
        (
            "PUT",
            "/change_pwd/bob",
            r#"{"new_pwd":"y","old_pwd":"x"}"#,
            404,
            105,
            "bob",
        ),
        (
            "PUT",
            "/change_pwd/admin",
            r#"{"new_pwd":"y","old_pwd":"public"}"#,
            400,
            108,
            "http_server.password",
        ),
        ("DELETE", "/users/bob", "", 404, 105, "bob"),
        ("DELETE", "/users/admin", "", 400, 106, "built-in"),
    ];
    with_broker(
        |_| {},
        move |at| {
            for (method, target, body, status, code, named) in cases {
                let answer = send(at, method, target, ADMIN, body);
                assert_code(&answer, *status, *code);
                assert!(answer.body.contains(named), "{named} {answer:?}");
            }
            let listed = at.ok("/users");
            let expected = concat!(
                r#"{"code":0,"data":[{"username":"admin","role":"administrator","description":"built-in administrator","built_in":true},"#,
                r#"{"username":"a n/ü","role":"administrator","description":"d","built_in":false}]}"#
            );
            assert_eq!(listed, expected);
            for (password, status) in [("y", 200), ("x", 401), ("y", 200)] {
                let user = basic("a n/ü", password);
                assert_eq!(at.request("GET", "/nodes", Some(&user)).status, status);
            }
            assert_code(
                &send(at, "DELETE", "/users/a%20n%2F%C3%BC", ADMIN, ""),
                200,
                0,
            );
            assert_eq!(names(at), ["admin"]);
            let gone = at.request("GET", "/nodes", Some(&basic("a n/ü", "y")));
            assert_code(&gone, 401, 103);
            let large = format!(r#"{{"username":"{}"}}"#, "x".repeat(1 << 20));
            assert_code(&send(at, "POST", "/users", ADMIN, &large), 413, 108);
        },
    );
}

#[test]
fn a_viewer_reads_and_changes_its_own_password_only() {
    with_broker(
        |_| {},
        |at| {
            add(at, "ann", "viewer");
            add(at, "bob", "viewer");
            add(at, "eve", "administrator");
            let ann = basic("ann", "ann");
            for (method, target, body, status) in [
                ("GET", "/nodes", "", 200),
                ("GET", "/users", "", 200),
                ("HEAD", "/nodes", "", 200),
                ("GET", "/nothing", "", 404),
                ("OPTIONS", "/nodes", "", 405),
                ("POST", "/users", r#"{"username":"x","password":"x"}"#, 403),
                ("PUT", "/users/ann", r#"{"role":"administrator"}"#, 403),
                ("DELETE", "/users/bob", "", 403),
                (
                    "POST",
                    "/mqtt/publish",
                    r#"{"topic":"a","payload":"x"}"#,
                    403,
                ),
                ("POST", "/nothing", "", 403),
                ("PATCH", "/nodes", "", 403),
                (
                    "PUT",
                    "/change_pwd/bob",
                    r#"{"new_pwd":"x","old_pwd":"bob"}"#,
                    403,
                ),
                (
                    "PUT",
                    "/change_pwd/ann",
                    r#"{"new_pwd":"new","old_pwd":"ann"}"#,
                    200,
                ),
            ] {
                let answer = send(at, method, target, &ann, body);
                assert_eq!(answer.status, status, "{method} {target} {answer:?}");
                if status == 403 {
                    assert_code(&answer, 403, 103);
                    assert!(answer.body.contains("administrator"), "{answer:?}");
                }
            }
            assert_eq!(at.request("GET", "/nodes", Some(&ann)).status, 401);
            let ann = basic("ann", "new");
            assert_eq!(at.request("GET", "/nodes", Some(&ann)).status, 200);
            // A new role holds at once, for a user who is known already too.
            let eve = basic("eve", "eve");
            let promote = r#"{"role":"administrator"}"#;
            assert_code(&send(at, "PUT", "/users/ann", &eve, promote), 200, 0);
            assert_code(&send(at, "DELETE", "/users/eve", &ann, ""), 200, 0);
            assert_code(&send(at, "DELETE", "/users/bob", &eve, ""), 401, 103);
        },
    );
}

#[test]
fn users_outlive_the_broker_in_a_private_file_of_hashes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.json");
    let keep = |config: &mut Config| config.http_server.users_file = file.clone();
    with_broker(keep, |at| {
        add(at, "ann", "viewer");
        add(at, "bob", "viewer");
        assert_code(&send(at, "DELETE", "/users/bob", ADMIN, ""), 200, 0);
        let secret = json!({"username": "eve", "password": "top secret"});
        assert_code(&at.post("/users", &secret.to_string()), 200, 0);
        assert!(!at.ok("/users").contains("argon2"));
    });
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("$argon2id$") && !text.contains("top secret"),
        "{text}"
    );
    with_broker(keep, |at| {
        assert_eq!(names(at), ["admin", "ann", "eve"]);
        let ann = basic("ann", "ann");
        assert_eq!(at.request("GET", "/nodes", Some(&ann)).status, 200);
        assert_code(&send(at, "DELETE", "/users/eve", &ann, ""), 403, 103);
    });
    // Where nothing can be written nothing changes.
    let nowhere = folder.path().join("none/users.json");
    with_broker(
        |config| config.http_server.users_file = nowhere,
        |at| {
            let body = r#"{"username":"ann","password":"x"}"#;
            assert_code(&at.post("/users", body), 500, 102);
            assert_eq!(names(at), ["admin"]);
        },
    );
}
