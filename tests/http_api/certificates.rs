//! Certificates and keys as texts in the configuration.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
};

use actix::System;
use nanomq::{actors::ConfigSource, broker::Broker};
use serde_json::{Value, json};

use crate::{
    configuration::{FILE, Files, NOTHING, data, ok, with_files},
    kit::{At, PATIENCE, with_broker},
    trusting::trusting,
};

/// A certificate of localhost and its key.
#[derive(Clone)]
struct Pair {
    cert: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            cert: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }
}

/// A broker that has a TLS listener already, with `more` in its file.
fn with_tls(old: &Pair, more: &str, test: impl FnOnce(At, SocketAddr, &Files) + Send + 'static) {
    let files = Files::new("");
    let folder = files.0.path();
    fs::write(folder.join("own.crt"), &old.cert).unwrap();
    fs::write(folder.join("own.key"), &old.key).unwrap();
    let text = format!(
        "{FILE}listeners.ssl {{ bind = \"127.0.0.1:0\", certfile = \"{0}/own.crt\", keyfile = \"{0}/own.key\" }}\n{more}",
        folder.display()
    );
    fs::write(files.conf(), text).unwrap();
    with_files(files, |at, tls, files| test(at, tls.unwrap(), files));
}

/// Whether a client that trusts only this certificate gets through the handshake.
fn is_shown(at: SocketAddr, cert: &str) -> bool {
    let mut client = trusting(cert);
    let mut socket = TcpStream::connect(at).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    while client.is_handshaking() {
        if client.complete_io(&mut socket).is_err() {
            return false;
        }
    }
    socket.flush().is_ok()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn read(files: &Files, name: &str) -> String {
    fs::read_to_string(files.0.path().join(name)).unwrap()
}

#[test]
fn texts_make_a_listener_with_files_beside_the_configuration() {
    let files = Files::new(FILE);
    // A file that is there already is somebody else's.
    fs::write(files.0.path().join("cert.pem"), "other").unwrap();
    with_files(files, |at, _, files| {
        let new = Pair::new();
        let tls = json!({"enable": true, "url": "nmq-tls://127.0.0.1:0", "key_password": null, "key": new.key,
            "cert": new.cert, "cacert": null, "verify_peer": false, "fail_if_no_peer_cert": false});
        let answer: Value =
            serde_json::from_str(&ok(at, "/configuration", &json!({"data": {"tls": tls}})))
                .unwrap();
        let waiting = answer["needs_restart"].as_array().unwrap();
        for key in ["tls.enable", "tls.cert", "tls.key"] {
            assert!(waiting.iter().any(|name| name == key), "{answer}");
        }
        assert_eq!(answer["applied"], json!([]));
        assert_eq!(read(files, "cert-1.pem"), new.cert);
        assert_eq!(read(files, "key.pem"), new.key);
        assert_eq!(read(files, "cert.pem"), "other");
        assert_eq!(mode(&files.0.path().join("key.pem")), 0o600);
        assert_eq!(data(at)["tls"]["cert"], json!(null), "not before a restart");
        let source = ConfigSource {
            path: Some(files.conf()),
            ..ConfigSource::default()
        };
        // What a restart makes of it.
        let shown = thread::spawn(move || {
            System::new().block_on(async move {
                let config = source.load().unwrap().config;
                let broker = Broker::start(config, source).await.unwrap();
                let tls = broker.mqtt()[1].1;
                let shown = tokio::task::spawn_blocking(move || is_shown(tls, &new.cert));
                let shown = shown.await.unwrap();
                broker.stop().await;
                shown
            })
        });
        assert!(shown.join().unwrap());
    });
}

#[test]
fn texts_are_shown_replaced_and_in_force_at_once() {
    let old = Pair::new();
    let old_cert = old.cert.clone();
    with_tls(&old, "", move |at, tls, files| {
        let shown = data(at);
        assert_eq!(shown["tls"]["cert"], json!(old_cert));
        assert_eq!(shown["tls"]["key"], json!(read(files, "own.key")));
        assert_eq!(shown["tls"]["cacert"], json!(null));
        assert_eq!(
            at.get("/configuration/tls").json()["data"]["tls"],
            shown["tls"]
        );
        assert_eq!(ok(at, "/configuration", &json!({ "data": shown })), NOTHING);
        assert!(is_shown(tls, &old_cert));
        let (before, new) = (files.text(), Pair::new());
        let posted = json!({"data": {"tls": {"key": new.key, "cert": new.cert}}});
        assert_eq!(
            ok(at, "/configuration", &posted),
            r#"{"code":0,"applied":["tls.cert","tls.key"],"needs_restart":[]}"#
        );
        assert!(is_shown(tls, &new.cert) && !is_shown(tls, &old_cert));
        assert_eq!(data(at)["tls"]["cert"], json!(new.cert));
        assert_eq!(read(files, "own.crt.old"), old_cert);
        assert_eq!(read(files, "own.key"), new.key);
        assert_eq!(mode(&files.0.path().join("own.key")), 0o600);
        assert_eq!(files.text(), before, "the names are the same");
    });
}

#[test]
fn wrong_texts_change_nothing_and_are_named() {
    let old = Pair::new();
    with_tls(&old.clone(), "", move |at, tls, files| {
        let (before, names, new) = (files.text(), files.names(), Pair::new());
        for (posted, key, why) in [
            (json!({"cert": new.cert}), "tls.cert", "does not go with"),
            (json!({"key": new.key}), "tls.key", "does not go with"),
            (json!({"cert": "no PEM"}), "tls.cert", "no certificate"),
            (json!({"key": "no PEM"}), "tls.key", "no private key"),
            (json!({"cacert": new.key}), "tls.cacert", "no certificate"),
            (json!({"key": 7}), "tls.key", "expected a PEM text"),
            (
                json!({"verify_peer": true}),
                "listeners.ssl.default.cacertfile",
                "must name",
            ),
        ] {
            let body = json!({"data": {"tls": posted, "msq_len": 9}}).to_string();
            let answer = at.post("/configuration", &body);
            let json = answer.json();
            assert_eq!((answer.status, &json["code"]), (400, &json!(108)), "{json}");
            let details = json["details"].to_string();
            let is_named = details.contains(key) || details.contains("tls.cacert");
            assert!(is_named && details.contains(why), "{body}: {json}");
            assert!(!details.contains("PRIVATE KEY"), "{json}");
        }
        // A folder is where the old configuration is to be kept: the certificate, written before it, is put back.
        fs::create_dir(files.0.path().join("nanomq.conf.old")).unwrap();
        let posted = json!({"data": {"msq_len": 9, "tls": {"key": new.key, "cert": new.cert}}});
        let answer = at.post("/configuration", &posted.to_string());
        assert_eq!((answer.status, &answer.json()["code"]), (500, &json!(118)));
        fs::remove_dir(files.0.path().join("nanomq.conf.old")).unwrap();
        assert_eq!((files.text(), files.names()), (before, names));
        assert!(is_shown(tls, &read(files, "own.crt")));
        assert_eq!(read(files, "own.crt"), old.cert);
        assert_eq!(read(files, "own.key"), old.key);
        assert_eq!(data(at)["msq_len"], 2048);
    });
}

#[test]
fn a_masked_key_changes_nothing_when_it_comes_back() {
    let old = Pair::new();
    with_tls(&old, "http_server.hide_secrets = true\n", |at, _, files| {
        let shown = data(at);
        assert_eq!(shown["tls"]["key"], "******");
        assert!(!shown.to_string().contains("PRIVATE KEY"));
        let before = (files.text(), files.names(), read(files, "own.key"));
        assert_eq!(ok(at, "/configuration", &json!({ "data": shown })), NOTHING);
        assert_eq!(
            (files.text(), files.names(), read(files, "own.key")),
            before
        );
    });
}

#[test]
fn a_file_with_certificate_and_key_in_one_keeps_both() {
    let old = Pair::new();
    let both = format!("{}{}", old.cert, old.key);
    let files = Files::new("");
    let one = files.0.path().join("both.pem");
    fs::write(&one, &both).unwrap();
    let text = format!(
        "{FILE}listeners.ssl {{ bind = \"127.0.0.1:0\", certfile = \"{0}\", keyfile = \"{0}\" }}\n",
        one.display()
    );
    fs::write(files.conf(), text).unwrap();
    with_files(files, move |at, _, files| {
        let new = Pair::new();
        let posted = json!({"data": {"tls": {"key": new.key, "cert": new.cert}}});
        assert_eq!(
            ok(at, "/configuration", &posted),
            r#"{"code":0,"applied":[],"needs_restart":["tls.cert","tls.key"]}"#
        );
        assert_eq!(read(files, "both.pem"), both);
        assert_eq!(read(files, "key.pem"), new.key);
    });
}

#[test]
fn without_a_configuration_file_there_is_no_place_for_texts() {
    with_broker(
        |_| {},
        |at| {
            let posted = json!({"data": {"tls": {"cert": Pair::new().cert}}});
            let answer = at.post("/configuration", &posted.to_string());
            let json = answer.json();
            assert_eq!((answer.status, &json["code"]), (400, &json!(108)));
            let details = json["details"].to_string();
            assert!(details.contains("tls.cert"), "{json}");
            assert!(details.contains("there is no configuration file"), "{json}");
        },
    );
}

#[test]
fn the_requests_of_http_authentication_show_theirs() {
    let pair = Pair::new();
    for hide in [false, true] {
        let files = Files::new("");
        fs::write(files.0.path().join("ca.crt"), &pair.cert).unwrap();
        fs::write(files.0.path().join("own.key"), &pair.key).unwrap();
        let text = format!(
            "{FILE}http_server.hide_secrets = {hide}\nauth.http_auth.auth_req {{ url = \"https://localhost:1/\"\n\
             tls {{ cacertfile = \"{0}/ca.crt\", certfile = \"{0}/ca.crt\", keyfile = \"{0}/own.key\" }} }}\n",
            files.0.path().display()
        );
        fs::write(files.conf(), &text).unwrap();
        let pair = pair.clone();
        with_files(files, move |at, _, files| {
            let section = at.get("/configuration/auth_http").json()["data"].clone();
            let requests = &section["auth_http"];
            let key = if hide { "******" } else { &*pair.key };
            let tls = json!({"enable": true, "url": null, "key_password": null, "keypass": null, "key": key,
                "cert": pair.cert, "cacert": pair.cert, "verify_peer": true, "fail_if_no_peer_cert": false});
            assert_eq!(requests["auth_req"]["tls"], tls);
            assert_eq!(requests["acl_req"]["tls"]["enable"], false);
            assert_eq!(
                ok(at, "/configuration", &json!({ "data": section })),
                NOTHING
            );
            assert_eq!(files.text(), text);
        });
    }
}

#[test]
fn the_flat_file_gets_the_names_of_the_files() {
    let flat = "url=nmq-tcp://127.0.0.1:0\nnum_taskq_thread=1\nhttp_server.ip_addr=127.0.0.1\nhttp_server.port=0\n";
    with_files(Files::new(flat), |at, _, files| {
        let new = Pair::new();
        let posted = json!({"data": {"tls": {"key": new.key, "cert": new.cert}}});
        ok(at, "/configuration", &posted);
        let text = files.text();
        let folder = files.0.path().display();
        for line in [
            format!("tls.keyfile={folder}/key.pem\n"),
            format!("tls.certfile={folder}/cert.pem\n"),
        ] {
            assert!(text.contains(&line), "{text}");
        }
        assert_eq!(read(files, "key.pem"), new.key);
        let source = ConfigSource {
            path: Some(files.conf()),
            ..ConfigSource::default()
        };
        let listeners = source.load().unwrap().config.listeners;
        assert!(
            !listeners.ssl["default"].common.enable,
            "nobody switched it on"
        );
    });
}
