//! Topics and filters against the obvious way to match them, alone and in the subscription tree.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nanomq::{
    mqtt::{SubscribeOptions, TopicFilter, TopicName},
    routing::{Route, SubscriptionTree, Target},
};

#[derive(Debug)]
struct Session(usize);

impl Target for Session {
    fn is_online(&self) -> bool {
        true
    }
}

/// Clause 4.7, word by word.
fn matches(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        (["+", filter @ ..], [_, topic @ ..]) => matches(filter, topic),
        ([level, filter @ ..], [same, topic @ ..]) if level == same => matches(filter, topic),
        (filter, topic) => filter.is_empty() && topic.is_empty(),
    }
}

fn is_filter(text: &str) -> bool {
    let levels: Vec<_> = text.split('/').collect();
    !text.is_empty()
        && !text.contains('\0')
        && levels.iter().enumerate().all(|(at, level)| {
            *level == "+"
                || (*level == "#" && at + 1 == levels.len())
                || !level.contains(['+', '#'])
        })
}

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n').take(40);
    let topic = lines.next().unwrap_or_default();
    if topic.len() > 2000 {
        return;
    }
    let named = TopicName::parse(topic);
    let is_name = !topic.is_empty() && !topic.contains(['\0', '+', '#']);
    assert_eq!(named.is_ok(), is_name && topic.len() <= 65_535, "{topic:?}");
    let levels: Vec<_> = topic.split('/').collect();
    let mut tree = SubscriptionTree::default();
    let (mut expected, mut entered) = (Vec::new(), Vec::new());
    for (number, line) in lines.enumerate() {
        let parsed = TopicFilter::parse(line);
        if !line.starts_with("$share") {
            assert_eq!(parsed.is_ok(), is_filter(line), "{line:?}");
        }
        let Ok(filter) = parsed else {
            continue;
        };
        let fits = is_filter(filter.filter())
            && !(topic.starts_with('$') && filter.filter().starts_with(['+', '#']))
            && matches(&filter.filter().split('/').collect::<Vec<_>>(), &levels);
        if let Ok(name) = named {
            assert_eq!(filter.matches(name), fits, "{line:?} {topic:?}");
        }
        let session = Arc::new(Session(number));
        let route = Route::new(session.clone(), SubscribeOptions::default(), None);
        tree.insert(&filter, &line.into(), route, true);
        if fits && filter.share().is_none() {
            expected.push(number);
        }
        entered.push((line, session));
    }
    if named.is_ok() {
        let routes = tree.routes(topic);
        let mut found: Vec<_> = routes.deliveries.iter().map(|to| to.target.0).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{text:?}");
    }
    for (line, session) in &entered {
        let filter = TopicFilter::parse(line).expect("it was one");
        assert!(tree.remove(&filter, session), "{line:?}");
        assert!(!tree.remove(&filter, session), "{line:?}");
    }
    assert_eq!(tree.filters(), 0);
    assert!(tree.routes(topic).is_empty());
});
