//! What is remembered, looked up ahead or shared against the tree itself.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::{
    mqtt::{
        Packet, Properties, ProtocolVersion, Publish, QoS, SubscribeOptions, TopicFilter, encode,
    },
    routing::{Route, SubscriptionTree},
};

#[derive(Debug)]
struct Client(usize);

impl Target for Client {
    fn is_online(&self) -> bool {
        true
    }
}

/// A subscription: number of the client, filter, QoS, No Local, identifier.
type Subscription = (usize, &'static str, QoS, bool, Option<u32>);

fn tree_of(clients: &[Arc<Client>], subscriptions: &[Subscription]) -> SubscriptionTree<Client> {
    let mut tree = SubscriptionTree::default();
    let mut entered: Vec<(usize, &str)> = Vec::new();
    for (client, filter, qos, no_local, id) in subscriptions {
        let options = SubscribeOptions {
            qos: *qos,
            no_local: *no_local,
            ..SubscribeOptions::default()
        };
        let route = Route::new(clients[*client].clone(), options, *id);
        let is_new = !entered.contains(&(*client, filter));
        entered.push((*client, filter));
        let parsed = TopicFilter::parse(filter).unwrap();
        tree.insert(&parsed, &(*filter).into(), route, is_new);
    }
    tree
}

/// PUBLISH packets behind one another, and where each ends.
fn chunk(topics: &[&str]) -> (Vec<u8>, Vec<usize>) {
    let (mut wire, mut ends) = (BytesMut::new(), Vec::new());
    for topic in topics {
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            properties: Properties::EMPTY,
            payload: b"x",
        };
        encode(&Packet::Publish(publish), ProtocolVersion::V311, &mut wire).unwrap();
        ends.push(wire.len());
    }
    (wire.to_vec(), ends)
}

/// Where the topics of a chunk lead, asked for as a publisher's messages do. Of those in `skipped` none is asked.
fn ask(
    known: &mut TopicRoutes<Client>,
    topics: &[&str],
    skipped: &[bool],
) -> Vec<Arc<Routes<Client>>> {
    let (chunk, ends) = chunk(topics);
    known.refresh();
    known.begin_chunk();
    let mut found = Vec::new();
    for ((topic, end), is_skipped) in topics.iter().zip(ends).zip(skipped) {
        if !is_skipped {
            let start = end - 1 - topic.len();
            let topic = std::str::from_utf8(&chunk[start..end - 1]).unwrap();
            found.push(known.routes(topic, Some(&chunk[end..])).clone());
        }
    }
    found
}

/// All that distinguishes routes, the order in which sessions are served left out.
fn shown(routes: &Routes<Client>) -> Vec<String> {
    let delivery = |to: &crate::routing::Delivery<Client>| {
        let own = to.serves(Some(Arc::as_ptr(&to.target)));
        let others = to.serves(None);
        let mut ids = to
            .subscription_ids
            .as_deref()
            .unwrap_or_default()
            .to_owned();
        ids.sort_unstable();
        format!("{} {:?} {ids:?} {own} {others}", to.target.0, to.qos)
    };
    let mut shown: Vec<_> = routes.deliveries.iter().map(delivery).collect();
    shown.extend(
        routes
            .groups
            .iter()
            .map(|group| group.full_filter.to_string()),
    );
    shown.sort();
    shown
}

const FILTERS: [&str; 9] = [
    "a",
    "b",
    "a/b",
    "a/+",
    "#",
    "+/b",
    "$share/g/a",
    "$share/g/#",
    "c/d/e",
];
const TOPICS: [&str; 7] = ["a", "b", "a/b", "a/c", "c/d/e", "$sys", "c"];

fn subscriptions() -> impl Strategy<Value = Vec<Subscription>> {
    let qos = prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce)];
    let id = prop_oneof![Just(None), Just(Some(1)), Just(Some(2))];
    let one = (
        0..3usize,
        prop::sample::select(&FILTERS[..]),
        qos,
        any::<bool>(),
        id,
    );
    let one = one.prop_map(|(client, filter, qos, no_local, id)| {
        // Shared subscriptions have no No Local [MQTT-3.8.3-4].
        let no_local = no_local && !filter.starts_with("$share");
        (client, filter, qos, no_local, id)
    });
    prop::collection::vec(one, 0..8)
}

proptest! {
    #[test]
    fn topics_lead_where_the_tree_says(
        rounds in prop::collection::vec(
            (
                subscriptions(),
                prop::collection::vec(
                    prop::collection::vec((prop::sample::select(&TOPICS[..]), any::<bool>()), 1..60),
                    1..3,
                ),
            ),
            1..4,
        )
    ) {
        let clients: Vec<_> = (0..3).map(|number| Arc::new(Client(number))).collect();
        let table = Arc::new(RouteTable::default());
        let mut known = TopicRoutes::new(table.clone());
        for (subscriptions, chunks) in rounds {
            let tree = tree_of(&clients, &subscriptions);
            table.change(|own| *own = tree_of(&clients, &subscriptions));
            table.publish();
            for chunk in chunks {
                let (topics, skipped): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
                let found = ask(&mut known, &topics, &skipped);
                let asked = topics.iter().zip(skipped).filter(|(_, skipped)| !skipped);
                for ((topic, _), found) in asked.zip(found) {
                    prop_assert_eq!(shown(&found), shown(&tree.routes(topic)), "{}", topic);
                }
            }
        }
    }
}

#[test]
fn topics_of_one_subscriber_share_their_routes() {
    let clients: Vec<_> = (0..2).map(|number| Arc::new(Client(number))).collect();
    let (qos0, qos1) = (QoS::AtMostOnce, QoS::AtLeastOnce);
    let tree = tree_of(
        &clients,
        &[
            (0, "a", qos0, false, None),
            (0, "b", qos0, false, None),
            (0, "c", qos1, false, None),
            (0, "d", qos0, false, Some(1)),
            (0, "e", qos0, true, None),
            (1, "f", qos0, false, None),
            (0, "g", qos0, false, None),
            (1, "g", qos0, false, None),
            (0, "h", qos0, false, None),
            (1, "$share/g/h", qos0, false, None),
        ],
    );
    let table = Arc::new(RouteTable::default());
    table.change(|own| *own = tree);
    table.publish();
    let mut known = TopicRoutes::new(table);
    let found = ask(
        &mut known,
        &["a", "b", "c", "d", "e", "f", "g", "h", "a"],
        &[false; 9],
    );
    assert!(Arc::ptr_eq(&found[0], &found[1]));
    for other in &found[2..8] {
        assert!(!Arc::ptr_eq(&found[0], other), "{other:?}");
    }
}
