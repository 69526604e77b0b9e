//! The marks that bridges leave in messages: a user property with the identities of the brokers that a message has been
//! at. It passes through brokers that know nothing of it `[MQTT-3.3.2-17]`, and is there with MQTT 5 only.

use super::{Properties, PropertiesBuf, Property, Publish, QoS};

/// The name of the user property.
pub const HOPS: &str = "nanomq-hops";
/// The name of the user property by which a bridge says in CONNECT that it is one, and a broker in CONNACK who it is.
pub const BROKER_ID: &str = "nanomq-id";
/// Where a bridge that speaks MQTT 3, which has no user properties, tells its remote who it is: it subscribes to this with
/// the identity of its broker behind it, and gets that of the remote as a message to the same topic, before SUBACK. A broker
/// that knows nothing of it has a subscription to which nothing comes.
pub const INTRODUCTION: &str = "$nanomq/bridge/";
/// Longest identity, in bytes.
const MAX_ID: usize = 64;
/// Most brokers that a message may have been at; with more it is taken for one that goes in circles.
pub const MAX_HOPS: usize = 32;

/// The identities in the marks of a message.
fn hops(properties: Properties<'_>) -> impl Iterator<Item = &str> {
    properties
        .user_properties()
        .filter(|(name, _)| *name == HOPS)
        .flat_map(|(_, ids)| ids.split(','))
}

/// Whether a text can be the identity of a broker.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The message by which a broker with this identity answers an introduction to `topic`.
pub fn answer<'a>(topic: &'a str, own_id: &'a str) -> Publish<'a> {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_id: None,
        properties: Properties::EMPTY,
        payload: own_id.as_bytes(),
    }
}

/// Whether a message has been at a broker, or at so many that it must go in circles.
pub fn has_been(properties: Properties<'_>, id: &str) -> bool {
    !properties.is_empty()
        && hops(properties)
            .enumerate()
            .any(|(n, hop)| hop == id || n >= MAX_HOPS)
}

/// Writes properties into `out`, with the mark of a broker behind those that are there.
pub fn mark(properties: Properties<'_>, id: &str, out: &mut PropertiesBuf) {
    let mut all = String::new();
    for hop in hops(properties).filter(|hop| *hop != id).chain([id]) {
        if !all.is_empty() {
            all.push(',');
        }
        all.push_str(hop);
    }
    for property in properties.iter() {
        if !matches!(property, Property::UserProperty(HOPS, _)) {
            out.push(property);
        }
    }
    out.push(Property::UserProperty(HOPS, &all));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_added_and_found() {
        let mut buffer = PropertiesBuf::default();
        assert!(!has_been(Properties::EMPTY, "a"));
        mark(Properties::EMPTY, "a", &mut buffer);
        let mut other = PropertiesBuf::default();
        other.push(Property::UserProperty("x", "a"));
        assert!(!has_been(other.as_properties(), "a"));
        other.extend(buffer.as_properties());
        let mut both = PropertiesBuf::default();
        mark(other.as_properties(), "b", &mut both);
        let marked: Vec<_> = both.as_properties().user_properties().collect();
        assert_eq!(marked, [("x", "a"), (HOPS, "a,b")]);
        for (id, found) in [("a", true), ("b", true), ("c", false), ("", false)] {
            assert_eq!(has_been(both.as_properties(), id), found, "{id}");
        }
        let mut again = PropertiesBuf::default();
        mark(both.as_properties(), "a", &mut again);
        let marked: Vec<_> = again.as_properties().user_properties().collect();
        assert_eq!(marked, [("x", "a"), (HOPS, "b,a")]);
    }

    #[test]
    fn identities_are_letters_and_digits() {
        let longest = "a".repeat(MAX_ID);
        for (text, is) in [
            ("00ff", true),
            (&longest, true),
            ("", false),
            ("a,b", false),
            ("a/b", false),
            ("+", false),
            (&format!("{longest}a"), false),
        ] {
            assert_eq!(is_id(text), is, "{text}");
        }
    }

    #[test]
    fn too_many_brokers_are_a_circle() {
        let ids: Vec<String> = (0..=MAX_HOPS).map(|n| n.to_string()).collect();
        let mut properties = PropertiesBuf::default();
        properties.push(Property::UserProperty(HOPS, &ids.join(",")));
        assert!(has_been(properties.as_properties(), "x"));
        let mut fewer = PropertiesBuf::default();
        fewer.push(Property::UserProperty(HOPS, &ids[1..].join(",")));
        assert!(!has_been(fewer.as_properties(), "x"));
    }
}
