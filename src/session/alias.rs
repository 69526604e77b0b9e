//! Topic aliases `[MQTT-3.3.2-7]` to `[MQTT-3.3.2-12]`: numbers that stand for topic names during one connection.

use std::{collections::HashMap, num::NonZeroU16};

/// The aliases a client has set.
#[derive(Debug, Default)]
pub struct IncomingAliases {
    /// Index is the alias less one; grows to the highest alias used, which the maximum bounds.
    topics: Vec<Option<Box<str>>>,
}

impl IncomingAliases {
    /// The topic of a PUBLISH with an alias: `topic` itself, entered under the alias, or, where it is empty, the
    /// one entered before. None where there is no such entry.
    pub fn resolve(&mut self, alias: NonZeroU16, topic: &str) -> Option<&str> {
        let index = usize::from(alias.get()) - 1;
        if !topic.is_empty() {
            if self.topics.len() <= index {
                self.topics.resize(index + 1, None);
            }
            let entry = self.topics.get_mut(index)?;
            if entry.as_deref() != Some(topic) {
                *entry = Some(topic.into());
            }
        }
        self.topics.get(index)?.as_deref()
    }
}

/// The aliases the broker has set towards a client: the first topics sent get one each, until none is left.
#[derive(Debug)]
pub struct OutgoingAliases {
    maximum: u16,
    topics: HashMap<Box<str>, u16, foldhash::fast::RandomState>,
}

/// How a PUBLISH to a client names its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicAs {
    /// By its name only.
    Name,
    /// By its name, and an alias is set.
    NameAndAlias(u16),
    /// By the alias alone.
    Alias(u16),
}

impl OutgoingAliases {
    /// At most `maximum` aliases, at least one.
    pub fn new(maximum: u16) -> Self {
        Self {
            maximum,
            topics: HashMap::default(),
        }
    }

    /// How to name `topic` in the next PUBLISH. What is returned must then be sent.
    pub fn name(&mut self, topic: &str) -> TopicAs {
        if let Some(alias) = self.topics.get(topic) {
            return TopicAs::Alias(*alias);
        }
        match u16::try_from(self.topics.len() + 1) {
            Ok(alias) if alias <= self.maximum => {
                self.topics.insert(topic.into(), alias);
                TopicAs::NameAndAlias(alias)
            }
            _ => TopicAs::Name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incoming_alias_is_set_used_and_set_anew() {
        let mut aliases = IncomingAliases::default();
        let (one, five) = (NonZeroU16::new(1).unwrap(), NonZeroU16::new(5).unwrap());
        for (alias, topic, expected) in [
            (five, "", None),
            (five, "a", Some("a")),
            (five, "", Some("a")),
            (one, "", None),
            (five, "b", Some("b")),
            (five, "", Some("b")),
        ] {
            assert_eq!(aliases.resolve(alias, topic), expected);
        }
    }

    #[test]
    fn outgoing_aliases_go_to_the_first_topics() {
        let mut aliases = OutgoingAliases::new(2);
        let named: Vec<_> = ["a", "b", "c", "a", "b", "c"]
            .map(|topic| aliases.name(topic))
            .into();
        assert_eq!(
            named,
            [
                TopicAs::NameAndAlias(1),
                TopicAs::NameAndAlias(2),
                TopicAs::Name,
                TopicAs::Alias(1),
                TopicAs::Alias(2),
                TopicAs::Name
            ]
        );
    }
}
