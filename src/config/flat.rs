//! The flat `key = value` form of NanoMQ 0.7 to 0.13, and telling it from HOCON.
//!
//! A line is a key, `=` and the rest of the line; `#` starts a comment at the start of a line or after space. It must never
//! reach a HOCON parser, which would read `url=nmq-tcp://0.0.0.0:1883` as `nmq-tcp:` and a comment.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::aliases;
use super::entry::{Entry, Names, Value};
use super::flat_bridges::with_bridges;
use super::keys;
use super::load::FileForm;
use super::model_auth::AclRule;
use super::problem::{Place, Problem};

/// Reads the flat form.
pub(crate) fn read(file: &Arc<Path>, text: &str, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut lines: HashMap<String, u32> = HashMap::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let line = line.trim_start_matches('\u{feff}');
        let Some(significant) = significant(line) else {
            continue;
        };
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        let place = Place::at(
            file,
            number,
            u32::try_from(indent).unwrap_or(0).saturating_add(1),
        );
        let Some((key, value)) = significant.split_once('=') else {
            // The text itself is not repeated: it may be half a password.
            problems.push(place.error(None, "expected key = value"));
            continue;
        };
        let label = key.trim().to_owned();
        let path: Vec<String> = label.split('.').map(str::to_owned).collect();
        if let Some(earlier) = lines.insert(label.clone(), number) {
            let message = format!("is set again; the last one counts, not that of line {earlier}");
            problems.push(place.warning(Some(&label), message));
        }
        entries.push(Entry {
            path,
            label,
            value: Value::Text(value_of(value)),
            around: Vec::new(),
            place,
            names: Names::Flat,
        });
    }
    let entries = with_users(with_wss(entries), problems);
    let entries = with_requests(with_rules(entries, problems));
    with_bridges(entries, problems)
}

/// WebSocket over TLS has no switch of its own in the older files: it is on where TLS and WebSocket are.
fn with_wss(mut entries: Vec<Entry>) -> Vec<Entry> {
    let on = |key: &str| {
        let entry = entries.iter().rfind(|entry| entry.label == key)?;
        entry.value.is_on().then_some(entry)
    };
    if let (Some(_), Some(websocket)) = (on("tls.enable"), on("websocket.enable")) {
        let path = ["listeners", "wss", "default", "enable"];
        let derived = Entry {
            path: path.map(str::to_owned).to_vec(),
            ..websocket.clone()
        };
        // Before the others, so that one that says otherwise counts.
        entries.insert(0, derived);
    }
    entries
}

/// Guesses the form of a file from its first line that tells.
pub(crate) fn detect(text: &str) -> FileForm {
    let mut plain_lines = 0_usize;
    for line in text.lines() {
        let line = line.trim_start_matches('\u{feff}');
        let Some(line) = significant(line).filter(|line| !line.starts_with("//")) else {
            continue;
        };
        if line.starts_with("```") || line.starts_with("SELECT") {
            return FileForm::Flat;
        }
        let Some((key, value)) = line
            .split_once('=')
            .filter(|(key, _)| !key.contains(['{', '"', ':']))
        else {
            return FileForm::Hocon;
        };
        let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
        let top = path.get(..1).unwrap_or(&[]);
        if aliases::find_flat(&path).is_some() || (!value.contains('"') && value.contains("://")) {
            return FileForm::Flat;
        }
        let is_either = matches!(
            path.first().map(String::as_str),
            Some("http_server" | "log" | "sqlite" | "auth")
        );
        if (keys::is_section(top) && !is_either) || value.contains(['{', '[', '"']) {
            return FileForm::Hocon;
        }
        plain_lines += 1;
    }
    if plain_lines > 0 {
        FileForm::Flat
    } else {
        FileForm::Hocon
    }
}

/// The line without surrounding space, unless it is empty or a comment.
fn significant(line: &str) -> Option<&str> {
    let line = line.trim();
    (!line.is_empty() && !line.starts_with('#')).then_some(line)
}

