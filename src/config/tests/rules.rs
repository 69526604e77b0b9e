//! Rules, users and requests.

use super::*;

const RULES: [&str; 2] = [
    r#"{"permit": "allow", "username": "dashboard", "action": "subscribe", "topics": ["$SYS/#"]}"#,
    r#"{"permit": "deny", "ipaddr": "10.0.0.0/8", "topics": ["a/${clientid}"]}"#,
];

#[test]
fn both_forms_have_rules_users_and_requests() {
    let hocon = format!(
        "auth {{ no_match = deny, deny_action = disconnect, cache {{ max_size = 5, ttl = 2m }}\n acl {{ rules = [\n {}\n {} ] }}\n\
         password {{ ann = x }}\n http_auth {{ auth_req {{ url = \"https://h/a\", method = get\n\
         headers.content-type = \"application/json\", tls {{ cacertfile = \"ca\" }}, ssl.keyfile = \"k\", ssl.certfile = \"c\", params = {{ c = \"%c\", u = \"%u\" }} }}, timeout = 2s }} }}",
        RULES[0], RULES[1]
    );
    let flat = format!(
        "acl_nomatch=deny\nacl_deny_action=disconnect\nacl_cache_max_size=5\nacl_cache_ttl=2m\nacl.rule.10={}\nacl.rule.9={}\n\
         auth.1.login=ann\nauth.1.password=x\nauth.http.auth_req.url=https://h/a\nauth.http.auth_req.method=get\n\
         auth.http.auth_req.headers.content-type = application/json\nauth.http.auth_req.params = c=%c,u=%u\n\
         auth.http.auth_req.ssl.cacertfile = ca\nauth.http.auth_req.tls.keyfile = k\nauth.http.auth_req.tls.certfile = c\nauth.http.timeout = 2s\n",
        RULES[1], RULES[0]
    );
    let mut expected = Auth {
        no_match: Permit::Deny,
        deny_action: DenyAction::Disconnect,
        password: vec![("ann".to_owned(), Secret::new("x"))],
        ..Auth::default()
    };
    expected.cache.max_size = 5;
    expected.cache.ttl = std::time::Duration::from_secs(120);
    let rules = format!("[{},{}]", RULES[0], RULES[1]);
    expected.acl.rules = AclRule::read_all(&serde_json::from_str(&rules).unwrap()).unwrap();
    expected.http_auth.timeout = std::time::Duration::from_secs(2);
    let request = &mut expected.http_auth.auth_req;
    request.url = "https://h/a".to_owned();
    request.method = HttpMethod::Get;
    request.tls.cacertfile = "ca".into();
    request.tls.keyfile = "k".into();
    request.tls.certfile = "c".into();
    request
        .headers
        .insert("content-type".to_owned(), "application/json".to_owned());
    for (name, value) in [("c", "%c"), ("u", "%u")] {
        request.params.insert(name.to_owned(), value.to_owned());
    }
    for (text, form) in [(hocon, FileForm::Hocon), (flat, FileForm::Flat)] {
        let loaded = load_text(&text).unwrap_or_else(|problems| panic!("{:?}", shown(&problems)));
        assert_eq!(
            (loaded.form, loaded.warnings.len()),
            (Some(form), 0),
            "{:?}",
            loaded.warnings
        );
        assert_eq!(loaded.config.auth, expected);
    }
}

#[test]
fn a_broken_rule_is_told_with_its_line() {
    for (text, expected) in [
        (
            "auth.acl {\n rules = [{\"permit\": \"allow\"}, {\"permit\": \"alow\"}]\n}",
            "x.conf:2:32: auth.acl.rules: rule 2: unknown variant `alow`, expected `allow` or `deny`",
        ),
        (
            "auth.acl.rules = [a]",
            "x.conf:1:1: auth.acl.rules: expected a list of rules such as {\"permit\": \"allow\"}, got [\"a\"]",
        ),
        (
            "daemon=false\nacl.rule.1={\"permit\": \"allow\", \"topics\": [\"a#\"]}",
            "x.conf:2:1: acl.rule.1: topics: \"a#\" is no topic filter",
        ),
        (
            "daemon=false\nacl.rule.one={\"permit\": \"allow\"}",
            "x.conf:2:1: acl.rule.one: expected a number in the place of the last name",
        ),
        (
            "daemon=false\nacl.rule.1=allow",
            "x.conf:2:1: acl.rule.1: expected value at line 1 column 1",
        ),
        (
            "auth.http_auth.auth_req { params.a = \"%x\" }",
            "x.conf:1:27: auth.http_auth.auth_req.params.a: expected a text in which % stands before one of u, c, a, r, P, p, C, d, A, t, m and %, got \"%x\"",
        ),
        (
            "auth.http_auth.auth_req.headers.\"a b\" = x",
            "x.conf:1:1: auth.http_auth.auth_req.headers.a b: is not the name of a header",
        ),
        (
            "auth.http_auth.acl_req.url = \"ftp://x\"",
            "x.conf:1:1: auth.http_auth.acl_req.url: expected a URL that begins with http:// or https:// (\"\" = not asked), got \"ftp://x\"",
        ),
    ] {
        assert_eq!(shown(&load_text(text).unwrap_err()), [expected], "{text}");
    }
}
