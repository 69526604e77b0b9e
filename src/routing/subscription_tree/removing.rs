//! Takes filters with wildcards out of the tree, with the levels that they leave empty.

use std::sync::Arc;

use super::levels::{Branch, Level, split_level};
use crate::routing::{routes::Target, subscribers::Subscribers};

/// Removes a subscription of a wildcard filter, and what it leaves empty.
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
    if matches!(slot, Subscribers::None) {
        prune(root, &path(filter));
    }
    removed
}

/// The branches to the end of a filter. A `#` belongs to what is in front of it.
fn path(filter: &str) -> Vec<&str> {
    let mut path = Vec::new();
    let mut rest = Some(filter);
    while let Some((part, below)) = rest.map(split_level)
        && part != "#"
    {
        path.push(part);
        rest = below;
    }
    path
}

/// Takes away what is empty at the end of a path. Walks down once to find how much of the path nothing else needs, then cuts
/// there.
fn prune<T>(root: &mut Level<T>, path: &[&str]) {
    let mut level = &*root;
    let mut keep = 0;
    let mut is_empty = path.is_empty() || level.is_empty();
    for (depth, name) in path.iter().enumerate() {
        if !has_only(level, name) {
            keep = depth;
        }
        match level.branch(name) {
            Some(Branch::More(next)) => {
                level = next;
                is_empty = level.is_empty();
            }
            // What is left of the path lies in the branch.
            Some(Branch::Only(_, slot)) => {
                is_empty = matches!(slot, Subscribers::None);
                break;
            }
            None => break,
        }
    }
    let stays = if is_empty { keep } else { path.len() };
    if let Some(cut) = path.get(stays)
        && let Some(level) = descend(root, &path[..stays])
    {
        match *cut {
            "+" => level.single = None,
            name => drop(level.named.remove(name)),
        }
    }
    shrink(root, &path[..stays]);
    // Where that was a `+` and is the end of a filter now, it may be all that is left in its level.
    shrink(root, &path[..stays.saturating_sub(1)]);
}

/// Lets the branch at the end of a path do without a level if it can.
fn shrink<T>(root: &mut Level<T>, path: &[&str]) {
    if let Some((last, before)) = path.split_last()
        && let Some(level) = descend(root, before)
        && let Some(branch) = level.branch_mut(last)
    {
        branch.shrink();
    }
}

fn descend<'a, T>(root: &'a mut Level<T>, path: &[&str]) -> Option<&'a mut Level<T>> {
    let mut level = root;
    for name in path {
        level = match level.branch_mut(name)? {
            Branch::More(level) => level,
            Branch::Only(..) => return None,
        };
    }
    Some(level)
}

/// True when nothing but this branch keeps the level alive.
fn has_only<T>(level: &Level<T>, name: &str) -> bool {
    let branches = level.named.len() + usize::from(level.single.is_some());
    matches!(level.here, Subscribers::None)
        && matches!(level.multi, Subscribers::None)
        && level.branch(name).is_some()
        && branches == 1
}
