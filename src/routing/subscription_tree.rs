//! All subscriptions, for matching topics.
//!
//! Filters without wildcards live in one map by their whole text, so that matching them is one look-up however
//! many there are. Filters with wildcards form a tree of topic levels.

mod levels;
mod matching;
mod removing;

use std::sync::Arc;

use smol_str::SmolStr;

pub use self::matching::Matches;
use self::{levels::Level, removing::remove_below};
use super::{
    linear_hash_map::LinearHashMap,
    routes::{Route, Routes, SharedGroup, Target},
    subscribers::Subscribers,
};
use crate::mqtt::TopicFilter;

/// See the module's description.
#[derive(Debug)]
pub struct SubscriptionTree<T> {
    /// A short filter lies in the map itself: finding it takes one look at memory less.
    exact: LinearHashMap<SmolStr, Subscribers<T>>,
    wildcards: Level<T>,
    filters: FilterCount,
}

/// Numbers of different filters, not counting by whom and in which groups they are subscribed to.
#[derive(Debug, Default)]
struct FilterCount {
    all: usize,
    /// Of topics that start with `$`.
    system: usize,
}

impl FilterCount {
    fn add(&mut self, filter: &TopicFilter<'_>) {
        self.all += 1;
        self.system += usize::from(filter.is_system());
    }

    fn remove(&mut self, filter: &TopicFilter<'_>) {
        self.all -= 1;
        self.system -= usize::from(filter.is_system());
    }
}

impl<T> Default for SubscriptionTree<T> {
    fn default() -> Self {
        Self {
            exact: LinearHashMap::default(),
            wildcards: Level::default(),
            filters: FilterCount::default(),
        }
    }
}

impl<T: Target> SubscriptionTree<T> {
    /// Enters a subscription, or replaces the one the same session had on the same filter `[MQTT-3.8.4-3]`;
    /// `is_new` says that it had none, so that none is looked for among what may be very many.
    /// `full_filter` is the text of `filter`, which the tree may keep.
    pub fn insert(
        &mut self,
        filter: &TopicFilter<'_>,
        full_filter: &Arc<str>,
        route: Route<T>,
        is_new: bool,
    ) {
        let slot = match filter.is_wildcard() {
            true => self.wildcards.slot_mut(filter.filter()),
            false => {
                let key = match filter.share() {
                    None => SmolStr::from(full_filter.clone()),
                    Some(_) => SmolStr::new(filter.filter()),
                };
                self.exact.get_or_insert_with(key, || Subscribers::None)
            }
        };
        if matches!(slot, Subscribers::None) {
            self.filters.add(filter);
        }
        match filter.share() {
            None => slot.insert(route, is_new),
            Some(_) => slot.insert_shared(full_filter, route, is_new),
        }
    }

    /// Reads what entering filters is going to touch. Among very many subscriptions they are entered faster after that.
    pub fn fetch(&self, filters: &[&str]) {
        let filters = filters
            .iter()
            .filter_map(|filter| TopicFilter::parse(filter).ok());
        let (wildcards, exact): (Vec<_>, Vec<_>) = filters.partition(|filter| filter.is_wildcard());
        let exact: Vec<_> = exact
            .iter()
            .map(|filter| (&self.exact, filter.filter()))
            .collect();
        LinearHashMap::fetch_each(&exact);
        self.wildcards
            .fetch(wildcards.iter().map(|filter| filter.filter()));
    }

    /// Number of different filters, not counting by whom and in which groups they are subscribed to.
    pub fn filters(&self) -> usize {
        self.filters.all
    }

    /// True when somebody subscribes to topics that start with `$`. Filters that start with a wildcard are none of these
    /// `[MQTT-4.7.2-1]`.
    pub fn has_system_filters(&self) -> bool {
        self.filters.system > 0
    }

    /// Takes a session's subscription out; false when it had none on this filter.
    pub fn remove(&mut self, filter: &TopicFilter<'_>, target: &Arc<T>) -> bool {
        let group = filter.share().map(|_| filter.full());
        if filter.is_wildcard() {
            let removed = remove_below(&mut self.wildcards, filter.filter(), group, target);
            let left = self.wildcards.slot(filter.filter());
            if removed && matches!(left, None | Some(Subscribers::None)) {
                self.filters.remove(filter);
            }
            return removed;
        }
        let Some(slot) = self.exact.get_mut(filter.filter()) else {
            return false;
        };
        let removed = slot.remove(group, target);
        if matches!(slot, Subscribers::None) {
            self.exact.remove(filter.filter());
            self.filters.remove(filter);
        }
        removed
    }

    /// The members of a shared subscription, given its whole `$share/group/filter`.
    pub fn group(&self, full_filter: &str) -> Option<SharedGroup<T>> {
        let filter = TopicFilter::parse(full_filter).ok()?;
        let mut groups = self.slot(&filter)?.groups().iter();
        groups
            .find(|group| *group.full_filter == *full_filter)
            .cloned()
    }

    /// The sessions with a subscription of exactly this whole filter, `$share/group/` included.
    pub fn subscribers(&self, full_filter: &str) -> Vec<Arc<T>> {
        let Ok(filter) = TopicFilter::parse(full_filter) else {
            return Vec::new();
        };
        let target = |route: &Route<T>| route.target.clone();
        if filter.share().is_some() {
            let group = self.group(full_filter);
            return group.map_or_else(Vec::new, |group| group.members.iter().map(target).collect());
        }
        match self.slot(&filter) {
            None | Some(Subscribers::None | Subscribers::Shared(_)) => Vec::new(),
            Some(Subscribers::One(route)) => vec![target(route)],
            Some(Subscribers::Many(many)) => {
                let mut targets = Vec::with_capacity(many.routes.len());
                many.routes.for_each(|route| targets.push(target(route)));
                targets
            }
        }
    }

    fn slot(&self, filter: &TopicFilter<'_>) -> Option<&Subscribers<T>> {
        match filter.is_wildcard() {
            true => self.wildcards.slot(filter.filter()),
            false => self.exact.get(filter.filter()),
        }
    }

    /// Everybody subscribed to `topic`.
    pub fn routes(&self, topic: &str) -> Routes<T> {
        self.matches(topic).routes()
    }

    /// The subscriptions that match `topic` `[MQTT-4.7.2-1]`, `[MQTT-4.7.3]`.
    pub fn matches(&self, topic: &str) -> Matches<'_, T> {
        let mut found = Matches::default();
        if let Some(slot) = self.exact.get(topic) {
            found.add(slot);
        }
        if !self.wildcards.is_empty() {
            self.wildcards
                .find(&[topic], std::slice::from_mut(&mut found));
        }
        found
    }

    /// As [`SubscriptionTree::matches`] for several topics. Among very many subscriptions that takes less time than one
    /// after the other.
    pub fn matches_of_each(
        &self,
        topics: &[&str],
    ) -> impl Iterator<Item = Matches<'_, T>> + use<'_, T> {
        let mut found: Vec<_> = topics.iter().map(|_| Matches::default()).collect();
        if !self.exact.is_empty() {
            let lookups: Vec<_> = topics.iter().map(|topic| (&self.exact, *topic)).collect();
            LinearHashMap::get_each(&lookups, |index, slot| {
                if let Some((slot, found)) = slot.zip(found.get_mut(index)) {
                    found.add(slot);
                }
            });
        }
        if !self.wildcards.is_empty() {
            self.wildcards.find(topics, &mut found);
        }
        found.into_iter()
    }
}

#[cfg(test)]
mod tests;
