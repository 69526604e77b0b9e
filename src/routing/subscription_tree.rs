//! All subscriptions, for matching topics. One writer changes it; its clones are the snapshots publishers read.
//!
//! Filters without wildcards live in one map by their whole text, so that matching them is one look-up however
//! many there are. Filters with wildcards form a tree of topic levels.

use std::sync::Arc;

use super::{
    persistent_map::PersistentMap,
    routes::{Group, Route, Routes, Target},
};
use crate::mqtt::TopicFilter;

/// See the module's description.
#[derive(Debug)]
pub struct SubscriptionTree<T> {
    exact: PersistentMap<Arc<str>, Subscribers<T>>,
    wildcards: Level<T>,
    /// Filters with subscribers.
    filters: usize,
}

impl<T> Clone for SubscriptionTree<T> {
    fn clone(&self) -> Self {
        Self {
            exact: self.exact.clone(),
            wildcards: self.wildcards.clone(),
            filters: self.filters,
        }
    }
}

impl<T> Default for SubscriptionTree<T> {
    fn default() -> Self {
        Self {
            exact: PersistentMap::default(),
            wildcards: Level::default(),
            filters: 0,
        }
    }
}

/// The subscriptions of one filter.
#[derive(Debug)]
enum Subscribers<T> {
    None,
    One(Route<T>),
    Many(Arc<Many<T>>),
}

#[derive(Debug)]
struct Many<T> {
    routes: Vec<Route<T>>,
    groups: Vec<Arc<Group<T>>>,
}

/// A node of the tree: what follows a prefix of levels.
#[derive(Debug)]
struct Level<T> {
    /// Filters that end here.
    here: Subscribers<T>,
    /// Filters that end with `#` below this prefix.
    multi: Subscribers<T>,
    /// The `+` branch.
    single: Option<Arc<Level<T>>>,
    children: PersistentMap<Box<str>, Arc<Level<T>>>,
}

impl<T> Default for Level<T> {
    fn default() -> Self {
        Self {
            here: Subscribers::None,
            multi: Subscribers::None,
            single: None,
            children: PersistentMap::default(),
        }
    }
}

impl<T> Clone for Level<T> {
    fn clone(&self) -> Self {
        Self {
            here: self.here.clone(),
            multi: self.multi.clone(),
            single: self.single.clone(),
            children: self.children.clone(),
        }
    }
}

impl<T> Level<T> {
    fn is_empty(&self) -> bool {
        matches!(self.here, Subscribers::None)
            && matches!(self.multi, Subscribers::None)
            && self.single.is_none()
            && self.children.is_empty()
    }
}

impl<T> Clone for Subscribers<T> {
    fn clone(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::One(route) => Self::One(route.clone()),
            Self::Many(many) => Self::Many(many.clone()),
        }
    }
}

impl<T> Clone for Many<T> {
    fn clone(&self) -> Self {
        Self {
            routes: self.routes.clone(),
            groups: self.groups.clone(),
        }
    }
}

impl<T: Target> SubscriptionTree<T> {
    /// Enters a subscription, or replaces the one the same session had on the same filter `[MQTT-3.8.4-3]`;
    /// `is_new` says that it had none, so that none is looked for among what may be very many.
    /// `full_filter` is the text of `filter`, which the tree may keep.
    pub fn insert(
        &mut self,
        filter: &TopicFilter<'_>,
        full_filter: &Arc<str>,
        route: Route<T>,
        is_new: bool,
    ) {
        let slot = match filter.is_wildcard() {
            true => self.wildcards.slot_mut(filter.filter()),
            false => {
                let key = match filter.share() {
                    None => full_filter.clone(),
                    Some(_) => filter.filter().into(),
                };
                self.exact.get_or_insert_with(key, || Subscribers::None)
            }
        };
        self.filters += usize::from(matches!(slot, Subscribers::None));
        match filter.share() {
            None => slot.insert(route, is_new),
            Some(_) => slot.insert_shared(full_filter, route, is_new),
        }
    }

