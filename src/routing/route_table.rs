//! The snapshot of the subscription tree that publishers read without a lock and without a message.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::SubscriptionTree;

/// Holds the newest snapshot. The registry alone publishes; everybody reads.
#[derive(Debug)]
pub struct RouteTable<T> {
    newest: ArcSwap<Snapshot<T>>,
}

/// The subscription tree at one moment.
#[derive(Debug)]
pub struct Snapshot<T> {
    /// Grows with every published change: what was looked up in one version holds as long as it is the newest.
    pub version: u64,
    /// The tree.
    pub tree: SubscriptionTree<T>,
}

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self {
            newest: ArcSwap::from_pointee(Snapshot {
                version: 0,
                tree: SubscriptionTree::default(),
            }),
        }
    }
}

impl<T> RouteTable<T> {
    /// The newest snapshot.
    pub fn load(&self) -> arc_swap::Guard<Arc<Snapshot<T>>> {
        self.newest.load()
    }

    /// Makes `tree` the newest snapshot.
    pub fn publish(&self, tree: SubscriptionTree<T>) {
        let version = self.newest.load().version + 1;
        self.newest.store(Arc::new(Snapshot { version, tree }));
    }
}
