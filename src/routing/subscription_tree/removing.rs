//! Takes filters with wildcards out of the tree, with the levels that they leave empty.

use std::sync::Arc;

use super::levels::{Child, Level, split_level};
use crate::routing::{routes::Target, subscribers::Subscribers};

/// Removes a wildcard filter and the levels that it leaves empty. Walks down once to find how much of the path
/// only this filter needs, then cuts there.
pub(super) fn remove_below<T: Target>(
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
    let branches = branches(filter);
    let mut keep = 0;
    let mut level = &*root;
    let mut is_empty = level.is_empty();
    for (depth, branch) in branches.iter().enumerate() {
        if !has_only(level, *branch) {
            keep = depth;
        }
        let child = match *branch {
            Branch::Single => level.single.as_ref(),
            Branch::Name(name) => level.children.get(name).and_then(Child::level),
            Branch::NamedMulti(_) => None,
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
    for branch in &branches[..keep] {
        let child = match *branch {
            Branch::Single => level.single.as_mut().map(Arc::make_mut),
            Branch::Name(name) => level.children.get_mut(name).map(Child::level_mut),
            Branch::NamedMulti(_) => None,
        };
        let Some(child) = child else { return removed };
        level = child;
    }
    match branches.get(keep) {
        None => {}
        Some(Branch::Single) => level.single = None,
        Some(Branch::Name(name)) => drop(level.children.remove(*name)),
        Some(Branch::NamedMulti(name)) => drop(level.named_multi.remove(*name)),
    }
    removed
}

/// What leads from one level of the tree on.
#[derive(Clone, Copy)]
enum Branch<'a> {
    /// `+`
    Single,
    /// A name.
    Name(&'a str),
    /// A name and `#`, with which a filter ends.
    NamedMulti(&'a str),
}

/// The way to the end of a filter. A `#` behind nothing or `+` belongs to the last level.
fn branches(filter: &str) -> Vec<Branch<'_>> {
    let mut branches = Vec::new();
    let mut rest = Some(filter);
    while let Some((part, below)) = rest.map(split_level) {
        match (part, below) {
            ("#", _) => break,
            ("+", _) => branches.push(Branch::Single),
            (name, Some("#")) => {
                branches.push(Branch::NamedMulti(name));
                break;
            }
            (name, _) => branches.push(Branch::Name(name)),
        }
        rest = below;
    }
    branches
}

/// True when nothing but this branch keeps the level alive.
fn has_only<T: Target>(level: &Level<T>, branch: Branch<'_>) -> bool {
    if !matches!(level.here, Subscribers::None) || !matches!(level.multi, Subscribers::None) {
        return false;
    }
    let (children, named_multi) = (&level.children, &level.named_multi);
    match branch {
        Branch::Single => children.is_empty() && named_multi.is_empty(),
        Branch::Name(_) => level.single.is_none() && named_multi.is_empty() && children.is_single(),
        Branch::NamedMulti(_) => {
            level.single.is_none() && children.is_empty() && named_multi.is_single()
        }
    }
}
