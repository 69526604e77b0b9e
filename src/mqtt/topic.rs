//! Topic names and filters as types that cannot be wrong, and how the two match.

use std::fmt;

const MAX_LEN: usize = 65_535;
/// What the filter of a shared subscription starts with.
pub(super) const SHARE_PREFIX: &str = "$share/";

/// Why a text is no topic name or topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicError {
    /// No character at all `[MQTT-4.7.3-1]`.
    Empty,
    /// More than 65,535 bytes `[MQTT-4.7.3-3]`.
    TooLong,
    /// A character U+0000 `[MQTT-4.7.3-2]`.
    Nul,
    /// `+` or `#` in a topic name `[MQTT-4.7.0-1]`.
    WildcardInName,
    /// `#` that is not the whole last level `[MQTT-4.7.1-1]`.
    MisplacedHash,
    /// `+` that is not a whole level `[MQTT-4.7.1-2]`.
    MisplacedPlus,
    /// `$share/` without a group name `[MQTT-4.8.2-1]`.
    NoShareName,
    /// `+` or `#` in a group name `[MQTT-4.8.2-2]`.
    WildcardInShareName,
    /// `$share/group` without a filter `[MQTT-4.8.2-2]`.
    NoSharedFilter,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty [MQTT-4.7.3-1]",
            Self::TooLong => "longer than 65535 bytes [MQTT-4.7.3-3]",
            Self::Nul => "character U+0000 [MQTT-4.7.3-2]",
            Self::WildcardInName => "wildcard in a topic name [MQTT-4.7.0-1]",
            Self::MisplacedHash => "'#' is not the whole last level [MQTT-4.7.1-1]",
            Self::MisplacedPlus => "'+' is not a whole level [MQTT-4.7.1-2]",
            Self::NoShareName => "shared subscription without a group name [MQTT-4.8.2-1]",
            Self::WildcardInShareName => "wildcard in a group name [MQTT-4.8.2-2]",
            Self::NoSharedFilter => "shared subscription without a filter [MQTT-4.8.2-2]",
        })
    }
}

impl std::error::Error for TopicError {}

/// The topic of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks that the text is a topic name: not empty, no wildcards, no U+0000, at most 65,535 bytes.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_text(text)?;
        if has_wildcard(text) {
            return Err(TopicError::WildcardInName);
        }
        Ok(Self(text))
    }

    /// The text.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// The parts between the slashes; at least one, each may be empty.
    pub fn levels(&self) -> std::str::Split<'a, char> {
        self.0.split('/')
    }

    /// Whether the topic starts with `$`, so that no filter that starts with a wildcard matches it
    /// `[MQTT-4.7.2-1]`.
    pub fn is_system(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a subscription asks for: a pattern of topics, perhaps shared by a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter<'a> {
    full: &'a str,
    share: Option<&'a str>,
    filter: &'a str,
}

impl<'a> TopicFilter<'a> {
    /// Checks that the text is a topic filter, or `$share/group/filter`. The rules of MQTT 5 hold for all
    /// versions, so v3 clients can share subscriptions as well.
    pub fn parse(full: &'a str) -> Result<Self, TopicError> {
        check_text(full)?;
        let (share, filter) = match full.strip_prefix(SHARE_PREFIX) {
            None => (None, full),
            Some(rest) => {
                let (group, filter) = rest.split_once('/').unwrap_or((rest, ""));
                if group.is_empty() {
                    return Err(TopicError::NoShareName);
                }
                if has_wildcard(group) {
                    return Err(TopicError::WildcardInShareName);
                }
                if filter.is_empty() {
                    return Err(TopicError::NoSharedFilter);
                }
                (Some(group), filter)
            }
        };
        check_wildcards(filter)?;
        Ok(Self {
            full,
            share,
            filter,
        })
    }

