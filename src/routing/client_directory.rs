//! Who is known to the broker: connected clients and kept sessions, with their subscriptions.
//!
//! Each connection of a client id gets a generation number; what an older generation asks for is refused, so that
//! a connection that was taken over cannot change what its successor owns.

use std::{collections::BTreeMap, net::SocketAddr, ops::Bound, sync::Arc, time::SystemTime};

use super::{Route, SubscriptionTree, Target};
use crate::mqtt::{ProtocolVersion, SubscribeOptions, TopicFilter};

/// What a client said of itself in CONNECT, and where it came from.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// User name.
    pub username: Option<Arc<str>>,
    /// Keep alive in seconds, as it holds.
    pub keep_alive: u16,
    /// Protocol version.
    pub version: ProtocolVersion,
    /// The session was to start anew.
    pub clean_start: bool,
    /// Seconds that the session is kept after the connection; 0: not at all, `u32::MAX`: for ever.
    pub expiry_interval: u32,
    /// Topic of the will.
    pub will_topic: Option<Arc<str>>,
    /// It may do anything.
    pub superuser: bool,
    /// The client's address.
    pub peer: SocketAddr,
    /// Name of the listener that accepted it.
    pub listener: Arc<str>,
    /// When CONNECT came.
    pub connected_at: SystemTime,
}

/// A client's subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSubscription {
    /// Options, with the granted QoS.
    pub options: SubscribeOptions,
    /// Subscription identifier.
    pub subscription_id: Option<u32>,
}

/// A client with a session.
#[derive(Debug)]
pub struct ClientEntry<T> {
    /// Where messages for the session go.
    pub target: Arc<T>,
    /// Number of the connection that owns the session, or was the last to own it.
    pub generation: u64,
    /// True while that connection lasts.
    pub connected: bool,
    /// Of the latest connection.
    pub info: ClientInfo,
    /// By the whole filter, `$share/group/` included.
    pub subscriptions: BTreeMap<Arc<str>, StoredSubscription>,
}

/// See the module's description.
#[derive(Debug)]
pub struct ClientDirectory<T> {
    clients: BTreeMap<Arc<str>, ClientEntry<T>>,
    tree: SubscriptionTree<T>,
    connected: usize,
    subscriptions: usize,
    last_generation: u64,
}

/// A session that was opened.
#[derive(Debug)]
pub struct Opened<T> {
    /// Where messages for the session go.
    pub target: Arc<T>,
    /// The connection's number.
    pub generation: u64,
    /// What there was before.
    pub previous: Previous<T>,
}

/// What a new connection finds.
#[derive(Debug)]
pub enum Previous<T> {
    /// Nothing.
    None,
    /// A session to go on with; its state is where `target` leads. Held by a connection if `connected`.
    Resumed {
        /// True for a takeover.
        connected: bool,
    },
    /// A session that has ended now `[MQTT-3.1.2-4]`.
    Ended {
        /// Where its messages went.
        target: Arc<T>,
        /// True for a takeover.
        connected: bool,
    },
}

/// A session that was ended from outside.
#[derive(Debug)]
pub struct Evicted<T> {
    /// Where its messages went.
    pub target: Arc<T>,
    /// A number of its own: whoever owned the session owns it no longer.
    pub generation: u64,
}

/// No further session may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryFull;

/// Why a subscription was not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// The connection does not own the session any more.
    NotOwner,
    /// The client has as many subscriptions as it may have.
    TooMany,
    /// Not a filter.
    Invalid,
}

impl<T> Default for ClientDirectory<T> {
    fn default() -> Self {
        Self {
            clients: BTreeMap::new(),
            tree: SubscriptionTree::default(),
            connected: 0,
            subscriptions: 0,
            last_generation: 0,
        }
    }
}

impl<T: Target> ClientDirectory<T> {
    /// All subscriptions.
    pub fn tree(&self) -> &SubscriptionTree<T> {
        &self.tree
    }

    /// Number of sessions, connected or kept.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// True when there is no session.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Number of clients connected.
    pub fn connected(&self) -> usize {
        self.connected
    }

    /// Number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// One client.
    pub fn get(&self, client_id: &str) -> Option<&ClientEntry<T>> {
        self.clients.get(client_id)
    }

