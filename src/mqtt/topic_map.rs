//! How a topic of one broker becomes a topic of another one: a filter, and a pattern that is filled with what the
//! wildcards of the filter stood for.

use std::fmt;

use super::topic::{TopicError, TopicFilter};

/// The longest topic, in bytes `[MQTT-4.7.3-3]`.
const MAX_LEN: usize = 65_535;

/// Why a pattern cannot be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicMapError {
    /// The filter is none.
    Filter(TopicError),
    /// The pattern is neither a topic nor a filter.
    Pattern(TopicError),
    /// The pattern has more `+` than the filter.
    MorePlus,
    /// The pattern has `#`, the filter has none.
    NoHash,
    /// The prefix or suffix has `+`, `#` or U+0000.
    Affix,
}

impl fmt::Display for TopicMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(error) => write!(f, "no topic filter: {error}"),
            Self::Pattern(error) => write!(f, "cannot be a topic: {error}"),
            Self::MorePlus => f.write_str("has more '+' than the filter it is filled from"),
            Self::NoHash => f.write_str("has '#', and the filter it is filled from has none"),
            Self::Affix => f.write_str("a prefix or suffix has '+', '#' or U+0000"),
        }
    }
}

impl std::error::Error for TopicMapError {}

/// Changes topics that a filter matches: its pattern's n-th `+` stands for what the n-th `+` of the filter matched, its
/// `#` for what `#` matched; an empty pattern is the topic itself. Prefix and suffix come around that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMap {
    filter: Box<str>,
    pattern: Box<str>,
    prefix: Box<str>,
    suffix: Box<str>,
}

impl TopicMap {
    /// A map from topics that `filter` matches; of `$share/group/filter` only the filter counts.
    ///
    /// # Errors
    /// [`TopicMapError`] when there is a topic that could not be changed because of how the map is written.
    pub fn new(
        filter: &str,
        pattern: &str,
        prefix: &str,
        suffix: &str,
    ) -> Result<Self, TopicMapError> {
        let filter = TopicFilter::parse(filter).map_err(TopicMapError::Filter)?;
        let filter = filter.filter();
        if !pattern.is_empty() {
            let parsed = TopicFilter::parse(pattern).map_err(TopicMapError::Pattern)?;
            if parsed.share().is_some() {
                return Err(TopicMapError::Pattern(TopicError::WildcardInName));
            }
        }
        let plus = |text: &str| text.split('/').filter(|level| *level == "+").count();
        let hash = |text: &str| text.split('/').any(|level| level == "#");
        if plus(pattern) > plus(filter) {
            return Err(TopicMapError::MorePlus);
        }
        if hash(pattern) && !hash(filter) {
            return Err(TopicMapError::NoHash);
        }
        if [prefix, suffix]
            .iter()
            .any(|text| text.contains(['+', '#', '\0']))
        {
            return Err(TopicMapError::Affix);
        }
        Ok(Self {
            filter: filter.into(),
            pattern: pattern.into(),
            prefix: prefix.into(),
            suffix: suffix.into(),
        })
    }

    /// Whether the map is about a topic.
    pub fn matches(&self, topic: &str) -> bool {
        super::topic::matches(&self.filter, topic)
    }

    /// Whether topics stay as they are.
    pub fn is_identity(&self) -> bool {
        self.pattern.is_empty() && self.prefix.is_empty() && self.suffix.is_empty()
    }

    /// Writes into `out` what a topic becomes that the filter matches. False when nothing comes out that is a topic: it
    /// is empty or too long.
    pub fn apply(&self, topic: &str, out: &mut String) -> bool {
        out.clear();
        out.push_str(&self.prefix);
        if self.pattern.is_empty() {
            out.push_str(topic);
        } else {
            self.fill(topic, out);
        }
        out.push_str(&self.suffix);
        !out.is_empty() && out.len() <= MAX_LEN
    }

