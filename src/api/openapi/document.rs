//! The OpenAPI document: routes, what is known of them, and the schemas.

use serde_json::{Map, Value, json};

use super::{
    operations::{self, Answer, Operation, Parameter},
    schemas::{self, reference},
};
use crate::api::{ENDPOINTS, PREFIX, endpoints::Endpoint, health};

/// Statuses that any route may answer with: no or wrong credentials, too many of them, no answer in time.
const ALWAYS: [u16; 3] = [401, 429, 500];

/// Builds the document.
pub fn build() -> Value {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let Some(operation) = operations::find(endpoint.name) else {
            continue;
        };
        let item = paths
            .entry(template(endpoint.path))
            .or_insert_with(|| json!({}));
        item[endpoint.method.as_str().to_ascii_lowercase()] = describe(endpoint, operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "nanomq HTTP API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "NanoMQ's HTTP API v4. Every path may also end with a slash. In a request, null counts as not given, and unknown \
                members of a body are left alone. In a query string, a parameter without a value counts as not given, an unknown one is \
                refused, and of one with several values the last holds where a list is allowed.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "basic": [] }, { "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

/// A path in the form of OpenAPI, parameters in braces, without a slash at its end.
fn template(path: &str) -> String {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let segments = segments.map(|segment| match segment.strip_prefix(':') {
        Some(name) => format!("/{{{name}}}"),
        None => format!("/{segment}"),
    });
    std::iter::once(PREFIX.to_owned()).chain(segments).collect()
}

fn describe(endpoint: &Endpoint, operation: &Operation) -> Value {
    let in_path = endpoint.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix(':')?;
        let schema = operations::path_parameter(endpoint.path, name);
        Some(json!({ "name": name, "in": "path", "required": true, "schema": schema }))
    });
    let in_query = operation.query.iter().map(Parameter::describe);
    let mut described = json!({
        "operationId": endpoint.name,
        "summary": endpoint.descr,
        "tags": [tag(endpoint.path)],
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": responses(endpoint, operation),
    });
    if let Some(body) = &operation.body {
        let content = json!({ (body.content_type): { "schema": (body.schema)() } });
        described["requestBody"] = json!({ "required": body.required, "content": content });
    }
    if endpoint.path == health::PATH {
        described["security"] = json!([]);
    }
    described
}

fn responses(endpoint: &Endpoint, operation: &Operation) -> Value {
    let content = match operation.answer {
        Answer::Json(schema) => json!({ "application/json": { "schema": schema() } }),
        Answer::Text(content_type) => json!({ (content_type): { "schema": { "type": "string" } } }),
    };
    let mut responses = json!({ "200": { "description": "Done", "content": content } });
    let open = endpoint.path == health::PATH;
    // A viewer, and a page of another origin, may only read.
    let changes = endpoint.method != "GET";
    let statuses = ALWAYS.iter().filter(|status| !open || **status == 500);
    let statuses = statuses.chain(operation.refusals);
    for status in statuses.chain(changes.then_some(&403)) {
        responses[status.to_string()] = json!({
            "description": reason(*status),
            "content": { "application/json": { "schema": reference("Error") } },
        });
    }
    responses
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "The request is not as described",
        401 => "No credentials, or wrong ones",
        403 => "The user may not do this",
        404 => "There is no such thing",
        408 => "The body did not come in time",
        413 => "The body is larger than http_server.max_body",
        429 => "Too many failed logins from this address",
        503 => "The broker is stopping",
        _ => "The broker could not do it",
    }
}

/// The resource that a path is about.
fn tag(path: &str) -> &str {
    path.split('/')
        .find(|segment| !segment.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        for endpoint in ENDPOINTS {
            assert!(
                operations::find(endpoint.name).is_some(),
                "{}",
                endpoint.name
            );
        }
        for operation in operations::ALL {
            let routes = ENDPOINTS
                .iter()
                .filter(|route| route.name == operation.name);
            assert_eq!(routes.count(), 1, "{}", operation.name);
        }
    }

    #[test]
    fn references_lead_somewhere() {
        fn walk(value: &Value, document: &Value, found: &mut usize) {
            match value {
                Value::Object(members) => {
                    if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                        let pointer = target.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{target}");
                        *found += 1;
                    }
                    members
                        .values()
                        .for_each(|value| walk(value, document, found));
                }
                Value::Array(values) => {
                    values.iter().for_each(|value| walk(value, document, found))
                }
                _ => {}
            }
        }
        let (document, mut found) = (build(), 0);
        walk(&document, &document, &mut found);
        assert!(found > ENDPOINTS.len());
    }
}
