//! Metrics for Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use crate::{figures::load, kit::with_broker};

/// The samples of a page in Prometheus' text format, whose rules it has to keep.
pub fn parse_exposition(page: &str) -> BTreeMap<String, f64> {
    let is_name = |name: &str| {
        let mut chars = name.chars();
        chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assert!(page.ends_with('\n'));
    let (mut helps, mut types, mut samples) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    let mut family = "";
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(
                is_name(name) && !text.is_empty() && helps.insert(name),
                "{line}"
            );
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(
                ["gauge", "counter"].contains(&kind) && types.insert(name),
                "{line}"
            );
            family = name;
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        assert!(name == family && labels.ends_with('}'), "{line}");
        if let Some(label) = labels.strip_suffix('}').filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once('=').unwrap();
            let value = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            assert!(is_name(name) && value.is_some_and(is_name), "{line}");
        }
        let before = samples.insert(series.to_owned(), value.parse().unwrap());
        assert_eq!(before, None, "{line}");
    }
    assert_eq!(helps, types);
    samples
}

#[test]
fn prometheus_gets_valid_metrics() {
    with_broker(
        |_| {},
        |at| {
            let clients = load(at);
            let answer = at.get("/prometheus");
            assert_eq!(answer.status, 200);
            let content_type = answer.header("content-type").unwrap();
            assert!(
                content_type.starts_with("text/plain; version=0.0.4"),
                "{content_type}"
            );
            let samples = parse_exposition(&answer.body);
            for (name, expected) in [
                ("connections_count", Some(2.0)),
                ("connections_max", Some(2.0)),
                ("sessions_count", Some(3.0)),
                ("sessions_max", Some(3.0)),
                ("topics_count", Some(2.0)),
                ("topics_max", Some(2.0)),
                ("subscribers_count", Some(2.0)),
                ("subscribers_max", Some(2.0)),
                ("messages_received", Some(4.0)),
                ("messages_sent", None),
                ("messages_dropped", Some(0.0)),
                ("memory_usage", None),
                ("memory_usage_max", None),
                ("cpu_usage", None),
                ("cpu_usage_max", None),
                ("messages_qos1_received_total", Some(4.0)),
                ("messages_dropped_queue_full_total", Some(0.0)),
                (
                    "protocol_errors_total{kind=\"connect_expected\"}",
                    Some(1.0),
                ),
            ] {
                let value = samples.get(&format!("nanomq_{name}"));
                assert!(value.is_some(), "{name}");
                assert!(
                    expected.is_none_or(|n| value == Some(&n)),
                    "{name}: {value:?}"
                );
            }
            // What was there at most is remembered.
            drop(clients);
            at.await_ok("/nodes", |body| body.contains(r#""connections":0"#));
            let samples = parse_exposition(&at.get("/prometheus").body);
            assert_eq!(samples["nanomq_connections_count"], 0.0);
            assert_eq!(samples["nanomq_connections_max"], 2.0);
        },
    );
}
