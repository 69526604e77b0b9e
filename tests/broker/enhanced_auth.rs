//! Enhanced authentication with SCRAM-SHA-256 `[MQTT-4.12.0-1]` to `[MQTT-4.12.1-2]`.

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, engine::general_purpose::STANDARD};
use nanomq::{
    auth::scram::ScramVerifier,
    config::{Config, Permit, Secret},
    mqtt::{
        Auth, Packet, Properties, PropertiesBuf, Property, ProtocolVersion, QoS, ReasonCode,
        Sender, decode_as, frame_header,
    },
};

use crate::{
    http_auth::{AuthServer, status},
    kit::{Client, Got, Hello, TestBroker},
};

const METHOD: &str = "SCRAM-SHA-256";
const CONTINUE: ReasonCode = ReasonCode::ContinueAuthentication;

fn with_verifier(config: &mut Config) {
    let verifier = ScramVerifier::new("pencil").unwrap().to_string();
    config.auth.password = vec![("ann".to_owned(), Secret::new(verifier))];
    config.auth.allow_anonymous = false;
}

fn properties(method: &str, data: &str) -> PropertiesBuf {
    let mut properties = PropertiesBuf::default();
    properties.push(Property::AuthenticationMethod(method));
    properties.push(Property::AuthenticationData(data.as_bytes()));
    properties
}

fn first(user: &str) -> String {
    format!("n,,n={user},r=abcdef")
}

/// The client's last message, and the signature that it expects of the server.
fn last(user: &str, password: &str, server_first: &[u8]) -> (String, String) {
    let server_first = std::str::from_utf8(server_first).unwrap();
    let mut parts = server_first.split(',').map(|part| &part[2..]);
    let (nonce, salt) = (parts.next().unwrap(), parts.next().unwrap());
    let iterations = parts.next().unwrap().parse().unwrap();
    assert!(nonce.starts_with("abcdef"));
    let salt = STANDARD.decode(salt).unwrap();
    let mut salted = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        &salt,
        password.as_bytes(),
        &mut salted,
    );
    let mac = |key: &[u8], data: &[u8]| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
            .as_ref()
            .to_vec()
    };
    let without_proof = format!("c=biws,r={nonce}");
    let messages = format!("n={user},r=abcdef,{server_first},{without_proof}");
    let client_key = mac(&salted, b"Client Key");
    let stored = digest::digest(&digest::SHA256, &client_key);
    let signature = mac(stored.as_ref(), messages.as_bytes());
    let proof: Vec<u8> = client_key
        .iter()
        .zip(&signature)
        .map(|(a, b)| a ^ b)
        .collect();
    let server = mac(&mac(&salted, b"Server Key"), messages.as_bytes());
    (
        format!("{without_proof},p={}", STANDARD.encode(proof)),
        format!("v={}", STANDARD.encode(server)),
    )
}

fn auth(client: &mut Client, reason: ReasonCode, properties: Properties<'_>) {
    client.send(&Packet::Auth(Auth { reason, properties }));
}

fn begin(broker: &TestBroker, user: &str) -> (Client, Vec<u8>) {
    let mut client = Client::open(broker.address);
    client.hello(Hello {
        properties: properties(METHOD, &first(user)).as_properties(),
        ..Hello::v5("c")
    });
    match client.next() {
        Got::Auth(CONTINUE, data) => (client, data),
        other => panic!("no AUTH but {other:?}"),
    }
}

fn come_in(broker: &TestBroker) -> Client {
    let (mut client, data) = begin(broker, "ann");
    let (message, _) = last("ann", "pencil", &data);
    auth(
        &mut client,
        CONTINUE,
        properties(METHOD, &message).as_properties(),
    );
    assert_eq!(client.next(), Got::ConnAck(false, ReasonCode::Success));
    client
}

