//! The subscription tree as all threads share it: the registry alone changes it, publishers look topics up in it.
//!
//! It is changed in place, under a lock that is held for one filter or for a few topics. Snapshots that publishers could
//! read without a lock would have every change copy and free a path of the tree: among a million subscriptions, where
//! nothing of that is in a cache, that takes longer than the rest of a SUBSCRIBE. What publishers remember of a topic holds
//! as long as the version does, and needs no lock.

use std::sync::{
    PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering},
};

use super::SubscriptionTree;

/// See the module's description.
#[derive(Debug)]
pub struct RouteTable<T> {
    version: OwnLine<AtomicU64>,
    tree: RwLock<SubscriptionTree<T>>,
}

/// The subscription tree, which does not change while this is held. Whoever holds one must not ask for another.
pub type TreeRead<'a, T> = RwLockReadGuard<'a, SubscriptionTree<T>>;

/// What lies in no cache line with anything else: all threads read it often, and should not wait where others lock.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OwnLine<A>(A);

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self {
            version: OwnLine::default(),
            tree: RwLock::default(),
        }
    }
}

impl<T> RouteTable<T> {
    /// Grows with every published change: what was looked up after a version was read holds as long as it is the newest.
    pub fn version(&self) -> u64 {
        self.version.0.load(Ordering::Acquire)
    }

    /// The tree as it is. Held for a few look-ups, since the registry waits.
    pub fn read(&self) -> TreeRead<'_, T> {
        // Whatever panicked, there is nothing half-done in a tree that is memory-safe: at worst a filter is not in it.
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the tree: a filter at a time, since publishers wait. What they remember holds until
    /// [`RouteTable::publish`].
    pub fn change<R>(&self, change: impl FnOnce(&mut SubscriptionTree<T>) -> R) -> R {
        change(&mut self.tree.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes publishers forget what they looked up before the last changes.
    pub fn publish(&self) {
        self.version.0.fetch_add(1, Ordering::Release);
    }
}
