//! What strangers can do to the API, and what must not start.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

use actix::System;
use base64::{Engine, engine::general_purpose::STANDARD};
use nanomq::{actors::ConfigSource, broker::Broker, config::HttpAuth};
use serde_json::json;

use crate::kit::{ADMIN, Answer, At, PATIENCE, local_config, with_broker};

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub fn send(at: At, method: &str, target: &str, authorization: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} /api/v4{target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    at.exchange(request.as_bytes())
}

#[track_caller]
pub fn assert_code(answer: &Answer, status: u16, code: u16) {
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
pub fn add(at: At, name: &str, role: &str) {
    let body = json!({"username": name, "password": name, "role": role});
    assert_code(&at.post("/users", &body.to_string()), 200, 0);
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
            // A browser adds the credentials it knows to what a page of anybody makes it send.
            for (headers, status) in [
                ("", 200),
                ("Origin: http://localhost\r\n", 200),
                (
                    "Sec-Fetch-Site: same-origin\r\nOrigin: https://front\r\n",
                    200,
                ),
                ("Origin: http://example.org\r\n", 403),
                ("Origin: null\r\n", 403),
                ("Sec-Fetch-Site: cross-site\r\n", 403),
                (
                    "Sec-Fetch-Site: same-site\r\nOrigin: http://localhost\r\n",
                    403,
                ),
            ] {
                let body = r#"{"topic":"a","payload":"x"}"#;
                let request = format!(
                    "POST /api/v4/mqtt/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ADMIN}\r\n{headers}\
                     Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let answer = at.exchange(request.as_bytes());
                assert_eq!(answer.status, status, "{headers} {answer:?}");
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