    /// All clients in the order of their ids, from behind `after` on.
    pub fn iter_after<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a ClientEntry<T>)> {
        let from = match after {
            None => Bound::Unbounded,
            Some(id) => Bound::Excluded(id),
        };
        self.clients.range::<str, _>((from, Bound::Unbounded))
    }

    /// Opens a session for a connection: a new one, or, unless it is to `start_anew`, the one there is.
    /// `new_target` makes the place for a new session's messages; it is given the connection's number.
    ///
    /// # Errors
    /// [`DirectoryFull`] when there are `max_sessions` already and the client is not among them.
    pub fn open(
        &mut self,
        client_id: Arc<str>,
        info: ClientInfo,
        start_anew: bool,
        max_sessions: usize,
        new_target: impl FnOnce(u64) -> Arc<T>,
    ) -> Result<Opened<T>, DirectoryFull> {
        let full = self.clients.len() >= max_sessions;
        let known = self.clients.get_mut(&client_id);
        if known.is_none() && full {
            return Err(DirectoryFull);
        }
        self.last_generation += 1;
        let generation = self.last_generation;
        if let Some(entry) = known
            && !start_anew
            && (entry.info.expiry_interval > 0 || !entry.connected)
        {
            let connected = std::mem::replace(&mut entry.connected, true);
            self.connected += usize::from(!connected);
            entry.generation = generation;
            entry.info = info;
            return Ok(Opened {
                target: entry.target.clone(),
                generation,
                previous: Previous::Resumed { connected },
            });
        }
        let previous = match self.take(&client_id) {
            None => Previous::None,
            Some(old) => Previous::Ended {
                target: old.target,
                connected: old.connected,
            },
        };
        let target = new_target(generation);
        self.connected += 1;
        self.clients.insert(
            client_id,
            ClientEntry {
                target: target.clone(),
                generation,
                connected: true,
                info,
                subscriptions: BTreeMap::new(),
            },
        );
        Ok(Opened {
            target,
            generation,
            previous,
        })
    }

    /// The connection has ended, the session is kept for `expiry_interval` seconds.
    pub fn keep(&mut self, client_id: &str, generation: u64, expiry_interval: u32) {
        if let Some(entry) = self.clients.get_mut(client_id)
            && entry.generation == generation
            && entry.connected
        {
            entry.connected = false;
            entry.info.expiry_interval = expiry_interval;
            self.connected -= 1;
        }
    }

    /// The session has ended; true when it had subscriptions.
    pub fn end(&mut self, client_id: &str, generation: u64) -> bool {
        match self.clients.get(client_id) {
            Some(entry) if entry.generation == generation => self
                .take(client_id)
                .is_some_and(|entry| !entry.subscriptions.is_empty()),
            _ => false,
        }
    }

    /// Ends a session whoever owns it, with its subscriptions.
    pub fn evict(&mut self, client_id: &str) -> Option<Evicted<T>> {
        let entry = self.take(client_id)?;
        self.last_generation += 1;
        Some(Evicted {
            target: entry.target,
            generation: self.last_generation,
        })
    }

    fn take(&mut self, client_id: &str) -> Option<ClientEntry<T>> {
        let entry = self.clients.remove(client_id)?;
        self.connected -= usize::from(entry.connected);
        self.subscriptions -= entry.subscriptions.len();
        for filter in entry.subscriptions.keys() {
            if let Ok(parsed) = TopicFilter::parse(filter) {
                self.tree.remove(&parsed, &entry.target);
            }
        }
        Some(entry)
    }

    /// Enters a subscription; true when the client had none with this filter before.
    ///
    /// # Errors
    /// See [`SubscribeError`]; `max` 0 is no limit.
    pub fn subscribe(
        &mut self,
        client_id: &str,
        generation: u64,
        filter: &Arc<str>,
        subscription: StoredSubscription,
        max: usize,
    ) -> Result<bool, SubscribeError> {
        let entry = self
            .clients
            .get_mut(client_id)
            .filter(|entry| entry.generation == generation)
            .ok_or(SubscribeError::NotOwner)?;
        let parsed = TopicFilter::parse(filter).map_err(|_| SubscribeError::Invalid)?;
        let is_new = !entry.subscriptions.contains_key(filter);
        if is_new && max > 0 && entry.subscriptions.len() >= max {
            return Err(SubscribeError::TooMany);
        }
        entry.subscriptions.insert(filter.clone(), subscription);
        self.subscriptions += usize::from(is_new);
        let route = Route::new(
            entry.target.clone(),
            subscription.options,
            subscription.subscription_id,
        );
        self.tree.insert(&parsed, filter, route, is_new);
        Ok(is_new)
    }

    /// Removes a subscription; false when there was none.
    pub fn unsubscribe(&mut self, client_id: &str, generation: u64, filter: &str) -> bool {
        let Some(entry) = self
            .clients
            .get_mut(client_id)
            .filter(|entry| entry.generation == generation)
        else {
            return false;
        };
        if entry.subscriptions.remove(filter).is_none() {
            return false;
        }
        self.subscriptions -= 1;
        if let Ok(parsed) = TopicFilter::parse(filter) {
            self.tree.remove(&parsed, &entry.target);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Place(u32);

    impl Target for Place {
        fn is_online(&self) -> bool {
            true
        }
    }

    fn info(clean_start: bool, expiry_interval: u32) -> ClientInfo {
        ClientInfo {
            superuser: false,
            username: None,
            keep_alive: 60,
            version: ProtocolVersion::V5,
            clean_start,
            expiry_interval,
            will_topic: None,
            peer: "127.0.0.1:1".parse().unwrap(),
            listener: "default".into(),
            connected_at: SystemTime::UNIX_EPOCH,
        }
    }

    fn open(
        directory: &mut ClientDirectory<Place>,
        id: &str,
        info: ClientInfo,
        place: u32,
    ) -> Opened<Place> {
        let anew = info.clean_start;
        directory
            .open(id.into(), info, anew, 10, |_| Arc::new(Place(place)))
            .unwrap()
    }

    fn subscribe(
        directory: &mut ClientDirectory<Place>,
        id: &str,
        generation: u64,
        filter: &str,
    ) -> Result<bool, SubscribeError> {
        let subscription = StoredSubscription {
            options: SubscribeOptions::default(),
            subscription_id: None,
        };
        directory.subscribe(id, generation, &filter.into(), subscription, 2)
    }

    #[test]
    fn a_kept_session_goes_on_with_its_subscriptions() {
        let mut directory = ClientDirectory::default();
        let first = open(&mut directory, "a", info(true, 60), 1);
        assert_eq!(
            subscribe(&mut directory, "a", first.generation, "t/+"),
            Ok(true)
        );
        directory.keep("a", first.generation, 60);
        assert_eq!((directory.connected(), directory.len()), (0, 1));
        let second = open(&mut directory, "a", info(false, 60), 2);
        assert!(matches!(
            second.previous,
            Previous::Resumed { connected: false }
        ));
        assert_eq!(second.target.0, 1);
        assert_eq!(directory.tree().routes("t/x").deliveries.len(), 1);
        // The first connection has no say any more.
        directory.keep("a", first.generation, 60);
        assert!(!directory.end("a", first.generation));
        assert_eq!(
            subscribe(&mut directory, "a", first.generation, "u"),
            Err(SubscribeError::NotOwner)
        );
        assert_eq!((directory.connected(), directory.len()), (1, 1));
    }

    #[test]
    fn a_session_ends_where_it_must() {
        // (expiry of the old session, its connection lasts, clean start of the new one, resumed)
        for (expiry, connected, clean_start, resumed) in [
            (60, true, false, true),
            (60, false, false, true),
            (60, true, true, false),
            (60, false, true, false),
            (0, true, false, false),
            (0, true, true, false),
        ] {
            let mut directory = ClientDirectory::default();
            let old = open(&mut directory, "a", info(true, expiry), 1);
            subscribe(&mut directory, "a", old.generation, "t").unwrap();
            if !connected {
                directory.keep("a", old.generation, expiry);
            }
            let new = open(&mut directory, "a", info(clean_start, 0), 2);
            match new.previous {
                Previous::Resumed { connected: was } => assert!(resumed && was == connected),
                Previous::Ended {
                    target,
                    connected: was,
                } => {
                    assert!(!resumed && was == connected && target.0 == 1);
                }
                Previous::None => panic!("there was a session"),
            }
            assert_eq!(directory.subscriptions(), usize::from(resumed));
            assert_eq!(directory.tree().routes("t").is_empty(), !resumed);
            assert_eq!((directory.connected(), directory.len()), (1, 1));
        }
    }

    #[test]
    fn an_evicted_session_is_gone_with_its_subscriptions() {
        for connected in [true, false] {
            let mut directory = ClientDirectory::default();
            let old = open(&mut directory, "a", info(true, 60), 1);
            subscribe(&mut directory, "a", old.generation, "t").unwrap();
            if !connected {
                directory.keep("a", old.generation, 60);
            }
            let evicted = directory.evict("a").unwrap();
            assert!(evicted.generation > old.generation);
            assert_eq!(evicted.target.0, 1);
            assert!(directory.is_empty() && directory.tree().routes("t").is_empty());
            assert_eq!((directory.connected(), directory.subscriptions()), (0, 0));
            assert!(directory.evict("a").is_none());
            // What its last owner still says changes nothing for a session of the same name.
            open(&mut directory, "a", info(true, 60), 2);
            directory.keep("a", old.generation, 60);
            assert!(!directory.end("a", old.generation));
            assert_eq!((directory.connected(), directory.len()), (1, 1));
        }
    }

    #[test]
    fn limits_hold() {
        let mut directory = ClientDirectory::default();
        let opened = directory
            .open("a".into(), info(true, 0), true, 1, |_| Arc::new(Place(1)))
            .unwrap();
        assert!(
            directory
                .open("b".into(), info(true, 0), true, 1, |_| Arc::new(Place(2)))
                .is_err()
        );
        assert!(
            directory
                .open("a".into(), info(true, 0), true, 1, |_| Arc::new(Place(3)))
                .is_ok()
        );
        let generation = opened.generation + 1;
        assert_eq!(subscribe(&mut directory, "a", generation, "1"), Ok(true));
        assert_eq!(subscribe(&mut directory, "a", generation, "2"), Ok(true));
        assert_eq!(
            subscribe(&mut directory, "a", generation, "3"),
            Err(SubscribeError::TooMany)
        );
        assert_eq!(subscribe(&mut directory, "a", generation, "2"), Ok(false));
        assert!(directory.unsubscribe("a", generation, "1"));
        assert!(!directory.unsubscribe("a", generation, "1"));
        assert_eq!(directory.subscriptions(), 1);
        assert!(directory.end("a", generation));
        assert!(directory.is_empty() && directory.tree().routes("2").is_empty());
    }
}
