//! The requests that ask an HTTP server about clients, with NanoMQ's placeholders in their parameters.
//!
//! | placeholder | what it stands for |
//! |---|---|
//! | `%u`, `%P` | user name, password |
//! | `%c` | client id |
//! | `%a` | address of the client |
//! | `%p` | port it came in through |
//! | `%r` | name of the protocol, `MQTT` or `MQIsdp` |
//! | `%C`, `%d` | common name and subject of its certificate; empty without one |
//! | `%A`, `%t`, `%m` | `1` to subscribe, `2` to publish; topic or filter; mount point, always empty |
//! | `%%` | `%` |
//!
//! Whatever a client says stays within the value of its parameter: it is encoded for the form or the JSON it stands in.

use std::{fmt::Write, net::IpAddr};

use super::acl::Action;
use crate::config::{AuthRequest, HttpMethod};

/// What is known of a client.
#[derive(Clone, Default)]
pub struct Facts {
    /// User name; empty without one.
    pub username: String,
    /// Password; empty without one.
    pub password: Vec<u8>,
    /// Client id.
    pub client_id: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Port of the listener.
    pub port: u16,
    /// Name of the protocol.
    pub protocol: &'static str,
    /// Common name of its certificate.
    pub common_name: String,
    /// Subject of its certificate.
    pub subject: String,
    /// What it wants to do with which topic.
    pub wants: Option<(Action, String)>,
}

/// A request to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Where to, with the query string.
    pub url: String,
    /// POST with this type and text, or GET.
    pub body: Option<(&'static str, String)>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Makes the request about a client.
pub fn build(request: &AuthRequest, facts: &Facts) -> Built {
    let is_type = |name: &str| name.eq_ignore_ascii_case("content-type");
    let wanted_type = request.headers.iter().find(|(name, _)| is_type(name));
    let json = wanted_type.is_some_and(|(_, value)| value.to_ascii_lowercase().contains("json"));
    let headers = request.headers.iter().filter(|(name, _)| !is_type(name));
    let params = request
        .params
        .iter()
        .map(|(name, template)| (name.as_str(), filled(template, facts)));
    let mut built = Built {
        url: request.url.clone(),
        body: None,
        headers: headers
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    };
    match request.method {
        HttpMethod::Get => {
            let query = form(params);
            if !query.is_empty() {
                let url = built.url.split('#').next().unwrap_or_default();
                let sign = if url.contains('?') { '&' } else { '?' };
                built.url = format!("{url}{sign}{query}");
            }
        }
        HttpMethod::Post if json => {
            let object: serde_json::Map<String, serde_json::Value> = params
                .map(|(name, value)| {
                    let text = String::from_utf8_lossy(&value).into_owned();
                    (name.to_owned(), text.into())
                })
                .collect();
            let text = serde_json::Value::Object(object).to_string();
            built.body = Some((JSON, text));
        }
        HttpMethod::Post => built.body = Some((FORM, form(params))),
    }
    built
}

/// A parameter's value.
fn filled(template: &str, facts: &Facts) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = template.chars();
    let mut buffer = [0; 4];
    while let Some(c) = chars.next() {
        if c != '%' {
            out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let wants = facts.wants.as_ref();
        match chars.next() {
            Some('u') => out.extend_from_slice(facts.username.as_bytes()),
            Some('P') => out.extend_from_slice(&facts.password),
            Some('c') => out.extend_from_slice(facts.client_id.as_bytes()),
            Some('a') => {
                let address = facts
                    .address
                    .map(|address| address.to_canonical().to_string());
                out.extend_from_slice(address.unwrap_or_default().as_bytes());
            }
            Some('p') => out.extend_from_slice(facts.port.to_string().as_bytes()),
            Some('r') => out.extend_from_slice(facts.protocol.as_bytes()),
            Some('C') => out.extend_from_slice(facts.common_name.as_bytes()),
            Some('d') => out.extend_from_slice(facts.subject.as_bytes()),
            Some('A') => out.extend_from_slice(match wants {
                Some((Action::Subscribe, _)) => b"1",
                Some((Action::Publish, _)) => b"2",
                None => b"",
            }),
            Some('t') => {
                let topic = wants.map(|(_, topic)| topic.as_bytes());
                out.extend_from_slice(topic.unwrap_or_default());
            }
            Some('m') => {}
            Some('%') => out.push(b'%'),
            // The configuration has been checked for others.
            Some(_) | None => {}
        }
    }
    out
}

fn form<'a>(params: impl Iterator<Item = (&'a str, Vec<u8>)>) -> String {
    let mut out = String::new();
    for (name, value) in params {
        if !out.is_empty() {
            out.push('&');
        }
        encode(&mut out, name.as_bytes());
        out.push('=');
        encode(&mut out, &value);
    }
    out
}

