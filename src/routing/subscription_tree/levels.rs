//! The levels of filters with wildcards.

use smol_str::SmolStr;

use crate::routing::{linear_hash_map::LinearHashMap, routes::Target, subscribers::Subscribers};

/// A node of the tree: what follows a prefix of levels.
#[derive(Debug)]
pub(super) struct Level<T> {
    /// Filters that end here.
    pub(super) here: Subscribers<T>,
    /// The filter that ends with `#` below this prefix.
    pub(super) multi: Subscribers<T>,
    /// The `+` branch.
    pub(super) single: Option<Branch<T>>,
    /// The named branches.
    pub(super) named: LinearHashMap<SmolStr, Branch<T>>,
}

/// What follows one level more.
#[derive(Debug)]
pub(super) enum Branch<T> {
    /// One filter, which most need no level for.
    Only(Ending, Subscribers<T>),
    More(Box<Level<T>>),
}

/// How a filter ends behind a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the branch.
    Here,
    /// With `+` behind it.
    Single,
    /// With `#` behind it.
    Multi,
}

impl Ending {
    /// How a filter ends of which this follows, if it does.
    fn of(below: Option<&str>) -> Option<Self> {
        match below {
            None => Some(Self::Here),
            Some("+") => Some(Self::Single),
            Some("#") => Some(Self::Multi),
            Some(_) => None,
        }
    }

    /// Whether a filter that ends like this matches a topic that goes on like that, if it does.
    pub(super) fn matches(self, below: Option<&str>) -> bool {
        match (self, below) {
            // "sport/#" matches "sport" too [MQTT-4.7.1-2].
            (Self::Here, None) | (Self::Multi, _) => true,
            (Self::Single, Some(below)) => !below.contains('/'),
            (Self::Here, Some(_)) | (Self::Single, None) => false,
        }
    }
}

impl<T> Default for Branch<T> {
    fn default() -> Self {
        Self::Only(Ending::Here, Subscribers::None)
    }
}

impl<T> Default for Level<T> {
    fn default() -> Self {
        Self {
            here: Subscribers::None,
            multi: Subscribers::None,
            single: None,
            named: LinearHashMap::default(),
        }
    }
}

impl<T> Drop for Level<T> {
    /// With a list instead of recursion: a filter may have tens of thousands of levels.
    fn drop(&mut self) {
        let mut rest = Vec::new();
        self.let_go(&mut rest);
        while let Some(mut level) = rest.pop() {
            level.let_go(&mut rest);
        }
    }
}

impl<T> Level<T> {
    /// Moves the levels below to `rest`.
    fn let_go(&mut self, rest: &mut Vec<Self>) {
        let branches = self.single.take().into_iter();
        for branch in branches.chain(self.named.take_values()) {
            if let Branch::More(level) = branch {
                rest.push(*level);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.here, Subscribers::None)
            && matches!(self.multi, Subscribers::None)
            && self.single.is_none()
            && self.named.is_empty()
    }

    /// The branch of `name`, or of `+`.
    pub(super) fn branch(&self, name: &str) -> Option<&Branch<T>> {
        match name {
            "+" => self.single.as_ref(),
            name => self.named.get(name),
        }
    }

    /// The branch of `name`, or of `+`, to change it.
    pub(super) fn branch_mut(&mut self, name: &str) -> Option<&mut Branch<T>> {
        match name {
            "+" => self.single.as_mut(),
            name => self.named.get_mut(name),
        }
    }
}

impl<T> Branch<T> {
    /// The level that it leads to, if it does to more than one filter.
    pub(super) fn level(&self) -> Option<&Level<T>> {
        match self {
            Self::Only(..) => None,
            Self::More(level) => Some(level),
        }
    }

    /// The level that it leads to, made if it led to one filter only.
    fn level_mut(&mut self) -> &mut Level<T> {
        if let Self::Only(ending, only) = self {
            let only = std::mem::replace(only, Subscribers::None);
            let mut level = Box::new(Level::default());
            match ending {
                Ending::Here => level.here = only,
                Ending::Single => level.single = Some(Self::Only(Ending::Here, only)),
                Ending::Multi => level.multi = only,
            }
            *self = Self::More(level);
        }
        match self {
            Self::More(level) => level,
            // Made into the other just above.
            Self::Only(..) => unreachable!("a branch was given a level"),
        }
    }

