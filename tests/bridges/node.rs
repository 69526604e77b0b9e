//! A nanomq process with bridges, and what its HTTP API says about them.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::Value;

use crate::{
    harness::Broker,
    http::{ADMIN, At},
    numbered::until,
};

/// The configuration of a bridge that comes again soon; `more` is in it too.
pub fn bridge(name: &str, server: SocketAddr, more: &str) -> String {
    format!(
        "bridges.mqtt.{name} {{\n  server = \"mqtt-tcp://{server}\"\n  backoff_min = 10ms\n  backoff_max = 100ms\n  \
         max_send_queue_len = 100000\n{more}\n}}\n"
    )
}

/// A nanomq process.
pub struct Node {
    pub process: Broker,
}

impl Node {
    /// With `more` at the end of its configuration. The queues of its clients hold everything that a test sends.
    pub fn start(more: &str) -> Self {
        Self {
            process: Broker::start(&format!("mqtt.max_mqueue_len = 100000\n{more}")),
        }
    }

    /// One with a store, in which whatever it acknowledges survives its end.
    pub fn stored(more: &str) -> Self {
        Self::start(&format!(
            "store {{ enable = true, path = \"store\", durability = none }}\n{more}"
        ))
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

    /// Restarts it in place, for the `times`th time; its ports are others then.
    pub fn restart(&mut self, times: usize) {
        self.ask("POST", "/ctrl/restart", &Value::Null);
        self.process.until_ready(times + 1);
    }

    /// What `GET /bridges/{name}` shows of a bridge.
    pub fn bridge(&self, name: &str) -> Value {
        let body = self.api().get(&format!("/bridges/{name}")).json();
        body["data"]["bridge"]["nodes"][0].clone()
    }

    /// Waits until a bridge is as wanted.
    pub fn until_bridge(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) {
        until(
            || format!("{name} {what}: {}", self.bridge(name)),
            || wanted(&self.bridge(name)),
        );
    }

    /// Waits until a bridge is connected and its subscriptions are acknowledged.
    pub fn until_connected(&self, name: &str) {
        self.until_bridge(name, "is connected", |bridge| {
            bridge["state"] == "connected"
        });
    }

    /// A counter of a bridge.
    pub fn count(&self, name: &str, counter: &str) -> u64 {
        let bridge = self.bridge(name);
        let count = bridge["counters"][counter].as_u64();
        count.unwrap_or_else(|| panic!("{name} has no {counter}: {bridge}"))
    }

    /// Messages that a bridge has dropped, by reason; `way` is `up` or `down`.
    pub fn dropped(&self, name: &str, way: &str) -> BTreeMap<String, u64> {
        let bridge = self.bridge(name);
        let drops = bridge["counters"][format!("dropped_{way}")].clone();
        let mut drops: BTreeMap<String, u64> = serde_json::from_value(drops).unwrap();
        drops.retain(|_, n| *n > 0);
        drops
    }

    /// A request of the administrator that has to be done.
    pub fn ask(&self, method: &str, target: &str, body: &Value) {
        let body = body.to_string();
        let request = format!(
            "{method} /api/v4{target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ADMIN}\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.api().exchange(request.as_bytes());
        assert_eq!(answer.status, 200, "{method} {target} {body}: {answer:?}");
    }
}
