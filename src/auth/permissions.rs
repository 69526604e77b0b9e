//! What one connected client may do, with the decisions that are worth remembering.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{
    acl::{Action, Subject},
    policy::Policy,
};

/// Whether a client may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Yes, as long as the policy is the same.
    Always,
    /// Yes, this time.
    Now,
    /// No.
    No,
    /// The HTTP server is to be asked; [`Permissions::told`] takes the answer.
    Ask,
}

/// See the module's description.
#[derive(Debug)]
pub struct Permissions {
    policy: Arc<Policy>,
    subject: Subject,
    /// Publishing, if it is the same for all topics.
    publish: Option<bool>,
    /// Made when there is something to remember.
    remembered: Option<Box<Memory>>,
}

/// Decisions by topic.
#[derive(Debug, Default)]
struct Memory {
    publish: HashMap<Box<str>, Remembered>,
    subscribe: HashMap<Box<str>, Remembered>,
    /// The answer that was asked for, for once.
    answer: Option<(Action, Box<str>, bool)>,
}

impl Memory {
    fn about(&mut self, action: Action) -> &mut HashMap<Box<str>, Remembered> {
        match action {
            Action::Publish => &mut self.publish,
            Action::Subscribe => &mut self.subscribe,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    allowed: bool,
    until: Instant,
}

impl Permissions {
    /// What `subject` may do.
    pub fn new(policy: Arc<Policy>, subject: Subject) -> Self {
        Self {
            publish: policy.decide_for_all(&subject, Action::Publish),
            policy,
            subject,
            remembered: None,
        }
    }

    /// The client.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What decides.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Goes by another policy from here on; false when it is the same.
    pub fn renew(&mut self, policy: &Arc<Policy>) -> bool {
        if self.policy.version == policy.version {
            return false;
        }
        let subject = self.subject.clone();
        *self = Self::new(policy.clone(), subject);
        true
    }

    /// Whether the client may publish to a topic, or subscribe to a filter without `$share/group/`.
    pub fn may(&mut self, action: Action, topic: &str, now: Instant) -> Allowed {
        if action == Action::Publish
            && let Some(allowed) = self.publish
        {
            return match allowed {
                true => Allowed::Always,
                false => Allowed::No,
            };
        }
        let answer = self
            .remembered
            .as_mut()
            .and_then(|memory| memory.answer.take());
        if let Some((of, about, allowed)) = answer
            && of == action
            && *about == *topic
        {
            return once(allowed);
        }
        let asks = self.policy.asks();
        if let Some(remembered) = &mut self.remembered
            && let Some(known) = remembered.about(action).get(topic)
            && now < known.until
        {
            return match known.allowed {
                true if !asks => Allowed::Always,
                allowed => once(allowed),
            };
        }
        let Some(allowed) = self.policy.decide(&self.subject, action, topic) else {
            return Allowed::Ask;
        };
        if let Some((most, ttl)) = self.policy.memory() {
            self.remember(action, topic, allowed, most, now.checked_add(ttl));
        }
        match allowed {
            true => Allowed::Always,
            false => Allowed::No,
        }
    }

    /// The HTTP server's answer about an action, which [`Permissions::may`] then gives once, or for as long as
    /// `auth.http_auth.cache_ttl` says. One that was `failed` is not remembered.
    pub fn told(&mut self, action: Action, topic: &str, allowed: bool, failed: bool, now: Instant) {
        if !failed {
            self.remember_answer(action, topic, allowed, now);
        }
        let remembered = self.remembered.get_or_insert_default();
        remembered.answer = Some((action, topic.into(), allowed));
    }

    /// An answer that was used already, for as long as `auth.http_auth.cache_ttl` says.
    pub fn remember_answer(&mut self, action: Action, topic: &str, allowed: bool, now: Instant) {
        let auth = self.policy.auth();
        let (ttl, most) = (auth.http_auth.cache_ttl, auth.cache.max_size);
        if !ttl.is_zero() {
            self.remember(action, topic, allowed, most, now.checked_add(ttl));
        }
    }

    fn remember(
        &mut self,
        action: Action,
        topic: &str,
        allowed: bool,
        most: usize,
        until: Option<Instant>,
    ) {
        let Some(until) = until else {
            return;
        };
        let remembered = self.remembered.get_or_insert_default().about(action);
        if remembered.len() >= most {
            remembered.clear();
        }
        remembered.insert(topic.into(), Remembered { allowed, until });
    }

    /// Whether the client may receive a message of a topic, as far as it is known without asking.
    pub fn may_receive(&self, topic: &str) -> bool {
        self.policy.may_keep(&self.subject, topic)
    }

    /// Whether the client's will may be published, as far as it is known without asking.
    pub fn may_publish_will(&self, topic: &str) -> bool {
        self.policy
            .decide(&self.subject, Action::Publish, topic)
            .unwrap_or(true)
    }
}

fn once(allowed: bool) -> Allowed {
    match allowed {
        true => Allowed::Now,
        false => Allowed::No,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{AclRule, Auth, Config};

    fn policy(version: u64, change: impl FnOnce(&mut Auth)) -> Arc<Policy> {
        let mut config = Config::default();
        change(&mut config.auth);
        let policy = Policy::new(version, Arc::new(config), Arc::default());
        Arc::new(policy.unwrap())
    }

    fn permissions(policy: Arc<Policy>) -> Permissions {
        let subject = Subject {
            client_id: "c".into(),
            username: None,
            address: [127, 0, 0, 1].into(),
            superuser: false,
        };
        Permissions::new(policy, subject)
    }

    fn deny_a(auth: &mut Auth) {
        let rules = serde_json::json!([{"permit": "deny", "topics": ["a"]}]);
        auth.acl.rules = AclRule::read_all(&rules).unwrap();
    }

    #[test]
    fn decisions_are_remembered_in_bounds_and_dropped_with_the_policy() {
        let now = Instant::now();
        let mut own = permissions(policy(1, |auth| {
            deny_a(auth);
            auth.cache.max_size = 2;
        }));
        for topic in ["a", "b", "c", "d", "a"] {
            let expected = if topic == "a" {
                Allowed::No
            } else {
                Allowed::Always
            };
            assert_eq!(own.may(Action::Publish, topic, now), expected, "{topic}");
            assert!(own.remembered.as_ref().unwrap().publish.len() <= 2);
        }
        assert!(!own.renew(&policy(1, |_| {})));
        assert!(own.renew(&policy(2, |_| {})));
        assert_eq!(own.may(Action::Publish, "a", now), Allowed::Always);
        assert!(own.remembered.is_none());
    }

    #[test]
    fn an_answer_counts_once_or_for_its_time() {
        let start = Instant::now();
        let ask = |ttl: u64| {
            permissions(policy(1, |auth| {
                auth.http_auth.acl_req.url = "http://127.0.0.1/".to_owned();
                auth.http_auth.cache_ttl = Duration::from_secs(ttl);
            }))
        };
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut once = ask(0);
        assert_eq!(once.may(Action::Publish, "a", start), Allowed::Ask);
        once.told(Action::Publish, "a", true, false, start);
        assert_eq!(once.may(Action::Publish, "a", start), Allowed::Now);
        assert_eq!(once.may(Action::Publish, "a", start), Allowed::Ask);
        once.told(Action::Publish, "a", true, false, start);
        // It is no answer about anything else.
        assert_eq!(once.may(Action::Subscribe, "a", start), Allowed::Ask);

        let mut kept = ask(10);
        kept.told(Action::Publish, "a", true, false, start);
        kept.told(Action::Publish, "b", false, false, start);
        kept.told(Action::Publish, "c", false, true, start);
        assert_eq!(kept.may(Action::Publish, "c", start), Allowed::No);
        for (second, topic, expected) in [
            (0, "a", Allowed::Now),
            (9, "a", Allowed::Now),
            (9, "b", Allowed::No),
            (9, "c", Allowed::Ask),
            (10, "a", Allowed::Ask),
        ] {
            let got = kept.may(Action::Publish, topic, at(second));
            assert_eq!(got, expected, "{second} {topic}");
        }
    }
}
