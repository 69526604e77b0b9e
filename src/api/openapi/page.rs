//! The description as a page for people.

use std::fmt::Write;

use serde_json::Value;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
    h1,h2,h3{line-height:1.2}h2{margin-top:3rem;border-bottom:1px solid #ccc}h3{margin-top:2rem}\
    code,.method{font-family:ui-monospace,monospace}.method{display:inline-block;min-width:4.5rem;font-weight:bold}\
    table{border-collapse:collapse;margin:.5rem 0}td,th{border:1px solid #ddd;padding:.2rem .6rem;text-align:left;vertical-align:top}\
    nav{columns:2}nav a{display:block}\
    @media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}a{color:#8bf}td,th{border-color:#444}}";

/// Makes the page of an OpenAPI document.
pub fn render(document: &Value) -> String {
    let mut page = String::new();
    // Writing to a text does not fail.
    let _ = write_page(document, &mut page);
    page
}

fn write_page(document: &Value, page: &mut String) -> std::fmt::Result {
    let info = &document["info"];
    let title = escape(text(&info["title"]));
    write!(
        page,
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title} {}</h1><p>{}</p>\
         <p>For programs: <a href=\"/api/v4/openapi.json\">openapi.json</a></p><nav>",
        escape(text(&info["version"])),
        escape(text(&info["description"])),
    )?;
    for (path, method, operation) in operations(document) {
        let id = escape(text(&operation["operationId"]));
        let (method, path) = (escape(&method.to_uppercase()), escape(path));
        write!(
            page,
            "<a href=\"#{id}\"><span class=\"method\">{method}</span> <code>{path}</code></a>"
        )?;
    }
    page.push_str("</nav><h2>Requests</h2>");
    for (path, method, operation) in operations(document) {
        write_operation(path, method, operation, page)?;
    }
    page.push_str("<h2>Objects</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let name = escape(name);
        write!(page, "<h3 id=\"{name}\">{name}</h3>")?;
        write_schema(schema, page)?;
    }
    page.push_str("</html>\n");
    Ok(())
}

/// Path, method and description of each operation.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    members(&document["paths"]).flat_map(|(path, item)| {
        members(item).map(move |(method, operation)| (path, method, operation))
    })
}

fn write_operation(
    path: &str,
    method: &str,
    operation: &Value,
    page: &mut String,
) -> std::fmt::Result {
    let id = escape(text(&operation["operationId"]));
    write!(
        page,
        "<h3 id=\"{id}\"><span class=\"method\">{}</span> <code>{}</code></h3><p>{}</p>",
        escape(&method.to_uppercase()),
        escape(path),
        escape(text(&operation["summary"])),
    )?;
    let parameters = operation["parameters"].as_array();
    if let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) {
        page.push_str("<table><tr><th>parameter<th>in<th>takes<th>");
        for parameter in parameters {
            write!(
                page,
                "<tr><td><code>{}</code><td>{}<td>{}<td>{}",
                escape(text(&parameter["name"])),
                escape(text(&parameter["in"])),
                kind(&parameter["schema"]),
                escape(text(&parameter["description"])),
            )?;
        }
        page.push_str("</table>");
    }
    for (_, content) in members(&operation["requestBody"]["content"]) {
        write!(page, "<p>Body: {}</p>", kind(&content["schema"]))?;
    }
    page.push_str("<table><tr><th>status<th><th>answer");
    for (status, response) in members(&operation["responses"]) {
        let content = members(&response["content"]).next();
        let (_, content) = content.unwrap_or(("", &Value::Null));
        let (status, why) = (escape(status), escape(text(&response["description"])));
        write!(
            page,
            "<tr><td>{status}<td>{why}<td>{}",
            kind(&content["schema"])
        )?;
    }
    page.push_str("</table>");
    Ok(())
}

fn write_schema(schema: &Value, page: &mut String) -> std::fmt::Result {
    if schema.get("properties").is_none() {
        return write!(page, "<p>{}</p>", kind(schema));
    }
    page.push_str("<table><tr><th>member<th>is<th>");
    for (name, member) in members(&schema["properties"]) {
        let (name, what) = (escape(name), escape(text(&member["description"])));
        write!(
            page,
            "<tr><td><code>{name}</code><td>{}<td>{what}",
            kind(member)
        )?;
    }
    page.push_str("</table>");
    Ok(())
}

/// What a schema is, in a few words, as HTML.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|target| target.rsplit('/').next())
    {
        let name = escape(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", escape(&value.to_string()));
    }
    for (keyword, between) in [("enum", ", "), ("anyOf", " or ")] {
        if let Some(values) = schema[keyword]
            .as_array()
            .filter(|_| schema.get("type").is_none())
        {
            let values = values.iter().filter(|value| value["const"] != "");
            let values = values.map(|value| match keyword {
                "enum" => format!("<code>{}</code>", escape(&value.to_string())),
                _ => kind(value),
            });
            return values.collect::<Vec<_>>().join(between);
        }
    }
    if let Some(types) = schema["type"].as_array() {
        let names = types.iter().map(|name| escape(text(name)));
        return names.collect::<Vec<_>>().join(" or ");
    }
    let range = match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        (Some(least), Some(most)) if most < u64::from(u32::MAX) => {
            format!(" from {least} to {most}")
        }
        (Some(1), _) => " from 1 on".to_owned(),
        _ => String::new(),
    };
    match (
        text(&schema["type"]),
        schema.get("items"),
        schema.get("properties"),
    ) {
        ("array", Some(items), _) => format!("list of {}", kind(items)),
        ("object", _, Some(properties)) => {
            let inner = members(properties)
                .map(|(name, member)| format!("<code>{}</code>: {}", escape(name), kind(member)));
            format!("{{ {} }}", inner.collect::<Vec<_>>().join(", "))
        }
        (name, ..) => format!("{}{range}", escape(name)),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_the_document_becomes_markup() {
        let bad = "<b>&\"";
        let document = json!({
            "info": { "title": bad, "version": bad, "description": bad },
            "paths": { (bad): { (bad): {
                "operationId": bad,
                "summary": bad,
                "parameters": [{ "name": bad, "in": bad, "description": bad, "schema": { "enum": [bad] } }],
                "responses": { (bad): { "description": bad, "content": { "x": { "schema": { "const": bad } } } } },
            } } },
            "components": { "schemas": { (bad): { "properties": { (bad): { "type": bad, "description": bad } } } } },
        });
        let page = render(&document).to_lowercase();
        assert!(!page.contains("<b>") && page.contains("&lt;b&gt;&amp;&quot;"));
    }
}
