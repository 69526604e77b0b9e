//! Who may use the API: its users and their roles, tokens, and what strangers can do.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use actix::System;
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use nanomq::{
    actors::ConfigSource,
    broker::Broker,
    config::{Config, HttpAuth},
    messages::ReloadConfig,
};
use serde_json::{Value, json};

use crate::kit::{ADMIN, Answer, At, PATIENCE, local_config, with_broker};

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn send(at: At, method: &str, target: &str, authorization: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} /api/v4{target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    at.exchange(request.as_bytes())
}

#[track_caller]
fn assert_code(answer: &Answer, status: u16, code: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(body["code"], code, "{answer:?}");
    let message = body["message"]
        .as_str()
        .is_some_and(|text| !text.is_empty());
    assert!(code == 0 || message, "{answer:?}");
}

/// Adds a user whose password is its name.
#[track_caller]
fn add(at: At, name: &str, role: &str) {
    let body = json!({"username": name, "password": name, "role": role});
    assert_code(&at.post("/users", &body.to_string()), 200, 0);
}

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

#[test]
fn too_many_failed_logins_are_refused() {
    with_broker(
        |config| config.http_server.max_failed_logins = 3,
        |at| {
            add(at, "ann", "viewer");
            let get = |authorization: &str| at.request("GET", "/nodes", Some(authorization));
            // What is no guess does not count.
            for _ in 0..5 {
                assert_code(&at.request("GET", "/nodes", None), 401, 104);
                assert_eq!(get(&basic("ann", "ann")).status, 200);
            }
            for wrong in [
                basic("admin", "x"),
                basic("nobody", "x"),
                "Basic !".to_owned(),
            ] {
                assert_code(&get(&wrong), 401, 103);
            }
            for any in [basic("ann", "x"), basic("ann", "ann"), ADMIN.to_owned()] {
                let answer = get(&any);
                assert_code(&answer, 429, 103);
                let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=61).contains(&seconds), "{seconds}");
            }
        },
    );
}

fn fixture(name: &str) -> std::path::PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jwt");
    fixtures.join(name)
}

fn token(key: &str, claims: &Value) -> String {
    let key = EncodingKey::from_rsa_pem(&fs::read(fixture(key)).unwrap()).unwrap();
    let token = encode(&Header::new(Algorithm::RS256), claims, &key).unwrap();
    format!("Bearer {token}")
}

#[test]
fn tokens_let_in_whom_they_name() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (past, later) = (now.as_secs() - 1, now.as_secs() + 3600);
    let iss = "api.key.pub";
    let good = token("api.key", &json!({"iss": iss, "exp": later}));
    let text = token("api.key", &json!({"iss": iss, "exp": later.to_string()}));
    let viewer = token(
        "api.key",
        &json!({"iss": iss, "exp": later, "role": "viewer"}),
    );
    let expired = token("api.key", &json!({"iss": iss, "exp": past}));
    let endless = token("api.key", &json!({"iss": iss}));
    let stranger = token("other.key", &json!({"iss": iss, "exp": later}));
    let issuer = token("api.key", &json!({"iss": "x", "exp": later}));
    with_broker(
        |config| {
            config.http_server.auth_type = HttpAuth::Jwt;
            config.http_server.jwt.public.keyfile = fixture(iss);
            config.http_server.max_failed_logins = 4;
        },
        move |at| {
            let body = r#"{"username":"ann","password":"x"}"#;
            for (authorization, get, code, post) in [
                (good.as_str(), 200, 0, 200),
                (&text, 200, 0, 400), // The user is there already.
                (&viewer, 200, 0, 403),
                (&expired, 401, 116, 401),
                (&endless, 401, 116, 401),
                (&stranger, 401, 103, 401),
                (&issuer, 401, 103, 401),
                ("Bearer ", 401, 104, 401),
                (ADMIN, 401, 104, 401),
            ] {
                let answer = at.request("GET", "/nodes", Some(authorization));
                assert_eq!(
                    (answer.status, answer.json()["code"].clone()),
                    (get, json!(code))
                );
                if get == 401 {
                    let challenge = answer.header("www-authenticate").unwrap();
                    assert!(challenge.starts_with("Bearer realm="), "{challenge}");
                }
                let answer = send(at, "POST", "/users", authorization, body);
                assert_eq!(answer.status, post, "{authorization} {answer:?}");
            }
            // There were four wrong ones; a right one cannot be a guess.
            let refused = at.request("GET", "/nodes", Some(&stranger));
            assert_code(&refused, 429, 103);
            assert_eq!(at.request("GET", "/nodes", Some(&good)).status, 200);
        },
    );
}

