//! Editing the text of a configuration file: values are replaced where they stand, or keys are added at the end.
//! Everything else, comments and includes among it, stays as it is.
//!
//! Nothing here proves that the result means what was wanted; [`super::change`] reads it again to see.

use std::ops::Range;

use super::aliases::{self, Target};
use super::apply::normalised;
use super::change::Setting;
use super::load::FileForm;
use super::scan::{Item, Shape, scan};

/// How settings get into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// In the place of the values they have there; at the end where they have none.
    Replace,
    /// At the end, where the last one counts.
    Append,
}

/// The text with the settings in it; the key of one that the form cannot express otherwise.
pub(crate) fn edit(
    text: &str,
    form: FileForm,
    settings: &[Setting],
    way: Way,
) -> Result<String, &'static str> {
    match form {
        FileForm::Hocon => Ok(hocon(text, settings, way)),
        FileForm::Flat => flat(text, settings, way),
    }
}

/// A value and where it goes in a HOCON text.
#[derive(Clone)]
pub(super) struct Line {
    /// The names of its key.
    pub(super) path: Vec<String>,
    /// The key as it is written.
    pub(super) key: String,
    /// The value as it is written.
    pub(super) value: String,
}

fn hocon(text: &str, settings: &[Setting], way: Way) -> String {
    let lines = settings.iter().map(|setting| Line {
        path: setting.path(),
        key: setting.key.to_owned(),
        value: match setting.key {
            // JSON is HOCON.
            "auth.acl.rules" => setting.value.expose().to_owned(),
            _ => hocon_value(setting.value.expose()),
        },
    });
    with_values(text, &lines.collect::<Vec<_>>(), way)
}

/// The HOCON text with the values of lines in it. A list takes the place of a list, another value that of another.
pub(super) fn with_values(text: &str, lines: &[Line], way: Way) -> String {
    let items = scan(text);
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut added = Vec::new();
    for line in lines {
        let is_list = line.value.starts_with('[');
        let places = items.iter().filter_map(|item| match item {
            Item::Value(span)
                if (span.shape == Shape::Scalar || (is_list && span.shape == Shape::Array))
                    && !span.appends =>
            {
                (normalised(&span.path) == line.path).then(|| span.value.clone())
            }
            _ => None,
        });
        let before = edits.len();
        if way == Way::Replace {
            edits.extend(places.map(|place| (place, line.value.clone())));
        }
        if edits.len() == before {
            added.push(format!("{} = {}", line.key, line.value));
        }
    }
    edits.sort_by_key(|(place, _)| place.start);
    appended(&spliced(text, &edits), &added)
}

/// The HOCON text without everything whose path begins with `path`, as far as it stands in this text itself.
pub(super) fn without(text: &str, path: &[String]) -> String {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for item in scan(text) {
        let Item::Value(span) = item else { continue };
        let is_inside = edits
            .last()
            .is_some_and(|(cut, _)| span.whole.start < cut.end);
        if span.path.starts_with(path) && !is_inside {
            edits.push((with_line(text, span.whole), String::new()));
        }
    }
    spliced(text, &edits)
}

/// A range, with the rest of its line where nothing else stands on it, and else with a comma behind it.
fn with_line(text: &str, range: Range<usize>) -> Range<usize> {
    let before = text.get(..range.start).unwrap_or("");
    let after = text.get(range.end..).unwrap_or("");
    let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
    let line_end = after
        .find('\n')
        .map_or(after.len(), |at| at.saturating_add(1));
    let blank = |part: Option<&str>| part.is_some_and(|part| part.trim().is_empty());
    let rest = after.get(..line_end).map(|rest| rest.trim_start());
    let rest = rest.map(|rest| rest.strip_prefix(',').unwrap_or(rest));
    if blank(before.get(line_start..)) && blank(rest) {
        return line_start..range.end.saturating_add(line_end);
    }
    let space = after.len().saturating_sub(after.trim_start().len());
    match after.trim_start().starts_with(',') {
        true => range.start..range.end.saturating_add(space).saturating_add(1),
        false => range,
    }
}

/// The HOCON text with lines at its end, inside the braces of the root if it has some.
pub(super) fn appended(text: &str, added: &[String]) -> String {
    let in_braces = matches!(first_significant(text), Some('{'));
    match text.rfind('}').filter(|_| in_braces) {
        // What stands behind the brace that closes the root would not be read.
        Some(end) if !added.is_empty() => {
            let (body, rest) = text.split_at(end);
            format!("{}{rest}", with_lines(body, added))
        }
        _ => with_lines(text, added),
    }
}

/// The first character that is neither space nor in a comment.
fn first_significant(text: &str) -> Option<char> {
    let lines = text
        .lines()
        .map(|line| line.trim_start_matches('\u{feff}').trim());
    let mut significant =
        lines.filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("//"));
    significant.next()?.chars().next()
}

/// The text with each range replaced; the ranges are in order and do not overlap.
fn spliced(text: &str, edits: &[(Range<usize>, String)]) -> String {
    let mut out = String::new();
    let mut at = 0;
    for (place, written) in edits {
        out.push_str(text.get(at..place.start).unwrap_or(""));
        out.push_str(written);
        at = place.end;
    }
    out.push_str(text.get(at..).unwrap_or(""));
    out
}

/// The text and lines after it, ended as its own lines are.
pub(super) fn with_lines(text: &str, lines: &[String]) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut out = text.to_owned();
    for line in lines {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push_str(end);
        }
        out.push_str(line);
        out.push_str(end);
    }
    out
}

