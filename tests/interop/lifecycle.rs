//! Start and stop of the process.

use crate::clients::paho;
use crate::harness::{Broker, unique};
use crate::raw::{Connect, RawClient};

#[test]
fn sigterm_closes_the_clients_and_ends_with_code_0() {
    let mut broker = Broker::start("");
    if !broker.is_nanomq() {
        return;
    }
    let mut client = RawClient::open(&broker);
    let id = unique("stop");
    client.send(
        &Connect {
            level: 5,
            client_id: &id,
            clean: true,
            keep_alive: 60,
            will: None,
        }
        .encode(),
    );
    assert_eq!(client.receive().expect("a CONNACK").0, 0x20);

    assert_eq!(broker.terminate().code(), Some(0));
    let end = client.receive();
    assert_eq!(
        end.map(|(first, body)| (first, body.first().copied())),
        Some((0xe0, Some(0x8b))),
        "server shutting down"
    );
    assert_eq!(client.receive(), None);
}

#[test]
fn an_assigned_client_id_has_nanomqs_form() {
    let broker = Broker::start("");
    let output = paho(&broker, "assigned_client_id");
    let id = output
        .lines()
        .find_map(|line| line.strip_prefix("assigned: "))
        .expect("the scenario prints the identifier");
    if broker.is_nanomq() {
        let digits = id
            .strip_prefix("nanomq-")
            .unwrap_or_else(|| panic!("{id} does not begin with nanomq-"));
        // Twice as many as NanoMQ has: among a million clients eight would be met twice.
        assert!(
            digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
    }
}
