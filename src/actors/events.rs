//! Event topics: who connected and who left, as messages below `$SYS/brokers`.

use std::{
    net::SocketAddr,
    time::{Instant, SystemTime},
};

use serde_json::json;

use super::{Worker, durable::unix_millis};
use crate::{
    mqtt::{Message, Properties, QoS, ReasonCode},
    routing::ClientInfo,
};

/// Tells of a client that was accepted.
pub fn connected(worker: &Worker, client_id: &str, info: &ClientInfo, now: Instant) {
    let body = || {
        json!({
            "username": info.username.as_deref().unwrap_or(""),
            "ts": info.connected_at,
            "proto_name": info.version.name(),
            "keepalive": info.keep_alive,
            "return_code": "0",
            "proto_ver": info.version.level(),
            "client_id": client_id,
            "clean_start": info.clean_start,
            "IPv4": info.peer.ip.to_string(),
        })
    };
    publish(worker, client_id, "connected", "online", body, now);
}

/// Tells of a client that was connected and is not any more.
pub fn disconnected(
    worker: &Worker,
    client_id: &str,
    username: Option<&str>,
    peer: SocketAddr,
    code: ReasonCode,
    now: Instant,
) {
    let body = || {
        json!({
            "username": username.unwrap_or(""),
            "ts": unix_millis(SystemTime::now()),
            "reason_code": format!("{:x}", code.as_u8()),
            "client_id": client_id,
            "IPv4": peer.ip().to_string(),
        })
    };
    publish(worker, client_id, "disconnected", "offline", body, now);
}

fn publish(
    worker: &Worker,
    client_id: &str,
    event: &str,
    status: &str,
    body: impl Fn() -> serde_json::Value,
    now: Instant,
) {
    // Events that nobody wants cost no more than this.
    if !worker.router.borrow().has_system_subscribers()
        || !worker.shared.config.load().mqtt.sys_events
    {
        return;
    }
    // A topic cannot hold a wildcard, so a client id that has one is found in the event's body only.
    let own = format!("$SYS/brokers/client_status/{client_id}");
    let own = (!client_id.contains(['+', '#'])).then_some((own, Some(status)));
    let common = (format!("$SYS/brokers/{event}"), None);
    for (topic, status) in [Some(common), own].into_iter().flatten() {
        if !worker.router.borrow_mut().has_subscribers(&topic) {
            continue;
        }
        let mut body = body();
        if let (Some(status), Some(members)) = (status, body.as_object_mut()) {
            members.insert("status".to_owned(), status.into());
        }
        let message = Message::new(
            &topic,
            body.to_string().as_bytes(),
            QoS::AtMostOnce,
            false,
            Properties::EMPTY,
            now,
        );
        worker.publish(&message, now);
    }
}
