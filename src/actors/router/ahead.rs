//! The routes of messages that come later in a chunk, looked up together with those of an earlier one.

use std::{collections::VecDeque, sync::Arc};

use smallvec::SmallVec;

use super::Router;
use crate::{messages::Inbox, mqtt::topics_in, routing::Routes};

/// Topics that are looked up together.
const TOGETHER: usize = 16;
/// Messages that are looked at for topics to look up.
const LOOKED_AT: usize = 2 * TOGETHER;

/// Routes of topics in a chunk, in their order there, each with the address of its topic.
#[derive(Default)]
pub(super) struct Ahead(VecDeque<(usize, Arc<Routes<Inbox>>)>);

impl Ahead {
    /// Forgets what was looked up.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The routes of `topic`, a slice of the chunk in which `behind` follows its packet: those that were looked up for it,
    /// or else they are, together with those of topics that follow and that `router` does not remember.
    pub(super) fn routes(
        &mut self,
        router: &Router,
        topic: &str,
        behind: &[u8],
    ) -> Arc<Routes<Inbox>> {
        let at = topic.as_ptr().addr();
        // Messages that were not taken are passed over.
        while self.0.front().is_some_and(|(place, _)| *place <= at) {
            match self.0.pop_front() {
                Some((place, routes)) if place == at => return routes,
                _ => {}
            }
        }
        let mut topics: SmallVec<[&str; TOGETHER]> = SmallVec::new();
        topics.push(topic);
        for next in topics_in(behind).take(LOOKED_AT) {
            let follows_itself = topics.last() == Some(&next);
            if !follows_itself && !router.remembered.contains_key(next) {
                topics.push(next);
                if topics.len() == TOGETHER {
                    break;
                }
            }
        }
        let tree = &router.snapshot.tree;
        let [_] = topics[..] else {
            let mut found = tree.routes_of_each(&topics).map(Arc::new);
            let own = found.next();
            let places = topics.iter().skip(1).map(|topic| topic.as_ptr().addr());
            self.0 = places.zip(found).collect();
            return own.unwrap_or_default();
        };
        Arc::new(tree.routes(topic))
    }
}
