//! The chain of logins, and what rules and the HTTP server leave to each other.

use super::*;
use crate::config::Secret;

fn policy(change: impl FnOnce(&mut Auth)) -> Policy {
    let mut config = Config::default();
    change(&mut config.auth);
    Policy::of(Arc::new(config)).unwrap()
}

#[test]
fn each_of_the_chain_says_yes_no_or_leaves_it_to_the_next() {
    let bad = |why| ChainStep::deny(ReasonCode::BadUserNameOrPassword, why);
    let allow = ChainStep::Allow {
        superuser: false,
        until: None,
    };
    let check = ChainStep::Check(Verifier::Plain("secret".to_owned()));
    let anonymous = ChainStep::deny(
        ReasonCode::NotAuthorized,
        "no user name, and auth.allow_anonymous is false",
    );
    let unknown = bad("unknown user name");
    // (anonymous allowed, users, HTTP server, user name, password, what comes of it)
    for (anonymous_allowed, users, http, name, password, expected) in [
        (true, true, false, None, None, allow.clone()),
        (true, true, false, None, Some("x"), allow.clone()),
        (
            true,
            true,
            false,
            Some("ann"),
            Some("secret"),
            check.clone(),
        ),
        (
            true,
            true,
            false,
            Some("ann"),
            None,
            ChainStep::Deny(WRONG_PASSWORD),
        ),
        (
            true,
            true,
            false,
            Some("bob"),
            Some("secret"),
            unknown.clone(),
        ),
        (true, false, false, Some("bob"), Some("x"), allow.clone()),
        (false, true, false, None, None, anonymous.clone()),
        (
            false,
            true,
            false,
            Some("ann"),
            Some("secret"),
            check.clone(),
        ),
        (
            false,
            false,
            false,
            Some("ann"),
            Some("secret"),
            unknown.clone(),
        ),
        (false, false, false, None, None, anonymous),
        (true, false, true, Some("bob"), Some("x"), ChainStep::Ask),
        (true, false, true, None, None, ChainStep::Ask),
        (false, false, true, None, Some("x"), ChainStep::Ask),
        (true, true, true, Some("bob"), Some("x"), ChainStep::Ask),
        (true, true, true, Some("ann"), Some("secret"), check),
    ] {
        let policy = policy(|auth| {
            auth.allow_anonymous = anonymous_allowed;
            if users {
                auth.password = vec![("ann".to_owned(), Secret::new("secret"))];
            }
            if http {
                auth.http_auth.auth_req.url = "http://127.0.0.1/".to_owned();
            }
        });
        let given = Credentials {
            client_id: "c",
            username: name,
            password: password.map(str::as_bytes),
        };
        let step = policy.begin(given, SystemTime::now());
        assert_eq!(
            step, expected,
            "{anonymous_allowed} {users} {http} {name:?}"
        );
        assert_eq!(policy.is_open(), !users && !http);
    }
}

#[test]
fn users_that_do_not_count_are_nobody() {
    for (anonymous, expected) in [
        (
            true,
            ChainStep::Allow {
                superuser: false,
                until: None,
            },
        ),
        (
            false,
            ChainStep::deny(ReasonCode::BadUserNameOrPassword, "unknown user name"),
        ),
    ] {
        let policy = policy(|auth| {
            auth.enable = false;
            auth.allow_anonymous = anonymous;
            auth.password = vec![("ann".to_owned(), Secret::new("secret"))];
        });
        let given = Credentials {
            client_id: "c",
            username: Some("ann"),
            password: Some(b"wrong"),
        };
        assert_eq!(policy.begin(given, SystemTime::now()), expected);
        assert!(policy.is_open() && policy.verifier("ann").is_none());
    }
}

#[test]
fn what_no_rule_speaks_of_is_asked_or_as_configured() {
    let who = Subject {
        client_id: "c".into(),
        username: None,
        address: [127, 0, 0, 1].into(),
        superuser: false,
    };
    let superuser = Subject {
        superuser: true,
        ..who.clone()
    };
    let rules = serde_json::json!([{"permit": "deny", "topics": ["a"]}]);
    for (with_rules, no_match, http, expected, restricts) in [
        (false, Permit::Allow, false, [Some(true), Some(true)], false),
        (false, Permit::Deny, false, [Some(false), Some(false)], true),
        (true, Permit::Allow, false, [Some(false), Some(true)], true),
        (true, Permit::Deny, false, [Some(false), Some(false)], true),
        (true, Permit::Allow, true, [Some(false), None], true),
        (false, Permit::Deny, true, [None, None], true),
    ] {
        let policy = policy(|auth| {
            auth.no_match = no_match;
            if with_rules {
                auth.acl.rules = crate::config::AclRule::read_all(&rules).unwrap();
            }
            if http {
                auth.http_auth.acl_req.url = "http://127.0.0.1/".to_owned();
            }
        });
        assert_eq!(policy.restricts(), restricts);
        for (topic, expected) in ["a", "b"].into_iter().zip(expected) {
            let got = policy.decide(&who, Action::Publish, topic);
            assert_eq!(got, expected, "{topic} {with_rules} {no_match:?} {http}");
            assert_eq!(policy.may_keep(&who, topic), expected.unwrap_or(true));
            assert!(policy.decide(&superuser, Action::Publish, topic).unwrap());
        }
    }
}

#[test]
fn a_user_with_another_password_or_none_is_revoked() {
    let with = |users: &[(&str, &str)]| {
        policy(|auth| {
            let user =
                |(name, password): &(&str, &str)| ((*name).to_owned(), Secret::new(*password));
            auth.password = users.iter().map(user).collect();
        })
    };
    let before = with(&[("ann", "1"), ("bob", "1"), ("eve", "1")]);
    let after = with(&[("ann", "1"), ("bob", "2"), ("new", "1")]);
    for (name, revoked) in [
        (Some("ann"), false),
        (Some("bob"), true),
        (Some("eve"), true),
        (Some("new"), false),
        (Some("stranger"), false),
        (None, false),
    ] {
        assert_eq!(after.revokes(&before, name), revoked, "{name:?}");
    }
}

#[test]
fn the_group_of_a_shared_subscription_is_left_out() {
    for (filter, pattern) in [
        ("a/b", "a/b"),
        ("$share/g/a/b", "a/b"),
        ("$share/g/$SYS/#", "$SYS/#"),
        ("$share/g", "$share/g"),
        ("$shared/g/a", "$shared/g/a"),
    ] {
        assert_eq!(without_share(filter), pattern);
    }
}
