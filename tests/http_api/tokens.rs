//! JSON web tokens instead of user names and passwords.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use actix::System;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use nanomq::{actors::ConfigSource, broker::Broker, config::HttpAuth, messages::ReloadConfig};
use serde_json::{Value, json};

use crate::{
    kit::{ADMIN, At, local_config, with_broker},
    security::{assert_code, send},
};

fn fixture(name: &str) -> PathBuf {
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
