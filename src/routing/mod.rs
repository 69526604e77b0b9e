//! Who gets what: the subscription tree, shared groups, the immutable routes that publishers read, and retained
//! messages. Plain data: the actors above own and share it.

mod client_directory;
mod persistent_map;
mod retained;
mod route_set;
mod route_table;
mod routes;
mod subscribers;
mod subscription_tree;
mod topic_routes;
mod topic_tree_view;

pub use client_directory::{
    ClientDirectory, ClientEntry, ClientInfo, DirectoryFull, Evicted, Opened, Previous,
    StoredSubscription, SubscribeError,
};
pub use persistent_map::PersistentMap;
pub use retained::{RetainedBudget, RetainedCursor, RetainedLimits, RetainedStore, StoreOutcome};
pub use route_table::{RouteTable, Snapshot};
pub use routes::{Delivery, Group, OFFERS, Route, Routes, Target};
pub use subscription_tree::SubscriptionTree;
pub use topic_routes::TopicRoutes;
pub use topic_tree_view::{TopicTreeBounds, TopicTreeNode, TopicTreeView};
