//! Who is known to the broker: connected clients and kept sessions, with their subscriptions.
//!
//! Each connection of a client id gets a generation number; what an older generation asks for is refused, so that
//! a connection that was taken over cannot change what its successor owns.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry as Slot},
    fmt,
    net::{IpAddr, SocketAddr},
    ops::Bound,
    sync::Arc,
};

use smol_str::SmolStr;

use super::{Route, RouteTable, Target};
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
    pub peer: Peer,
    /// Name of the listener that accepted it.
    pub listener: Arc<str>,
    /// When CONNECT came, in milliseconds since 1970.
    pub connected_at: u64,
    /// The connection lasts.
    pub connected: bool,
}

/// The address of a client, without what a socket of IPv6 knows besides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its IP address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
}

impl From<SocketAddr> for Peer {
    fn from(peer: SocketAddr) -> Self {
        Self {
            ip: peer.ip(),
            port: peer.port(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip, self.port).fmt(f)
    }
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
    /// Of that connection.
    pub info: ClientInfo,
    /// By the whole filter, `$share/group/` included. Short ones lie in the map itself.
    pub subscriptions: BTreeMap<SmolStr, StoredSubscription>,
}

/// See the module's description.
#[derive(Debug)]
pub struct ClientDirectory<T> {
    /// Boxed, since a tree's nodes are not full.
    clients: BTreeMap<Arc<str>, Box<ClientEntry<T>>>,
    /// User names with the ids of their clients.
    users: BTreeSet<(Arc<str>, Arc<str>)>,
    /// The subscriptions as publishers read them.
    routes: Arc<RouteTable<T>>,
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

impl<T: Target> ClientDirectory<T> {
    /// An empty directory whose connections get numbers behind `generation`. Nobody else changes `routes`, which are empty.
    pub fn new(routes: Arc<RouteTable<T>>, generation: u64) -> Self {
        Self {
            clients: BTreeMap::new(),
            users: BTreeSet::new(),
            routes,
            connected: 0,
            subscriptions: 0,
            last_generation: generation,
        }
    }

    /// All subscriptions. What publishers remember of them holds until [`RouteTable::publish`].
    pub fn routes(&self) -> &RouteTable<T> {
        &self.routes
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
        self.clients.get(client_id).map(|entry| &**entry)
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
        self.clients
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(id, entry)| (id, &**entry))
    }

    /// The clients with a user name, in the order of their ids, from behind `after` on.
    pub fn of_user_after<'a>(
        &'a self,
        username: &str,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a ClientEntry<T>)> {
        let username: Arc<str> = username.into();
        let from = match after {
            None => Bound::Included((username.clone(), Arc::from(""))),
            Some(id) => Bound::Excluded((username.clone(), id.into())),
        };
        self.users
            .range((from, Bound::Unbounded))
            .take_while(move |(name, _)| *name == username)
            .filter_map(|(_, id)| self.clients.get_key_value(id))
            .map(|(id, entry)| (id, &**entry))
    }