/// [MQTT-4.12.0-2] [MQTT-4.12.0-5] AUTH asks on with 0x18; CONNACK names the method of CONNECT.
#[test]
fn who_knows_the_password_comes_in_and_the_server_shows_that_it_knows_it_too() {
    let broker = TestBroker::with(with_verifier);
    let (mut client, data) = begin(&broker, "ann");
    let (message, signature) = last("ann", "pencil", &data);
    auth(
        &mut client,
        CONTINUE,
        properties(METHOD, &message).as_properties(),
    );
    // CONNACK with its properties, as bytes.
    let bytes = client.next_bytes();
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!((bytes[0], bytes[3]), (0x20, 0));
    assert!(text.contains(METHOD) && text.contains(&signature), "{text}");
    client.subscribe("t", QoS::AtMostOnce);
    // The same user comes in with the password itself, too.
    let plain = Hello::v5("other").login("ann", "pencil");
    Client::connect(broker.address, plain);
}

/// A server that is asked who may do anything is asked about those that come in by SCRAM, too.
#[test]
fn who_may_do_anything_is_asked_for_scram_as_for_passwords() {
    let server = AuthServer::start(|request, socket| {
        let yes = request.body == "u=ann";
        status(socket, if yes { 200 } else { 403 });
    });
    for (user, expected) in [
        ("%u", ReasonCode::NoMatchingSubscribers),
        ("not %u", ReasonCode::NotAuthorized),
    ] {
        let broker = TestBroker::with(|config| {
            with_verifier(config);
            config.auth.no_match = Permit::Deny;
            let request = &mut config.auth.http_auth.super_req;
            request.url = format!("http://127.0.0.1:{}/super", server.port);
            request.params.insert("u".to_owned(), user.to_owned());
        });
        let mut client = come_in(&broker);
        client.publish("t", b"", QoS::AtLeastOnce, 1);
        assert_eq!(client.next(), Got::PubAck(1, expected));
    }
    assert_eq!(server.requests(), ["/super u=ann", "/super u=not%20ann"]);
}

/// [MQTT-4.12.0-4] [MQTT-3.1.2-30] A login that fails, or a packet other than AUTH before CONNACK, ends the connection.
#[test]
fn who_does_not_is_refused() {
    let broker = TestBroker::with(with_verifier);
    for (user, password) in [("ann", "pencils"), ("eve", "pencil")] {
        let (mut client, data) = begin(&broker, user);
        let (message, _) = last(user, password, &data);
        auth(
            &mut client,
            CONTINUE,
            properties(METHOD, &message).as_properties(),
        );
        let refused = Got::ConnAck(false, ReasonCode::BadUserNameOrPassword);
        assert_eq!(client.next(), refused, "{user}");
        assert_eq!(client.next(), Got::End);
    }
    for (method, data, code) in [
        (
            "SCRAM-SHA-1",
            first("ann"),
            ReasonCode::BadAuthenticationMethod,
        ),
        (
            METHOD,
            "nonsense".to_owned(),
            ReasonCode::BadUserNameOrPassword,
        ),
    ] {
        let mut client = Client::open(broker.address);
        client.hello(Hello {
            properties: properties(method, &data).as_properties(),
            ..Hello::v5("c")
        });
        assert_eq!(client.next(), Got::ConnAck(false, code), "{method}");
    }
    // Only AUTH may come before CONNACK.
    let (mut client, _) = begin(&broker, "ann");
    client.publish("t", b"", QoS::AtMostOnce, 0);
    assert_eq!(client.next(), Got::End);
    // Another method on the way.
    let (mut client, data) = begin(&broker, "ann");
    let (message, _) = last("ann", "pencil", &data);
    auth(
        &mut client,
        CONTINUE,
        properties("PLAIN", &message).as_properties(),
    );
    assert_eq!(client.next(), Got::End);
}

