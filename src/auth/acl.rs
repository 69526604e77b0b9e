//! What clients may do: rules, of which the first that speaks of a matter decides it.
//!
//! PUBLISH is about one topic: a rule speaks of it when one of its patterns matches. SUBSCRIBE is about all topics that a
//! filter matches: an `allow` speaks of it when one of its patterns covers the whole filter, a `deny` when one of its
//! patterns has any topic in common with it. So nobody reads by a wildcard what it may not read by name.
//!
//! A client's id or user name that is put into a pattern is text in one level. One that is empty or holds `+`, `#` or `/`
//! makes no `allow` match, and makes a `deny` match everything from that level on.

use std::{net::IpAddr, sync::Arc};

use crate::config::{self, AclAction, AclRule, AclWho, Network, Permit};

/// A client, as rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Client id.
    pub client_id: Arc<str>,
    /// User name, if it has one.
    pub username: Option<Arc<str>>,
    /// Its address.
    pub address: IpAddr,
    /// It may do anything.
    pub superuser: bool,
}

/// What a client wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Publish to a topic.
    Publish,
    /// Subscribe to a filter, or receive a message of a topic.
    Subscribe,
}

/// A decision of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Whether it may be done.
    pub allowed: bool,
    /// The rule that decided, from 1.
    pub rule: usize,
}

/// The rules, ready for use.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    /// Number in the configuration, from 1.
    number: usize,
    allows: bool,
    publish: bool,
    subscribe: bool,
    all: Vec<Who>,
    any: Vec<Who>,
    /// None: all topics.
    patterns: Vec<Pattern>,
}

/// What is `None` may be anything.
#[derive(Debug)]
struct Who {
    username: Option<String>,
    client_id: Option<String>,
    network: Option<Network>,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    has_placeholder: bool,
}

impl Rules {
    /// Prepares the rules of a configuration, which loading it has checked.
    pub fn new(acl: &config::Acl) -> Self {
        let rules = acl.rules.iter().filter(|_| acl.enable);
        Self(
            (1..)
                .zip(rules)
                .map(|(n, rule)| Rule::new(n, rule))
                .collect(),
        )
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ruling on an action on a topic or, for [`Action::Subscribe`], a filter without `$share/group/`; none when no
    /// rule speaks of it.
    pub fn decide(&self, subject: &Subject, action: Action, topic: &str) -> Option<Ruling> {
        let concerned = |rule: &&Rule| rule.concerns(subject, action);
        let mut rules = self.0.iter().filter(concerned);
        let rule = rules.find(|rule| rule.speaks_of(subject, action, topic))?;
        Some(rule.ruling())
    }

    /// The ruling on an action if it is the same for all topics: `Some(None)` when no rule is about it.
    pub fn decide_for_all(&self, subject: &Subject, action: Action) -> Option<Option<Ruling>> {
        let first = self.0.iter().find(|rule| rule.concerns(subject, action));
        match first {
            None => Some(None),
            Some(rule) if rule.patterns.is_empty() => Some(Some(rule.ruling())),
            Some(_) => None,
        }
    }
}

impl Rule {
    fn new(number: usize, rule: &AclRule) -> Self {
        let own = AclWho {
            username: rule.username.clone(),
            clientid: rule.clientid.clone(),
            ipaddr: rule.ipaddr.clone(),
        };
        Self {
            number,
            allows: rule.permit == Permit::Allow,
            publish: rule.action != AclAction::Subscribe,
            subscribe: rule.action != AclAction::Publish,
            all: [&own].into_iter().chain(&rule.and).map(Who::new).collect(),
            any: rule.or.iter().map(Who::new).collect(),
            patterns: rule.topics.iter().map(|text| Pattern::new(text)).collect(),
        }
    }

    fn ruling(&self) -> Ruling {
        Ruling {
            allowed: self.allows,
            rule: self.number,
        }
    }

    fn concerns(&self, subject: &Subject, action: Action) -> bool {
        let about = match action {
            Action::Publish => self.publish,
            Action::Subscribe => self.subscribe,
        };
        about
            && self.all.iter().all(|who| who.is(subject))
            && (self.any.is_empty() || self.any.iter().any(|who| who.is(subject)))
    }

