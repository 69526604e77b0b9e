//! What the API answers, but for figures and the configuration.

use serde_json::json;

use super::{
    Named, answer, answer_with, any_text, count, described, flag, list, nullable, reference, role,
    texts, zero,
};

/// Their schemas.
pub(super) fn all() -> Named {
    let qos = json!({ "enum": [0, 1, 2] });
    let state = [("clientid", any_text()), ("connected", flag())];
    let [client_id, connected] = state;
    vec![
        (
            "Error",
            answer_with(
                &[("code", described(count(), "The result code"))],
                &[
                    ("message", described(any_text(), "What is wrong, and where")),
                    ("data", json!({ "type": "array", "maxItems": 0 })),
                    ("details", json!({ "type": "array" })),
                ],
            ),
        ),
        (
            "Meta",
            answer(&[
                ("page", count()),
                ("limit", described(count(), "Rows on a full page")),
                ("count", described(count(), "Rows on all pages")),
                ("hasnext", flag()),
            ]),
        ),
        (
            "Broker",
            answer(&[
                ("datetime", any_text()),
                ("node_status", any_text()),
                ("sysdescr", any_text()),
                ("uptime", any_text()),
                ("version", any_text()),
            ]),
        ),
        (
            "Node",
            answer(&[
                ("connections", count()),
                ("node_status", any_text()),
                ("uptime", any_text()),
                ("version", any_text()),
            ]),
        ),
        (
            "Client",
            answer(&[
                ("client_id", any_text()),
                ("username", any_text()),
                ("keepalive", described(count(), "Seconds")),
                (
                    "conn_state",
                    described(
                        json!({ "enum": ["connected", "idle", "disconnected"] }),
                        "idle: the socket is open and CONNECT has not come, so that only the socket is known",
                    ),
                ),
                ("clean_start", flag()),
                ("proto_name", json!({ "enum": ["MQTT", "MQIsdp", ""] })),
                ("proto_ver", json!({ "enum": [3, 4, 5, 0] })),
                ("recv_msg", described(count(), "PUBLISH packets received")),
                ("clientid", any_text()),
                ("connected", flag()),
                ("ip_address", any_text()),
                ("port", count()),
                ("listener", any_text()),
                ("connected_at", any_text()),
                (
                    "expiry_interval",
                    described(
                        count(),
                        "Seconds that the session is kept; 4294967295: for ever",
                    ),
                ),
                ("mqueue_len", count()),
                ("mqueue_dropped", count()),
                (
                    "inflight",
                    described(count(), "Messages sent and not acknowledged"),
                ),
                ("send_msg", count()),
                ("recv_oct", count()),
                ("send_oct", count()),
                ("will_topic", nullable(any_text())),
            ]),
        ),
        (
            "Subscription",
            answer(&[
                ("clientid", any_text()),
                ("topic", any_text()),
                ("qos", qos.clone()),
            ]),
        ),
        (
            "TopicTree",
            answer_with(
                &[
                    ("code", zero()),
                    (
                        "data",
                        described(
                            json!({ "type": "array", "items": list("TopicNode") }),
                            "An array for each level",
                        ),
                    ),
                ],
                &[(
                    "truncated",
                    described(flag(), "There when something was left out"),
                )],
            ),
        ),
        (
            "TopicNode",
            answer_with(
                &[
                    ("topic", any_text()),
                    ("cld_cnt", described(count(), "Nodes below it")),
                ],
                &[("clientid", texts())],
            ),
        ),
        (
            "RetainedMessage",
            answer(&[
                ("topic", any_text()),
                ("qos", qos),
                ("payload", nullable(any_text())),
                (
                    "payload_encoding",
                    json!({ "enum": ["text", "base64", "none"] }),
                ),
                ("payload_size", described(count(), "Bytes")),
                ("expires_in", described(nullable(count()), "Seconds")),
            ]),
        ),
        ("Deleted", answer(&[("deleted", count())])),
        (
            "Kicked",
            answer(&[("connection_closed", flag()), ("session_ended", flag())]),
        ),
        (
            "Inflight",
            answer(&[
                (client_id.0, client_id.1.clone()),
                connected.clone(),
                ("count", count()),
            ]),
        ),
        (
            "Queue",
            answer(&[
                client_id.clone(),
                connected.clone(),
                ("count", count()),
                ("bytes", count()),
                ("dropped", count()),
            ]),
        ),
        (
            "SlowClient",
            answer(&[
                client_id,
                connected,
                ("mqueue_len", count()),
                ("mqueue_bytes", count()),
                ("mqueue_dropped", count()),
                ("inflight", count()),
            ]),
        ),
        (
            "Listener",
            answer(&[
                ("name", any_text()),
                ("protocol", any_text()),
                ("bind", any_text()),
                ("addresses", texts()),
                ("enabled", flag()),
                ("connections", count()),
                ("max_connections", described(count(), "0: no limit")),
                (
                    "max_connection_rate",
                    described(count(), "A second; 0: no limit"),
                ),
            ]),
        ),
        (
            "Health",
            answer(&[("status", json!({ "const": "running" }))]),
        ),
        (
            "User",
            answer(&[
                ("username", any_text()),
                ("role", role()),
                ("description", any_text()),
                ("built_in", flag()),
            ]),
        ),
        (
            "ClientUser",
            answer(&[
                ("username", any_text()),
                (
                    "hash",
                    json!({ "enum": ["plain", "argon2", "SCRAM-SHA-256", "PBKDF2", "SHA-512"] }),
                ),
                ("configured", flag()),
            ]),
        ),
        (
            "Acl",
            answer(&[
                ("enable", flag()),
                ("no_match", json!({ "enum": ["allow", "deny"] })),
                ("deny_action", json!({ "enum": ["ignore", "disconnect"] })),
                ("rules", list("AclRule")),
            ]),
        ),
        (
            "AclDecision",
            answer_with(
                &[
                    ("allowed", nullable(flag())),
                    (
                        "decided_by",
                        json!({ "enum": ["rule", "no_match", "http"] }),
                    ),
                ],
                &[("rule", count()), ("text", reference("AclRule"))],
            ),
        ),
        (
            "BatchResult",
            answer(&[("data", list("BatchEntry")), ("code", zero())]),
        ),
        (
            "BatchEntry",
            answer_with(
                &[(
                    "code",
                    described(count(), "0, or the result code of this entry"),
                )],
                &[
                    ("clientid", any_text()),
                    ("topic", any_text()),
                    ("message", any_text()),
                ],
            ),
        ),
    ]
}
