//! Setters of the keys of `auth`.

use std::time::Duration;

use super::entry::{Stored, Trouble, Value};
use super::model::Config;
use super::model_auth::{AclRule, AuthRequest, BadRules};

/// Most headers and most parameters of one request.
const MOST_FIELDS: usize = 64;

/// What a URL has to be.
pub(crate) const URL: &str = "a URL that begins with http:// or https:// (\"\" = not asked)";
/// What a parameter has to be.
pub(crate) const PARAM: &str =
    "a text in which % stands before one of u, c, a, r, P, p, C, d, A, t, m and %";

/// Rules as a list of objects, or as a text of JSON.
pub(crate) fn set_rules(config: &mut Config, value: &Value) -> Stored {
    let wrong = |bad: BadRules| Trouble::Wrong(bad.to_string());
    config.auth.acl.rules = match value {
        Value::Tree(list, places) => AclRule::read_all(list).map_err(|bad| {
            let at = bad.rule.and_then(|number| number.checked_sub(1));
            match at.and_then(|at| places.get(at)) {
                Some(place) => Trouble::WrongAt(place.clone(), bad.to_string()),
                None => wrong(bad),
            }
        })?,
        Value::List(items) if items.is_empty() => Vec::new(),
        Value::Text(text) => {
            let list = serde_json::from_str(text);
            let list = list.map_err(|error| Trouble::Wrong(error.to_string()))?;
            AclRule::read_all(&list).map_err(wrong)?
        }
        Value::List(_) | Value::Empty => return Err(Trouble::Unexpected),
    };
    Ok(())
}

pub(crate) fn set_url(request: &mut AuthRequest, value: &Value) -> Stored {
    let url = value.text()?;
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let has_host = rest.is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty());
    if !(url.is_empty() || has_host) || url.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return Err(Trouble::Unexpected);
    }
    request.url = url.to_owned();
    Ok(())
}

/// A header's value is taken as it is: placeholders are not replaced in it, so that no client can add to it.
pub(crate) fn set_header(request: &mut AuthRequest, value: &Value, name: &str) -> Stored {
    let text = value.text()?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(Trouble::Wrong("is not the name of a header".to_owned()));
    }
    if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(Trouble::Wrong(
            "the value of a header has a character that it cannot have".to_owned(),
        ));
    }
    insert(&mut request.headers, name, text)
}

pub(crate) fn set_param(request: &mut AuthRequest, value: &Value, name: &str) -> Stored {
    let text = value.text()?;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '%' && !chars.next().is_some_and(|c| "ucarPpCdAtm%".contains(c)) {
            return Err(Trouble::Unexpected);
        }
    }
    insert(&mut request.params, name, text)
}

fn insert(
    into: &mut std::collections::BTreeMap<String, String>,
    name: &str,
    value: &str,
) -> Stored {
    if into.len() >= MOST_FIELDS && !into.contains_key(name) {
        return Err(Trouble::Wrong(format!("is one of more than {MOST_FIELDS}")));
    }
    into.insert(name.to_owned(), value.to_owned());
    Ok(())
}

/// A time-out.
pub(crate) fn set_time(field: &mut Duration, value: &Value) -> Stored {
    let mut time = Duration::ZERO;
    value.duration(&mut time, Duration::from_millis(10))?;
    if time > Duration::from_secs(3600) {
        return Err(Trouble::Unexpected);
    }
    *field = time;
    Ok(())
}
