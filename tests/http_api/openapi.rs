//! The description of the API against the API.

use std::collections::BTreeSet;

use nanomq::mqtt::QoS;
use serde_json::Value;

use crate::kit::{ADMIN, At, Mqtt, V5, client, with_broker};

fn document(at: At) -> Value {
    let answer = at.get("/openapi.json");
    assert_eq!(answer.status, 200);
    answer.json()
}

#[test]
fn it_lists_the_endpoints_of_the_list() {
    with_broker(
        |_| {},
        |at| {
            let document = document(at);
            let mut described = BTreeSet::new();
            for (path, item) in document["paths"].as_object().unwrap() {
                for method in item.as_object().unwrap().keys() {
                    described.insert((method.to_uppercase(), path.clone()));
                }
            }
            let list = at.get("").json();
            let listed: BTreeSet<_> = list["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| {
                    let path = row["path"].as_str().unwrap().trim_end_matches('/');
                    let segments = path.split('/').skip(1);
                    let segments = segments.map(|segment| match segment.strip_prefix(':') {
                        Some(name) => format!("/{{{name}}}"),
                        None => format!("/{segment}"),
                    });
                    let path: String = segments.collect();
                    let method = row["method"].as_str().unwrap().to_owned();
                    (method, format!("/api/v4{path}"))
                })
                .collect();
            assert_eq!(described, listed);
        },
    );
}

#[test]
fn the_page_names_every_path() {
    with_broker(
        |_| {},
        |at| {
            let page = at.get("/docs");
            assert_eq!(page.status, 200);
            let kind = page.header("content-type").unwrap();
            assert!(kind.starts_with("text/html"), "{kind}");
            for path in document(at)["paths"].as_object().unwrap().keys() {
                assert!(
                    page.body.contains(&format!("<code>{path}</code>")),
                    "{path}"
                );
            }
            assert_eq!(at.request("GET", "/docs", None).status, 401);
        },
    );
}

