//! The configuration as the API shows and takes it.

use serde_json::{Value, json};

use super::{
    Named, amount, answer, answer_with, any_text, count, described, flag, nullable, object,
    reference, texts,
};

/// Its schemas.
pub(super) fn all() -> Named {
    let text_or_none = || nullable(any_text());
    let subscription = answer(&[("topic", any_text()), ("qos", count())]);
    vec![
        ("Configuration", flat()),
        ("Tls", tls()),
        (
            "WebSocket",
            answer(&[
                ("enable", flag()),
                ("url", any_text()),
                ("tls_url", any_text()),
            ]),
        ),
        (
            "HttpServer",
            answer_with(
                &[
                    ("enable", flag()),
                    ("port", count()),
                    ("username", any_text()),
                    ("password", any_text()),
                    ("auth_type", json!({ "enum": ["basic", "jwt", "no_auth"] })),
                ],
                &[("addr", any_text())],
            ),
        ),
        (
            "Bridge",
            answer(&[
                ("bridge_mode", flag()),
                ("address", text_or_none()),
                ("proto_ver", count()),
                ("clientid", text_or_none()),
                ("clean_start", flag()),
                ("username", text_or_none()),
                ("password", text_or_none()),
                ("keepalive", count()),
                ("parallel", count()),
                ("forwards", texts()),
                (
                    "subscription",
                    json!({ "type": "array", "items": subscription }),
                ),
            ]),
        ),
        ("Section", section()),
        (
            "Reloadable",
            answer(&[
                ("property_size", count()),
                ("max_packet_size", described(count(), "Kilobytes")),
                ("client_max_packet_size", described(count(), "Kilobytes")),
                ("msq_len", count()),
                ("qos_duration", count()),
                ("keepalive_backoff", amount()),
                ("allow_anonymous", flag()),
                ("enable_mqtt_stream", flag()),
                ("bridge_mode", flag()),
            ]),
        ),
        (
            "Changed",
            answer_with(
                &[
                    ("code", json!({ "const": 0 })),
                    (
                        "applied",
                        described(texts(), "Keys that have changed at once"),
                    ),
                    (
                        "needs_restart",
                        described(texts(), "Keys that a restart will change"),
                    ),
                ],
                &[(
                    "ignored",
                    described(texts(), "Keys of what is not built yet"),
                )],
            ),
        ),
        (
            "ConfigurationChange",
            object(
                &[(
                    "data",
                    described(
                        json!({ "type": "object" }),
                        "Members of the configuration as it is shown, those that are to change",
                    ),
                )],
                &[],
            ),
        ),
    ]
}

fn flat() -> Value {
    answer(&[
        ("url", nullable(any_text())),
        ("num_taskq_thread", count()),
        ("max_taskq_thread", count()),
        ("parallel", count()),
        ("property_size", count()),
        ("msq_len", count()),
        ("qos_duration", count()),
        ("allow_anonymous", flag()),
        ("daemon", flag()),
        ("tls", reference("Tls")),
        ("websocket", reference("WebSocket")),
        ("http_server", reference("HttpServer")),
        ("bridge", reference("Bridge")),
        (
            "pending",
            described(texts(), "Keys that a restart would change"),
        ),
    ])
}

fn tls() -> Value {
    let text_or_none = || nullable(any_text());
    answer(&[
        ("enable", flag()),
        ("url", any_text()),
        ("key_password", text_or_none()),
        ("keypass", text_or_none()),
        (
            "key",
            described(text_or_none(), "PEM; when posted, null changes nothing"),
        ),
        (
            "cert",
            described(text_or_none(), "PEM; when posted, null changes nothing"),
        ),
        (
            "cacert",
            described(text_or_none(), "PEM; when posted, null changes nothing"),
        ),
        ("verify_peer", flag()),
        ("fail_if_no_peer_cert", flag()),
    ])
}

/// One member, which has the name of the section.
fn section() -> Value {
    let basic = answer(&[
        ("url", nullable(any_text())),
        ("num_taskq_thread", count()),
        ("max_taskq_thread", count()),
        ("parallel", count()),
        ("property_size", count()),
        ("daemon", flag()),
        ("max_packet_size", described(count(), "Kilobytes")),
        ("client_max_packet_size", described(count(), "Kilobytes")),
        ("msq_len", count()),
        ("qos_duration", count()),
        ("keepalive_backoff", amount()),
        ("allow_anonymous", flag()),
        ("ipc_internal", flag()),
    ]);
    let user = answer(&[("login", any_text()), ("password", any_text())]);
    let sections = [
        ("basic", basic),
        ("tls", reference("Tls")),
        ("auth", json!({ "type": "array", "items": user })),
        ("auth_http", json!({ "type": "object" })),
        ("websocket", json!({ "type": "object" })),
        ("http_server", reference("HttpServer")),
        ("sqlite", reference("Sqlite")),
        ("bridge", json!({ "type": "object" })),
    ];
    let mut one = answer_with(&[], &sections);
    one["minProperties"] = json!(1);
    one["maxProperties"] = json!(1);
    one
}
