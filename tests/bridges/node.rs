//! A nanomq process with bridges, and what its HTTP API says about them.

use std::net::SocketAddr;

use serde_json::Value;

use crate::{harness::Broker, http::At, numbered::until};

/// A nanomq process.
pub struct Node {
    pub process: Broker,
}

impl Node {
    /// With `more` at the end of its configuration.
    pub fn start(more: &str) -> Self {
        Self {
            process: Broker::start(more),
        }
    }

    /// Where it takes MQTT.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.process.mqtt_port()))
    }

    /// Its HTTP API.
    pub fn api(&self) -> At {
        let port = self.process.http_port().expect("a nanomq of our own");
        At {
            mqtt: self.address(),
            http: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    /// What `GET /bridges/{name}` shows of a bridge.
    pub fn bridge(&self, name: &str) -> Value {
        let body = self.api().get(&format!("/bridges/{name}")).json();
        body["data"]["bridge"]["nodes"][0].clone()
    }

    /// Waits until a bridge is as wanted.
    pub fn until_bridge(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) {
        let mut last = Value::Null;
        until(&format!("{name} {what}; at last {last}"), || {
            last = self.bridge(name);
            wanted(&last)
        });
    }

    /// Waits until a bridge is connected and its subscriptions are acknowledged.
    pub fn until_connected(&self, name: &str) {
        self.until_bridge(name, "is connected", |bridge| {
            bridge["state"] == "connected"
        });
    }
}