    fn speaks_of(&self, subject: &Subject, action: Action, topic: &str) -> bool {
        let speaks = |pattern: &Pattern| {
            let levels = pattern.levels(subject, self.allows);
            levels.is_some_and(|levels| match (action, self.allows) {
                (Action::Publish, _) | (Action::Subscribe, true) => covers(&levels, topic),
                (Action::Subscribe, false) => overlaps(&levels, topic),
            })
        };
        self.patterns.is_empty() || self.patterns.iter().any(speaks)
    }
}

impl Who {
    fn new(who: &AclWho) -> Self {
        let named = |text: &Option<String>| text.clone().filter(|text| text != "#");
        Self {
            username: named(&who.username),
            client_id: named(&who.clientid),
            network: named(&who.ipaddr).and_then(|text| text.parse().ok()),
        }
    }

    fn is(&self, subject: &Subject) -> bool {
        let is = |wanted: &Option<String>, own: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == own)
        };
        is(&self.username, subject.username.as_deref())
            && is(&self.client_id, Some(&subject.client_id))
            && self
                .network
                .is_none_or(|network| network.contains(subject.address))
    }
}

/// A level of a pattern.
#[derive(Debug, PartialEq, Eq)]
enum Level<'a> {
    Text(&'a str),
    Owned(String),
    Plus,
    Hash,
}

impl Pattern {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            has_placeholder: text.contains("${"),
        }
    }

    /// The levels for a client; none when they match nothing.
    fn levels(&self, subject: &Subject, allows: bool) -> Option<Vec<Level<'_>>> {
        let mut levels = Vec::with_capacity(8);
        for text in self.text.split('/') {
            match text {
                "+" => levels.push(Level::Plus),
                "#" => levels.push(Level::Hash),
                text if self.has_placeholder && text.contains("${") => {
                    match substituted(text, subject) {
                        Substituted::Text(text) => levels.push(Level::Owned(text)),
                        Substituted::Missing => return None,
                        Substituted::Unsafe if allows => return None,
                        Substituted::Unsafe => {
                            levels.push(Level::Hash);
                            return Some(levels);
                        }
                    }
                }
                text => levels.push(Level::Text(text)),
            }
        }
        Some(levels)
    }
}

/// What becomes of a level with placeholders.
enum Substituted {
    Text(String),
    /// The client has no user name.
    Missing,
    /// What is put in is empty or no plain text of one level.
    Unsafe,
}

fn substituted(level: &str, subject: &Subject) -> Substituted {
    let mut out = String::new();
    let mut rest = level;
    while let Some((before, behind)) = rest.split_once("${") {
        out.push_str(before);
        let (value, behind) = if let Some(behind) = behind.strip_prefix("clientid}") {
            (Some(&*subject.client_id), behind)
        } else if let Some(behind) = behind.strip_prefix("username}") {
            (subject.username.as_deref(), behind)
        } else {
            (None, behind)
        };
        let Some(value) = value else {
            return Substituted::Missing;
        };
        if value.is_empty() || value.contains(['+', '#', '/', '\0']) {
            return Substituted::Unsafe;
        }
        out.push_str(value);
        rest = behind;
    }
    out.push_str(rest);
    Substituted::Text(out)
}

impl Level<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Owned(text) => Some(text),
            Self::Plus | Self::Hash => None,
        }
    }
}

/// Whether a pattern matches every topic that a filter, or a topic, matches. A wildcard in the first level is not about
/// topics that begin with `$` `[MQTT-4.7.2-1]`.
fn covers(pattern: &[Level<'_>], filter: &str) -> bool {
    if filter.starts_with('$') && pattern.first().is_some_and(|level| level.text().is_none()) {
        return false;
    }
    let mut wanted = filter.split('/');
    for level in pattern {
        match (level, wanted.next()) {
            // Also the level above: `a/#` matches `a`.
            (Level::Hash, _) => return true,
            (_, None | Some("#")) => return false,
            (Level::Plus, Some(_)) => {}
            (level, Some(text)) if level.text() == Some(text) => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

/// Whether there is a topic that both match.
fn overlaps(pattern: &[Level<'_>], filter: &str) -> bool {
    let first = pattern.first();
    let is_system = |text: Option<&str>| text.is_some_and(|text| text.starts_with('$'));
    let starts_wild = filter.starts_with(['+', '#']);
    if (filter.starts_with('$') && first.is_some_and(|level| level.text().is_none()))
        || (starts_wild && is_system(first.and_then(Level::text)))
    {
        return false;
    }
    let mut wanted = filter.split('/');
    for level in pattern {
        match (level, wanted.next()) {
            (Level::Hash, _) | (_, Some("#")) => return true,
            (_, None) => return false,
            (Level::Plus, Some(_)) | (_, Some("+")) => {}
            (level, Some(text)) if level.text() == Some(text) => {}
            _ => return false,
        }
    }
    matches!(wanted.next(), None | Some("#"))
}

#[cfg(test)]
mod tests;
