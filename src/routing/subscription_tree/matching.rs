//! What matches a topic: the wildcard filters of the tree, a level at a time, and all of it put together.

use smallvec::SmallVec;

use super::levels::{Branch, Level, split_level};
use crate::routing::{
    linear_hash_map::LinearHashMap,
    routes::{Groups, Route, Routes, Target},
    subscribers::Subscribers,
};

/// Levels and topics that are looked at without an allocation.
const FEW: usize = 16;

/// What matches one topic.
pub struct Matches<'a, T> {
    routes: SmallVec<[&'a Route<T>; 2]>,
    groups: Groups<T>,
    /// Filters that contributed.
    filters: usize,
}

impl<T> Default for Matches<'_, T> {
    fn default() -> Self {
        Self {
            routes: SmallVec::new(),
            groups: Groups::new(),
            filters: 0,
        }
    }
}

impl<'a, T> Matches<'a, T> {
    /// The subscription, where it is the only one and not a shared one.
    pub fn single(&self) -> Option<&'a Route<T>> {
        match &self.routes[..] {
            [route] if self.groups.is_empty() => Some(route),
            _ => None,
        }
    }

    /// All of it put together.
    pub fn routes(self) -> Routes<T> {
        Routes::collect(self.routes, self.groups, self.filters < 2)
    }

    pub(super) fn add(&mut self, slot: &'a Subscribers<T>) {
        match slot {
            Subscribers::None => return,
            Subscribers::One(route) => self.routes.push(route),
            Subscribers::Shared(group) => self.groups.push(group.clone()),
            Subscribers::Many(many) => {
                self.routes.reserve(many.routes.len());
                many.routes.for_each(|route| self.routes.push(route));
                self.groups.extend(many.groups.iter().cloned());
            }
        }
        self.filters += 1;
    }
}

impl<T: Target> Level<T> {
    /// Adds every filter below this root that matches a topic to what was found for it. Breadth first with lists instead
    /// of recursion: a topic may have tens of thousands of levels.
    pub(super) fn find<'a>(&'a self, topics: &[&str], found: &mut [Matches<'a, T>]) {
        // Of each topic, the level that is looked at and what follows it.
        let mut parts: SmallVec<[(Option<&str>, Option<&str>); FEW]> =
            topics.iter().map(|topic| (None, Some(*topic))).collect();
        // Levels of the tree that match what is before, each with the number of its topic.
        let mut reached: SmallVec<[(usize, &'a Self); FEW]> =
            (0..topics.len()).map(|n| (n, self)).collect();
        let mut next: SmallVec<[(usize, &'a Self); FEW]> = SmallVec::new();
        let mut lookups: SmallVec<[_; FEW]> = SmallVec::new();
        let mut is_first = true;
        while !reached.is_empty() {
            for (part, rest) in &mut parts {
                (*part, *rest) = match rest.map(split_level) {
                    Some((part, rest)) => (Some(part), rest),
                    None => (None, None),
                };
            }
            let mut follow =
                |topic: usize, branch: &'a Branch<T>, found: &mut Matches<'a, T>| match branch {
                    Branch::Only(ending, slot) if ending.matches(parts[topic].1) => found.add(slot),
                    Branch::Only(..) => {}
                    Branch::More(level) => next.push((topic, level)),
                };
            reached.retain(|(topic, level)| {
                let (topic, level) = (*topic, *level);
                let found = &mut found[topic];
                let Some(part) = parts[topic].0 else {
                    found.add(&level.here);
                    // "sport/#" matches "sport" too [MQTT-4.7.1-2].
                    found.add(&level.multi);
                    return false;
                };
                // Wildcards at the first level do not match topics that start with '$' [MQTT-4.7.2-1].
                if !(is_first && part.starts_with('$')) {
                    found.add(&level.multi);
                    if let Some(single) = &level.single {
                        follow(topic, single, found);
                    }
                }
                let goes_on = !level.named.is_empty();
                if goes_on {
                    lookups.push((&level.named, part));
                }
                goes_on
            });
            LinearHashMap::get_each(&lookups, |index, branch| {
                if let Some(branch) = branch {
                    let topic = reached[index].0;
                    follow(topic, branch, &mut found[topic]);
                }
            });
            lookups.clear();
            reached.clear();
            std::mem::swap(&mut reached, &mut next);
            is_first = false;
        }
    }
}
