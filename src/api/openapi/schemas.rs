//! What the members of requests and answers are.

mod answers;
mod bridges;
mod configuration;
mod requests;
mod statistics;

use serde_json::{Map, Value, json};

/// A topic filter without a share group.
pub const FILTER: &str = r"^(([^+#$/\x00]*|\+)(/([^+#/\x00]*|\+))*(/#)?|#)$";

/// A schema by its name.
pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A list of what has a schema.
pub fn list(name: &str) -> Value {
    json!({ "type": "array", "items": reference(name) })
}

/// A text of any kind.
pub fn any_text() -> Value {
    json!({ "type": "string" })
}

/// `true` or `false` as a text.
pub fn flag_text() -> Value {
    json!({ "enum": ["true", "false"] })
}

/// A whole number from 1 on.
pub fn positive() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX })
}

/// A text that matches.
pub fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// The answer of a request that shows something.
pub fn data(schema: Value) -> Value {
    answer(&[("code", zero()), ("data", schema)])
}

/// The answer of a request that did something.
pub fn done() -> Value {
    answer(&[("code", zero())])
}

/// A list, of which a page may be asked for.
pub fn page(name: &str) -> Value {
    let members = [("code", zero()), ("data", list(name))];
    answer_with(&members, &[("meta", reference("Meta"))])
}

/// A list that always comes in pages.
pub fn page_always(name: &str) -> Value {
    answer(&[
        ("code", zero()),
        ("data", list(name)),
        ("meta", reference("Meta")),
    ])
}

/// All schemas, by name.
pub fn all() -> Value {
    let mut schemas = Map::new();
    let groups = [
        answers::all(),
        bridges::all(),
        statistics::all(),
        configuration::all(),
        requests::all(),
    ];
    for (name, schema) in groups.into_iter().flatten() {
        schemas.insert(name.to_owned(), schema);
    }
    Value::Object(schemas)
}

/// Schemas with their names.
type Named = Vec<(&'static str, Value)>;

/// An object of an answer: all its members are there, and no other.
fn answer(members: &[(&str, Value)]) -> Value {
    answer_with(members, &[])
}

/// An object of an answer, some of whose members may not be there.
fn answer_with(members: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let mut object = object(members, optional);
    object["additionalProperties"] = json!(false);
    object
}

/// An object.
fn object(members: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let all = members.iter().chain(optional).cloned();
    let properties: Map<String, Value> = all
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn zero() -> Value {
    json!({ "const": 0 })
}

/// A whole number from 0 on.
fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// A number from 0 on.
fn amount() -> Value {
    json!({ "type": "number", "minimum": 0 })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn texts() -> Value {
    json!({ "type": "array", "items": any_text() })
}

fn role() -> Value {
    json!({ "enum": ["viewer", "administrator"] })
}
