//! TLS from a client whose bytes are changed on their way: whatever comes, nothing panics, nothing that the client has not
//! said reaches MQTT, and what broke a rule once stays broken.

use std::{
    cell::Cell,
    io::Write,
    sync::{Arc, OnceLock},
};

use bytes::BytesMut;
use proptest::prelude::*;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::{Fault, Identity, Layers};
use crate::config::ListenerTls;

/// Rounds of the handshake before it counts as stuck.
const ROUNDS: usize = 8;

/// A server, and clients of both versions that trust it.
struct Peers {
    server: Arc<ServerConfig>,
    clients: [Arc<ClientConfig>; 2],
}

fn peers() -> &'static Peers {
    static PEERS: OnceLock<Peers> = OnceLock::new();
    PEERS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let tls = ListenerTls {
            certfile: folder.path().join("c.pem"),
            keyfile: folder.path().join("k.pem"),
            ..ListenerTls::default()
        };
        std::fs::write(&tls.certfile, made.cert.pem()).unwrap();
        std::fs::write(&tls.keyfile, made.signing_key.serialize_pem()).unwrap();
        let client = |version: &'static SupportedProtocolVersion| {
            let mut roots = RootCertStore::empty();
            let pem = made.cert.pem();
            roots
                .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
                .unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            Arc::new(config)
        };
        Peers {
            server: Identity::of_listener(&tls).unwrap().config,
            clients: [client(&TLS12), client(&TLS13)],
        }
    })
}

/// What happens to the client's stream at one place.
#[derive(Clone, Debug)]
enum Change {
    /// A byte is another one.
    Flip(u8),
    /// Bytes are missing.
    Drop(usize),
    /// Bytes come in addition.
    Insert(Vec<u8>),
    /// The last bytes come again.
    Repeat(usize),
}

fn changes() -> impl Strategy<Value = Vec<(usize, Change)>> {
    let record = prop_oneof![
        Just(vec![0x14, 3, 3, 0, 1, 1]),
        Just(vec![0x15, 3, 3, 0, 2, 2, 40]),
        Just(vec![0x17, 3, 3, 0, 0]),
        Just(vec![0x16, 3, 3, 0x40, 0]),
        Just(vec![0x16, 3, 3, 0, 4, 0, 0, 0, 0]),
        proptest::collection::vec(any::<u8>(), 1..40),
    ];
    let change = prop_oneof![
        4 => (1..=255_u8).prop_map(Change::Flip),
        1 => (1..400_usize).prop_map(Change::Drop),
        2 => record.prop_map(Change::Insert),
        1 => (1..400_usize).prop_map(Change::Repeat),
    ];
    // Most of what can go wrong is in the first bytes; the rest are records of one kind.
    let place = prop_oneof![3 => 0..700_usize, 1 => 0..22_000_usize];
    proptest::collection::vec((place, change), 0..4)
}

/// The client's bytes, changed.
struct Wire {
    sent: usize,
    changes: Vec<(usize, Change)>,
}

impl Wire {
    fn carry(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut missing = 0;
        for &byte in bytes {
            let mut byte = byte;
            for (_, change) in self.changes.iter().filter(|(at, _)| *at == self.sent) {
                match change {
                    Change::Flip(mask) => byte ^= mask,
                    Change::Drop(len) => missing = *len,
                    Change::Insert(more) => out.extend_from_slice(more),
                    Change::Repeat(len) => {
                        let begin = out.len().saturating_sub(*len);
                        out.extend_from_within(begin..);
                    }
                }
            }
            self.sent += 1;
            match missing {
                0 => out.push(byte),
                _ => missing -= 1,
            }
        }
        out
    }
}

/// The server's side, fed as a socket feeds it.
struct Server {
    layers: Layers,
    plain: BytesMut,
    fault: Option<Fault>,
}

impl Server {
    fn receive(&mut self, bytes: &[u8], step: usize) {
        for part in bytes.chunks(step) {
            let mut raw = BytesMut::from(&self.layers.input[..]);
            raw.extend_from_slice(part);
            self.layers.receive(&mut raw, &mut self.plain);
            if let Some(fault) = self.layers.take_fault() {
                assert!(self.fault.is_none(), "two faults: {fault:?}");
                self.fault = Some(fault);
            }
            assert!(self.layers.is_broken() || self.fault.is_none());
        }
    }
}

/// A conversation; returns what the client said, and the server. With `ends_first` the server has nothing to say, and the
/// client goes on.
fn converse(
    client: &Arc<ClientConfig>,
    wire: &mut Wire,
    step: usize,
    ends_first: bool,
) -> (Vec<u8>, Server) {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut server = Server {
        layers: Layers::none().with_tls(peers().server.clone()).unwrap(),
        plain: BytesMut::new(),
        fault: None,
    };
    let mut said = Vec::new();
    // Once it is told that something is wrong, or has said its end, the client only sends; rustls may not be asked then.
    let hears = Cell::new(true);
    let mut exchange = |client: &mut ClientConnection, server: &mut Server| {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        server.receive(&wire.carry(&flight), step);
        let out = server.layers.out.split();
        let mut out = &out[..];
        while hears.get() && !out.is_empty() && client.read_tls(&mut out).is_ok() {
            hears.set(client.process_new_packets().is_ok());
        }
    };
    for _ in 0..ROUNDS {
        exchange(&mut client, &mut server);
    }
    if ends_first {
        server.layers.close();
        hears.set(false);
    }
    for payload in [&b"one"[..], &[2; 20_000], b"three"] {
        if client.writer().write_all(payload).is_err() {
            // It was told that the connection is over.
            break;
        }
        said.extend_from_slice(payload);
        exchange(&mut client, &mut server);
        // The answer, which nobody hears once something broke.
        let is_sent = server.layers.send(b"answer");
        assert!(!is_sent || (server.fault.is_none() && !ends_first));
    }
    hears.set(false);
    client.send_close_notify();
    exchange(&mut client, &mut server);
    server.layers.close();
    server.layers.send(b"behind the end");
    server.receive(&[0; 100], step);
    server.layers.close();
    (said, server)
}

#[test]
fn what_is_not_changed_arrives() {
    for client in &peers().clients {
        for step in [1, 1000, 100_000] {
            let mut wire = Wire {
                sent: 0,
                changes: Vec::new(),
            };
            let (said, server) = converse(client, &mut wire, step, false);
            assert!(server.plain == said, "{}", server.plain.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_changed_is_noticed(
        version in 0..2_usize,
        changes in changes(),
        step in prop_oneof![1..4_usize, 100..30_000_usize],
        ends_first: bool,
    ) {
        let mut wire = Wire { sent: 0, changes };
        let (said, server) = converse(&peers().clients[version], &mut wire, step, ends_first);
        prop_assert!(said.starts_with(&server.plain), "something that the client has not said");
    }

    #[test]
    fn noise_is_refused(bytes in proptest::collection::vec(any::<u8>(), 5..2000), step in 1..500_usize) {
        let mut server = Server {
            layers: Layers::none().with_tls(peers().server.clone()).unwrap(),
            plain: BytesMut::new(),
            fault: None,
        };
        server.receive(&bytes, step);
        prop_assert!(server.plain.is_empty());
        prop_assert!(!server.layers.send(b"x"));
        // A record of a known type may still be incomplete.
        prop_assert!(server.fault.is_some() || (0x14..=0x18).contains(&bytes[0]));
    }
}
