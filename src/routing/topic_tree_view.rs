//! The filters of all subscriptions as a tree of topic levels, for people to look at: breadth first, and bounded.

use std::{collections::BTreeMap, sync::Arc};

use smol_str::SmolStr;

/// What part of the tree is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTreeBounds {
    /// The levels in front of the part that is shown; none: the whole tree.
    pub root: Option<String>,
    /// Levels below the root.
    pub depth: usize,
    /// Nodes, and as many client ids.
    pub limit: usize,
}

/// See the module's description.
#[derive(Debug, PartialEq, Eq)]
pub struct TopicTreeView {
    /// The root alone, its children, their children, and so on; never an empty level.
    pub levels: Vec<Vec<TopicTreeNode>>,
    /// Something was left out because of the bounds.
    pub truncated: bool,
}

/// One level of one or more filters.
#[derive(Debug, PartialEq, Eq)]
pub struct TopicTreeNode {
    /// The level's text; of the root, all that is in front of the part that is shown.
    pub topic: Box<str>,
    /// Number of children, shown or not.
    pub children: usize,
    /// Who is subscribed to exactly this filter, in the order of the subscriptions.
    pub client_ids: Vec<Arc<str>>,
}

/// Subscriptions at or below a node: each one's client, and what follows the node's level, if anything.
type Subscriptions<'a> = Vec<(&'a Arc<str>, Option<&'a str>)>;

/// A node whose children are not known yet.
struct Open<'a> {
    topic: &'a str,
    subscriptions: Subscriptions<'a>,
}

impl TopicTreeView {
    /// The view of subscriptions, each given by its client and its whole filter. The `$share` of a shared one and
    /// its group are levels as others are.
    ///
    /// What lies below a node that is not shown is not looked at.
    pub fn new(subscriptions: &[(Arc<str>, SmolStr)], bounds: &TopicTreeBounds) -> Self {
        let root = bounds.root.as_deref();
        let mut level = vec![Open {
            topic: root.unwrap_or_default(),
            subscriptions: subscriptions
                .iter()
                .filter_map(|(client_id, filter)| Some((client_id, below(root, filter)?)))
                .collect(),
        }];
        let mut view = Self {
            levels: Vec::new(),
            truncated: false,
        };
        let mut nodes_left = bounds.limit.saturating_sub(1);
        let mut ids_left = bounds.limit;
        while !level.is_empty() {
            let deepest = view.levels.len() >= bounds.depth;
            let mut shown = Vec::with_capacity(level.len());
            let mut next = Vec::new();
            for node in level {
                let (mut client_ids, children) = node.split();
                view.truncated |= client_ids.len() > ids_left;
                client_ids.truncate(ids_left);
                ids_left -= client_ids.len();
                shown.push(TopicTreeNode {
                    topic: node.topic.into(),
                    children: children.len(),
                    client_ids: client_ids.into_iter().cloned().collect(),
                });
                let room = if deepest { 0 } else { nodes_left };
                view.truncated |= children.len() > room;
                let before = next.len();
                let taken = children.into_iter().take(room);
                next.extend(taken.map(|(topic, subscriptions)| Open {
                    topic,
                    subscriptions,
                }));
                nodes_left -= next.len() - before;
            }
            view.levels.push(shown);
            level = next;
        }
        view
    }
}

impl<'a> Open<'a> {
    /// Who is subscribed here, and the children in the order of their bytes.
    fn split(&self) -> (Vec<&'a Arc<str>>, BTreeMap<&'a str, Subscriptions<'a>>) {
        let mut here = Vec::new();
        let mut children: BTreeMap<_, Subscriptions<'a>> = BTreeMap::new();
        for (client_id, rest) in &self.subscriptions {
            match rest {
                None => here.push(*client_id),
                Some(rest) => {
                    let (level, rest) = match rest.split_once('/') {
                        Some((level, rest)) => (level, Some(rest)),
                        None => (*rest, None),
                    };
                    children.entry(level).or_default().push((*client_id, rest));
                }
            }
        }
        (here, children)
    }
}

