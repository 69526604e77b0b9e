//! The store on a disk in memory that fails as it is told to.

mod crash;
pub(crate) mod fake_disk;
mod faults;
mod power;
mod replay;

use super::*;
use crate::mqtt::{MessageRef, Properties, QoS, SubscribeOptions};

const LIMITS: Limits = Limits {
    segment: 4096,
    bytes: 1 << 30,
    messages: 1 << 30,
};

fn info(client_id: &str, generation: u64) -> SessionInfo {
    SessionInfo {
        client_id: client_id.into(),
        generation,
        version: 5,
        expiry_interval: 60,
        ..SessionInfo::default()
    }
}

fn message<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> MessageRef<'a> {
    MessageRef {
        topic,
        properties: Properties::EMPTY,
        payload,
        qos,
        retain: false,
        expires_at: None,
    }
}

fn to(session: SessionNumber) -> Recipient<'static> {
    Recipient {
        session,
        sequence: 0,
        qos: QoS::ExactlyOnce,
        retain: false,
        subscription_ids: Vec::new(),
        group: None,
    }
}

fn subscription() -> Subscription {
    Subscription {
        options: SubscribeOptions::with_qos(QoS::AtLeastOnce),
        subscription_id: Some(7),
    }
}

/// What is in a store, as text that can be compared: everything that a broker would get from it.
fn contents(store: &Store) -> Vec<String> {
    let mut lines = Vec::new();
    for session in store.sessions() {
        let number = session.number;
        lines.push(format!(
            "{number} {} kept {} taken {:?} subscriptions {:?}",
            session.info.client_id,
            session.kept.is_some(),
            session.taken,
            session.subscriptions
        ));
        for entry in session.queue {
            let body = match entry.received {
                true => None,
                false => store.read(entry.message).unwrap(),
            };
            let payload = body.map(|body| body.message.view().payload.to_vec());
            lines.push(format!(
                "{number}: {} received {} {payload:?}",
                entry.sequence, entry.received
            ));
        }
    }
    let mut retained = Vec::new();
    store
        .retained(|body| {
            let view = body.message.view();
            retained.push(format!("retained {} {:?}", view.topic, view.payload));
        })
        .unwrap();
    retained.sort();
    lines.extend(retained);
    lines
}
