//! An HTTP authentication server over TLS, known by an authority of its own, that asks for a certificate.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use nanomq::{
    config::{BindAddr, HttpMethod, SslListener},
    mqtt::{Connect, Packet, Properties, ProtocolVersion, QoS, ReasonCode},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{
    http_auth::{AuthServer, status},
    kit::{Client, Got, Hello, TestBroker, bytes_of, subscribe_bytes},
};

/// An authority and what it has signed, as files.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = folder.join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("ca.crt"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn sign(&self, name: &str) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        let subject = &mut params.distinguished_name;
        subject.push(DnType::OrganizationName, "Plant, 2");
        subject.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A server that says yes to everybody whose certificate this authority has signed; it ends with the process.
    fn serve(&self) -> u16 {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let chain = CertificateDer::pem_file_iter(self.file("server.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.file("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                thread::spawn(move || answer(StreamOwned::new(connection, socket)));
            }
        });
        port
    }
}

fn answer(stream: impl Read + Write) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        if stream.get_mut().write_all(answer).is_err() || stream.get_mut().flush().is_err() {
            return;
        }
    }
}

/// Common name and subject of a client's certificate are told with every request about it.
#[test]
fn the_requests_tell_the_certificate_of_a_client() {
    const V5: ProtocolVersion = ProtocolVersion::V5;
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    ours.sign("server");
    ours.sign("device 1");
    let server = AuthServer::start(|request, socket| {
        status(socket, if request.path == "/super" { 403 } else { 200 });
    });
    let broker = TestBroker::with(|config| {
        config.listeners.tcp.clear();
        let mut listener = SslListener::default();
        listener.common.bind = BindAddr::new("127.0.0.1", 0).unwrap();
        let tls = &mut listener.tls;
        tls.certfile = ours.file("server.crt").into();
        tls.keyfile = ours.file("server.key").into();
        tls.cacertfile = ours.file("ca.crt").into();
        (tls.verify_peer, tls.fail_if_no_peer_cert) = (true, true);
        config.listeners.ssl.insert("default".to_owned(), listener);
        let http = &mut config.auth.http_auth;
        for (path, request) in [
            ("auth", &mut http.auth_req),
            ("super", &mut http.super_req),
            ("acl", &mut http.acl_req),
        ] {
            request.url = format!("http://127.0.0.1:{}/{path}", server.port);
            request.params.insert("n".to_owned(), "%C".to_owned());
            request.params.insert("s".to_owned(), "%d".to_owned());
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(ours.issuer.der().clone()).unwrap();
    let chain = CertificateDer::pem_file_iter(ours.file("device 1.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(ours.file("device 1.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(tls, TcpStream::connect(broker.address).unwrap());
    let connect = Connect {
        version: V5,
        clean_start: true,
        keep_alive: 0,
        client_id: "c",
        username: None,
        password: None,
        will: None,
        properties: Properties::EMPTY,
    };
    let subscribe = subscribe_bytes(V5, 1, &[("t", QoS::AtMostOnce)]);
    for (packet, answer) in [
        (bytes_of(&Packet::Connect(connect), V5), 0x20),
        (subscribe, 0x90),
    ] {
        stream.write_all(&packet).unwrap();
        stream.flush().unwrap();
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[0], answer);
        let mut rest = vec![0; usize::from(head[1])];
        stream.read_exact(&mut rest).unwrap();
    }
    let said = "n=device%201&s=CN%3Ddevice%201%2CO%3DPlant%5C%2C%202";
    let expected = ["auth", "super", "acl"].map(|path| format!("/{path} {said}"));
    assert_eq!(server.requests(), expected);
}

fn code(broker: &TestBroker) -> ReasonCode {
    let mut client = Client::open(broker.address);
    client.hello(Hello::v5("c").login("ann", "x"));
    match client.next() {
        Got::ConnAck(_, reason) => reason,
        other => panic!("no CONNACK but {other:?}"),
    }
}

#[test]
fn the_server_is_verified_and_gets_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let other = Authority::new(folder.path(), "other");
    for name in ["server", "broker"] {
        ours.sign(name);
    }
    other.sign("broker");
    let port = ours.serve();
    let (yes, no) = (ReasonCode::Success, ReasonCode::ServerUnavailable);
    for (host, ca, shown, expected) in [
        ("localhost", Some(&ours), Some(&ours), yes),
        ("localhost", Some(&ours), None, no),
        ("localhost", Some(&ours), Some(&other), no),
        ("localhost", Some(&other), Some(&ours), no),
        ("localhost", None, Some(&ours), no),
        // Not a name in the certificate.
        ("127.0.0.1", Some(&ours), Some(&ours), no),
    ] {
        let broker = TestBroker::with(|config| {
            let request = &mut config.auth.http_auth.auth_req;
            request.url = format!("https://{host}:{port}/auth");
            request.method = HttpMethod::Get;
            request.params.insert("u".to_owned(), "%u".to_owned());
            if let Some(ca) = ca {
                request.tls.cacertfile = ca.file("ca.crt").into();
            }
            if let Some(shown) = shown {
                request.tls.certfile = shown.file("broker.crt").into();
                request.tls.keyfile = shown.file("broker.key").into();
            }
        });
        let what = (host, ca.is_some(), shown.is_some());
        assert_eq!(code(&broker), expected, "{what:?}");
    }
}

#[test]
fn a_reload_reads_the_files_anew_or_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let other = Authority::new(folder.path(), "other");
    for name in ["server", "broker"] {
        ours.sign(name);
    }
    let port = ours.serve();
    let right = fs::read_to_string(ours.file("ca.crt")).unwrap();
    fs::copy(other.file("ca.crt"), ours.file("ca.crt")).unwrap();
    let text = format!(
        "auth.http_auth.auth_req {{ url = \"https://localhost:{port}/\", ssl {{ cacertfile = \"{}\", certfile = \"{}\", keyfile = \"{}\" }} }}\n",
        ours.file("ca.crt"),
        ours.file("broker.crt"),
        ours.file("broker.key")
    );
    let conf = folder.path().join("nanomq.conf");
    let broker = TestBroker::with_file(&conf, &text);
    assert_eq!(code(&broker), ReasonCode::ServerUnavailable);
    fs::write(ours.file("ca.crt"), "nothing").unwrap();
    let report = broker.reload(&conf, &text);
    let said = report.problems.iter().map(ToString::to_string);
    let said = said.collect::<Vec<_>>().join("\n");
    assert!(said.contains("auth.http_auth.auth_req.tls"), "{said}");
    assert!(said.contains("ca.crt: it has no certificate"), "{said}");
    fs::write(ours.file("ca.crt"), right).unwrap();
    assert!(!broker.reload(&conf, &text).failed());
    assert_eq!(code(&broker), ReasonCode::Success);
}
