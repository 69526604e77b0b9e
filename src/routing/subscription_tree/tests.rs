//! The tree against the rule for one filter, and what each kind of subscription gets.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    levels::{Branch, Ending},
    *,
};
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
    let is_new = !tree
        .subscribers(filter)
        .iter()
        .any(|own| Arc::ptr_eq(own, client));
    tree.insert(&parsed, &filter.into(), route, is_new);
}

fn unsubscribe(tree: &mut SubscriptionTree<Client>, filter: &str, client: &Arc<Client>) -> bool {
    tree.remove(&TopicFilter::parse(filter).unwrap(), client)
}

/// True when no level below is empty or holds one filter only, for which there need be none.
fn is_tight(level: &Level<Client>) -> bool {
    let branches = level
        .single
        .iter()
        .chain(level.named.iter().map(|(_, branch)| branch));
    branches.into_iter().all(|branch| match branch {
        Branch::Only(_, slot) => !matches!(slot, Subscribers::None),
        Branch::More(level) => {
            let is_end = |branch: &Branch<Client>| matches!(branch, Branch::Only(Ending::Here, _));
            let filters = [&level.here, &level.multi];
            let filters = filters
                .iter()
                .filter(|slot| !matches!(slot, Subscribers::None));
            let ends = filters.count() + usize::from(level.single.as_ref().is_some_and(is_end));
            let goes_on = !level.named.is_empty()
                || level.single.as_ref().is_some_and(|single| !is_end(single));
            (goes_on || ends > 1) && is_tight(level)
        }
    })
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
        filters in proptest::collection::vec(filter(), 1..12),
        steps in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>(), 0usize..2), 1..60),
        topics in proptest::collection::vec(topic(), 20),
    ) {
        let clients: Vec<_> = (0..2).map(client).collect();
        let mut tree = SubscriptionTree::default();
        let mut model: BTreeSet<(String, usize)> = BTreeSet::new();
        for (insert, filter, who) in steps {
            let filter = filter.get(&filters).clone();
            if insert {
                subscribe(&mut tree, &filter, &clients[who], options(QoS::AtMostOnce, false), None);
                model.insert((filter, who));
            } else {
                prop_assert_eq!(unsubscribe(&mut tree, &filter, &clients[who]), model.remove(&(filter, who)));
            }
            tree.fetch(&model.iter().map(|(filter, _)| filter.as_str()).collect::<Vec<_>>());
            let filters: BTreeSet<&str> = model
                .iter()
                .filter_map(|(filter, _)| Some(TopicFilter::parse(filter).ok()?.filter()))
                .collect();
            prop_assert_eq!(tree.filters(), filters.len());
            let is_system = |filter: &&str| filter.starts_with('$');
            prop_assert_eq!(tree.has_system_filters(), filters.iter().any(is_system));
            prop_assert!(is_tight(&tree.wildcards), "{:?}", tree.wildcards);
            let each: Vec<&str> = topics.iter().map(String::as_str).collect();
            let names = |routes: Routes<Client>| -> Vec<usize> {
                routes.deliveries.iter().map(|to| to.target.name).collect()
            };
            let each: Vec<_> = tree.matches_of_each(&each).map(|found| names(found.routes())).collect();
            prop_assert_eq!(each.len(), topics.len());
            for (topic, of_each) in topics.iter().zip(each) {
                let got = names(tree.routes(topic));
                prop_assert_eq!(&of_each, &got);
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
        prop_assert!(!tree.has_system_filters());
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
    let group = crate::routing::Group::new(
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

#[test]
fn filters_of_tens_of_thousands_of_levels_are_let_go_of() {
    let mut tree = SubscriptionTree::default();
    let filters = [
        format!("{}#", "+/".repeat(32_000)),
        format!("{}#", "x/".repeat(32_000)),
    ];
    for filter in &filters {
        subscribe(
            &mut tree,
            filter,
            &client(0),
            options(QoS::AtMostOnce, false),
            None,
        );
    }
    assert_eq!(tree.subscribers(&filters[0]).len(), 1);
    drop(tree);
}

proptest! {
    #[test]
    fn sessions_and_members_of_groups_come_and_go_at_one_filter(
        steps in proptest::collection::vec((any::<bool>(), 0usize..3, 0usize..3), 1..60),
    ) {
        const FILTERS: [&str; 3] = ["a/+", "$share/g/a/+", "$share/h/a/+"];
        let clients: Vec<_> = (0..3).map(client).collect();
        let mut tree = SubscriptionTree::default();
        let mut model: BTreeSet<(usize, usize)> = BTreeSet::new();
        for (insert, filter, who) in steps {
            if insert {
                subscribe(&mut tree, FILTERS[filter], &clients[who], options(QoS::AtMostOnce, false), None);
                model.insert((filter, who));
            } else {
                let removed = unsubscribe(&mut tree, FILTERS[filter], &clients[who]);
                prop_assert_eq!(removed, model.remove(&(filter, who)));
            }
            prop_assert_eq!(tree.filters(), usize::from(!model.is_empty()));
            for (number, filter) in FILTERS.iter().enumerate() {
                let of_model = model.iter().filter(|(filter, _)| *filter == number);
                let expected: BTreeSet<_> = of_model.map(|(_, who)| *who).collect();
                let subscribed = tree.subscribers(filter);
                prop_assert_eq!(subscribed.len(), expected.len());
                let subscribed: BTreeSet<_> = subscribed.iter().map(|to| to.name).collect();
                prop_assert_eq!(&subscribed, &expected, "{}", filter);
                let routes = tree.routes("a/b");
                let of_group = routes.groups.iter().find(|group| group.full_filter == **filter);
                let served: BTreeSet<_> = match number {
                    0 => routes.deliveries.iter().map(|to| to.target.name).collect(),
                    _ => of_group.iter().flat_map(|group| &group.members).map(|to| to.target.name).collect(),
                };
                prop_assert_eq!(served, expected, "{}", filter);
            }
        }
        for (filter, who) in model {
            prop_assert!(unsubscribe(&mut tree, FILTERS[filter], &clients[who]));
        }
        prop_assert!(tree.wildcards.is_empty(), "nothing is left behind");
    }
}
