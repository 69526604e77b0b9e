use super::*;

fn rules(json: &str) -> Rules {
    let value = serde_json::from_str(json).unwrap();
    Rules::new(&config::Acl {
        enable: true,
        rules: AclRule::read_all(&value).unwrap(),
    })
}

fn subject(client_id: &str, username: Option<&str>, address: &str) -> Subject {
    Subject {
        client_id: client_id.into(),
        username: username.map(Arc::from),
        address: address.parse().unwrap(),
        superuser: false,
    }
}

fn decided(rules: &Rules, subject: &Subject, action: Action, topic: &str) -> Option<(bool, usize)> {
    let ruling = rules.decide(subject, action, topic);
    ruling.map(|ruling| (ruling.allowed, ruling.rule))
}

const PUB: Action = Action::Publish;
const SUB: Action = Action::Subscribe;

#[test]
fn the_first_rule_that_speaks_of_a_matter_decides_it() {
    let rules = rules(
        r##"[
            {"permit": "allow", "username": "dashboard", "action": "subscribe", "topics": ["$SYS/#"]},
            {"permit": "deny", "action": "subscribe", "topics": ["$SYS/#"]},
            {"permit": "allow", "ipaddr": "10.0.0.0/8", "topics": ["plant/#"]},
            {"permit": "deny", "topics": ["plant/#"]},
            {"permit": "deny", "clientid": "bad", "action": "publish"},
            {"permit": "allow", "or": [{"username": "ann"}, {"clientid": "c1"}], "topics": ["or/+"]},
            {"permit": "deny", "and": [{"username": "ann"}, {"clientid": "c2"}], "topics": ["and"]},
            {"permit": "allow", "username": "#", "topics": ["all"]}
        ]"##,
    );
    let dashboard = subject("d", Some("dashboard"), "192.168.0.1");
    let ann = subject("c2", Some("ann"), "10.1.1.1");
    let c1 = subject("c1", None, "192.168.0.1");
    let bad = subject("bad", None, "10.0.0.1");
    for (who, action, topic, expected) in [
        (&dashboard, SUB, "$SYS/#", Some((true, 1))),
        (&dashboard, SUB, "$SYS/brokers", Some((true, 1))),
        (&ann, SUB, "$SYS/brokers", Some((false, 2))),
        (&ann, SUB, "$SYS/#", Some((false, 2))),
        (&c1, SUB, "x/brokers", None),
        (&dashboard, PUB, "$SYS/x", None),
        (&ann, PUB, "plant/1", Some((true, 3))),
        (&c1, PUB, "plant/1", Some((false, 4))),
        (&c1, SUB, "plant", Some((false, 4))),
        (&c1, SUB, "#", Some((false, 4))),
        (&c1, SUB, "+/1", Some((false, 4))),
        (&ann, SUB, "#", Some((false, 4))),
        (&bad, PUB, "x", Some((false, 5))),
        (&bad, SUB, "x", None),
        (&ann, PUB, "or/1", Some((true, 6))),
        (&c1, PUB, "or/1", Some((true, 6))),
        (&dashboard, PUB, "or/1", None),
        (&ann, SUB, "or/+", Some((true, 6))),
        (&ann, SUB, "or/#", None),
        (&ann, PUB, "and", Some((false, 7))),
        (&c1, PUB, "and", None),
        (&c1, PUB, "all", Some((true, 8))),
    ] {
        assert_eq!(
            decided(&rules, who, action, topic),
            expected,
            "{who:?} {action:?} {topic}"
        );
    }
}

#[test]
fn what_a_client_calls_itself_never_widens_a_pattern() {
    let allow = rules(
        r#"[{"permit": "allow", "topics": ["c/${clientid}/#", "u/${username}", "m/x-${clientid}-${username}/+"]},
            {"permit": "deny"}]"#,
    );
    let one = subject("one", Some("ann"), "::1");
    for (who, topic, allowed) in [
        (&one, "c/one/a", true),
        (&one, "c/one", true),
        (&one, "c/two/a", false),
        (&one, "u/ann", true),
        (&one, "u/one", false),
        (&one, "m/x-one-ann/a", true),
        (&one, "m/x-one-bob/a", false),
        (&subject("+", None, "::1"), "c/two/a", false),
        (&subject("+", None, "::1"), "c/+/a", false),
        (&subject("#", None, "::1"), "c/two/a", false),
        (&subject("one/..", None, "::1"), "c/one/../a", false),
        (&subject("a/b", None, "::1"), "c/a/b", false),
        (&subject("x", None, "::1"), "u/", false),
        (&subject("x", Some(""), "::1"), "u/", false),
        (&subject("x", Some("#"), "::1"), "u/y", false),
        // What looks like a placeholder in a name is not one.
        (
            &subject("${username}", Some("ann"), "::1"),
            "c/ann/a",
            false,
        ),
        (
            &subject("${username}", Some("ann"), "::1"),
            "c/${username}/a",
            true,
        ),
    ] {
        let got = decided(&allow, who, PUB, topic).unwrap().0;
        assert_eq!(got, allowed, "{who:?} {topic}");
    }
    // Nor does it get around a prohibition.
    let deny = rules(r#"[{"permit": "deny", "topics": ["c/${clientid}/x"]}, {"permit": "allow"}]"#);
    for (id, topic, allowed) in [
        ("one", "c/one/x", false),
        ("one", "c/two/x", true),
        ("a/b", "c/a/b/x", false),
        ("+", "c/one/x", false),
        ("a/b", "d", true),
    ] {
        let got = decided(&deny, &subject(id, None, "::1"), PUB, topic)
            .unwrap()
            .0;
        assert_eq!(got, allowed, "{id} {topic}");
    }
}