    /// Number of different filters, not counting by whom and in which groups they are subscribed to.
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// Takes a session's subscription out; false when it had none on this filter.
    pub fn remove(&mut self, filter: &TopicFilter<'_>, target: &Arc<T>) -> bool {
        let group = filter.share().map(|_| filter.full());
        if filter.is_wildcard() {
            let removed = remove_below(&mut self.wildcards, filter.filter(), group, target);
            let left = self.wildcards.slot(filter.filter());
            if removed && matches!(left, None | Some(Subscribers::None)) {
                self.filters -= 1;
            }
            return removed;
        }
        let Some(slot) = self.exact.get_mut(filter.filter()) else {
            return false;
        };
        let removed = slot.remove(group, target);
        if matches!(slot, Subscribers::None) {
            self.exact.remove(filter.filter());
            self.filters -= 1;
        }
        removed
    }

    /// The members of a shared subscription, given its whole `$share/group/filter`.
    pub fn group(&self, full_filter: &str) -> Option<Arc<Group<T>>> {
        let filter = TopicFilter::parse(full_filter).ok()?;
        let slot = match filter.is_wildcard() {
            true => self.wildcards.slot(filter.filter())?,
            false => self.exact.get(filter.filter())?,
        };
        let Subscribers::Many(many) = slot else {
            return None;
        };
        many.groups
            .iter()
            .find(|group| &*group.full_filter == full_filter)
            .cloned()
    }

    /// Everybody subscribed to `topic` `[MQTT-4.7.2-1]`, `[MQTT-4.7.3]`.
    pub fn routes(&self, topic: &str) -> Routes<T> {
        let mut found = Matches {
            routes: Vec::new(),
            groups: Vec::new(),
            filters: 0,
        };
        if let Some(slot) = self.exact.get(topic) {
            found.add(slot);
        }
        if !self.wildcards.is_empty() {
            self.wildcards.find(topic, &mut found);
        }
        Routes::collect(found.routes, found.groups, found.filters < 2)
    }
}

struct Matches<T> {
    routes: Vec<Route<T>>,
    groups: Vec<Arc<Group<T>>>,
    /// Filters that contributed.
    filters: usize,
}

impl<T> Matches<T> {
    fn add(&mut self, slot: &Subscribers<T>) {
        match slot {
            Subscribers::None => return,
            Subscribers::One(route) => self.routes.push(route.clone()),
            Subscribers::Many(many) => {
                self.routes.extend_from_slice(&many.routes);
                self.groups.extend_from_slice(&many.groups);
            }
        }
        self.filters += 1;
    }
}

impl<T: Target> Level<T> {
    /// The slot of a wildcard filter, made if it is not there.
    fn slot_mut(&mut self, filter: &str) -> &mut Subscribers<T> {
        let mut level = self;
        for part in filter.split('/') {
            let child = match part {
                "#" => return &mut level.multi,
                "+" => level.single.get_or_insert_default(),
                name => level.children.get_or_insert_with(name.into(), Arc::default),
            };
            level = Arc::make_mut(child);
        }
        &mut level.here
    }

    fn slot(&self, filter: &str) -> Option<&Subscribers<T>> {
        let mut level = self;
        for part in filter.split('/') {
            level = match part {
                "#" => return Some(&level.multi),
                "+" => level.single.as_ref()?,
                name => level.children.get(name)?,
            };
        }
        Some(&level.here)
    }

    /// Adds every filter below this root that matches `topic`. Breadth first with a list instead of recursion: a
    /// topic may have tens of thousands of levels.
    fn find(&self, topic: &str, found: &mut Matches<T>) {
        let mut reached: Vec<&Self> = vec![self];
        let mut next = Vec::new();
        for (depth, part) in topic.split('/').enumerate() {
            // Wildcards at the first level do not match topics that start with '$' [MQTT-4.7.2-1].
            let wildcards_match = depth > 0 || !topic.starts_with('$');
            for level in reached.drain(..) {
                if wildcards_match {
                    found.add(&level.multi);
                    next.extend(level.single.as_deref());
                }
                next.extend(level.children.get(part).map(|child| &**child));
            }
            std::mem::swap(&mut reached, &mut next);
            if reached.is_empty() {
                return;
            }
        }
        for level in reached {
            found.add(&level.here);
            // "sport/#" matches "sport" too [MQTT-4.7.1-2].
            found.add(&level.multi);
        }
    }
}

