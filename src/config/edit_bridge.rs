//! Editing one bridge in the text of a configuration file. As in [`super::edit`], nothing here proves that the result
//! means what was wanted.

use serde_json::Value as Json;

use super::edit::{Line, Way, appended, comment, flat_value, with_lines, with_values, without};
use super::load::FileForm;
use super::model_bridges::{BridgeConfig, DEFAULT_BRIDGE};
use super::render::{Leaf, collect, key_text};
use super::scan::{Item, Shape, Span, scan};

/// Texts in which a bridge that was `before` is `after`, or is gone: the one that changes least first.
pub(super) fn edit_bridge(
    text: &str,
    form: FileForm,
    name: &str,
    before: Option<&BridgeConfig>,
    after: Option<&BridgeConfig>,
) -> Vec<String> {
    match form {
        FileForm::Hocon => hocon(text, name, before, after),
        FileForm::Flat => flat(text, name, after).into_iter().collect(),
    }
}

fn hocon(
    text: &str,
    name: &str,
    before: Option<&BridgeConfig>,
    after: Option<&BridgeConfig>,
) -> Vec<String> {
    let path = ["bridges", "mqtt", name].map(str::to_owned);
    let key = format!("bridges.mqtt.{}", key_text(name));
    let block = after.map(|after| block(&key, after));
    let mut texts = Vec::new();
    if let (Some(before), Some(after)) = (before, after) {
        let before = leaves(before);
        let changed = leaves(after)
            .into_iter()
            .filter(|leaf| !before.contains(leaf));
        let lines = changed.map(|leaf| Line {
            key: format!("{key}.{}", dotted(&leaf.path)),
            path: [&path[..], &leaf.path].concat(),
            value: leaf.value.to_string(),
        });
        let lines: Vec<Line> = lines.collect();
        texts.extend(in_section(text, &path, &lines));
        texts.extend([Way::Replace, Way::Append].map(|way| with_values(text, &lines, way)));
    }
    texts.push(appended(&without(text, &path), block.as_slice()));
    // What an include has of it is taken away by null.
    let end = [Some(format!("{key} = null")), block];
    let end: Vec<String> = end.into_iter().flatten().collect();
    texts.push(appended(text, &end));
    texts
}

/// The text with the values in it, those that stand nowhere yet at the end of the section of the bridge; none where there
/// is no such section, or nothing is new.
fn in_section(text: &str, path: &[String], lines: &[Line]) -> Option<String> {
    let items = scan(text);
    let spans: Vec<&Span> = items
        .iter()
        .filter_map(|item| match item {
            Item::Value(span) => Some(span),
            Item::Include(_) => None,
        })
        .collect();
    let is_there = |line: &&Line| spans.iter().any(|span| span.path == line.path);
    let (known, new): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(is_there);
    let mut sections = spans.iter().rev();
    let section = sections.find(|span| span.path == path && span.shape == Shape::Object)?;
    let end = section.whole.end.checked_sub(1)?;
    if new.is_empty() || !text.get(end..)?.starts_with('}') {
        return None;
    }
    let short = |line: &&Line| {
        let key = dotted(line.path.get(path.len()..).unwrap_or_default());
        format!("{key} = {}", line.value)
    };
    let (body, rest) = text.split_at_checked(end)?;
    let edited = match blank_before(body) {
        // The brace stands on a line of its own.
        Some(outer) => {
            let first = spans.iter().find(|span| {
                span.whole.start > section.value.start && span.whole.end < section.whole.end
            });
            let inner = first.and_then(|first| blank_before(text.get(..first.whole.start)?));
            let inner = inner.map_or_else(|| format!("{outer}    "), str::to_owned);
            let lines: Vec<String> = new.iter().map(short).collect();
            let lines: Vec<String> = lines.iter().map(|line| format!("{inner}{line}")).collect();
            let above = body.strip_suffix(outer)?;
            format!("{}{outer}{rest}", with_lines(above, &lines))
        }
        None => {
            let body = body.trim_end();
            let comma = if body.ends_with(['{', ',']) { "" } else { "," };
            let lines: Vec<String> = new.iter().map(short).collect();
            format!("{body}{comma} {} {rest}", lines.join(", "))
        }
    };
    let known: Vec<Line> = known.into_iter().cloned().collect();
    Some(with_values(&edited, &known, Way::Replace))
}

/// The space between the beginning of the last line and the end of a text, if there is nothing else.
fn blank_before(text: &str) -> Option<&str> {
    let (_, last) = text.rsplit_once('\n')?;
    last.trim().is_empty().then_some(last)
}