#[test]
fn filters_are_covered_or_have_topics_in_common() {
    for (pattern, filter, covered, common) in [
        ("#", "#", true, true),
        ("#", "a/+", true, true),
        ("a/#", "a", true, true),
        ("a/#", "a/#", true, true),
        ("a/#", "a/+/b", true, true),
        ("a/#", "#", false, true),
        ("a/#", "+/b", false, true),
        ("a/#", "+", false, true),
        ("a/#", "b/#", false, false),
        ("a/+", "a/b", true, true),
        ("a/+", "a/+", true, true),
        ("a/+", "a/#", false, true),
        ("a/+", "a", false, false),
        ("a/+", "a/b/c", false, false),
        ("a", "a/#", false, true),
        ("a", "a", true, true),
        ("a/b", "+/+", false, true),
        ("a/b", "+/c", false, false),
        ("+/b", "a/+", false, true),
        ("a/b", "a", false, false),
        ("a", "a/b", false, false),
        ("#", "$SYS/a", false, false),
        ("+/a", "$SYS/a", false, false),
        ("$SYS/#", "#", false, false),
        ("$SYS/#", "+/a", false, false),
        ("$SYS/#", "$SYS/+", true, true),
        ("", "", true, true),
        ("/+", "//", false, false),
        ("/+", "/", true, true),
    ] {
        let who = subject("x", None, "::1");
        let pattern_levels = Pattern::new(pattern);
        let levels = pattern_levels.levels(&who, true).unwrap();
        assert_eq!(
            covers(&levels, filter),
            covered,
            "{pattern} covers {filter}"
        );
        assert_eq!(
            overlaps(&levels, filter),
            common,
            "{pattern} overlaps {filter}"
        );
    }
}

proptest::proptest! {
    /// What a granted filter matches may be read by name, whatever the rules are.
    #[test]
    fn a_granted_filter_has_no_topic_that_is_denied_by_name(
        rules in proptest::collection::vec(("(a|b|\\+|\\$x)(/(a|b|\\+)){0,2}(/#)?|#", proptest::bool::ANY), 1..5),
        filter in "(a|b|\\+|\\$x)(/(a|b|\\+)){0,2}(/#)?|#",
        topic in "(a|b|\\$x)(/(a|b)){0,3}",
    ) {
        let listed: Vec<_> = rules.iter().map(|(topic, allow)| serde_json::json!({
            "permit": if *allow { "allow" } else { "deny" }, "topics": [topic],
        })).collect();
        let rules = Rules::new(&config::Acl {
            enable: true,
            rules: AclRule::read_all(&listed.into()).unwrap(),
        });
        let who = subject("x", None, "::1");
        if crate::mqtt::matches(&filter, &topic) {
            let by_name = decided(&rules, &who, SUB, &topic).map(|(allowed, _)| allowed);
            match decided(&rules, &who, SUB, &filter) {
                Some((true, _)) => proptest::prop_assert_eq!(by_name, Some(true)),
                // With no_match = allow the filter is granted: then no rule may deny the topic.
                None => proptest::prop_assert_ne!(by_name, Some(false)),
                Some((false, _)) => {}
            }
        }
    }
}

#[test]
fn what_is_the_same_for_all_topics_is_known_at_once() {
    let rules = rules(
        r#"[{"permit": "deny", "username": "ann", "topics": ["a"]},
            {"permit": "allow", "action": "publish"}]"#,
    );
    let (ann, bob) = (
        subject("1", Some("ann"), "::1"),
        subject("2", Some("bob"), "::1"),
    );
    let allowed = |ruling: Option<Option<Ruling>>| ruling.map(|known| known.map(|it| it.allowed));
    assert_eq!(allowed(rules.decide_for_all(&ann, PUB)), None);
    assert_eq!(allowed(rules.decide_for_all(&bob, PUB)), Some(Some(true)));
    assert_eq!(allowed(rules.decide_for_all(&bob, SUB)), Some(None));
}

#[test]
fn rules_that_cannot_be_meant_so_are_refused() {
    for (rule, part) in [
        (r#"{}"#, "permit"),
        (r#"{"permit": "maybe"}"#, "maybe"),
        (r#"{"permit": "allow", "topic": ["a"]}"#, "topic"),
        (r#"{"permit": "allow", "topics": ["a#"]}"#, "a#"),
        (
            r#"{"permit": "allow", "topics": ["a/${clientId}"]}"#,
            "clientId",
        ),
        (r#"{"permit": "allow", "ipaddr": "10.0.0"}"#, "10.0.0"),
        (r#"{"permit": "allow", "or": [{"ipaddr": "x"}]}"#, "ipaddr"),
        (r#""allow""#, "object"),
    ] {
        let list = format!(r#"[{{"permit": "allow"}}, {rule}]"#);
        let error = AclRule::read_all(&serde_json::from_str(&list).unwrap()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("rule 2: ") && error.contains(part),
            "{error}"
        );
    }
}