/// Removes a wildcard filter and the levels that it leaves empty. Walks down once to find how much of the path
/// only this filter needs, then cuts there.
fn remove_below<T: Target>(
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
    if !matches!(slot, Subscribers::None) {
        return removed;
    }
    // The deepest level that something else needs stays, the branch below it goes.
    let parts: Vec<&str> = filter.split('/').filter(|part| *part != "#").collect();
    let mut keep = 0;
    let mut level = &*root;
    for (depth, part) in parts.iter().enumerate() {
        let child = match *part {
            "+" => level.single.as_ref(),
            name => level.children.get(name),
        };
        let Some(child) = child else { break };
        if !has_only_child(level, part) {
            keep = depth;
        }
        level = child;
    }
    if !level.is_empty() {
        return removed;
    }
    let mut level = root;
    for part in &parts[..keep] {
        let child = match *part {
            "+" => level.single.as_mut(),
            name => level.children.get_mut(name),
        };
        let Some(child) = child else { return removed };
        level = Arc::make_mut(child);
    }
    match parts.get(keep) {
        None => {}
        Some(&"+") => level.single = None,
        Some(name) => {
            level.children.remove(*name);
        }
    }
    removed
}

/// True when nothing but the branch `part` keeps the level alive.
fn has_only_child<T: Target>(level: &Level<T>, part: &str) -> bool {
    if !matches!(level.here, Subscribers::None) || !matches!(level.multi, Subscribers::None) {
        return false;
    }
    match part {
        "+" => level.children.is_empty(),
        _ => level.single.is_none() && level.children.is_single(),
    }
}

impl<T: Target> Subscribers<T> {
    fn many_mut(&mut self) -> &mut Many<T> {
        if !matches!(self, Self::Many(_)) {
            let routes = match std::mem::replace(self, Self::None) {
                Self::One(route) => vec![route],
                _ => Vec::new(),
            };
            *self = Self::Many(Arc::new(Many {
                routes,
                groups: Vec::new(),
            }));
        }
        match self {
            Self::Many(many) => Arc::make_mut(many),
            // Made just above.
            Self::None | Self::One(_) => unreachable!("subscribers were turned into many"),
        }
    }

    fn insert(&mut self, route: Route<T>, is_new: bool) {
        match self {
            Self::None => *self = Self::One(route),
            Self::One(own) if Arc::ptr_eq(&own.target, &route.target) => *own = route,
            _ => replace_or_push(&mut self.many_mut().routes, route, is_new),
        }
    }

    fn insert_shared(&mut self, full_filter: &Arc<str>, route: Route<T>, is_new: bool) {
        let groups = &mut self.many_mut().groups;
        match groups
            .iter_mut()
            .find(|group| group.full_filter == *full_filter)
        {
            Some(group) => replace_or_push(&mut Arc::make_mut(group).members, route, is_new),
            None => groups.push(Arc::new(Group::new(full_filter.clone(), route))),
        }
    }

    fn remove(&mut self, group: Option<&str>, target: &Arc<T>) -> bool {
        let removed = match (group, &mut *self) {
            (_, Self::None) => false,
            (None, Self::One(route)) => {
                let same = Arc::ptr_eq(&route.target, target);
                if same {
                    *self = Self::None;
                }
                return same;
            }
            (Some(_), Self::One(_)) => false,
            (None, Self::Many(many)) => take_out(&mut Arc::make_mut(many).routes, target),
            (Some(full_filter), Self::Many(many)) => {
                let groups = &mut Arc::make_mut(many).groups;
                let mut removed = false;
                groups.retain_mut(|group| {
                    if &*group.full_filter != full_filter {
                        return true;
                    }
                    let group = Arc::make_mut(group);
                    removed = take_out(&mut group.members, target);
                    !group.members.is_empty()
                });
                removed
            }
        };
        if let Self::Many(many) = self
            && many.groups.is_empty()
        {
            match many.routes.as_slice() {
                [] => *self = Self::None,
                [route] => *self = Self::One(route.clone()),
                _ => {}
            }
        }
        removed
    }
}

fn replace_or_push<T>(routes: &mut Vec<Route<T>>, route: Route<T>, is_new: bool) {
    let same = |own: &&mut Route<T>| Arc::ptr_eq(&own.target, &route.target);
    match (!is_new).then(|| routes.iter_mut().find(same)).flatten() {
        Some(own) => *own = route,
        None => routes.push(route),
    }
}

