//! Who gets what: the subscription tree, shared groups, the routes that publishers remember, and retained
//! messages. Plain data: the actors above own and share it.

mod client_directory;
mod linear_hash_map;
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
pub use retained::{RetainedBudget, RetainedCursor, RetainedLimits, RetainedStore, StoreOutcome};
pub use route_table::{RouteTable, TreeRead};
pub use routes::{Delivery, Group, OFFERS, Route, Routes, Target};
pub use subscription_tree::SubscriptionTree;
pub use topic_routes::TopicRoutes;
pub use topic_tree_view::{TopicTreeBounds, TopicTreeNode, TopicTreeView};
