//! Checks that look at a bridge as a whole.

use super::model::Config;
use super::model_bridges::{BridgeConfig, MAX_BRIDGES, is_bridge_name};
use super::problem::{Place, Problem, Severity};
use crate::mqtt::TopicName;

/// Reports what is wrong with the bridges of a configuration.
pub(super) fn all(config: &Config, place: &impl Fn(&str) -> Place, problems: &mut Vec<Problem>) {
    let bridges = &config.bridges.mqtt;
    if bridges.len() > MAX_BRIDGES {
        let message = format!("more than {MAX_BRIDGES} bridges");
        problems.push(place("bridges.mqtt").error(Some("bridges.mqtt"), message));
    }
    // What is wrong by itself and no value was made of is not reported a second time for the missing value.
    let reported = problems.len();
    for (name, config) in bridges {
        if !is_bridge_name(name) {
            let key = format!("bridges.mqtt.{name}");
            let message =
                "the name of a bridge has letters, digits, spaces and _-. only, at most 64 bytes";
            problems.push(place(&format!("{key}.server")).error(Some(&key), message));
        }
        bridge(config, |severity, field, message| {
            let key = format!("bridges.mqtt.{name}.{field}");
            let at = place(&key);
            let problem = match severity {
                Severity::Error => at.error(Some(&key), message),
                Severity::Warning => at.warning(Some(&key), message),
            };
            let mut before = problems.iter().take(reported);
            if !before.any(|known| known.severity == Severity::Error && known.is_beside(&problem)) {
                problems.push(problem);
            }
        });
    }
}

/// Tells what is wrong with a bridge: how much, with which field, and what.
pub(super) fn bridge(config: &BridgeConfig, mut tell: impl FnMut(Severity, &str, String)) {
    use Severity::{Error, Warning};
    let mut error = |field: &str, message: &str| tell(Error, field, message.to_owned());
    if config.enable && config.server.is_none() {
        error("server", "must name the remote broker");
    }
    let is_set = |file: &std::path::Path| !file.as_os_str().is_empty();
    let (cert, key) = (is_set(&config.ssl.certfile), is_set(&config.ssl.keyfile));
    if cert != key {
        let missing = if cert { "ssl.keyfile" } else { "ssl.certfile" };
        error(
            missing,
            "must name a PEM file: a certificate and its key go together",
        );
    }
    let will = &config.will;
    if !will.topic.is_empty()
        && let Err(reason) = TopicName::parse(&will.topic)
    {
        error("will.topic", &reason.to_string());
    }
    let response = &will.properties.response_topic;
    if !response.is_empty()
        && let Err(reason) = TopicName::parse(response)
    {
        error("will.properties.response_topic", &reason.to_string());
    }
    if config.backoff_max < config.backoff_min {
        error("backoff_max", "is shorter than backoff_min");
    }
    let filters = config.subscription.iter().map(|s| &s.remote_topic);
    let mut filters: Vec<&String> = filters.collect();
    filters.sort_unstable();
    for (filter, next) in filters.iter().zip(filters.iter().skip(1)) {
        if filter == next {
            error("subscription", &format!("{filter:?} is there twice"));
        }
    }
    if config.proto_ver < 5 && config.username.is_empty() && !config.password.expose().is_empty() {
        error(
            "username",
            "must not be empty with a password before MQTT 5",
        );
    }
    if config.enable && config.forwards.is_empty() && config.subscription.is_empty() {
        let message = "nothing is forwarded or subscribed to".to_owned();
        tell(Warning, "forwards", message);
    }
    if !config.hybrid_bridging && !config.hybrid_servers.is_empty() {
        let message = "has no effect without hybrid_bridging".to_owned();
        tell(Warning, "hybrid_servers", message);
    }
}