    fn fill(&self, topic: &str, out: &mut String) {
        let mut plus = self.filter.split('/').zip(topic.split('/'));
        let mut plus = std::iter::from_fn(|| {
            plus.by_ref()
                .find_map(|(level, matched)| (level == "+").then_some(matched))
        });
        for (n, level) in self.pattern.split('/').enumerate() {
            let matched = match level {
                "+" => Some(plus.next().unwrap_or("")),
                // Of `a/#` and the topic `a` nothing is left, not even the slash.
                "#" => self.rest(topic),
                level => Some(level),
            };
            if let Some(matched) = matched {
                if n > 0 {
                    out.push('/');
                }
                out.push_str(matched);
            }
        }
    }

    /// What `#` of the filter matched.
    fn rest<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let before = self.filter.split('/').count().saturating_sub(1);
        let mut rest = topic;
        for _ in 0..before {
            rest = rest.split_once('/')?.1;
        }
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_filled_in() {
        // Filter, pattern, prefix, suffix, topic, result.
        for (filter, pattern, prefix, suffix, topic, result) in [
            ("a", "", "", "", "a", Some("a")),
            ("a/#", "", "x/", "", "a/b", Some("x/a/b")),
            ("a/#", "", "", "/end", "a", Some("a/end")),
            ("a", "b/c", "", "", "a", Some("b/c")),
            ("a/#", "fixed", "", "", "a/b/c", Some("fixed")),
            ("a/#", "b/#", "", "", "a/x/y", Some("b/x/y")),
            ("a/#", "b/#", "", "", "a", Some("b")),
            ("a/#", "b/#", "", "", "a/", Some("b/")),
            ("#", "up/#", "", "", "a/b", Some("up/a/b")),
            ("a/#", "#", "", "", "a/b", Some("b")),
            ("a/#", "#", "", "", "a", None),
            ("a/#", "#", "p", "", "a", Some("p")),
            ("+/+/c", "+/x/+", "", "", "1/2/c", Some("1/x/2")),
            ("+/b/+/#", "#", "", "", "1/b/2/3/4", Some("3/4")),
            ("+/b/+/#", "z/+/#", "", "", "1/b/2/3/4", Some("z/1/3/4")),
            ("+/+", "+", "", "", "/b", None),
            ("+/+", "+/+", "", "", "/b", Some("/b")),
            ("$share/g/a/+", "b/+", "", "", "a/1", Some("b/1")),
        ] {
            let map = TopicMap::new(filter, pattern, prefix, suffix).unwrap();
            assert!(map.matches(topic), "{filter} {topic}");
            let mut out = "old".to_owned();
            let is_topic = map.apply(topic, &mut out);
            assert_eq!(
                is_topic.then_some(out.as_str()),
                result,
                "{filter} {pattern} {topic}"
            );
        }
        let map = TopicMap::new("#", "", &"x".repeat(60_000), "").unwrap();
        assert!(!map.apply(&"y".repeat(6_000), &mut String::new()));
        assert!(!map.is_identity());
        assert!(TopicMap::new("#", "", "", "").unwrap().is_identity());
    }

    #[test]
    fn maps_that_cannot_be_filled_are_refused() {
        for (filter, pattern, prefix, error) in [
            ("", "", "", TopicMapError::Filter(TopicError::Empty)),
            (
                "a#",
                "",
                "",
                TopicMapError::Filter(TopicError::MisplacedHash),
            ),
            (
                "a",
                "b+",
                "",
                TopicMapError::Pattern(TopicError::MisplacedPlus),
            ),
            ("a/+", "+/+", "", TopicMapError::MorePlus),
            ("a/#", "+/#", "", TopicMapError::MorePlus),
            ("a/+", "b/#", "", TopicMapError::NoHash),
            ("a", "b", "x/#", TopicMapError::Affix),
            (
                "a",
                "$share/g/b",
                "",
                TopicMapError::Pattern(TopicError::WildcardInName),
            ),
        ] {
            assert_eq!(
                TopicMap::new(filter, pattern, prefix, ""),
                Err(error),
                "{filter} {pattern}"
            );
        }
    }
}