/// Everything but unreserved characters as `%XX`, which both a form and a query string read.
fn encode(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(*byte));
            }
            // Writing to a text does not fail.
            other => drop(write!(out, "%{other:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            username: "ann&x=1\r\nHost: evil".to_owned(),
            password: b"p%\xff \"".to_vec(),
            client_id: "c/?#+ü".to_owned(),
            address: Some("::ffff:10.0.0.1".parse().unwrap()),
            port: 1883,
            protocol: "MQTT",
            common_name: "cn".to_owned(),
            subject: "CN=cn".to_owned(),
            wants: Some((Action::Publish, "a/b".to_owned())),
        }
    }

    fn request(
        method: HttpMethod,
        content_type: Option<&str>,
        params: &[(&str, &str)],
    ) -> AuthRequest {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        AuthRequest {
            url: "http://h/p".to_owned(),
            method,
            headers: content_type
                .map(|value| ("Content-Type".to_owned(), value.to_owned()))
                .into_iter()
                .chain([("x-key".to_owned(), "%u".to_owned())])
                .collect(),
            params: params.iter().map(pair).collect(),
            ..AuthRequest::default()
        }
    }

    #[test]
    fn what_a_client_says_stays_within_its_parameter() {
        let params = [("u", "%u"), ("c", "<%c>"), ("p", "%P")];
        let encoded =
            "c=%3Cc%2F%3F%23%2B%C3%BC%3E&p=p%25%FF%20%22&u=ann%26x%3D1%0D%0AHost%3A%20evil";
        let get = build(&request(HttpMethod::Get, None, &params), &facts());
        assert_eq!(get.url, format!("http://h/p?{encoded}"));
        assert_eq!(get.body, None);
        // Nothing is replaced in a header.
        assert_eq!(get.headers, [("x-key".to_owned(), "%u".to_owned())]);
        let post = build(&request(HttpMethod::Post, None, &params), &facts());
        assert_eq!(post.url, "http://h/p");
        assert_eq!(post.body, Some((FORM, encoded.to_owned())));
        let typed = request(HttpMethod::Post, Some("application/json"), &params);
        let (kind, text) = build(&typed, &facts()).body.unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (kind, read["u"].as_str()),
            (JSON, Some("ann&x=1\r\nHost: evil"))
        );
        assert_eq!(read.as_object().unwrap().len(), 3);
    }

    #[test]
    fn every_placeholder_has_its_value() {
        for (template, expected) in [
            ("%a", "10.0.0.1"),
            ("%p", "1883"),
            ("%r", "MQTT"),
            ("%C-%d", "cn-CN=cn"),
            ("%A%t%m", "2a/b"),
            ("100%%", "100%"),
            ("%", ""),
            ("%%u", "%u"),
            ("plain", "plain"),
        ] {
            assert_eq!(
                filled(template, &facts()),
                expected.as_bytes(),
                "{template}"
            );
        }
        let nobody = Facts::default();
        assert_eq!(filled("%u%P%c%a%C%d%A%t%m", &nobody), b"");
        let subscribing = Facts {
            wants: Some((Action::Subscribe, "#".to_owned())),
            ..nobody
        };
        assert_eq!(filled("%A%t", &subscribing), b"1#");
    }

    #[test]
    fn a_query_string_is_added_to() {
        let mut get = request(HttpMethod::Get, None, &[("c", "%c")]);
        for (url, expected) in [
            ("http://h/?a=1", "http://h/?a=1&c=x"),
            ("http://h/#f", "http://h/?c=x"),
        ] {
            get.url = url.to_owned();
            let facts = Facts {
                client_id: "x".to_owned(),
                ..Facts::default()
            };
            assert_eq!(build(&get, &facts).url, expected);
        }
    }
}
