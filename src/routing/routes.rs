//! The subscribers of a topic, ready to be delivered to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::mqtt::{QoS, SubscribeOptions};

/// Members of a shared subscription that messages are offered to after one whose session has ended.
pub const OFFERS: usize = 8;

/// What a subscription leads to: the registry's handle of a session.
pub trait Target: Send + Sync {
    /// True while a client is connected to the session.
    fn is_online(&self) -> bool;
}

/// One subscription: a session and how it asked to be served.
#[derive(Debug)]
pub struct Route<T> {
    /// Session.
    pub target: Arc<T>,
    /// Subscription identifier, 0 for none: the standard forbids 0 `[MQTT-3.8.3-4]`.
    pub subscription_id: u32,
    /// Maximum QoS.
    pub qos: QoS,
    /// Messages of the session itself are not delivered `[MQTT-3.8.3-3]`.
    pub no_local: bool,
    /// The RETAIN flag is passed on as published `[MQTT-3.3.1-13]`.
    pub retain_as_published: bool,
}

impl<T> Clone for Route<T> {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            ..*self
        }
    }
}

impl<T> Route<T> {
    /// A subscription of `target`.
    pub fn new(target: Arc<T>, options: SubscribeOptions, subscription_id: Option<u32>) -> Self {
        Self {
            target,
            subscription_id: subscription_id.unwrap_or(0),
            qos: options.qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
        }
    }
}

/// The members of one shared subscription `[MQTT-4.8.2]`.
#[derive(Debug)]
pub struct Group<T> {
    /// The whole `$share/group/filter`.
    pub full_filter: SmolStr,
    /// At least one.
    pub members: SmallVec<[Route<T>; 1]>,
    /// Whose turn it is. Versions of the group that are read at the same time go on by themselves.
    turn: AtomicUsize,
}

impl<T> Clone for Group<T> {
    fn clone(&self) -> Self {
        Self {
            full_filter: self.full_filter.clone(),
            members: self.members.clone(),
            turn: AtomicUsize::new(self.turn.load(Ordering::Relaxed)),
        }
    }
}

impl<T: Target> Group<T> {
    /// A group of one.
    pub fn new(full_filter: SmolStr, member: Route<T>) -> Self {
        Self {
            full_filter,
            members: SmallVec::from_buf([member]),
            turn: AtomicUsize::default(),
        }
    }

    /// Splits `count` consecutive messages among the members that are connected, or, where none is, among all:
    /// calls `deliver` with a member and its range. Every message goes to exactly one member.
    pub fn share_out<'a>(
        &'a self,
        count: usize,
        mut deliver: impl FnMut(&'a Route<T>, std::ops::Range<usize>),
    ) {
        let live = self
            .members
            .iter()
            .filter(|member| member.target.is_online())
            .count();
        let pick_live = live > 0;
        let candidates = match live {
            0 => self.members.len(),
            live => live,
        };
        if candidates == 0 {
            return;
        }
        let each = count.div_ceil(candidates);
        let turns = count.div_ceil(each.max(1));
        let first = self.turn.fetch_add(turns, Ordering::Relaxed) % candidates;
        let eligible = || {
            self.members
                .iter()
                .filter(move |member| !pick_live || member.target.is_online())
        };
        // A member may come or go while this runs; the last resort keeps every message with somebody.
        let mut order = eligible().skip(first).chain(eligible().take(first));
        let mut start = 0;
        while start < count {
            let end = count.min(start + each);
            let Some(member) = order.next().or_else(|| self.members.first()) else {
                return;
            };
            deliver(member, start..end);
            start = end;
        }
    }
}

impl<T: Target> Group<T> {
    /// Offers messages to a member and, as long as nobody takes them, to others: first to those that are connected.
    /// False when those that were asked, some of the group, have not taken them.
    pub fn offer<'a>(
        &'a self,
        first: &'a Route<T>,
        mut take: impl FnMut(&'a Route<T>) -> bool,
    ) -> bool {
        take(first) || self.others(&first.target).take(OFFERS).any(take)
    }

    /// The members but for one, those that are connected before those that are away.
    pub fn others<'a>(&'a self, than: &'a Arc<T>) -> impl Iterator<Item = &'a Route<T>> {
        let of = move |online: bool| {
            let chosen = move |member: &&Route<T>| {
                member.target.is_online() == online && !Arc::ptr_eq(&member.target, than)
            };
            self.members.iter().filter(chosen)
        };
        of(true).chain(of(false))
    }
}

/// A group as routes share it.
pub type SharedGroup<T> = triomphe::Arc<Group<T>>;
/// Groups of one filter, or all that match a topic.
pub type Groups<T> = SmallVec<[SharedGroup<T>; 2]>;

