//! The levels of filters with wildcards.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::routing::{persistent_map::PersistentMap, routes::Target, subscribers::Subscribers};

/// A node of the tree: what follows a prefix of levels.
#[derive(Debug)]
pub(super) struct Level<T> {
    /// Filters that end here.
    pub(super) here: Subscribers<T>,
    /// The filter that ends with `#` below this prefix, if that is empty or ends with `+`.
    pub(super) multi: Subscribers<T>,
    /// Filters that end with a name and `#`, by that name: many have nothing else below the name, and need no level for it.
    pub(super) named_multi: PersistentMap<SmolStr, Subscribers<T>>,
    /// The `+` branch.
    pub(super) single: Option<Arc<Level<T>>>,
    pub(super) children: PersistentMap<SmolStr, Child<T>>,
}

/// A named branch.
#[derive(Debug)]
pub(super) enum Child<T> {
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
    pub(super) fn here(&self) -> &Subscribers<T> {
        match self {
            Self::End(here) => here,
            Self::More(level) => &level.here,
        }
    }

    /// What is below, if anything is.
    pub(super) fn level(&self) -> Option<&Arc<Level<T>>> {
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
    pub(super) fn level_mut(&mut self) -> &mut Level<T> {
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
            named_multi: PersistentMap::default(),
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
            named_multi: self.named_multi.clone(),
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
        self.children.drain_own(&mut |child| {
            if let Child::More(_) = child
                && let Child::More(level) = std::mem::replace(child, Child::End(Subscribers::None))
            {
                rest.push(level);
            }
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.here, Subscribers::None)
            && matches!(self.multi, Subscribers::None)
            && self.named_multi.is_empty()
            && self.single.is_none()
            && self.children.is_empty()
    }
}

impl<T: Target> Level<T> {
    /// The slot of a wildcard filter, made if it is not there.
    pub(super) fn slot_mut(&mut self, filter: &str) -> &mut Subscribers<T> {
        let mut level = self;
        let mut rest = filter;
        loop {
            let (part, below) = split_level(rest);
            level = match (part, below) {
                ("#", _) => return &mut level.multi,
                ("+", _) => Arc::make_mut(level.single.get_or_insert_default()),
                (name, Some("#")) => {
                    let filters = &mut level.named_multi;
                    return filters.get_or_insert_with(name.into(), || Subscribers::None);
                }
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

    pub(super) fn slot(&self, filter: &str) -> Option<&Subscribers<T>> {
        let mut level = self;
        let mut rest = filter;
        loop {
            let (part, below) = split_level(rest);
            level = match (part, below) {
                ("#", _) => return Some(&level.multi),
                ("+", _) => level.single.as_ref()?,
                (name, Some("#")) => return level.named_multi.get(name),
                (name, None) => return level.children.get(name).map(Child::here),
                (name, Some(_)) => level.children.get(name)?.level()?,
            };
            match below {
                None => return Some(&level.here),
                Some(below) => rest = below,
            }
        }
    }

    /// Reads what entering filters below this root is going to touch.
    pub(super) fn fetch<'f>(&self, filters: impl Iterator<Item = &'f str>) {
        let mut reached: Vec<(&Self, &str)> = filters.map(|filter| (self, filter)).collect();
        let (mut children, mut behind, mut multis) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = Vec::new();
        while !reached.is_empty() {
            for (level, filter) in reached.drain(..) {
                match split_level(filter) {
                    ("#", _) => {}
                    ("+", below) => next.extend(level.single.as_deref().zip(below)),
                    (name, Some("#")) => multis.push((&level.named_multi, name)),
                    (name, below) => {
                        children.push((&level.children, name));
                        behind.push(below);
                    }
                }
            }
            PersistentMap::fetch_each(&multis);
            PersistentMap::fetch_each(&children);
            PersistentMap::get_each(&children, |index, child| {
                let level = child.and_then(Child::level);
                next.extend(level.map(|level| &**level).zip(behind[index]));
            });
            multis.clear();
            children.clear();
            behind.clear();
            std::mem::swap(&mut reached, &mut next);
        }
    }
}

/// The first level of a filter, and what follows it.
pub(super) fn split_level(filter: &str) -> (&str, Option<&str>) {
    // Levels are short: looking at each byte is faster than a search that is made for long texts.
    match filter.bytes().position(|byte| byte == b'/') {
        Some(at) => (filter.get(..at).unwrap_or_default(), filter.get(at + 1..)),
        None => (filter, None),
    }
}
