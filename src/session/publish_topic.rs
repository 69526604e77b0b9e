//! Which topics may be published to.

use std::fmt;

use crate::{
    config::Mqtt,
    mqtt::{TopicError, TopicName},
};

/// Why messages to a topic are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicRefusal {
    /// It is no topic name.
    Invalid(TopicError),
    /// It is one of the broker's own, `$SYS` and what is below it.
    System,
    /// It is longer than `mqtt.max_topic_length`, or has more levels than `mqtt.max_topic_levels`.
    OverLimit,
}

impl fmt::Display for TopicRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::System => f.write_str("only the broker publishes to $SYS"),
            Self::OverLimit => f.write_str("over mqtt.max_topic_length or mqtt.max_topic_levels"),
        }
    }
}

/// Checks that messages to `topic` may be published.
///
/// # Errors
/// Why they may not.
pub fn check_topic(topic: &str, limits: &Mqtt) -> Result<(), TopicRefusal> {
    let name = TopicName::parse(topic).map_err(TopicRefusal::Invalid)?;
    if topic == "$SYS" || topic.starts_with("$SYS/") {
        return Err(TopicRefusal::System);
    }
    if topic.len() > usize::from(limits.max_topic_length)
        || name.levels().count() > limits.max_topic_levels
    {
        return Err(TopicRefusal::OverLimit);
    }
    Ok(())
}
