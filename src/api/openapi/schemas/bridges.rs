//! Bridges as the API shows and takes them.

use serde_json::{Value, json};

use super::{
    FILTER, Named, amount, answer, any_text, count, described, flag, list, nullable, object,
    pattern, reference,
};
use crate::{api::bridges::more_members, config::MAX_BRIDGE_TOPICS};

/// A text that fits a property of MQTT 5.
const PLAIN: &str = r"^[^\x00]*$";

/// Their schemas.
pub(super) fn all() -> Named {
    let text_or_none = || nullable(any_text());
    vec![
        (
            "Bridges",
            answer(&[(
                "bridge",
                answer(&[
                    ("nodes", list("BridgeNode")),
                    ("sqlite", reference("Sqlite")),
                ]),
            )]),
        ),
        ("BridgeNode", node()),
        (
            "Sqlite",
            answer(&[
                ("enable", flag()),
                ("disk_cache_size", count()),
                ("flush_mem_threshold", count()),
                ("resend_interval", described(count(), "Milliseconds")),
                ("mounted_file_path", text_or_none()),
            ]),
        ),
        (
            "BridgeConnector",
            answer(&[
                ("server", text_or_none()),
                ("proto_ver", json!({ "enum": [3, 4, 5] })),
                ("clientid", text_or_none()),
                ("clean_start", flag()),
                ("username", text_or_none()),
                (
                    "password",
                    described(text_or_none(), "`******` where there is one"),
                ),
                ("keepalive", described(count(), "Seconds")),
                ("conn_properties", json!({ "type": "object" })),
            ]),
        ),
        ("BridgeCounters", counters(&[])),
        (
            "BridgeFigures",
            counters(&[
                ("state", state()),
                ("backlog", count()),
                ("backlog_bytes", count()),
                ("inflight", count()),
                ("inflight_window", count()),
            ]),
        ),
        ("BridgeRequest", request()),
        (
            "BridgeSwitch",
            object(&[("data", object(&[("bridge_switch", flag())], &[]))], &[]),
        ),
        ("BridgeSubscribe", subscribe()),
        (
            "BridgeUnsubscribe",
            object(
                &[(
                    "data",
                    object(
                        &[(
                            "unsubscription",
                            json!({ "type": "array", "items": object(&[("topic", any_text())], &[]) }),
                        )],
                        &[],
                    ),
                )],
                &[],
            ),
        ),
    ]
}

fn state() -> Value {
    json!({ "enum": ["disabled", "connecting", "connected", "waiting"] })
}

fn counters(further: &[(&'static str, Value)]) -> Value {
    let drops = |what| {
        described(
            json!({ "type": "object", "additionalProperties": count() }),
            what,
        )
    };
    let counters = [
        ("sent_messages", count()),
        ("received_messages", count()),
        ("sent_bytes", count()),
        ("received_bytes", count()),
        (
            "acknowledged",
            described(
                count(),
                "QoS 1 and 2 messages that the remote has acknowledged",
            ),
        ),
        ("connects", count()),
        ("reconnects", count()),
        ("failed_connects", count()),
        (
            "protocol_errors",
            described(
                count(),
                "Connections closed because the remote broke the protocol",
            ),
        ),
        (
            "dropped_up",
            drops("Messages that did not get to the remote, by reason"),
        ),
        (
            "dropped_down",
            drops("Messages of the remote that did not get here, by reason"),
        ),
    ];
    answer(&[further.to_vec(), counters.to_vec()].concat())
}

/// Whatever the model has besides NanoMQ's members.
fn more() -> Vec<(String, Value)> {
    let kind = |value: &Value| match value {
        Value::Bool(_) => flag(),
        Value::Number(_) => amount(),
        Value::String(_) => any_text(),
        Value::Array(_) => json!({ "type": "array" }),
        _ => json!({ "type": "object" }),
    };
    let more = more_members();
    more.iter()
        .map(|(name, value)| (name.clone(), kind(value)))
        .collect()
}

fn node() -> Value {
    let more = more();
    let more = more
        .iter()
        .map(|(name, schema)| (name.as_str(), schema.clone()));
    let topics = || json!({ "type": "array", "items": { "type": "object" } });
    let fault = answer(&[("message", any_text()), ("seconds_ago", count())]);
    let members = [
        ("name", any_text()),
        ("enable", flag()),
        (
            "parallel",
            described(
                count(),
                "Most messages sent to the remote and not acknowledged, unless max_inflight_window says it; 0 for neither",
            ),
        ),
        ("connector", reference("BridgeConnector")),
        ("forwards", topics()),
        ("subscription", topics()),
        ("sub_properties", json!({ "type": "object" })),
        ("tls", json!({ "type": "object" })),
        ("state", state()),
        ("client_id", described(any_text(), "At the remote")),
        (
            "connected_to",
            described(
                nullable(any_text()),
                "The server it is connected to, or tries",
            ),
        ),
        (
            "backlog",
            described(count(), "Messages that wait for the remote"),
        ),
        ("backlog_bytes", count()),
        (
            "inflight",
            described(count(), "Messages sent to the remote and not acknowledged"),
        ),
        (
            "inflight_window",
            described(
                count(),
                "Most of those at once, as far as the remote takes them",
            ),
        ),
        ("last_error", nullable(fault)),
        ("connected_seconds", nullable(count())),
        (
            "next_attempt_seconds",
            described(nullable(amount()), "Until it tries to connect again"),
        ),
        ("counters", reference("BridgeCounters")),
    ];
    answer(&members.into_iter().chain(more).collect::<Vec<_>>())
}

/// A bridge as it is shown, or with the keys that a file has; or that as the one member, whose name is the bridge's.
fn request() -> Value {
    let node = object(
        &[(
            "server",
            described(any_text(), "Such as mqtt-tcp://broker.example:1883"),
        )],
        &[
            ("name", any_text()),
            ("enable", flag()),
            ("proto_ver", json!({ "enum": [3, 4, 5] })),
            ("clientid", any_text()),
            ("clean_start", flag()),
            ("username", any_text()),
            ("password", any_text()),
            ("keepalive", count()),
            ("forwards", json!({ "type": "array" })),
            ("subscription", json!({ "type": "array" })),
        ],
    );
    let named = json!({
        "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": node,
    });
    json!({ "anyOf": [node, reference("BridgeNode"), named] })
}

fn subscribe() -> Value {
    let mut subscription = object(
        &[("remote_topic", {
            let mut filter = pattern(FILTER);
            filter["minLength"] = json!(1);
            filter
        })],
        &[
            ("qos", json!({ "enum": [0, 1, 2] })),
            ("retain_as_published", flag()),
            ("retain_handling", json!({ "enum": [0, 1, 2] })),
            ("nolocal", flag()),
        ],
    );
    subscription["additionalProperties"] = json!(false);
    let data = object(
        &[(
            "subscription",
            json!({ "type": "array", "items": subscription, "maxItems": MAX_BRIDGE_TOPICS }),
        )],
        &[("sub_properties", nullable(sub_properties()))],
    );
    object(&[("data", data)], &[])
}

fn sub_properties() -> Value {
    let mut properties = object(
        &[],
        &[
            (
                "identifier",
                json!({ "type": "integer", "minimum": 0, "maximum": 268_435_455 }),
            ),
            (
                "user_property",
                json!({
                    "type": "object",
                    "propertyNames": pattern(PLAIN),
                    "additionalProperties": pattern(PLAIN),
                    "maxProperties": 50,
                }),
            ),
        ],
    );
    properties["additionalProperties"] = json!(false);
    properties
}
