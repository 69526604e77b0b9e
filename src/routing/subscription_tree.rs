//! All subscriptions, for matching topics. One writer changes it; its clones are the snapshots publishers read.
//!
//! Filters without wildcards live in one map by their whole text, so that matching them is one look-up however
//! many there are. Filters with wildcards form a tree of topic levels.

mod matching;

use std::sync::Arc;

use smol_str::SmolStr;

pub use self::matching::Matches;
use super::{
    persistent_map::PersistentMap,
    routes::{Group, Route, Routes, Target},
    subscribers::Subscribers,
};
use crate::mqtt::TopicFilter;

/// See the module's description.
#[derive(Debug)]
pub struct SubscriptionTree<T> {
    /// A short filter lies in the map itself: finding it takes one look at memory less.
    exact: PersistentMap<SmolStr, Subscribers<T>>,
    wildcards: Level<T>,
    /// Filters with subscribers.
    filters: usize,
}

impl<T> Clone for SubscriptionTree<T> {
    fn clone(&self) -> Self {
        Self {
            exact: self.exact.clone(),
            wildcards: self.wildcards.clone(),
            filters: self.filters,
        }
    }
}

impl<T> Default for SubscriptionTree<T> {
    fn default() -> Self {
        Self {
            exact: PersistentMap::default(),
            wildcards: Level::default(),
            filters: 0,
        }
    }
}

/// A node of the tree: what follows a prefix of levels.
#[derive(Debug)]
struct Level<T> {
    /// Filters that end here.
    here: Subscribers<T>,
    /// Filters that end with `#` below this prefix.
    multi: Subscribers<T>,
    /// The `+` branch.
    single: Option<Arc<Level<T>>>,
    children: PersistentMap<SmolStr, Child<T>>,
}

/// A named branch.
#[derive(Debug)]
enum Child<T> {
    /// Nothing is below it, which is so for most: the filters that end there.
    End(Subscribers<T>),
    More(Arc<Level<T>>),
}

impl<T> Clone for Child<T> {
    fn clone(&self) -> Self {
        match self {
            Self::End(here) => Self::End(here.clone()),
            Self::More(level) => Self::More(level.clone()),
        }
    }
}

impl<T> Child<T> {
    /// The filters that end here.
    fn here(&self) -> &Subscribers<T> {
        match self {
            Self::End(here) => here,
            Self::More(level) => &level.here,
        }
    }

    /// What is below, if anything is.
    fn level(&self) -> Option<&Arc<Level<T>>> {
        match self {
            Self::End(_) => None,
            Self::More(level) => Some(level),
        }
    }

    /// The filters that end here, to be changed.
    fn here_mut(&mut self) -> &mut Subscribers<T> {
        match self {
            Self::End(here) => here,
            Self::More(level) => &mut Arc::make_mut(level).here,
        }
    }

    /// What is below, made if nothing is.
    fn level_mut(&mut self) -> &mut Level<T> {
        if let Self::End(here) = self {
            let mut level = Level::default();
            level.here = std::mem::replace(here, Subscribers::None);
            *self = Self::More(Arc::new(level));
        }
        match self {
            Self::More(level) => Arc::make_mut(level),
            // Made into the other just above.
            Self::End(_) => unreachable!("an end was turned into a level"),
        }
    }
}

impl<T> Default for Level<T> {
    fn default() -> Self {
        Self {
            here: Subscribers::None,
            multi: Subscribers::None,
            single: None,
            children: PersistentMap::default(),
        }
    }
}

impl<T> Clone for Level<T> {
    fn clone(&self) -> Self {
        Self {
            here: self.here.clone(),
            multi: self.multi.clone(),
            single: self.single.clone(),
            children: self.children.clone(),
        }
    }
}

impl<T> Drop for Level<T> {
    /// With a list instead of recursion: a filter may have tens of thousands of levels.
    fn drop(&mut self) {
        let mut rest = Vec::new();
        self.let_go(&mut rest);
        while let Some(level) = rest.pop() {
            if let Some(mut level) = Arc::into_inner(level) {
                level.let_go(&mut rest);
            }
        }
    }
}

impl<T> Level<T> {
    /// Moves the branches below to `rest`.
    fn let_go(&mut self, rest: &mut Vec<Arc<Self>>) {
        rest.extend(self.single.take());
        self.children.drain_own(&mut |child| match child {
            Child::End(_) => {}
            Child::More(level) => rest.push(level),
        });
    }

    fn is_empty(&self) -> bool {
        matches!(self.here, Subscribers::None)
            && matches!(self.multi, Subscribers::None)
            && self.single.is_none()
            && self.children.is_empty()
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
        self.filters += usize::from(matches!(slot, Subscribers::None));
        match filter.share() {
            None => slot.insert(route, is_new),
            Some(_) => slot.insert_shared(full_filter, route, is_new),
        }
    }

    /// Reads what entering filters is going to touch. Among very many subscriptions those without wildcards that are not
    /// shared are entered faster after that.
    pub fn fetch(&self, filters: &[&str]) {
        self.exact.fetch_each(filters);
    }