/// How one session is served from a topic: all its matching subscriptions in one copy.
#[derive(Debug)]
pub struct Delivery<T> {
    /// Session.
    pub target: Arc<T>,
    /// Identifiers of the matching subscriptions `[MQTT-3.3.4-4]`, `[MQTT-3.3.4-5]`.
    pub subscription_ids: Option<Arc<[u32]>>,
    /// The highest of the matching subscriptions.
    pub qos: QoS,
    /// Whether the RETAIN flag is passed on.
    pub retain_as_published: bool,
    /// Whose messages this serves.
    pub publishers: Publishers,
}

/// Whose messages a [`Delivery`] serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publishers {
    /// Everybody's.
    All,
    /// Those of other sessions: some subscription has No Local.
    Others,
    /// Only the session's own, where a subscription without No Local overlaps one that has it.
    Own,
}

impl Publishers {
    fn of(no_local: bool) -> Self {
        match no_local {
            true => Self::Others,
            false => Self::All,
        }
    }
}

impl<T> Delivery<T> {
    /// True when it serves this subscription and no other.
    fn is_of(&self, route: &Route<T>) -> bool {
        let same_id = match (&self.subscription_ids, route.subscription_id) {
            (None, id) => id == 0,
            (Some(ids), id) => **ids == [id],
        };
        same_id
            && Arc::ptr_eq(&self.target, &route.target)
            && self.qos == route.qos
            && self.retain_as_published == route.retain_as_published
            && self.publishers == Publishers::of(route.no_local)
    }

    /// True when a message of the session at `publisher` (none: the broker's own) is to be delivered.
    pub fn serves(&self, publisher: Option<*const T>) -> bool {
        let own = || publisher.is_some_and(|at| std::ptr::eq(at, Arc::as_ptr(&self.target)));
        match self.publishers {
            Publishers::All => true,
            Publishers::Others => !own(),
            Publishers::Own => own(),
        }
    }
}

/// Everybody a topic goes to. Immutable, shared by all publishers of the topic.
#[derive(Debug)]
pub struct Routes<T> {
    /// One entry a session (two where No Local asks for it); that of a single one lies in the routes themselves.
    pub deliveries: SmallVec<[Delivery<T>; 1]>,
    /// Shared groups; each picks one member a message.
    pub groups: Groups<T>,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self {
            deliveries: SmallVec::new(),
            groups: Groups::new(),
        }
    }
}

impl<T> Routes<T> {
    /// True when the topic has no subscriber.
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.groups.is_empty()
    }

    /// True when these are the routes of a topic that this subscription alone matches.
    pub fn are_of(&self, route: &Route<T>) -> bool {
        match &self.deliveries[..] {
            [only] => self.groups.is_empty() && only.is_of(route),
            _ => false,
        }
    }

    /// Puts the subscriptions that match a topic together, one delivery a session `[MQTT-3.3.4-2]`.
    /// `distinct` says that no session occurs twice.
    pub fn collect(
        mut matched: SmallVec<[&Route<T>; 2]>,
        groups: Groups<T>,
        distinct: bool,
    ) -> Self {
        let mut deliveries = SmallVec::with_capacity(matched.len());
        if distinct {
            deliveries.extend(
                matched
                    .iter()
                    .map(|route| merge(std::slice::from_ref(route), |_| true)),
            );
        } else {
            matched.sort_by_key(|route| Arc::as_ptr(&route.target) as usize);
            for of_one in matched.chunk_by(|a, b| Arc::ptr_eq(&a.target, &b.target)) {
                deliveries.push(merge(of_one, |_| true));
                let some_local = of_one.iter().any(|route| !route.no_local);
                if some_local && of_one.iter().any(|route| route.no_local) {
                    let mut own = merge(of_one, |route| !route.no_local);
                    own.publishers = Publishers::Own;
                    deliveries.push(own);
                }
            }
        }
        Self { deliveries, groups }
    }
}

/// One delivery for the subscriptions of one session that `chosen` admits; at least one of `routes` must be.
fn merge<T>(routes: &[&Route<T>], chosen: impl Fn(&Route<T>) -> bool) -> Delivery<T> {
    let mut ids = Vec::new();
    let mut qos = QoS::AtMostOnce;
    let (mut retain_as_published, mut no_local) = (false, false);
    for route in routes.iter().filter(|route| chosen(route)) {
        qos = qos.max(route.qos);
        retain_as_published |= route.retain_as_published;
        no_local |= route.no_local;
        if route.subscription_id != 0 {
            ids.push(route.subscription_id);
        }
    }
    Delivery {
        target: routes[0].target.clone(),
        subscription_ids: (!ids.is_empty()).then(|| ids.into()),
        qos,
        retain_as_published,
        publishers: Publishers::of(no_local),
    }
}