    /// The text as the client wrote it.
    pub const fn full(&self) -> &'a str {
        self.full
    }

    /// The group of a shared subscription.
    pub const fn share(&self) -> Option<&'a str> {
        self.share
    }

    /// The pattern, without `$share/group/`.
    pub const fn filter(&self) -> &'a str {
        self.filter
    }

    /// The parts of the pattern between the slashes; at least one, each may be empty.
    pub fn levels(&self) -> std::str::Split<'a, char> {
        self.filter.split('/')
    }

    /// Whether the pattern can match more than one topic.
    pub fn is_wildcard(&self) -> bool {
        has_wildcard(self.filter)
    }

    /// Whether the pattern starts with `$`: only such a one matches topics that do `[MQTT-4.7.2-1]`.
    pub fn is_system(&self) -> bool {
        self.filter.starts_with('$')
    }

    /// Whether the pattern matches a topic.
    pub fn matches(&self, topic: TopicName<'_>) -> bool {
        matches(self.filter, topic.as_str())
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.full)
    }
}

/// Whether a filter, without `$share/group/`, matches a topic.
///
/// `a/#` matches `a`; a wildcard in the first level does not match a topic that starts with `$`
/// `[MQTT-4.7.2-1]`. Texts that are no filter or topic give some answer, not an error.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['#', '+']) {
        return false;
    }
    let is_slash = |byte: &u8| *byte == b'/';
    let mut levels = topic.as_bytes().split(is_slash);
    for pattern in filter.as_bytes().split(is_slash) {
        if pattern == b"#" {
            return true;
        }
        match levels.next() {
            Some(level) if pattern == b"+" || pattern == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Whether the text holds `+` or `#`.
pub(super) fn has_wildcard(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'+' | b'#'))
}

fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > MAX_LEN {
        return Err(TopicError::TooLong);
    }
    if text.as_bytes().contains(&0) {
        return Err(TopicError::Nul);
    }
    Ok(())
}

fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    if !has_wildcard(filter) {
        return Ok(());
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(TopicError::MisplacedHash);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::MisplacedPlus);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names() {
        let cases = [
            ("a", None),
            ("/", None),
            ("a//b", None),
            ("$SYS/x", None),
            ("$", None),
            ("a b/é", None),
            ("", Some(TopicError::Empty)),
            ("a\0b", Some(TopicError::Nul)),
            ("a/+/b", Some(TopicError::WildcardInName)),
            ("sport#", Some(TopicError::WildcardInName)),
        ];
        for (text, error) in cases {
            assert_eq!(TopicName::parse(text).err(), error, "{text:?}");
        }
        assert!(TopicName::parse(&"x".repeat(65_535)).is_ok());
        assert_eq!(
            TopicName::parse(&"x".repeat(65_536)),
            Err(TopicError::TooLong)
        );
        let name = TopicName::parse("/a//").unwrap();
        assert!(name.levels().eq(["", "a", "", ""]));
        assert!(!name.is_system());
        assert!(TopicName::parse("$SYS").unwrap().is_system());
    }

    #[test]
    fn filters() {
        // Filter, then group and pattern or what is wrong.
        let cases = [
            ("#", Ok((None, "#"))),
            ("+", Ok((None, "+"))),
            ("+/+/#", Ok((None, "+/+/#"))),
            ("/+", Ok((None, "/+"))),
            ("a/+/b", Ok((None, "a/+/b"))),
            ("$SYS/#", Ok((None, "$SYS/#"))),
            ("$share", Ok((None, "$share"))),
            ("$shared/g/t", Ok((None, "$shared/g/t"))),
            ("$share/g/t", Ok((Some("g"), "t"))),
            ("$share/g//", Ok((Some("g"), "/"))),
            ("$share/g/#", Ok((Some("g"), "#"))),
            ("$share/g/$SYS/+", Ok((Some("g"), "$SYS/+"))),
            ("", Err(TopicError::Empty)),
            ("a\0", Err(TopicError::Nul)),
            ("sport/tennis#", Err(TopicError::MisplacedHash)),
            ("sport/#/a", Err(TopicError::MisplacedHash)),
            ("#/a", Err(TopicError::MisplacedHash)),
            ("#/", Err(TopicError::MisplacedHash)),
            ("##", Err(TopicError::MisplacedHash)),
            ("+#", Err(TopicError::MisplacedHash)),
            ("sport+", Err(TopicError::MisplacedPlus)),
            ("++", Err(TopicError::MisplacedPlus)),
            ("a/+b/c", Err(TopicError::MisplacedPlus)),
            ("$share/", Err(TopicError::NoShareName)),
            ("$share//t", Err(TopicError::NoShareName)),
            ("$share/g", Err(TopicError::NoSharedFilter)),
            ("$share/g/", Err(TopicError::NoSharedFilter)),
            ("$share/g+/t", Err(TopicError::WildcardInShareName)),
            ("$share/#/t", Err(TopicError::WildcardInShareName)),
            ("$share/g/t#", Err(TopicError::MisplacedHash)),
        ];
        for (text, expected) in cases {
            let parsed = TopicFilter::parse(text);
            assert_eq!(
                parsed.map(|filter| (filter.share(), filter.filter())),
                expected,
                "{text:?}"
            );
            assert!(parsed.is_err() || parsed.is_ok_and(|filter| filter.full() == text));
        }
        let filter = TopicFilter::parse("$share/g/a/+").unwrap();
        assert!(filter.levels().eq(["a", "+"]));
        assert!(filter.is_wildcard());
        assert!(filter.matches(TopicName::parse("a/b").unwrap()));
        assert!(!TopicFilter::parse("$share/g/a").unwrap().is_wildcard());
    }

    #[test]
    fn matching() {
        let cases = [
            ("a", "a", true),
            ("a", "A", false),
            ("a", "a/", false),
            ("a/", "a", false),
            ("/a", "a", false),
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("#", "a", true),
            ("#", "/", true),
            ("#", "a/b/c", true),
            ("a/#", "a", true),
            ("a/#", "a/", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("a/#", "b/a", false),
            ("/#", "/a", true),
            ("/#", "a", false),
            ("+", "a", true),
            ("+", "a/b", false),
            ("+", "/a", false),
            ("/+", "/a", true),
            ("+/+", "/a", true),
            ("+/+", "a", false),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a//c", true),
            ("a/+/c", "a/b/d", false),
            ("+/b/#", "a/b", true),
            ("+/b/#", "a/b/c/d", true),
            ("+/b/#", "a/c/b", false),
            ("+/#", "a", true),
            ("#", "$SYS", false),
            ("#", "$", false),
            ("+", "$SYS", false),
            ("+/a", "$SYS/a", false),
            ("+/#", "$SYS/a", false),
            ("$SYS/#", "$SYS", true),
            ("$SYS/#", "$SYS/a", true),
            ("$SYS/+", "$SYS/a", true),
            ("a/#", "a/$b", true),
            ("a/+", "a/$b", true),
            ("é/+", "é/ü", true),
        ];
        for (filter, topic, expected) in cases {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
        let deep = "/".repeat(65_000);
        assert!(matches("#", &deep));
        assert!(matches(&deep, &deep));
        assert!(!matches(&format!("{deep}a"), &deep));
    }

    proptest! {
        #[test]
        fn a_topic_matches_itself_with_levels_replaced(
            levels in prop::collection::vec("[a-c$]{0,2}", 1..6),
            at: prop::sample::Index,
        ) {
            let topic = levels.join("/");
            let system = topic.starts_with('$');
            prop_assert!(matches(&topic, &topic));
            let at = at.index(levels.len());
            let mut plus = levels.clone();
            plus[at] = "+".into();
            prop_assert_eq!(matches(&plus.join("/"), &topic), at > 0 || !system);
            let mut hash = levels[..at].to_vec();
            hash.push("#".into());
            prop_assert_eq!(matches(&hash.join("/"), &topic), at > 0 || !system);
            let longer = format!("{topic}/x");
            prop_assert!(!matches(&longer, &topic) && !matches(&topic, &longer));
        }

        #[test]
        fn any_text_gets_an_answer(filter in "[+#/$a\0]{0,12}", topic in "[+#/$a\0]{0,12}") {
            let _ = matches(&filter, &topic);
            if let Ok(name) = TopicName::parse(&topic) {
                let hash = TopicFilter::parse("#").unwrap();
                prop_assert_eq!(hash.matches(name), !name.is_system());
            }
            if let Ok(parsed) = TopicFilter::parse(&filter) {
                prop_assert!(parsed.full().ends_with(parsed.filter()));
            }
        }
    }
}