    /// Number of different filters, not counting by whom and in which groups they are subscribed to.
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// Takes a session's subscription out; false when it had none on this filter.
    pub fn remove(&mut self, filter: &TopicFilter<'_>, target: &Arc<T>) -> bool {
        let group = filter.share().map(|_| filter.full());
        if filter.is_wildcard() {
            let removed = remove_below(&mut self.wildcards, filter.filter(), group, target);
            let left = self.wildcards.slot(filter.filter());
            if removed && matches!(left, None | Some(Subscribers::None)) {
                self.filters -= 1;
            }
            return removed;
        }
        let Some(slot) = self.exact.get_mut(filter.filter()) else {
            return false;
        };
        let removed = slot.remove(group, target);
        if matches!(slot, Subscribers::None) {
            self.exact.remove(filter.filter());
            self.filters -= 1;
        }
        removed
    }

    /// The members of a shared subscription, given its whole `$share/group/filter`.
    pub fn group(&self, full_filter: &str) -> Option<Arc<Group<T>>> {
        let filter = TopicFilter::parse(full_filter).ok()?;
        let Subscribers::Many(many) = self.slot(&filter)? else {
            return None;
        };
        many.groups
            .iter()
            .find(|group| &*group.full_filter == full_filter)
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
            None | Some(Subscribers::None) => Vec::new(),
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
        let lookups: Vec<_> = topics.iter().map(|topic| (&self.exact, *topic)).collect();
        PersistentMap::get_each(&lookups, |index, slot| {
            if let Some((slot, found)) = slot.zip(found.get_mut(index)) {
                found.add(slot);
            }
        });
        if !self.wildcards.is_empty() {
            self.wildcards.find(topics, &mut found);
        }
        found.into_iter()
    }
}

impl<T: Target> Level<T> {
    /// The slot of a wildcard filter, made if it is not there.
    fn slot_mut(&mut self, filter: &str) -> &mut Subscribers<T> {
        let mut level = self;
        let mut rest = filter;
        loop {
            let (part, below) = split_level(rest);
            level = match (part, below) {
                ("#", _) => return &mut level.multi,
                ("+", _) => Arc::make_mut(level.single.get_or_insert_default()),
                (name, below) => {
                    let make = || Child::End(Subscribers::None);
                    let child = level.children.get_or_insert_with(name.into(), make);
                    match below {
                        None => return child.here_mut(),
                        Some(_) => child.level_mut(),
                    }
                }
            };
            match below {
                None => return &mut level.here,
                Some(below) => rest = below,
            }
        }
    }

    fn slot(&self, filter: &str) -> Option<&Subscribers<T>> {
        let mut level = self;
        let mut rest = filter;
        loop {
            let (part, below) = split_level(rest);
            level = match (part, below) {
                ("#", _) => return Some(&level.multi),
                ("+", _) => level.single.as_ref()?,
                (name, None) => return level.children.get(name).map(Child::here),
                (name, Some(_)) => level.children.get(name)?.level()?,
            };
            match below {
                None => return Some(&level.here),
                Some(below) => rest = below,
            }
        }
    }
}

/// The first level of a filter, and what follows it.
fn split_level(filter: &str) -> (&str, Option<&str>) {
    match filter.split_once('/') {
        Some((part, below)) => (part, Some(below)),
        None => (filter, None),
    }
}

/// Removes a wildcard filter and the levels that it leaves empty. Walks down once to find how much of the path
/// only this filter needs, then cuts there.
fn remove_below<T: Target>(
    root: &mut Level<T>,
    filter: &str,
    group: Option<&str>,
    target: &Arc<T>,
) -> bool {
    match root.slot(filter) {
        None | Some(Subscribers::None) => return false,
        Some(_) => {}
    }
    let slot = root.slot_mut(filter);
    let removed = slot.remove(group, target);
    if !matches!(slot, Subscribers::None) {
        return removed;
    }
    // The deepest level that something else needs stays, the branch below it goes.
    let parts: Vec<&str> = filter.split('/').filter(|part| *part != "#").collect();
    let mut keep = 0;
    let mut level = &*root;
    let mut is_empty = level.is_empty();
    for (depth, part) in parts.iter().enumerate() {
        if !has_only_child(level, part) {
            keep = depth;
        }
        let child = match *part {
            "+" => level.single.as_ref(),
            name => level.children.get(name).and_then(Child::level),
        };
        // Where there is no level, it is the end of the filter, and empty.
        let Some(child) = child else {
            is_empty = true;
            break;
        };
        level = child;
        is_empty = level.is_empty();
    }
    if !is_empty {
        return removed;
    }
    let mut level = root;
    for part in &parts[..keep] {
        let child = match *part {
            "+" => level.single.as_mut().map(Arc::make_mut),
            name => level.children.get_mut(name).map(Child::level_mut),
        };
        let Some(child) = child else { return removed };
        level = child;
    }
    match parts.get(keep) {
        None => {}
        Some(&"+") => level.single = None,
        Some(name) => {
            level.children.remove(*name);
        }
    }
    removed
}

/// True when nothing but the branch `part` keeps the level alive.
fn has_only_child<T: Target>(level: &Level<T>, part: &str) -> bool {
    if !matches!(level.here, Subscribers::None) || !matches!(level.multi, Subscribers::None) {
        return false;
    }
    match part {
        "+" => level.children.is_empty(),
        _ => level.single.is_none() && level.children.is_single(),
    }
}

#[cfg(test)]
mod tests;
