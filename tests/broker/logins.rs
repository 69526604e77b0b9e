//! Who may come in.

use std::time::{SystemTime, UNIX_EPOCH};

use nanomq::{
    auth::password_hash,
    config::{Config, Secret},
    mqtt::{Properties, ProtocolVersion, QoS, ReasonCode, Will},
    stats::Metric,
};

use crate::kit::{Client, Got, Hello, TestBroker};

const VERSIONS: [ProtocolVersion; 3] = [
    ProtocolVersion::V31,
    ProtocolVersion::V311,
    ProtocolVersion::V5,
];

fn with_users(config: &mut Config) {
    let hash = password_hash::hash("slow").unwrap();
    config.auth.password = vec![
        ("ann".to_owned(), Secret::new("secret")),
        ("bob".to_owned(), Secret::new(hash)),
    ];
}

/// What CONNECT is answered with, and that the connection ends if it is a refusal.
fn answer(broker: &TestBroker, hello: Hello<'_>) -> ReasonCode {
    let mut client = Client::open(broker.address);
    client.hello(hello);
    match client.next() {
        Got::ConnAck(false, ReasonCode::Success) => ReasonCode::Success,
        Got::ConnAck(false, refused) => {
            assert_eq!(client.next(), Got::End);
            refused
        }
        other => panic!("no CONNACK but {other:?}"),
    }
}

#[test]
fn a_failed_login_is_told_by_its_code_in_every_version_and_closed() {
    use ReasonCode::{BadUserNameOrPassword as Bad, NotAuthorized, Success};
    let broker = TestBroker::with(|config| {
        with_users(config);
        config.auth.allow_anonymous = false;
    });
    for version in VERSIONS {
        let hello = Hello {
            version,
            ..Hello::v5("c")
        };
        for (hello, expected) in [
            (hello.login("ann", "secret"), Success),
            (hello.login("bob", "slow"), Success),
            // Once more: it is remembered.
            (hello.login("bob", "slow"), Success),
            (hello.login("ann", "secre"), Bad),
            (hello.login("bob", "fast"), Bad),
            (hello.login("bob", ""), Bad),
            (hello.login("eve", "secret"), Bad),
            (hello, NotAuthorized),
        ] {
            assert_eq!(answer(&broker, hello), expected, "{version:?}");
        }
    }
    let stats = broker.stats();
    assert_eq!(stats.totals.get(Metric::LoginsFailed), 15);
    assert_eq!(stats.totals.get(Metric::ConnectsRefused), 15);
}

#[test]
fn an_address_with_too_many_failed_logins_is_refused() {
    let broker = TestBroker::with(|config| {
        with_users(config);
        config.auth.max_failed_logins = 2;
    });
    for _ in 0..2 {
        let wrong = Hello::v5("c").login("ann", "x");
        assert_eq!(answer(&broker, wrong), ReasonCode::BadUserNameOrPassword);
    }
    let right = Hello::v5("c").login("ann", "secret");
    assert_eq!(answer(&broker, right), ReasonCode::ConnectionRateExceeded);
    let v3 = Hello {
        version: ProtocolVersion::V311,
        ..right
    };
    assert_eq!(answer(&broker, v3), ReasonCode::ServerUnavailable);
    assert_eq!(broker.stats().totals.get(Metric::LoginsRefused), 2);
}

#[test]
fn many_logins_at_once_are_bounded_and_disturb_nobody() {
    let broker = TestBroker::with(|config| {
        with_users(config);
        config.auth.max_waiting_logins = 3;
        config.auth.max_failed_logins = 0;
    });
    let mut other = Client::connect(broker.address, Hello::v5("other").login("ann", "secret")).0;
    let ids: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    let mut clients: Vec<Client> = Vec::new();
    for id in &ids {
        let mut client = Client::open(broker.address);
        client.hello(Hello::v5(id).login("bob", id));
        clients.push(client);
    }
    other.send(&nanomq::mqtt::Packet::PingReq);
    assert_eq!(other.next(), Got::PingResp);
    let mut busy = 0;
    for mut client in clients {
        match client.next() {
            Got::ConnAck(false, ReasonCode::ServerBusy) => busy += 1,
            Got::ConnAck(false, ReasonCode::BadUserNameOrPassword) => {}
            unexpected => panic!("{unexpected:?}"),
        }
    }
    assert!(busy > 0, "all twenty waited");
}

