//! Wrong requests, strangers, and ports that are taken.

use actix::System;
use nanomq::{
    actors::ConfigSource,
    broker::Broker,
    config::{HttpAuth, Secret},
    messages::ReloadConfig,
};
use serde_json::json;

use crate::kit::{ADMIN, At, Mqtt, V5, client, local_config, with_broker};

#[test]
fn wrong_requests_are_refused() {
    with_broker(
        |_| {},
        |at| {
            let _client = Mqtt::connect(at, &client(V5, "a", None));
            // (method, target, status, code, what the message names)
            for (method, target, status, code, named) in [
                ("GET", "/clients?conn_state=asleep", 400, 108, "conn_state"),
                ("GET", "/clients?clean_start=1", 400, 108, "clean_start"),
                ("GET", "/clients?proto_name=HTTP", 400, 108, "proto_name"),
                ("GET", "/clients?proto_ver=6", 400, 108, "proto_ver"),
                ("GET", "/clients?proto_ver=five", 400, 108, "proto_ver"),
                ("GET", "/clients?page=1", 400, 108, "page"),
                ("GET", "/clients?Clientid=a", 400, 108, "Clientid"),
                ("GET", "/clients?_page=0", 400, 108, "_page"),
                ("GET", "/clients?_page=1&_page=2", 400, 108, "_page"),
                ("GET", "/clients?_limit=x", 400, 108, "_limit"),
                ("GET", "/clients/a?x=1", 400, 108, "x"),
                ("GET", "/clients/username/a?x=1", 400, 108, "x"),
                ("GET", "/subscriptions?qos=3", 400, 108, "qos"),
                ("GET", "/subscriptions?username=a", 400, 108, "username"),
                ("GET", "/subscriptions/a?x=1", 400, 108, "x"),
                ("GET", "/nothing", 404, 102, "/nothing"),
                ("GET", "/brokers//", 404, 102, "/brokers//"),
                ("GET", "//brokers", 404, 102, "//brokers"),
                ("GET", "/Brokers", 404, 102, "/Brokers"),
                ("GET", "/clients/a/b", 404, 102, "/clients/a/b"),
                (
                    "GET",
                    "/clients/username/a/b",
                    404,
                    102,
                    "/clients/username/a/b",
                ),
                ("POST", "/nothing", 404, 102, "/nothing"),
                ("POST", "/clients", 405, 102, "GET"),
                ("DELETE", "/clients/username/a", 405, 102, "GET"),
                ("PUT", "/subscriptions/", 405, 102, "GET"),
                ("OPTIONS", "", 405, 102, "GET"),
                ("NONSENSE", "/brokers/", 405, 102, "GET"),
            ] {
                let answer = at.request(method, target, Some(ADMIN));
                let what = format!("{method} {target}: {answer:?}");
                assert_eq!(answer.status, status, "{what}");
                assert_eq!(
                    answer.header("content-type"),
                    Some("application/json"),
                    "{what}"
                );
                let body = answer.json();
                assert_eq!(body["code"], code, "{what}");
                assert!(body["message"].as_str().unwrap().contains(named), "{what}");
                let allow = (status == 405).then_some("GET, HEAD");
                assert_eq!(answer.header("allow"), allow, "{what}");
            }
            for (target, body) in [
                ("/clients/nobody", r#"{"code":112,"data":[]}"#),
                ("/clients/username/", r#"{"code":112,"data":[]}"#),
                ("/clients/username/nobody", r#"{"code":105,"data":[]}"#),
                ("/subscriptions/nobody", r#"{"code":112,"data":[]}"#),
            ] {
                let answer = at.get(target);
                assert_eq!(
                    (answer.status, answer.body.as_str()),
                    (404, body),
                    "{target}"
                );
            }
            let outside = at.request_any("GET", "/", None);
            assert_eq!(
                (outside.status, outside.json()["code"].clone()),
                (404, json!(102))
            );
            let head = at.request("HEAD", "/nodes", Some(ADMIN));
            assert_eq!((head.status, head.body.as_str()), (200, ""));
        },
    );
}

#[test]
fn strangers_are_refused_before_routing() {
    with_broker(
        |config| {
            config.http_server.username = "böb".to_owned();
            config.http_server.password = Secret::new("se:cret");
            config.http_server.max_failed_logins = 0;
        },
        |at| {
            let right = "Basic YsO2YjpzZTpjcmV0";
            assert_eq!(at.request("GET", "/brokers", Some(right)).status, 200);
            for (authorization, code) in [
                (Some(ADMIN), 103),
                (Some("Basic YsO2YjpzZQ=="), 103), // böb:se
                (Some("Basic !"), 103),
                (Some("Basic "), 104),
                (Some("Bearer x"), 104),
                (None, 104),
            ] {
                for (method, target) in [
                    ("GET", "/brokers"),
                    ("GET", "/nothing"),
                    ("DELETE", "/clients"),
                    ("GET", ""),
                ] {
                    let answer = at.request(method, target, authorization);
                    assert_eq!(answer.status, 401, "{authorization:?} {answer:?}");
                    assert_eq!(answer.json()["code"], code, "{authorization:?}");
                    let challenge = answer.header("www-authenticate").unwrap();
                    assert!(challenge.starts_with("Basic realm="), "{challenge}");
                    assert_eq!(answer.header("content-type"), Some("application/json"));
                }
            }
        },
    );
}

#[test]
fn without_authentication_everybody_is_answered() {
    with_broker(
        |config| config.http_server.auth_type = HttpAuth::NoAuth,
        |at| {
            for authorization in [None, Some("Basic !")] {
                assert_eq!(at.request("GET", "/nodes", authorization).status, 200);
            }
        },
    );
}

#[test]
fn a_broker_without_the_api_or_with_its_port_taken() {
    System::new().block_on(async {
        let mut config = local_config();
        config.http_server.enable = false;
        let broker = Broker::start(config, ConfigSource::default())
            .await
            .unwrap();
        assert_eq!(broker.http(), None);
        broker.stop().await;

        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = local_config();
        config.http_server.port = taken.local_addr().unwrap().port();
        let started = Broker::start(config, ConfigSource::default()).await;
        let error = started.err().expect("the port is taken");
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    });
}

#[test]
fn a_reload_changes_the_password_but_not_whether_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nanomq.conf");
    let write = |http: &str| {
        let listener = "listeners.tcp.bind = \"127.0.0.1:0\"";
        let http = format!("http_server {{ port = 0, ip_addr = \"127.0.0.1\", {http} }}");
        std::fs::write(&path, format!("{listener}\n{http}\n")).unwrap();
    };
    write("password = public");
    let source = ConfigSource {
        path: Some(path.clone()),
        ..ConfigSource::default()
    };
    System::new().block_on(async {
        let broker = Broker::start(local_config(), source).await.unwrap();
        let at = At {
            mqtt: broker.mqtt()[0].1,
            http: broker.http().unwrap(),
        };
        let status = async || {
            let ask = move || at.get("/nodes").status;
            tokio::task::spawn_blocking(ask).await.unwrap()
        };
        assert_eq!(status().await, 200);
        for (http, expected) in [
            ("password = secret", 401),
            ("password = public", 200),
            ("password = secret, auth_type = no_auth", 401),
        ] {
            write(http);
            let report = broker.config().send(ReloadConfig).await.unwrap();
            assert!(!report.failed(), "{report:?}");
            assert_eq!(status().await, expected, "{http}");
        }
        broker.stop().await;
    });
}