/// A value as HOCON. Whatever is not plainly a number or a truth value is a quoted text, in which nothing has a
/// meaning of its own.
fn hocon_value(value: &str) -> String {
    let is_word = matches!(value, "true" | "false");
    let is_number =
        !value.is_empty() && value.len() < 16 && value.bytes().all(|b| b.is_ascii_digit());
    match is_word || is_number {
        true => value.to_owned(),
        false => serde_json::Value::from(value).to_string(),
    }
}

fn flat(text: &str, settings: &[Setting], way: Way) -> Result<String, &'static str> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let mut added = Vec::new();
    for setting in settings {
        let name = flat_name(setting.key);
        let request = setting.key.replacen("auth.http_auth.", "auth.http.", 1);
        let value = flat_value(name, setting.value.expose()).ok_or(setting.key)?;
        let mut is_there = false;
        for line in lines.iter_mut().filter(|_| way == Way::Replace) {
            let content = line.trim_end_matches(['\r', '\n']);
            let Some((key, old)) = content.split_once('=') else {
                continue;
            };
            let bare = key.trim_start_matches('\u{feff}').trim();
            if bare == name || bare == setting.key || bare == request {
                let value_at = old.len() - old.trim_start().len();
                let space = old.get(..value_at).unwrap_or("");
                let comment = comment(old).filter(|_| !value.starts_with('"'));
                let end = line.get(content.len()..).unwrap_or("");
                *line = format!("{key}={space}{value}{}{end}", comment.unwrap_or(""));
                is_there = true;
            }
        }
        if !is_there {
            added.push(format!("{name}={value}"));
        }
    }
    Ok(with_lines(&lines.concat(), &added))
}

/// The comment after a value that has no quotes, with the space before it.
pub(super) fn comment(value: &str) -> Option<&str> {
    let marks = [" #", "\t#"].iter().filter_map(|mark| value.find(mark));
    let at = marks.min().filter(|_| !value.trim().starts_with('"'))?;
    value.get(at..)
}

/// The name of a HOCON key in the flat form.
fn flat_name(key: &'static str) -> &'static str {
    let row = aliases::FLAT
        .iter()
        .find(|alias| matches!(alias.target, Target::Key(path, _) if path == key));
    row.map_or(key, |alias| alias.name)
}

/// A value in the flat form, which has no escapes: a line break cannot be expressed.
pub(super) fn flat_value(name: &str, value: &str) -> Option<String> {
    if value.contains(['\n', '\r']) {
        return None;
    }
    let scheme = match name {
        "url" => "nmq-tcp",
        "tls.url" => "tls+nmq-tcp",
        "websocket.url" => "nmq-ws",
        "websocket.tls_url" => "nmq-wss",
        _ => "",
    };
    if !scheme.is_empty() {
        return Some(format!("{scheme}://{value}"));
    }
    let is_plain = !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:/@".contains(&b));
    Some(match is_plain {
        true => value.to_owned(),
        false => format!("\"{value}\""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn settings(pairs: &[(&'static str, &str)]) -> Vec<Setting> {
        let setting = |(key, value): &(&'static str, &str)| Setting {
            key,
            value: Secret::new(*value),
        };
        pairs.iter().map(setting).collect()
    }

    #[test]
    fn values_are_replaced_where_they_stand() {
        let port = settings(&[("http_server.port", "9000")]);
        let bind = settings(&[("listeners.tcp.default.bind", "127.0.0.1:2")]);
        let name = settings(&[("http_server.username", "a\"}\n#${x}")]);
        let (hocon, flat) = (FileForm::Hocon, FileForm::Flat);
        for (form, settings, text, expected) in [
            (
                hocon,
                &port,
                "# c\nhttp_server {\n  port = 1 # why\n}\n",
                "# c\nhttp_server {\n  port = 9000 # why\n}\n",
            ),
            (
                hocon,
                &port,
                "http_server.port=${P}, a=1",
                "http_server.port=9000, a=1",
            ),
            (
                hocon,
                &port,
                "include \"x.conf\"",
                "include \"x.conf\"\nhttp_server.port = 9000\n",
            ),
            (
                hocon,
                &port,
                "a = 1\r\n",
                "a = 1\r\nhttp_server.port = 9000\r\n",
            ),
            (
                hocon,
                &port,
                "# c\n{ a = 1 }\n",
                "# c\n{ a = 1 \nhttp_server.port = 9000\n}\n",
            ),
            (
                hocon,
                &bind,
                "listeners.tcp { bind = \"0.0.0.0:1\" }",
                "listeners.tcp { bind = \"127.0.0.1:2\" }",
            ),
            (
                hocon,
                &name,
                "http_server { username = admin }",
                "http_server { username = \"a\\\"}\\n#${x}\" }",
            ),
            (
                flat,
                &port,
                "## c\nhttp_server.port = 1 # why\r\nurl=x\n",
                "## c\nhttp_server.port = 9000 # why\r\nurl=x\n",
            ),
            (flat, &port, "url=x", "url=x\nhttp_server.port=9000\n"),
            (
                flat,
                &bind,
                "url=nmq-tcp://0.0.0.0:1\n",
                "url=nmq-tcp://127.0.0.1:2\n",
            ),
        ] {
            let edited = edit(text, form, settings, Way::Replace);
            assert_eq!(edited.as_deref(), Ok(expected), "{text:?}");
        }
        assert_eq!(
            edit("", FileForm::Flat, &name, Way::Replace),
            Err("http_server.username")
        );
    }
}
