//! Figures that the API answers.

use serde_json::json;

use super::{Named, amount, answer, any_text, count, described, nullable, reference};

/// Their schemas.
pub(super) fn all() -> Named {
    let by_qos = answer(&[
        ("qos0", count()),
        ("qos1", count()),
        ("qos2", count()),
        ("total", count()),
    ]);
    let directions = answer(&[("received", count()), ("sent", count())]);
    let bridge = answer(&[
        ("bridge name", any_text()),
        ("sent messages", count()),
        ("received messages", count()),
        ("sent bytes", count()),
        ("received bytes", count()),
        ("MQTT reconnect times", count()),
        ("uplink msg dropped", count()),
        ("downlink msg dropped", count()),
    ]);
    let counts = json!({ "type": "object", "additionalProperties": count() });
    vec![
        (
            "Metrics",
            answer(&[
                (
                    "metrics",
                    json!({ "type": "array", "items": bridge, "description": "Of bridges" }),
                ),
                ("cpuinfo", any_text()),
                ("memory", described(any_text(), "Bytes")),
                ("connections", count()),
                ("cpu_percent", amount()),
                ("memory_bytes", count()),
            ]),
        ),
        (
            "Stats",
            answer(&[
                ("uptime_seconds", count()),
                ("connections", count()),
                ("sessions", count()),
                ("subscriptions", count()),
                ("topics", count()),
                ("sockets", count()),
                (
                    "retained",
                    answer(&[("count", count()), ("bytes", count())]),
                ),
                (
                    "messages",
                    answer(&[
                        ("received", by_qos.clone()),
                        ("sent", by_qos),
                        ("dropped", count()),
                        ("routed", described(count(), "Matched a subscription")),
                        (
                            "deliveries",
                            described(count(), "Given to sessions, each once for each of them"),
                        ),
                        ("acknowledged", described(count(), "QoS 1 and 2, done with")),
                        (
                            "handed_over",
                            described(
                                count(),
                                "Taken from a member of a group that left, and given to another",
                            ),
                        ),
                        (
                            "duplicates",
                            described(
                                count(),
                                "Sent again with QoS 2 although they had been taken",
                            ),
                        ),
                        ("no_subscriber", described(count(), "Matched none")),
                    ]),
                ),
                ("bytes", directions),
                ("packets_received", count()),
                ("drops", described(counts.clone(), "Messages, by reason")),
                (
                    "protocol_errors",
                    described(counts, "Connections closed, by kind"),
                ),
                (
                    "certificates",
                    json!({
                        "type": "object",
                        "description": "Of listeners over TLS and of this API, by the section of the configuration",
                        "additionalProperties": answer(&[
                            ("not_after", json!({ "type": "integer", "description": "Seconds since 1970" })),
                            ("days_left", json!({ "type": "integer" })),
                        ]),
                    }),
                ),
                (
                    "queues",
                    answer(&[
                        ("sessions", count()),
                        ("messages", count()),
                        ("bytes", count()),
                        ("inflight", count()),
                    ]),
                ),
                (
                    "store",
                    answer(&[
                        (
                            "failing",
                            described(
                                json!({ "type": "boolean" }),
                                "The disk refuses what it writes: messages for durable sessions are refused",
                            ),
                        ),
                        (
                            "messages",
                            described(count(), "Waiting in durable sessions"),
                        ),
                        ("bytes", described(count(), "To be kept")),
                        ("disk_bytes", described(count(), "Of its files")),
                        ("refused", described(count(), "Messages refused")),
                        (
                            "commits",
                            described(count(), "Writes, each for all that waited"),
                        ),
                        ("syncs", described(count(), "Confirmed by the disk")),
                    ]),
                ),
                (
                    "rates",
                    answer(&[
                        ("interval_seconds", amount()),
                        ("messages_received", amount()),
                        ("messages_sent", amount()),
                        ("bytes_received", amount()),
                        ("bytes_sent", amount()),
                    ]),
                ),
                (
                    "process",
                    answer(&[
                        ("memory_bytes", count()),
                        ("memory_bytes_max", count()),
                        ("cpu_seconds", amount()),
                        ("cpu_percent", amount()),
                        ("cpu_percent_max", amount()),
                        ("open_files", count()),
                        ("open_files_limit", nullable(count())),
                    ]),
                ),
                (
                    "bridges",
                    json!({
                        "type": "object",
                        "description": "By name",
                        "additionalProperties": reference("BridgeFigures"),
                    }),
                ),
            ]),
        ),
    ]
}
