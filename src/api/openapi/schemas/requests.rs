//! What the bodies of requests are.

use serde_json::{Value, json};

use super::{Named, any_text, described, flag, nullable, object, pattern, role};

/// A topic filter.
const FILTER: &str = r"^([^+#$/\x00]+|\+)(/([^+#/\x00]*|\+))*(/#)?$";
/// Several topic filters between commas.
const FILTERS: &str = r"^[^+#$/,\x00]+(/[^+#/,\x00]*)*(,[^+#$/,\x00]+(/[^+#/,\x00]*)*)*$";
/// A topic name.
const TOPIC: &str = r"^[^+#$\x00][^+#\x00]*$";
/// Several topic names between commas.
const TOPICS: &str = r"^[^+#$,\x00][^+#,\x00]*(,[^+#$,\x00][^+#,\x00]*)*$";
/// A text that fits a property of MQTT 5.
const PLAIN: &str = r"^[^\x00]*$";
const BASE64: &str = r"^([A-Za-z0-9+/]{4})*$";
const USERNAME: &str = r"^[^:\x00-\x1f\x7f-\x9f]+$";
const PASSWORD: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";

/// Their schemas.
pub(super) fn all() -> Named {
    let client = [("clientid", any_text())];
    let filters = [("topic", pattern(FILTER)), ("topics", pattern(FILTERS))];
    let password = || pattern(PASSWORD);
    vec![
        ("PublishRequest", publish()),
        ("Properties", properties()),
        (
            "SubscribeRequest",
            one_topic(object(
                &client,
                &[filters.to_vec(), vec![("qos", qos())]].concat(),
            )),
        ),
        ("UnsubscribeRequest", one_topic(object(&client, &filters))),
        (
            "NewUser",
            object(
                &[("username", pattern(USERNAME)), ("password", password())],
                &[
                    ("role", nullable(role())),
                    ("description", nullable(any_text())),
                ],
            ),
        ),
        (
            "UserChange",
            object(
                &[],
                &[
                    ("role", nullable(role())),
                    ("description", nullable(any_text())),
                ],
            ),
        ),
        (
            "PasswordChange",
            object(&[("old_pwd", any_text()), ("new_pwd", password())], &[]),
        ),
    ]
}

fn publish() -> Value {
    let coding = || nullable(json!({ "enum": ["plain", "base64"] }));
    let mut publish = one_topic(object(
        &[("payload", any_text())],
        &[
            ("topic", pattern(TOPIC)),
            (
                "topics",
                described(pattern(TOPICS), "Several, between commas"),
            ),
            (
                "clientid",
                described(nullable(any_text()), "Named in the log"),
            ),
            ("qos", qos()),
            ("retain", nullable(flag())),
            (
                "decoding",
                described(coding(), "What the payload is decoded from"),
            ),
            (
                "encoding",
                described(coding(), "What the payload is encoded to then"),
            ),
            ("properties", nullable(super::reference("Properties"))),
        ],
    ));
    let decoding =
        json!({ "properties": { "decoding": { "const": "base64" } }, "required": ["decoding"] });
    publish["if"] = decoding;
    publish["then"] = json!({ "properties": { "payload": pattern(BASE64) } });
    publish
}

fn properties() -> Value {
    let number = |most: u32| nullable(json!({ "type": "integer", "minimum": 0, "maximum": most }));
    let text = || nullable(pattern(PLAIN));
    object(
        &[],
        &[
            ("payload_format_indicator", number(1)),
            (
                "message_expiry_interval",
                described(number(u32::MAX), "Seconds"),
            ),
            ("response_topic", nullable(pattern(TOPIC))),
            ("correlation_data", nullable(any_text())),
            ("content_type", text()),
            (
                "user_properties",
                nullable(json!({
                    "type": "object",
                    "propertyNames": pattern(PLAIN),
                    "additionalProperties": pattern(PLAIN),
                    "maxProperties": 50,
                })),
            ),
        ],
    )
}

fn qos() -> Value {
    nullable(json!({ "enum": [0, 1, 2] }))
}

/// The same object with `topic`, or else `topics`.
fn one_topic(mut object: Value) -> Value {
    object["anyOf"] = json!([{ "required": ["topic"] }, { "required": ["topics"] }]);
    object
}
