//! The topic tree.

use nanomq::mqtt::QoS;

use crate::kit::{Mqtt, V5, client, with_broker};

#[test]
fn the_tree_is_shown_as_the_specification_does() {
    with_broker(
        |_| {},
        |at| {
            let nothing = r#"{"code":0,"data":[[{"topic":"","cld_cnt":0}]]}"#;
            assert_eq!(at.ok("/topic-tree"), nothing);
            assert_eq!(
                at.ok("/topic-tree?root=a"),
                nothing.replace(r#""topic":"""#, r#""topic":"a""#)
            );
            let mut first = Mqtt::connect(at, &client(V5, "nanomq-3a4a0956", None));
            let mut second = Mqtt::connect(at, &client(V5, "nanomq-0cfd69bb", None));
            let mut third = Mqtt::connect(at, &client(V5, "nanomq-26971dc8", None));
            first.subscribe("topic123", QoS::AtMostOnce);
            second.subscribe("topic123/123", QoS::AtMostOnce);
            third.subscribe("topic123/123/456", QoS::AtMostOnce);
            let example = r#"{"code":0,"data":[[{"topic":"","cld_cnt":1}],[{"topic":"topic123","cld_cnt":1,"clientid":["nanomq-3a4a0956"]}],[{"topic":"123","cld_cnt":1,"clientid":["nanomq-0cfd69bb"]}],[{"topic":"456","cld_cnt":0,"clientid":["nanomq-26971dc8"]}]]}"#;
            assert_eq!(at.ok("/topic-tree"), example);
            assert_eq!(at.ok("/topic-tree/?depth=3&limit=4"), example);

            first.subscribe("+/x", QoS::AtMostOnce);
            second.subscribe("$share/g/+/x", QoS::AtMostOnce);
            for (query, expected) in [
                (
                    "depth=1",
                    r#"[[{"topic":"","cld_cnt":3}],[{"topic":"$share","cld_cnt":1},{"topic":"+","cld_cnt":1},{"topic":"topic123","cld_cnt":1,"clientid":["nanomq-3a4a0956"]}]],"truncated":true"#,
                ),
                (
                    "limit=2",
                    r#"[[{"topic":"","cld_cnt":3}],[{"topic":"$share","cld_cnt":1}]],"truncated":true"#,
                ),
                (
                    "root=topic123/123",
                    r#"[[{"topic":"topic123/123","cld_cnt":1,"clientid":["nanomq-0cfd69bb"]}],[{"topic":"456","cld_cnt":0,"clientid":["nanomq-26971dc8"]}]]"#,
                ),
                (
                    "root=topic123%2F123&depth=1&limit=2",
                    r#"[[{"topic":"topic123/123","cld_cnt":1,"clientid":["nanomq-0cfd69bb"]}],[{"topic":"456","cld_cnt":0,"clientid":["nanomq-26971dc8"]}]]"#,
                ),
                (
                    "root=+",
                    r#"[[{"topic":"+","cld_cnt":1}],[{"topic":"x","cld_cnt":0,"clientid":["nanomq-3a4a0956"]}]]"#,
                ),
                (
                    "root=$share/g",
                    r#"[[{"topic":"$share/g","cld_cnt":1}],[{"topic":"+","cld_cnt":1}],[{"topic":"x","cld_cnt":0,"clientid":["nanomq-0cfd69bb"]}]]"#,
                ),
            ] {
                let expected = format!(r#"{{"code":0,"data":{expected}}}"#);
                assert_eq!(at.ok(&format!("/topic-tree?{query}")), expected, "{query}");
            }
        },
    );
}