#[test]
fn a_reload_reads_the_key_of_the_tokens_anew() {
    let folder = tempfile::tempdir().unwrap();
    let keyfile = folder.path().join("api.key.pub");
    fs::copy(fixture("api.key.pub"), &keyfile).unwrap();
    let path = folder.path().join("nanomq.conf");
    let write = |keyfile: &Path| {
        let text = format!(
            "listeners.tcp.bind = \"127.0.0.1:0\"\nhttp_server {{ port = 0, ip_addr = \"127.0.0.1\", auth_type = jwt }}\n\
             http_server.jwt.public.keyfile = \"{}\"\n",
            keyfile.display()
        );
        fs::write(&path, text).unwrap();
    };
    write(&keyfile);
    let source = ConfigSource {
        path: Some(path.clone()),
        ..ConfigSource::default()
    };
    let later = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        + 3600;
    let claims = json!({"iss": "api.key.pub", "exp": later});
    let (first, second) = (token("api.key", &claims), token("other.key", &claims));
    System::new().block_on(async {
        let mut config = local_config();
        config.http_server.auth_type = HttpAuth::Jwt;
        config.http_server.jwt.public.keyfile = keyfile.clone();
        config.http_server.max_failed_logins = 0;
        let broker = Broker::start(config, source).await.unwrap();
        let at = At {
            mqtt: broker.mqtt()[0].1,
            http: broker.http().unwrap(),
        };
        let statuses = async || {
            let tokens = [first.clone(), second.clone()];
            let ask = move || tokens.map(|t| at.request("GET", "/nodes", Some(&t)).status);
            tokio::task::spawn_blocking(ask).await.unwrap()
        };
        assert_eq!(statuses().await, [200, 401]);
        // Nothing but a reload looks at the file.
        fs::write(&keyfile, "no key").unwrap();
        assert_eq!(statuses().await, [200, 401]);
        let report = broker.config().send(ReloadConfig).await.unwrap();
        assert!(!report.failed(), "{report:?}");
        assert_eq!(statuses().await, [200, 401], "a wrong key changes nothing");
        fs::copy(fixture("other.key.pub"), &keyfile).unwrap();
        let report = broker.config().send(ReloadConfig).await.unwrap();
        assert!(!report.failed(), "{report:?}");
        assert_eq!(statuses().await, [401, 200]);
        write(&folder.path().join("missing.pub"));
        let report = broker.config().send(ReloadConfig).await.unwrap();
        assert!(report.failed(), "{report:?}");
        assert_eq!(statuses().await, [401, 200]);
        broker.stop().await;
    });
}

#[test]
fn what_is_wrong_with_users_or_keys_keeps_the_broker_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.json");
    fs::write(&broken, "{").unwrap();
    System::new().block_on(async {
        let mut users = local_config();
        users.http_server.users_file = broken.clone();
        let mut key = local_config();
        key.http_server.auth_type = HttpAuth::Jwt;
        key.http_server.jwt.public.keyfile = broken;
        for mut config in [users, key] {
            let failed = Broker::start(config.clone(), ConfigSource::default()).await;
            let error = failed.err().expect("the file is broken").to_string();
            assert!(error.contains("broken.json"), "{error}");
            // Without the API nobody needs them.
            config.http_server.enable = false;
            let broker = Broker::start(config, ConfigSource::default()).await;
            broker.unwrap().stop().await;
        }
    });
}

#[test]
fn no_other_origin_is_let_in() {
    with_broker(
        |_| {},
        |at| {
            for method in ["GET", "OPTIONS"] {
                let request = format!(
                    "{method} /api/v4/nodes HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ADMIN}\r\nOrigin: http://example.org\r\n\
                     Access-Control-Request-Method: GET\r\nConnection: close\r\n\r\n"
                );
                let answer = at.exchange(request.as_bytes());
                for header in ["origin", "methods", "headers", "credentials"] {
                    let header = format!("access-control-allow-{header}");
                    assert_eq!(answer.header(&header), None, "{method}");
                }
            }
        },
    );
}

#[test]
fn connections_that_are_kept_alive_do_not_lock_others_out() {
    with_broker(
        |config| config.http_server.limit_conn = 4,
        |at| {
            let request = format!(
                "GET /api/v4/nodes HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ADMIN}\r\n\r\n"
            );
            // Half of them stay open, one after the other; the others are closed after their answer.
            let mut open = Vec::new();
            for n in 0..8 {
                let mut socket = TcpStream::connect(at.http).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                socket.write_all(request.as_bytes()).unwrap();
                let mut text = String::new();
                if n < 2 {
                    let mut bytes = [0; 1024];
                    let read = socket.read(&mut bytes).unwrap();
                    text.push_str(&String::from_utf8_lossy(&bytes[..read]));
                    open.push(socket);
                } else {
                    socket.read_to_string(&mut text).unwrap();
                    assert!(text.contains("connection: close"), "{n} {text}");
                }
                assert!(text.starts_with("HTTP/1.1 200"), "{n} {text}");
            }
        },
    );
}