/// The value without a comment after it and without quotes around it.
fn value_of(text: &str) -> String {
    let text = text.trim();
    if let Some(inner) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        return inner.to_owned();
    }
    let comment = [" #", "\t#"]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min();
    text.get(..comment.unwrap_or(text.len()))
        .unwrap_or(text)
        .trim()
        .to_owned()
}

/// Joins `auth.N.login` and `auth.N.password` to one user each.
fn with_users(entries: Vec<Entry>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let field = |entry: &Entry, name: &str| match &entry.path[..] {
        [auth, number, field] if auth == "auth" && field == name => Some(number.clone()),
        _ => None,
    };
    let mut users = Vec::new();
    for login in &entries {
        let Some(number) = field(login, "login") else {
            continue;
        };
        let password = entries
            .iter()
            .rfind(|entry| field(entry, "password").as_ref() == Some(&number));
        match (password, &login.value) {
            (Some(password), Value::Text(user)) => users.push(Entry {
                path: vec!["auth".to_owned(), "password".to_owned(), user.clone()],
                names: Names::Hocon,
                ..password.clone()
            }),
            _ => problems.push(login.place.error(
                Some(&login.label),
                format!("auth.{number}.password is missing"),
            )),
        }
    }
    let mut entries = entries;
    entries.extend(users);
    entries
}

/// Joins `acl.rule.N = {..}` to one list, in the order of the numbers.
fn with_rules(mut entries: Vec<Entry>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut numbered = Vec::new();
    for entry in &entries {
        let ([acl, rule, number], Value::Text(text)) = (&entry.path[..], &entry.value) else {
            continue;
        };
        if acl != "acl" || rule != "rule" {
            continue;
        }
        let Ok(number) = number.parse::<u32>() else {
            let message = "expected a number in the place of the last name";
            problems.push(entry.place.error(Some(&entry.label), message));
            continue;
        };
        let read = serde_json::from_str(text).map_err(|error| error.to_string());
        let read = read.and_then(|rule: serde_json::Value| {
            let list = serde_json::Value::Array(vec![rule.clone()]);
            AclRule::read_all(&list).map_err(|bad| bad.message)?;
            Ok(rule)
        });
        match read {
            Ok(rule) => numbered.push((number, rule, entry.clone())),
            Err(message) => problems.push(entry.place.error(Some(&entry.label), message)),
        }
    }
    // A number that is given twice was told; the last one counts.
    numbered.sort_by_key(|(number, _, _)| *number);
    let mut rules: Vec<(u32, serde_json::Value)> = Vec::new();
    let first = numbered.first().map(|(_, _, entry)| entry.clone());
    for (number, rule, _) in numbered {
        match rules.last_mut() {
            Some((last, value)) if *last == number => *value = rule,
            _ => rules.push((number, rule)),
        }
    }
    if let Some(first) = first {
        let list = rules.into_iter().map(|(_, rule)| rule).collect();
        let rules = Entry {
            path: ["auth", "acl", "rules"].map(str::to_owned).to_vec(),
            value: Value::Tree(list, Vec::new()),
            names: Names::Hocon,
            ..first
        };
        // A whole list in the file, which the HTTP API writes, comes after the numbered rules.
        entries.insert(0, rules);
    }
    entries
}