/// A bridge as a section of its own: what is not as by default.
fn block(key: &str, bridge: &BridgeConfig) -> String {
    let default = leaves(&BridgeConfig::default());
    let mut out = format!("{key} {{\n");
    for leaf in leaves(bridge) {
        if default.contains(&leaf) {
            continue;
        }
        let value = match &leaf.value {
            Json::Array(items) if items.iter().any(Json::is_object) => {
                let items = items.iter().map(|item| format!("        {item}\n"));
                format!("[\n{}    ]", items.collect::<String>())
            }
            value => value.to_string(),
        };
        out.push_str(&format!("    {} = {value}\n", dotted(&leaf.path)));
    }
    out.push('}');
    out
}

fn dotted(path: &[String]) -> String {
    let names: Vec<String> = path.iter().map(|name| key_text(name)).collect();
    names.join(".")
}

fn leaves(bridge: &BridgeConfig) -> Vec<Leaf> {
    // Texts, numbers and lists of them: serialising it does not fail.
    let json = serde_json::to_value(bridge).unwrap_or(Json::Null);
    let mut leaves = Vec::new();
    collect(Vec::new(), &json, &mut leaves);
    leaves
}

/// The flat text, if the form can express the bridge: its lines stay where they are, with new values; those that it does
/// not need any more go.
fn flat(text: &str, name: &str, after: Option<&BridgeConfig>) -> Option<String> {
    let mut wanted = match after {
        Some(after) => flat_lines(name, after)?,
        None => Vec::new(),
    };
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        let key_and_value = content.split_once('=');
        let bare = key_and_value.map_or("", |(key, _)| key.trim_start_matches('\u{feff}').trim());
        let Some((key, old)) = key_and_value.filter(|_| is_of(bare, name)) else {
            lines.push(line.to_owned());
            continue;
        };
        let bare = bare.replacen("bridge.mqtt.", "bridge.", 1);
        let at = wanted
            .iter()
            .position(|(key, _)| key.replacen("bridge.mqtt.", "bridge.", 1) == bare);
        if let Some(at) = at {
            let (_, value) = wanted.remove(at);
            let space = old.len().saturating_sub(old.trim_start().len());
            let space = old.get(..space).unwrap_or("");
            let comment = comment(old).filter(|_| !value.starts_with('"'));
            let end = line.get(content.len()..).unwrap_or("");
            lines.push(format!(
                "{key}={space}{value}{}{end}",
                comment.unwrap_or("")
            ));
        }
    }
    let added: Vec<String> = wanted
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    Some(with_lines(&lines.concat(), &added))
}

/// Whether a flat key is one of a bridge.
fn is_of(key: &str, name: &str) -> bool {
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    super::flat_bridges::key_of(&path).is_some_and(|(of, _)| of == name)
}

/// The keys and values of a bridge in the flat form: what is not as by default.
fn flat_lines(name: &str, bridge: &BridgeConfig) -> Option<Vec<(String, String)>> {
    let prefix = match name {
        DEFAULT_BRIDGE => "bridge.mqtt".to_owned(),
        name => format!("bridge.mqtt.{name}"),
    };
    let default = leaves(&BridgeConfig::default());
    let mut lines = vec![(format!("{prefix}.bridge_mode"), bridge.enable.to_string())];
    for leaf in leaves(bridge) {
        if default.contains(&leaf) || leaf.path == ["enable"] {
            continue;
        }
        let key = match leaf.path.join(".").as_str() {
            "server" => "address".to_owned(),
            "max_parallel_processes" => "parallel".to_owned(),
            key => key
                .replace("conn_properties.", "connect.properties.")
                .replace("sub_properties.", "subscription.properties.")
                .replace("ssl.", "tls."),
        };
        match &leaf.value {
            Json::Array(items) if items.iter().all(Json::is_object) => {
                for (number, item) in (1..).zip(items) {
                    for (field, value) in item.as_object()? {
                        let key = format!("{prefix}.{key}.{number}.{field}");
                        lines.push((key, flat_text(value)?));
                    }
                }
            }
            Json::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(Json::as_str).collect();
                lines.push((format!("{prefix}.{key}"), texts?.join(",")));
            }
            value => lines.push((format!("{prefix}.{key}"), flat_text(value)?)),
        }
    }
    Some(lines)
}

fn flat_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => flat_value("", text),
        value => Some(value.to_string()),
    }
}
