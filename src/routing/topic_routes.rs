//! What one thread knows of the newest routes: those of topics that come again, those of topics that come next, and those
//! that lead to one session only.

mod single;

use std::{collections::VecDeque, hash::BuildHasher, sync::Arc};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use self::single::SingleRoutes;
use super::{RouteTable, Routes, TreeRead};
use crate::{mqtt::topics_in, routing::Target};

/// Topics whose routes are remembered; at the bound all are forgotten and looked up anew.
const REMEMBERED_TOPICS: usize = 8192;
/// Places for the hashes of topics that were looked up.
const SEEN_TOPICS: usize = 8192;
/// Topics that are looked up together.
const TOGETHER: usize = 16;
/// Messages that are looked at for topics to look up.
const LOOKED_AT: usize = 2 * TOGETHER;

/// See the module's description.
#[derive(Debug)]
pub struct TopicRoutes<T> {
    table: Arc<RouteTable<T>>,
    /// Of the table, when this was last refreshed.
    version: u64,
    hasher: RandomState,
    remembered: HashTable<Remembered<T>>,
    /// Hashes of topics that were looked up and not remembered: only what comes again is worth it.
    seen: Box<[u32]>,
    /// Of topics that come later in the chunk, in their order there.
    ahead: VecDeque<Ahead<T>>,
    single: SingleRoutes<T>,
    last_topic: String,
    last: Arc<Routes<T>>,
}

#[derive(Debug)]
struct Remembered<T> {
    topic: Box<str>,
    routes: Arc<Routes<T>>,
}

/// Routes that were looked up with those of an earlier topic.
#[derive(Debug)]
struct Ahead<T> {
    /// Address of the topic.
    at: usize,
    /// Its hash.
    hash: u64,
    routes: Arc<Routes<T>>,
}

impl<T: Target> TopicRoutes<T> {
    /// Knows nothing yet.
    pub fn new(table: Arc<RouteTable<T>>) -> Self {
        Self {
            version: table.version(),
            table,
            hasher: RandomState::default(),
            remembered: HashTable::new(),
            seen: vec![0; SEEN_TOPICS].into(),
            ahead: VecDeque::new(),
            single: SingleRoutes::default(),
            last_topic: String::new(),
            last: Arc::default(),
        }
    }

    /// Looks at the newest routes from here on.
    pub fn refresh(&mut self) {
        let newest = self.table.version();
        if newest != self.version {
            self.version = newest;
            self.remembered.clear();
            self.ahead.clear();
            self.single.clear();
            self.last_topic.clear();
        }
    }

    /// Begins with another chunk: what lies at the addresses of topics is something else from here on.
    pub fn begin_chunk(&mut self) {
        self.ahead.clear();
    }

    /// The subscriptions as they are: at least as new as at the last [`TopicRoutes::refresh`].
    pub fn tree(&self) -> TreeRead<'_, T> {
        self.table.read()
    }

    /// Where messages to the last topic go.
    pub fn last(&self) -> &Arc<Routes<T>> {
        &self.last
    }

    /// Where messages to `topic` go. If it lies in a chunk, `behind` is what follows its packet there: topics that come
    /// next are looked up together with it.
    pub fn routes(&mut self, topic: &str, behind: Option<&[u8]>) -> &Arc<Routes<T>> {
        if self.last_topic != topic {
            self.last_topic.clear();
            self.last_topic.push_str(topic);
            self.last = self.find(topic, behind);
        }
        &self.last
    }

    fn find(&mut self, topic: &str, behind: Option<&[u8]>) -> Arc<Routes<T>> {
        let (hash, routes) = match behind.and_then(|_| self.take_ahead(topic)) {
            Some(Ahead { hash, routes, .. }) => (hash, routes),
            None => {
                let hash = self.hasher.hash_one(topic);
                if let Some(routes) = self.remembered(topic, hash) {
                    return routes.clone();
                }
                (hash, self.look_up(topic, hash, behind))
            }
        };
        if self.is_seen(hash) {
            self.remember(topic, hash, routes.clone());
        }
        routes
    }

    /// The routes of a topic in a chunk that were looked up ahead.
    fn take_ahead(&mut self, topic: &str) -> Option<Ahead<T>> {
        let at = topic.as_ptr().addr();
        // Messages that were not taken are passed over.
        while self.ahead.front().is_some_and(|ahead| ahead.at < at) {
            self.ahead.pop_front();
        }
        let is_there = self.ahead.front().is_some_and(|ahead| ahead.at == at);
        is_there.then(|| self.ahead.pop_front()).flatten()
    }

    /// Looks up a topic, and those that follow in the chunk and are not remembered.
    fn look_up(&mut self, topic: &str, hash: u64, behind: Option<&[u8]>) -> Arc<Routes<T>> {
        let mut topics: SmallVec<[&str; TOGETHER]> = SmallVec::new();
        let mut hashes: SmallVec<[u64; TOGETHER]> = SmallVec::new();
        topics.push(topic);
        hashes.push(hash);
        for next in behind.into_iter().flat_map(topics_in).take(LOOKED_AT) {
            if topics.last() == Some(&next) {
                continue;
            }
            let hash = self.hasher.hash_one(next);
            if self.remembered(next, hash).is_none() {
                topics.push(next);
                hashes.push(hash);
                if topics.len() == TOGETHER {
                    break;
                }
            }
        }
        let tree = self.table.read();
        if topics.len() == 1 {
            // No other topic of the chunk would share them.
            return Arc::new(tree.routes(topic));
        }
        let single = &mut self.single;
        let found = tree.matches_of_each(&topics);
        let mut routes = found.map(|found| single.routes(found));
        let own = routes.next().unwrap_or_default();
        let places = topics.iter().map(|topic| topic.as_ptr().addr());
        let ahead = places.zip(hashes).skip(1).zip(routes);
        self.ahead
            .extend(ahead.map(|((at, hash), routes)| Ahead { at, hash, routes }));
        own
    }

    fn remembered(&self, topic: &str, hash: u64) -> Option<&Arc<Routes<T>>> {
        let is_it = |remembered: &Remembered<T>| *remembered.topic == *topic;
        let remembered = self.remembered.find(hash, is_it)?;
        Some(&remembered.routes)
    }

    fn remember(&mut self, topic: &str, hash: u64, routes: Arc<Routes<T>>) {
        // The same topic may have been looked up twice ahead.
        if self.remembered(topic, hash).is_some() {
            return;
        }
        if self.remembered.len() >= REMEMBERED_TOPICS {
            self.remembered.clear();
        }
        let topic = topic.into();
        let hasher = &self.hasher;
        self.remembered
            .insert_unique(hash, Remembered { topic, routes }, |remembered| {
                hasher.hash_one(&*remembered.topic)
            });
    }

    /// True when a topic with this hash was asked about not long ago.
    fn is_seen(&mut self, hash: u64) -> bool {
        let mark = (hash >> 32) as u32 | 1;
        let place = self.seen.get_mut(hash as usize % SEEN_TOPICS);
        place.is_some_and(|place| std::mem::replace(place, mark) == mark)
    }
}

#[cfg(test)]
mod tests;