/// What follows `root` in a filter, if anything; none for a filter that is not at or below it.
fn below<'a>(root: Option<&str>, filter: &'a str) -> Option<Option<&'a str>> {
    let Some(root) = root else {
        return Some(Some(filter));
    };
    let rest = filter.strip_prefix(root)?;
    if rest.is_empty() {
        return Some(None);
    }
    rest.strip_prefix('/').map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: TopicTreeBounds = TopicTreeBounds {
        root: None,
        depth: 128,
        limit: 1000,
    };

    /// Levels as `topic(children)[ids]`, with a line for each level.
    fn show(subscriptions: &[(&str, &str)], bounds: &TopicTreeBounds) -> (String, bool) {
        let subscriptions: Vec<(Arc<str>, SmolStr)> = subscriptions
            .iter()
            .map(|(client_id, filter)| ((*client_id).into(), (*filter).into()))
            .collect();
        let view = TopicTreeView::new(&subscriptions, bounds);
        let levels: Vec<String> = view
            .levels
            .iter()
            .map(|level| {
                let nodes: Vec<String> = level
                    .iter()
                    .map(|node| {
                        let ids = node.client_ids.join(",");
                        format!("{}({})[{ids}]", node.topic, node.children)
                    })
                    .collect();
                nodes.join(" ")
            })
            .collect();
        (levels.join(" | "), view.truncated)
    }

    #[test]
    fn every_filter_is_at_its_place() {
        let example = [
            ("1", "topic123"),
            ("2", "topic123/123"),
            ("3", "topic123/123/456"),
        ];
        for (subscriptions, expected) in [
            (&[][..], "(0)[]"),
            (&[("a", "#")], "(1)[] | #(0)[a]"),
            (&example, "(1)[] | topic123(1)[1] | 123(1)[2] | 456(0)[3]"),
            (
                &[
                    ("a", "b/x"),
                    ("b", "a"),
                    ("b", "é/x"),
                    ("c", "+/x"),
                    ("c", "a"),
                    ("d", "#"),
                ],
                "(5)[] | #(0)[d] +(1)[] a(0)[b,c] b(1)[] é(1)[] | x(0)[c] x(0)[a] x(0)[b]",
            ),
            (
                &[("a", "$share/g/t"), ("b", "$share/g/t")],
                "(1)[] | $share(1)[] | g(1)[] | t(0)[a,b]",
            ),
            (
                &[("a", "/"), ("b", "//x"), ("c", "x/")],
                "(2)[] | (1)[] x(1)[] | (1)[a] (0)[c] | x(0)[b]",
            ),
        ] {
            assert_eq!(show(subscriptions, &WHOLE), (expected.to_owned(), false));
        }
    }

    #[test]
    fn bounds_hold_and_a_cut_is_told() {
        let subscriptions = [
            ("a", "x"),
            ("b", "x/1"),
            ("c", "x/1/2"),
            ("d", "x/1/3"),
            ("e", "xy/1"),
            ("f", "z/1/2"),
        ];
        // (root, depth, limit, view, truncated)
        for (root, depth, limit, expected, truncated) in [
            (None, 1, 9, "(3)[] | x(1)[a] xy(1)[] z(1)[]", true),
            (None, 0, 9, "(3)[]", true),
            (None, 9, 1, "(3)[]", true),
            (None, 9, 3, "(3)[] | x(1)[a] xy(1)[]", true),
            (None, 9, 5, "(3)[] | x(1)[a] xy(1)[] z(1)[] | 1(2)[b]", true),
            (
                Some("x"),
                9,
                9,
                "x(1)[a] | 1(2)[b] | 2(0)[c] 3(0)[d]",
                false,
            ),
            (
                Some("x"),
                2,
                9,
                "x(1)[a] | 1(2)[b] | 2(0)[c] 3(0)[d]",
                false,
            ),
            (Some("x"), 9, 3, "x(1)[a] | 1(2)[b] | 2(0)[c]", true),
            (Some("x/1"), 1, 9, "x/1(2)[b] | 2(0)[c] 3(0)[d]", false),
            (Some("x/1/2"), 0, 1, "x/1/2(0)[c]", false),
            (Some("nothing"), 9, 9, "nothing(0)[]", false),
        ] {
            let root = root.map(str::to_owned);
            let what = format!("{root:?} {depth} {limit}");
            let bounds = TopicTreeBounds { root, depth, limit };
            let shown = show(&subscriptions, &bounds);
            assert_eq!(shown, (expected.to_owned(), truncated), "{what}");
        }
        let crowd = [("a", "t"), ("b", "t"), ("c", "t")];
        let narrow = TopicTreeBounds { limit: 2, ..WHOLE };
        assert_eq!(
            show(&crowd, &narrow),
            ("(1)[] | t(0)[a,b]".to_owned(), true)
        );
    }

    #[test]
    fn a_filter_of_very_many_levels_is_no_problem() {
        let deep = vec!["d"; 30_000].join("/");
        let (shown, truncated) = show(&[("a", &deep)], &WHOLE);
        assert_eq!((shown.split(" | ").count(), truncated), (129, true));
    }
}