fn take_out<T>(routes: &mut Vec<Route<T>>, target: &Arc<T>) -> bool {
    let before = routes.len();
    routes.retain(|route| !Arc::ptr_eq(&route.target, target));
    routes.len() != before
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::mqtt::{QoS, SubscribeOptions, matches};

    #[derive(Debug)]
    struct Client {
        name: usize,
        online: bool,
    }

    impl Target for Client {
        fn is_online(&self) -> bool {
            self.online
        }
    }

    fn client(name: usize) -> Arc<Client> {
        Arc::new(Client { name, online: true })
    }

    fn options(qos: QoS, no_local: bool) -> SubscribeOptions {
        SubscribeOptions {
            qos,
            no_local,
            ..SubscribeOptions::default()
        }
    }

    fn subscribe(
        tree: &mut SubscriptionTree<Client>,
        filter: &str,
        client: &Arc<Client>,
        options: SubscribeOptions,
        id: Option<u32>,
    ) {
        let parsed = TopicFilter::parse(filter).unwrap();
        let route = Route::new(client.clone(), options, id);
        let is_new = !has(tree, &parsed, client);
        tree.insert(&parsed, &filter.into(), route, is_new);
    }

    fn has(
        tree: &SubscriptionTree<Client>,
        filter: &TopicFilter<'_>,
        client: &Arc<Client>,
    ) -> bool {
        tree.clone().remove(filter, client)
    }

    fn unsubscribe(
        tree: &mut SubscriptionTree<Client>,
        filter: &str,
        client: &Arc<Client>,
    ) -> bool {
        tree.remove(&TopicFilter::parse(filter).unwrap(), client)
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just(""), Just("$s"), Just("c")]
    }

    fn topic() -> impl Strategy<Value = String> {
        proptest::collection::vec(level(), 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("a topic has at least one character", |topic| {
                !topic.is_empty()
            })
    }

    fn filter() -> impl Strategy<Value = String> {
        (
            proptest::collection::vec(prop_oneof![3 => level(), 2 => Just("+")], 1..5),
            any::<bool>(),
        )
            .prop_map(|(mut levels, multi)| {
                if multi {
                    levels.push("#");
                }
                levels.join("/")
            })
            .prop_filter("a filter has at least one character", |filter| {
                !filter.is_empty()
            })
    }

    proptest! {
        #[test]
        fn matches_what_the_rule_for_one_filter_says(
            steps in proptest::collection::vec((any::<bool>(), filter(), 0usize..4), 1..80),
            topics in proptest::collection::vec(topic(), 20),
        ) {
            let clients: Vec<_> = (0..4).map(client).collect();
            let mut tree = SubscriptionTree::default();
            let mut model: BTreeSet<(String, usize)> = BTreeSet::new();
            let mut earlier = (tree.clone(), model.clone());
            for (index, (insert, filter, who)) in steps.into_iter().enumerate() {
                if insert {
                    subscribe(&mut tree, &filter, &clients[who], options(QoS::AtMostOnce, false), None);
                    model.insert((filter, who));
                } else {
                    prop_assert_eq!(unsubscribe(&mut tree, &filter, &clients[who]), model.remove(&(filter, who)));
                }
                if index == 30 {
                    earlier = (tree.clone(), model.clone());
                }
            }
            for (tree, model) in [(&tree, &model), (&earlier.0, &earlier.1)] {
                let filters: BTreeSet<&str> = model
                    .iter()
                    .filter_map(|(filter, _)| Some(TopicFilter::parse(filter).ok()?.filter()))
                    .collect();
                prop_assert_eq!(tree.filters(), filters.len());
                for topic in &topics {
                    let got: Vec<usize> = tree.routes(topic).deliveries.iter().map(|to| to.target.name).collect();
                    let expected: BTreeSet<usize> = model
                        .iter()
                        .filter(|(filter, _)| matches(filter, topic))
                        .map(|(_, who)| *who)
                        .collect();
                    prop_assert_eq!(got.len(), expected.len(), "one delivery a session for {}", topic);
                    prop_assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), expected, "{}", topic);
                }
            }
            for (filter, who) in &model {
                prop_assert!(unsubscribe(&mut tree, filter, &clients[*who]));
            }
            prop_assert!(tree.wildcards.is_empty() && tree.exact.is_empty(), "nothing is left behind");
            prop_assert_eq!(tree.filters(), 0);
        }
    }

    #[test]
    fn overlapping_subscriptions_merge_to_the_highest_qos_with_all_identifiers() {
        let mut tree = SubscriptionTree::default();
        let a = client(0);
        subscribe(
            &mut tree,
            "t/+",
            &a,
            options(QoS::AtMostOnce, false),
            Some(7),
        );
        subscribe(
            &mut tree,
            "t/#",
            &a,
            options(QoS::ExactlyOnce, false),
            Some(9),
        );
        subscribe(&mut tree, "t/x", &a, options(QoS::AtLeastOnce, false), None);
        let routes = tree.routes("t/x");
        let [delivery] = routes.deliveries.as_slice() else {
            panic!("one delivery, not {:?}", routes.deliveries);
        };
        assert_eq!(delivery.qos, QoS::ExactlyOnce);
        let mut ids = delivery.subscription_ids.as_deref().unwrap().to_vec();
        ids.sort_unstable();
        assert_eq!(ids, [7, 9]);
    }

    #[test]
    fn no_local_keeps_only_the_own_messages_away() {
        let mut tree = SubscriptionTree::default();
        let (a, b) = (client(0), client(1));
        subscribe(
            &mut tree,
            "t/x",
            &a,
            options(QoS::AtLeastOnce, true),
            Some(1),
        );
        subscribe(
            &mut tree,
            "t/#",
            &a,
            options(QoS::AtMostOnce, false),
            Some(2),
        );
        let routes = tree.routes("t/x");
        let served = |publisher: &Arc<Client>| -> Vec<(QoS, Vec<u32>)> {
            routes
                .deliveries
                .iter()
                .filter(|to| to.serves(Some(Arc::as_ptr(publisher))))
                .map(|to| {
                    let mut ids = to.subscription_ids.as_deref().unwrap_or_default().to_vec();
                    ids.sort_unstable();
                    (to.qos, ids)
                })
                .collect()
        };
        assert_eq!(served(&a), [(QoS::AtMostOnce, vec![2])]);
        assert_eq!(served(&b), [(QoS::AtLeastOnce, vec![1, 2])]);
    }

    #[test]
    fn subscribing_again_replaces() {
        let mut tree = SubscriptionTree::default();
        let a = client(0);
        for filter in ["t", "t/+", "$share/g/t", "$share/g/t/#"] {
            subscribe(&mut tree, filter, &a, options(QoS::AtMostOnce, false), None);
            subscribe(
                &mut tree,
                filter,
                &a,
                options(QoS::ExactlyOnce, false),
                None,
            );
        }
        assert_eq!(tree.routes("t").deliveries[0].qos, QoS::ExactlyOnce);
        assert_eq!(tree.routes("t/x").deliveries[0].qos, QoS::ExactlyOnce);
        assert_eq!(tree.group("$share/g/t").unwrap().members.len(), 1);
        assert_eq!(tree.group("$share/g/t/#").unwrap().members.len(), 1);
    }

    #[test]
    fn a_group_gives_every_message_to_one_member_and_prefers_the_connected() {
        let mut tree = SubscriptionTree::default();
        let members: Vec<_> = (0..3)
            .map(|name| {
                Arc::new(Client {
                    name,
                    online: name != 1,
                })
            })
            .collect();
        for member in &members {
            subscribe(
                &mut tree,
                "$share/g/t/#",
                member,
                options(QoS::AtLeastOnce, false),
                None,
            );
        }
        let routes = tree.routes("t/x");
        assert!(routes.deliveries.is_empty());
        let mut got = vec![Vec::new(); 3];
        for count in [1, 1, 1, 1, 7, 2, 100] {
            let mut seen = vec![false; count];
            routes.groups[0].share_out(count, |to, range| {
                for index in range {
                    assert!(!std::mem::replace(&mut seen[index], true));
                    got[to.target.name].push(index);
                }
            });
            assert!(seen.iter().all(|seen| *seen));
        }
        assert!(got[1].is_empty());
        assert!(got[0].len() >= 50 && got[2].len() >= 50, "{got:?}");
    }

    #[test]
    fn a_group_whose_members_are_all_away_still_takes_messages() {
        let group = Group::new(
            "$share/g/t".into(),
            Route::new(
                Arc::new(Client {
                    name: 0,
                    online: false,
                }),
                options(QoS::AtLeastOnce, false),
                None,
            ),
        );
        let mut taken = 0;
        group.share_out(5, |_, range| taken += range.len());
        assert_eq!(taken, 5);
    }
}
