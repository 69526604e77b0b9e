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