#[test]
fn a_file_of_users_is_read_and_reloaded_or_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (conf, passwd) = (folder.path().join("test.conf"), folder.path().join("users"));
    let text = format!("auth.password_file = \"{}\"\n", passwd.display());
    std::fs::write(&passwd, "ann:one\nbob:two\n").unwrap();
    let broker = TestBroker::with_file(&conf, &text);
    let login = |name, password| answer(&broker, Hello::v5("c").login(name, password));
    assert_eq!(login("ann", "one"), ReasonCode::Success);
    assert_eq!(login("eve", "x"), ReasonCode::BadUserNameOrPassword);
    // One with a live connection has another password, one none.
    let mut ann = Client::connect(broker.address, Hello::v5("a").login("ann", "one")).0;
    let mut bob = Client::connect(broker.address, Hello::v5("b").login("bob", "two")).0;
    std::fs::write(&passwd, "ann:new\nbob:two\nbroken line\n").unwrap();
    let report = broker.reload(&conf, &text);
    assert!(report.failed());
    let problem = report.problems[0].to_string();
    assert!(
        problem.starts_with(&format!("{}:3: ", passwd.display())),
        "{problem}"
    );
    assert_eq!(login("ann", "one"), ReasonCode::Success);
    std::fs::write(&passwd, "ann:new\nbob:two\n").unwrap();
    let report = broker.reload(&conf, &text);
    assert!(!report.failed());
    assert_eq!(report.applied, ["auth.password_file"]);
    assert_eq!(ann.next(), Got::Disconnect(ReasonCode::NotAuthorized));
    bob.send(&nanomq::mqtt::Packet::PingReq);
    assert_eq!(bob.next(), Got::PingResp);
    assert_eq!(login("ann", "one"), ReasonCode::BadUserNameOrPassword);
    assert_eq!(login("ann", "new"), ReasonCode::Success);
}

#[test]
fn a_token_may_stand_in_the_place_of_the_password() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    let keys = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jwt");
    let pem = |name: &str| std::fs::read(keys.join(name)).unwrap();
    let broker = TestBroker::with(|config| {
        config.auth.jwt.public.keyfile = keys.join("api.key.pub");
        config.auth.allow_anonymous = false;
        config.auth.password = vec![("ann".to_owned(), Secret::new("secret"))];
    });
    let signed = |key: &str, claims: serde_json::Value| {
        let key = EncodingKey::from_rsa_pem(&pem(key)).unwrap();
        encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
    };
    let far = 4_000_000_000_u64;
    use ReasonCode::{BadUserNameOrPassword as Bad, Success};
    for (name, password, expected) in [
        (
            "dev",
            signed("api.key", serde_json::json!({"exp": far})),
            Success,
        ),
        (
            "dev",
            signed(
                "api.key",
                serde_json::json!({"exp": far, "username": "dev", "clientid": "c"}),
            ),
            Success,
        ),
        (
            "dev",
            signed(
                "api.key",
                serde_json::json!({"exp": far, "username": "other"}),
            ),
            Bad,
        ),
        (
            "dev",
            signed(
                "api.key",
                serde_json::json!({"exp": far, "clientid": "other"}),
            ),
            Bad,
        ),
        ("dev", signed("api.key", serde_json::json!({"exp": 1})), Bad),
        ("dev", signed("api.key", serde_json::json!({})), Bad),
        (
            "dev",
            signed("other.key", serde_json::json!({"exp": far})),
            Bad,
        ),
        ("dev", "no token".to_owned(), Bad),
        // The users come first.
        (
            "ann",
            signed("api.key", serde_json::json!({"exp": far})),
            Bad,
        ),
        ("ann", "secret".to_owned(), Success),
    ] {
        let got = answer(&broker, Hello::v5("c").login(name, &password));
        assert_eq!(got, expected, "{name} {password}");
    }
}

/// A connection lasts as long as the token that it came in with.
#[test]
fn a_connection_ends_with_its_token() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    let keys = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jwt");
    let broker = TestBroker::with(|config| {
        config.auth.jwt.public.keyfile = keys.join("api.key.pub");
    });
    let key = EncodingKey::from_rsa_pem(&std::fs::read(keys.join("api.key")).unwrap()).unwrap();
    let ending_in = |seconds: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let claims = serde_json::json!({"exp": now.as_secs() + seconds});
        encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
    };
    let (short, long) = (ending_in(2), ending_in(3600));
    let will = Will {
        topic: "gone",
        payload: b"token",
        qos: QoS::AtMostOnce,
        retain: false,
        properties: Properties::EMPTY,
    };
    let v311 = Hello {
        version: ProtocolVersion::V311,
        ..Hello::v5("old")
    };
    let with_will = Hello {
        will: Some(will),
        ..Hello::v5("new")
    };
    let (mut other, _) = Client::connect(broker.address, Hello::v5("other").login("o", &long));
    other.subscribe("gone", QoS::AtMostOnce);
    let (mut new, _) = Client::connect(broker.address, with_will.login("n", &short));
    let (mut old, _) = Client::connect(broker.address, v311.login("o", &short));
    assert_eq!(new.next(), Got::Disconnect(ReasonCode::NotAuthorized));
    assert_eq!((new.next(), old.next()), (Got::End, Got::End));
    assert_eq!(other.message().payload, b"token");
    broker.until("both are counted", |stats| {
        stats.totals.get(Metric::LoginsExpired) == 2
    });
}