/// [MQTT-3.15.2-1] [MQTT-4.12.1-2] The codes of AUTH; a second login that fails ends the connection.
#[test]
fn a_client_may_show_anew_who_it_is() {
    let broker = TestBroker::with(with_verifier);
    let anew = ReasonCode::ReAuthenticate;
    let mut client = come_in(&broker);
    for _ in 0..2 {
        auth(
            &mut client,
            anew,
            properties(METHOD, &first("ann")).as_properties(),
        );
        let Got::Auth(CONTINUE, data) = client.next() else {
            panic!("no AUTH");
        };
        // Messages flow meanwhile.
        client.subscribe("t", QoS::AtMostOnce);
        let (message, signature) = last("ann", "pencil", &data);
        auth(
            &mut client,
            CONTINUE,
            properties(METHOD, &message).as_properties(),
        );
        let done = Got::Auth(ReasonCode::Success, signature.into_bytes());
        assert_eq!(client.next(), done);
    }
    auth(
        &mut client,
        anew,
        properties(METHOD, &first("ann")).as_properties(),
    );
    let Got::Auth(CONTINUE, data) = client.next() else {
        panic!("no AUTH");
    };
    let (message, _) = last("ann", "wrong", &data);
    auth(
        &mut client,
        CONTINUE,
        properties(METHOD, &message).as_properties(),
    );
    assert_eq!(client.next(), Got::Disconnect(ReasonCode::NotAuthorized));
    assert_eq!(client.next(), Got::End);
}

/// [MQTT-4.12.1-1] A second login has the method of the first.
#[test]
fn an_auth_that_is_no_step_closes() {
    let broker = TestBroker::with(with_verifier);
    let anew = ReasonCode::ReAuthenticate;
    for (reason, method, user, code) in [
        (anew, "PLAIN", "ann", ReasonCode::ProtocolError),
        (CONTINUE, METHOD, "ann", ReasonCode::ProtocolError),
        // Somebody else.
        (anew, METHOD, "eve", ReasonCode::NotAuthorized),
    ] {
        let mut client = come_in(&broker);
        auth(
            &mut client,
            reason,
            properties(method, &first(user)).as_properties(),
        );
        assert_eq!(client.next(), Got::Disconnect(code), "{method} {user}");
    }
    // Without a method in CONNECT.
    let plain = Hello::v5("p").login("ann", "pencil");
    let (mut client, _) = Client::connect(broker.address, plain);
    auth(
        &mut client,
        anew,
        properties(METHOD, &first("ann")).as_properties(),
    );
    assert_eq!(client.next(), Got::Disconnect(ReasonCode::ProtocolError));
}

/// [MQTT-3.15.2-2] [MQTT-3.15.2-3] AUTH has neither a Reason String nor User Properties, so neither makes it too large: a
/// client whose Maximum Packet Size is that of AUTH gets it, one byte less and it does not.
#[test]
fn auth_has_nothing_that_could_be_left_out() {
    let broker = TestBroker::with(with_verifier);
    let ask = |most: u32| {
        let mut wanted = properties(METHOD, &first("ann"));
        wanted.push(Property::MaximumPacketSize(most));
        wanted.push(Property::RequestProblemInformation(1));
        let mut client = Client::open(broker.address);
        client.hello(Hello {
            properties: wanted.as_properties(),
            ..Hello::v5("c")
        });
        client
    };
    let bytes = ask(10_000).next_bytes();
    let body = &bytes[frame_header(&bytes, 1 << 20).unwrap().unwrap().header_len..];
    let packet = decode_as(Sender::Server, ProtocolVersion::V5, bytes[0], body);
    let Ok(Packet::Auth(auth)) = packet else {
        panic!("no AUTH but {packet:?}");
    };
    let kinds: Vec<_> = auth.properties.iter().collect();
    assert!(
        matches!(
            kinds[..],
            [
                Property::AuthenticationMethod(METHOD),
                Property::AuthenticationData(_)
            ]
        ),
        "{kinds:?}"
    );
    let size = bytes.len() as u32;
    assert_eq!(ask(size).next_bytes().len() as u32, size);
    let mut refused = ask(size - 1);
    refused.socket.shutdown(std::net::Shutdown::Write).unwrap();
    loop {
        let packet = refused.next_bytes();
        if packet.is_empty() {
            break;
        }
        assert!(
            packet.len() < bytes.len() && packet[0] != 0xf0,
            "{packet:02x?}"
        );
    }
}