#[test]
fn answers_are_as_described() {
    with_broker(
        |config| config.http_server.max_failed_logins = 0,
        |at| {
            let mut subscriber = Mqtt::connect(at, &client(V5, "a client", None));
            subscriber.subscribe("a/+", QoS::AtLeastOnce);
            let publish = r#"{"topic":"a/b","payload":"x","retain":true}"#;
            assert_eq!(at.post("/mqtt/publish", publish).status, 200);
            let bridge =
                r#"{"name":"x","server":"127.0.0.1:1","subscription":["a"],"forwards":["b"]}"#;
            let document = document(at);
            let requests: &[(&str, &str, &str, Option<&str>)] = &[
                ("GET", "/brokers", "/brokers", None),
                ("GET", "/nodes", "/nodes", None),
                ("GET", "/clients", "/clients", None),
                ("GET", "/clients", "/clients?_page=1&_limit=1", None),
                ("GET", "/clients", "/clients?nothing=1", None),
                ("GET", "/clients/{clientid}", "/clients/a%20client", None),
                ("GET", "/clients/{clientid}", "/clients/nobody", None),
                (
                    "GET",
                    "/clients/username/{username}",
                    "/clients/username/nobody",
                    None,
                ),
                (
                    "GET",
                    "/clients/{clientid}/inflight",
                    "/clients/a%20client/inflight",
                    None,
                ),
                (
                    "GET",
                    "/clients/{clientid}/mqueue",
                    "/clients/a%20client/mqueue",
                    None,
                ),
                ("GET", "/slow_clients", "/slow_clients", None),
                ("GET", "/subscriptions", "/subscriptions", None),
                (
                    "GET",
                    "/subscriptions/{clientid}",
                    "/subscriptions/a%20client",
                    None,
                ),
                ("GET", "/topic-tree", "/topic-tree", None),
                ("GET", "/configuration", "/configuration", None),
                (
                    "GET",
                    "/configuration/{section}",
                    "/configuration/basic",
                    None,
                ),
                (
                    "GET",
                    "/configuration/{section}",
                    "/configuration/http_server",
                    None,
                ),
                (
                    "GET",
                    "/configuration/{section}",
                    "/configuration/tls",
                    None,
                ),
                (
                    "GET",
                    "/configuration/{section}",
                    "/configuration/auth",
                    None,
                ),
                (
                    "GET",
                    "/configuration/{section}",
                    "/configuration/none",
                    None,
                ),
                ("GET", "/reload", "/reload", None),
                ("GET", "/metrics", "/metrics", None),
                ("GET", "/stats", "/stats", None),
                ("GET", "/listeners", "/listeners", None),
                ("GET", "/health", "/health", None),
                ("GET", "/retained", "/retained", None),
                ("GET", "/users", "/users", None),
                ("POST", "/bridges", "/bridges", Some(bridge)),
                ("GET", "/bridges", "/bridges", None),
                ("GET", "/bridges", "/bridges?x=1", None),
                ("GET", "/bridges/{name}", "/bridges/x", None),
                ("GET", "/bridges/{name}", "/bridges/none", None),
                ("GET", "/configuration", "/configuration", None),
                (
                    "GET",
                    "/configuration/{section}",
                    "/configuration/bridge",
                    None,
                ),
                ("GET", "/metrics", "/metrics", None),
                ("GET", "/stats", "/stats", None),
                (
                    "POST",
                    "/bridges/switch/{name}",
                    "/bridges/switch/x",
                    Some(r#"{"data":{}}"#),
                ),
                ("DELETE", "/bridges/{name}", "/bridges/x", None),
                ("DELETE", "/bridges/{name}", "/bridges/x", None),
                (
                    "POST",
                    "/configuration",
                    "/configuration",
                    Some(r#"{"data":{"msq_len":77}}"#),
                ),
                (
                    "POST",
                    "/configuration",
                    "/configuration",
                    Some(r#"{"data":{"msq_len":"x"}}"#),
                ),
                ("POST", "/mqtt/publish", "/mqtt/publish", Some(publish)),
                (
                    "POST",
                    "/mqtt/publish",
                    "/mqtt/publish",
                    Some(r#"{"topic":"+"}"#),
                ),
                (
                    "POST",
                    "/mqtt/subscribe_batch",
                    "/mqtt/subscribe_batch",
                    Some(
                        r#"[{"clientid":"a client","topic":"b"},{"clientid":"no","topic":"b"},{}]"#,
                    ),
                ),
                ("DELETE", "/clients/{clientid}", "/clients/nobody", None),
                ("DELETE", "/clients/{clientid}", "/clients/a%20client", None),
                ("DELETE", "/retained", "/retained", None),
                ("DELETE", "/retained", "/retained?topic=a/b", None),
            ];
            for (method, path, target, body) in requests {
                let answer = match body {
                    Some(body) => at.post(target, body),
                    None => at.request(method, target, Some(ADMIN)),
                };
                let operation = &document["paths"][format!("/api/v4{path}")][method.to_lowercase()];
                let response = &operation["responses"][answer.status.to_string()];
                let schema = &response["content"]["application/json"]["schema"];
                assert!(
                    schema.is_object(),
                    "{method} {target}: {} is not described",
                    answer.status
                );
                if let Err(why) = conforms(&answer.json(), schema, &document) {
                    panic!("{method} {target}: {why}: {}", answer.body);
                }
            }
        },
    );
}

/// Whether a value is as the parts of JSON Schema say that the document uses.
fn conforms(value: &Value, schema: &Value, document: &Value) -> Result<(), String> {
    let not = |what: &dyn std::fmt::Display| Err(format!("{value} is not {what}"));
    if let Some(target) = schema["$ref"].as_str() {
        let target = document.pointer(&target[1..]).unwrap();
        return conforms(value, target, document);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let any = choices
            .iter()
            .any(|choice| conforms(value, choice, document).is_ok());
        if !any {
            return not(&schema["anyOf"]);
        }
    }
    if let Some(constant) = schema.get("const").filter(|constant| *constant != value) {
        return not(constant);
    }
    if let Some(values) = schema["enum"]
        .as_array()
        .filter(|values| !values.contains(value))
    {
        return not(&Value::from(values.clone()));
    }
    let right = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some(other) => panic!("unknown type {other}"),
    };
    if !right || value.as_f64() < schema["minimum"].as_f64().filter(|_| value.is_number()) {
        return not(schema);
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return Err(format!("{name} is missing"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let described = match (
            schema["properties"].get(name),
            &schema["additionalProperties"],
        ) {
            (Some(described), _) => described,
            (None, Value::Bool(false)) => return Err(format!("{name} is not described")),
            (None, others) => others,
        };
        conforms(member, described, document).map_err(|why| format!("{name}: {why}"))?;
    }
    let items = value.as_array().filter(|_| schema["items"].is_object());
    for item in items.into_iter().flatten() {
        conforms(item, &schema["items"], document)?;
    }
    Ok(())
}