    /// The filter that ends like this behind it.
    fn slot(&self, ending: Ending) -> Option<&Subscribers<T>> {
        match (self, ending) {
            (Self::Only(only, slot), ending) => (*only == ending).then_some(slot),
            (Self::More(level), Ending::Here) => Some(&level.here),
            (Self::More(level), Ending::Single) => level.single.as_ref()?.slot(Ending::Here),
            (Self::More(level), Ending::Multi) => Some(&level.multi),
        }
    }

    /// The filter that ends like this behind it, made if it is not there.
    fn slot_mut(&mut self, ending: Ending) -> &mut Subscribers<T> {
        match self {
            Self::Only(only, Subscribers::None) => *only = ending,
            Self::Only(only, _) if *only != ending => drop(self.level_mut()),
            Self::Only(..) | Self::More(_) => {}
        }
        match (self, ending) {
            (Self::Only(_, slot), _) => slot,
            (Self::More(level), Ending::Here) => &mut level.here,
            (Self::More(level), Ending::Single) => {
                let single = level.single.get_or_insert_default();
                single.slot_mut(Ending::Here)
            }
            (Self::More(level), Ending::Multi) => &mut level.multi,
        }
    }

    /// Does without a level if it leads to one filter.
    pub(super) fn shrink(&mut self) {
        let Self::More(level) = self else { return };
        let only = match &mut **level {
            Level {
                here,
                multi: Subscribers::None,
                single: None,
                named,
            } if named.is_empty() => (Ending::Here, here),
            Level {
                here: Subscribers::None,
                multi,
                single: None,
                named,
            } if named.is_empty() => (Ending::Multi, multi),
            Level {
                here: Subscribers::None,
                multi: Subscribers::None,
                single: Some(Self::Only(Ending::Here, single)),
                named,
            } if named.is_empty() => (Ending::Single, single),
            _ => return,
        };
        let (ending, only) = only;
        *self = Self::Only(ending, std::mem::replace(only, Subscribers::None));
    }
}

impl<T: Target> Level<T> {
    /// The slot of a wildcard filter, made if it is not there.
    pub(super) fn slot_mut(&mut self, filter: &str) -> &mut Subscribers<T> {
        let mut level = self;
        let mut rest = filter;
        loop {
            let (part, below) = split_level(rest);
            let branch = match part {
                "#" => return &mut level.multi,
                "+" => level.single.get_or_insert_default(),
                name => level.named.get_or_insert_with(name.into(), Branch::default),
            };
            match (Ending::of(below), below) {
                (None, Some(below)) => {
                    level = branch.level_mut();
                    rest = below;
                }
                (ending, _) => return branch.slot_mut(ending.unwrap_or(Ending::Here)),
            }
        }
    }

    pub(super) fn slot(&self, filter: &str) -> Option<&Subscribers<T>> {
        let mut level = self;
        let mut rest = filter;
        loop {
            let (part, below) = split_level(rest);
            if part == "#" {
                return Some(&level.multi);
            }
            let branch = level.branch(part)?;
            match (Ending::of(below), below) {
                (None, Some(below)) => {
                    level = branch.level()?;
                    rest = below;
                }
                (ending, _) => return branch.slot(ending.unwrap_or(Ending::Here)),
            }
        }
    }

    /// Reads what entering filters below this root is going to touch.
    pub(super) fn fetch<'f>(&self, filters: impl Iterator<Item = &'f str>) {
        let mut reached: Vec<(&Self, &str)> = filters.map(|filter| (self, filter)).collect();
        let (mut named, mut behind, mut next) = (Vec::new(), Vec::new(), Vec::new());
        while !reached.is_empty() {
            for (level, filter) in reached.drain(..) {
                match split_level(filter) {
                    ("#", _) => {}
                    ("+", below) => {
                        let single = level.single.as_ref().and_then(Branch::level);
                        next.extend(single.zip(below));
                    }
                    (name, below) => {
                        named.push((&level.named, name));
                        behind.push(below);
                    }
                }
            }
            LinearHashMap::fetch_each(&named);
            LinearHashMap::get_each(&named, |index, branch| {
                let level = branch.and_then(Branch::level);
                next.extend(level.zip(behind[index]));
            });
            named.clear();
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
