//! What the bodies of requests are.

use serde_json::{Value, json};

use super::{Named, any_text, described, flag, list, nullable, object, pattern, role};

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
const CLIENT_USERNAME: &str = r##"^[^:"#\s\x00-\x1f\x7f-\x9f][^:"\x00-\x1f\x7f-\x9f]*$"##;
/// A topic name, also one that begins with `$`.
const ANY_TOPIC: &str = r"^[^+#\x00]+$";
/// A topic filter, also one that begins with `$`, but not one that is shared.
const ANY_FILTER: &str = r"^(?!\$share)([^+#/\x00]+|\+)(/([^+#/\x00]*|\+))*(/#)?$";
const ADDRESS: &str = r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$";
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
            "NewClientUser",
            object(
                &[
                    ("username", pattern(CLIENT_USERNAME)),
                    ("password", password()),
                ],
                &[("scram", nullable(flag()))],
            ),
        ),
        (
            "ClientPassword",
            object(&[("password", password())], &[("scram", nullable(flag()))]),
        ),
        ("AclRule", acl_rule()),
        (
            "NewAcl",
            object(
                &[("rules", list("AclRule"))],
                &[
                    ("no_match", nullable(json!({ "enum": ["allow", "deny"] }))),
                    (
                        "deny_action",
                        nullable(json!({ "enum": ["ignore", "disconnect"] })),
                    ),
                ],
            ),
        ),
        ("AclTest", acl_test()),
        (
            "PasswordChange",
            object(&[("old_pwd", any_text()), ("new_pwd", password())], &[]),
        ),
    ]
}

fn acl_rule() -> Value {
    let who = [
        ("username", any_text()),
        ("clientid", any_text()),
        ("ipaddr", described(any_text(), "An address or a network")),
    ];
    let mut part = object(&[], &who);
    part["additionalProperties"] = json!(false);
    let parts = json!({ "type": "array", "items": part });
    let further = [
        (
            "action",
            json!({ "enum": ["publish", "subscribe", "pubsub"] }),
        ),
        ("and", parts.clone()),
        ("or", parts),
        (
            "topics",
            described(
                json!({ "type": "array", "items": any_text() }),
                "Topic filters, in which ${clientid} and ${username} stand for the client's own",
            ),
        ),
    ];
    let permit = [("permit", json!({ "enum": ["allow", "deny"] }))];
    let mut rule = object(&permit, &[who.to_vec(), further.to_vec()].concat());
    rule["additionalProperties"] = json!(false);
    rule
}

fn acl_test() -> Value {
    let of = |action: &str, topic: &str| {
        object(
            &[
                ("action", json!({ "const": action })),
                ("topic", pattern(topic)),
            ],
            &[],
        )
    };
    let mut test = object(
        &[("clientid", any_text())],
        &[
            ("username", nullable(any_text())),
            ("address", nullable(pattern(ADDRESS))),
        ],
    );
    test["oneOf"] = json!([of("publish", ANY_TOPIC), of("subscribe", ANY_FILTER)]);
    test
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
                    "additionalProperties": {
                        "anyOf": [pattern(PLAIN), { "type": ["number", "boolean", "null"] }],
                    },
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
    // `null` says nothing, as with every member, and beside `topic` nothing is made of `topics`.
    let topics = object["properties"]["topics"].take();
    object["properties"]["topics"] = nullable(any_text());
    object["properties"]["topic"] = nullable(object["properties"]["topic"].take());
    object["anyOf"] = json!([
        { "required": ["topic"], "properties": { "topic": { "type": "string" } } },
        { "required": ["topics"], "properties": { "topics": topics, "topic": { "type": "null" } } },
    ]);
    object
}