/// Gives `auth.http.*` its newer name, and takes `params = a=%u,b=%P` apart.
fn with_requests(entries: Vec<Entry>) -> Vec<Entry> {
    let mut out = Vec::new();
    for entry in entries {
        let renamed = match &entry.path[..] {
            [auth, http, rest @ ..] if auth == "auth" && http == "http" => {
                let prefix = ["auth", "http_auth"].map(str::to_owned);
                [prefix.as_slice(), rest].concat()
            }
            _ => {
                out.push(entry);
                continue;
            }
        };
        let is_params = renamed.last().is_some_and(|name| name == "params");
        let renamed = Entry {
            path: renamed,
            names: Names::Hocon,
            ..entry
        };
        match &renamed.value {
            Value::Text(text) if is_params => {
                let params = text.split(',').filter(|param| !param.trim().is_empty());
                for param in params {
                    let (name, value) = param.split_once('=').unwrap_or((param, ""));
                    let mut path = renamed.path.clone();
                    path.push(name.trim().to_owned());
                    out.push(Entry {
                        path,
                        value: Value::Text(value.trim().to_owned()),
                        ..renamed.clone()
                    });
                }
            }
            _ => out.push(renamed),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<Path> {
        Arc::from(Path::new("old.conf"))
    }

    #[test]
    fn forms_are_told_apart() {
        let cases = [
            ("## comment\n\nurl=nmq-tcp://0.0.0.0:1883\n", FileForm::Flat),
            ("bridge.mqtt.address=mqtt-tcp://x:1883", FileForm::Flat),
            (
                "gateway.zmq.sub.address = tcp://127.0.0.1:5560",
                FileForm::Flat,
            ),
            ("acl.rule.1={\"permit\": \"allow\"}", FileForm::Flat),
            (
                "http_server.enable=false\nhttp_server.port=8081",
                FileForm::Flat,
            ),
            ("log.level=warn\nmsq_len=5", FileForm::Flat),
            ("```\nSELECT\n", FileForm::Flat),
            ("", FileForm::Hocon),
            ("# only a comment", FileForm::Hocon),
            ("mqtt {\n}", FileForm::Hocon),
            ("mqtt\n{\n}", FileForm::Hocon),
            ("{ mqtt { max_qos = 1 } }", FileForm::Hocon),
            ("mqtt.max_qos = 1", FileForm::Hocon),
            ("http_server.port = 8081\nmqtt.max_qos = 1", FileForm::Hocon),
            ("listeners.tcp.bind = \"0.0.0.0:1883\"", FileForm::Hocon),
            ("log.to = [console]", FileForm::Hocon),
            ("include \"a=b.conf\"", FileForm::Hocon),
            ("\"admin\": \"public\"", FileForm::Hocon),
            ("bridges.mqtt.a { server = x }", FileForm::Hocon),
            (
                "// comment\nwebhook = {url = \"http://x\"}",
                FileForm::Hocon,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(detect(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_read_with_their_place() {
        let mut problems = Vec::new();
        let text = "## c\n url = nmq-tcp://x:1 # note\r\nbridge.mqtt.forwards=a/#,b/#\nhttp_server.password=\"a #b\"\n";
        let entries = read(&file(), text, &mut problems);
        let rows: Vec<_> = entries
            .iter()
            .map(|e| (e.label.as_str(), &e.value, e.place.line, e.place.column))
            .collect();
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            rows,
            [
                ("url", &text("nmq-tcp://x:1"), Some(2), Some(2)),
                ("bridge.mqtt.forwards", &text("a/#,b/#"), Some(3), Some(1)),
                ("http_server.password", &text("a #b"), Some(4), Some(1)),
                ("bridge.mqtt.forwards", &text("false"), Some(3), Some(1)),
            ]
        );
        assert_eq!(problems, []);
    }

    #[test]
    fn users_are_joined_and_problems_have_lines() {
        let mut problems = Vec::new();
        let text = "auth.1.login=admin\nauth.1.password=public\nauth.2.login=x\nnonsense\ndaemon=true\ndaemon=false\n";
        let entries = read(&file(), text, &mut problems);
        let users: Vec<_> = entries
            .iter()
            .filter(|entry| entry.names == Names::Hocon)
            .collect();
        assert_eq!(users.len(), 1);
        assert_eq!(users[0].path, ["auth", "password", "admin"]);
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "old.conf:4:1: expected key = value",
                "old.conf:6:1: daemon: is set again; the last one counts, not that of line 5",
                "old.conf:3:1: auth.2.login: auth.2.password is missing",
            ]
        );
    }
}