    /// Opens a session for a connection: a new one, or, unless it is to `start_anew`, the one there is.
    /// `new_target` makes the place for a new session's messages; it is given the connection's number.
    ///
    /// # Errors
    /// [`DirectoryFull`] when there are `max_sessions` already and the client is not among them.
    pub fn open(
        &mut self,
        client_id: Arc<str>,
        mut info: ClientInfo,
        start_anew: bool,
        max_sessions: usize,
        new_target: impl FnOnce(u64) -> Arc<T>,
    ) -> Result<Opened<T>, DirectoryFull> {
        info.connected = true;
        let full = self.clients.len() >= max_sessions;
        let known = self.clients.get_mut(&client_id);
        if known.is_none() && full {
            return Err(DirectoryFull);
        }
        self.last_generation += 1;
        let generation = self.last_generation;
        if let Some(entry) = known
            && !start_anew
            && (entry.info.expiry_interval > 0 || !entry.info.connected)
        {
            let connected = entry.info.connected;
            self.connected += usize::from(!connected);
            entry.generation = generation;
            if entry.info.username != info.username {
                if let Some(name) = entry.info.username.take() {
                    self.users.remove(&(name, client_id.clone()));
                }
                self.users.extend(user_of(&client_id, &info));
            }
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
                connected: old.info.connected,
            },
        };
        let target = new_target(generation);
        self.connected += 1;
        self.users.extend(user_of(&client_id, &info));
        let entry = ClientEntry {
            target: target.clone(),
            generation,
            info,
            subscriptions: BTreeMap::new(),
        };
        self.clients.insert(client_id, Box::new(entry));
        Ok(Opened {
            target,
            generation,
            previous,
        })
    }

    /// The highest number of a connection.
    pub fn last_generation(&self) -> u64 {
        self.last_generation
    }

    /// All clients.
    pub fn into_clients(self) -> impl Iterator<Item = (Arc<str>, ClientEntry<T>)> {
        self.clients.into_iter().map(|(id, entry)| (id, *entry))
    }

    /// Enters a session that outlived the last process, without a connection.
    pub fn restore(
        &mut self,
        client_id: Arc<str>,
        mut info: ClientInfo,
        generation: u64,
        target: Arc<T>,
        subscriptions: impl IntoIterator<Item = (Arc<str>, StoredSubscription)>,
    ) {
        info.connected = false;
        let entry = ClientEntry {
            target,
            generation,
            info,
            subscriptions: BTreeMap::new(),
        };
        self.clients.insert(client_id.clone(), Box::new(entry));
        for (filter, subscription) in subscriptions {
            // What cannot be a filter was not entered.
            let _ = self.subscribe(&client_id, generation, &filter, subscription, 0);
        }
    }

    /// The connection has ended, the session is kept for `expiry_interval` seconds.
    pub fn keep(&mut self, client_id: &str, generation: u64, expiry_interval: u32) {
        if let Some(entry) = self.clients.get_mut(client_id)
            && entry.generation == generation
            && entry.info.connected
        {
            entry.info.connected = false;
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
        let (client_id, entry) = self.clients.remove_entry(client_id)?;
        if let Some(user) = user_of(&client_id, &entry.info) {
            self.users.remove(&user);
        }
        self.connected -= usize::from(entry.info.connected);
        self.subscriptions -= entry.subscriptions.len();
        for filter in entry.subscriptions.keys() {
            if let Ok(parsed) = TopicFilter::parse(filter) {
                self.routes
                    .change(|tree| tree.remove(&parsed, &entry.target));
            }
        }
        Some(*entry)
    }

    /// Before several subscriptions are entered: see [`super::SubscriptionTree::fetch`].
    pub fn fetch(&self, filters: &[&str]) {
        self.routes.read().fetch(filters);
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
        let is_full = max > 0 && entry.subscriptions.len() >= max;
        let is_new = match entry.subscriptions.entry(filter.clone().into()) {
            Slot::Occupied(mut own) => {
                own.insert(subscription);
                false
            }
            Slot::Vacant(_) if is_full => return Err(SubscribeError::TooMany),
            Slot::Vacant(slot) => {
                slot.insert(subscription);
                true
            }
        };
        self.subscriptions += usize::from(is_new);
        let route = Route::new(
            entry.target.clone(),
            subscription.options,
            subscription.subscription_id,
        );
        self.routes
            .change(|tree| tree.insert(&parsed, filter, route, is_new));
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
            self.routes
                .change(|tree| tree.remove(&parsed, &entry.target));
        }
        true
    }
}

/// What finds a client by its user name, if it has one.
fn user_of(client_id: &Arc<str>, info: &ClientInfo) -> Option<(Arc<str>, Arc<str>)> {
    let username = info.username.clone()?;
    Some((username, client_id.clone()))
}

#[cfg(test)]
mod tests;
