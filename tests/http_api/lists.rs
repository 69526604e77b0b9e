//! Filters, pages and look-ups.

use std::net::TcpStream;

use nanomq::mqtt::QoS;

use crate::kit::{Mqtt, V5, V31, V311, client, with_broker};

#[test]
fn clients_are_filtered_and_paged() {
    with_broker(
        |_| {},
        |at| {
            let _a = Mqtt::connect(at, &client(V5, "a", Some("u")));
            let _b = Mqtt::connect(at, &client(V311, "b", Some("u")));
            let _c = Mqtt::connect(at, &client(V31, "c", None));
            let mut kept = client(V311, "d", Some("v w"));
            kept.clean_start = false;
            drop(Mqtt::connect(at, &kept));
            at.await_ok("/clients/d", |body| {
                body.contains(r#""conn_state":"disconnected""#)
            });
            let all = vec!["a", "b", "c", "d"];
            for (query, expected) in [
                ("", all.clone()),
                ("clientid=b", vec!["b"]),
                ("client_id=b", vec!["b"]),
                ("clientid=nobody", vec![]),
                ("username=u", vec!["a", "b"]),
                ("username=v%20w", vec!["d"]),
                ("username=v+w", vec!["d"]),
                ("username=", all.clone()),
                ("conn_state=connected", vec!["a", "b", "c"]),
                ("conn_state=disconnected", vec!["d"]),
                ("conn_state=idle", vec![]),
                ("clean_start=true", vec!["a", "b", "c"]),
                ("clean_start=false", vec!["d"]),
                ("proto_name=MQTT", vec!["a", "b", "d"]),
                ("proto_name=MQIsdp", vec!["c"]),
                ("proto_name=CoAP", vec![]),
                ("proto_ver=3", vec!["c"]),
                ("proto_ver=4", vec!["b", "d"]),
                ("proto_ver=5", vec!["a"]),
                ("proto_ver=4&username=u", vec!["b"]),
                ("clientid=a&username=v", vec![]),
                ("clientid=a&clientid=b", vec!["b"]),
                ("_page=2&_limit=3", vec!["d"]),
                ("proto_ver=4&_limit=1", vec!["b"]),
            ] {
                let target = format!("/clients?{query}");
                assert_eq!(at.column(&target, "client_id"), expected, "{query}");
            }
            let page = at.ok("/clients/?_page=1&_limit=3");
            let meta = r#","meta":{"page":1,"limit":3,"count":4,"hasnext":true}}"#;
            assert!(page.ends_with(meta), "{page}");
            assert!(!at.ok("/clients").contains("meta"));
            assert_eq!(
                at.column("/clients/username/u?_page=2&_limit=1", "client_id"),
                ["b"]
            );
            at.await_ok("/nodes", |body| body.contains(r#""connections":3"#));
        },
    );
}

#[test]
fn names_of_any_kind_are_found_in_path_and_query() {
    with_broker(
        |_| {},
        |at| {
            for (name, encoded) in [
                ("a/b", "a%2Fb"),
                ("a/b", "a%2fb"),
                ("/", "%2F"),
                ("with space", "with%20space"),
                ("a+b", "a%2Bb"),
                ("été-日本", "%C3%A9t%C3%A9-%E6%97%A5%E6%9C%AC"),
                ("50%", "50%25"),
                ("%2F", "%252F"),
                ("q?x=1&y#z", "q%3Fx%3D1%26y%23z"),
                ("\"'<\\", "%22%27%3C%5C"),
                ("username", "username"),
                ("..", "%2E%2E"),
            ] {
                let mut mqtt = Mqtt::connect(at, &client(V5, name, Some(name)));
                // A filter has these on levels of their own only.
                mqtt.subscribe(&name.replace(['+', '#'], "_"), QoS::AtLeastOnce);
                let topic = encoded.replace("%2B", "_").replace("%23", "_");
                for target in [
                    format!("/clients/{encoded}"),
                    format!("/clients/{encoded}/"),
                    format!("/clients/username/{encoded}"),
                    format!("/clients?clientid={encoded}"),
                    format!("/clients?username={encoded}&clientid={encoded}"),
                    format!("/subscriptions/{encoded}"),
                    format!("/subscriptions?clientid={encoded}&topic={topic}"),
                ] {
                    assert_eq!(at.column(&target, "clientid"), [name], "{target}");
                }
                drop(mqtt);
                at.await_ok("/clients", |body| body == r#"{"code":0,"data":[]}"#);
            }
        },
    );
}

#[test]
fn subscriptions_are_shown_and_filtered() {
    with_broker(
        |_| {},
        |at| {
            assert_eq!(at.ok("/subscriptions"), r#"{"code":0,"data":[]}"#);
            let mut first = Mqtt::connect(at, &client(V5, "nanomq-29978ec1", None));
            let mut second = Mqtt::connect(at, &client(V311, "nanomq-3020ffac", None));
            let _silent = Mqtt::connect(at, &client(V5, "silent", None));
            first.subscribe("topic123", QoS::ExactlyOnce);
            second.subscribe("topic123", QoS::ExactlyOnce);
            let example = r#"{"code":0,"data":[{"clientid":"nanomq-29978ec1","topic":"topic123","qos":2},{"clientid":"nanomq-3020ffac","topic":"topic123","qos":2}]}"#;
            assert_eq!(at.ok("/subscriptions"), example);
            assert_eq!(at.ok("/subscriptions/"), example);
            let of_first =
                r#"{"code":0,"data":[{"clientid":"nanomq-29978ec1","topic":"topic123","qos":2}]}"#;
            assert_eq!(at.ok("/subscriptions/nanomq-29978ec1"), of_first);
            assert_eq!(at.ok("/subscriptions/nanomq-29978ec1/"), of_first);
            assert_eq!(at.ok("/subscriptions/silent"), r#"{"code":0,"data":[]}"#);

            first.subscribe("$share/g/s/+", QoS::AtLeastOnce);
            second.subscribe("$share/h/s/+", QoS::AtMostOnce);
            second.subscribe("s/+", QoS::AtMostOnce);
            for (query, expected) in [
                ("clientid=nanomq-29978ec1", vec!["$share/g/s/+", "topic123"]),
                ("client_id=silent", vec![]),
                ("clientid=nobody", vec![]),
                ("topic=topic123", vec!["topic123", "topic123"]),
                ("topic=topic", vec![]),
                ("topic=s/+", vec!["s/+"]),
                ("topic=s%2F%2B", vec!["s/+"]),
                ("topic=s/x", vec![]),
                ("topic=$share/g/s/%2B", vec!["$share/g/s/+"]),
                ("qos=0", vec!["$share/h/s/+", "s/+"]),
                ("qos=1", vec!["$share/g/s/+"]),
                ("qos=2", vec!["topic123", "topic123"]),
                ("share=g", vec!["$share/g/s/+"]),
                ("share=g&topic=s/%2B", vec!["$share/g/s/+"]),
                ("share=g&topic=$share/g/s/%2B", vec!["$share/g/s/+"]),
                ("share=g&topic=topic123", vec![]),
                ("share=h&qos=1", vec![]),
                ("qos=2&clientid=nanomq-3020ffac", vec!["topic123"]),
                ("qos=2&_page=2&_limit=1", vec!["topic123"]),
            ] {
                let target = format!("/subscriptions?{query}");
                assert_eq!(at.column(&target, "topic"), expected, "{query}");
            }
            // The QoS that was granted last counts.
            second.subscribe("s/+", QoS::AtLeastOnce);
            let again = at.ok("/subscriptions?topic=s/%2B");
            assert_eq!(
                again,
                r#"{"code":0,"data":[{"clientid":"nanomq-3020ffac","topic":"s/+","qos":1}]}"#
            );
        },
    );
}

#[test]
fn lists_longer_than_what_the_registry_gives_at_once_are_whole() {
    const CLIENTS: usize = 300;
    with_broker(
        |_| {},
        |at| {
            let ids: Vec<String> = (0..CLIENTS).map(|n| format!("c{n:03}")).collect();
            let clients: Vec<Mqtt> = ids
                .iter()
                .map(|id| {
                    let mut client = Mqtt::connect(at, &client(V5, id, Some("fleet")));
                    for filter in [&format!("t/{id}"), "all", "$share/g/all"] {
                        client.subscribe(filter, QoS::AtMostOnce);
                    }
                    client
                })
                .collect();
            assert_eq!(at.column("/clients", "client_id"), ids);
            let subscribed = at.column("/subscriptions", "clientid");
            assert_eq!(subscribed.len(), 3 * CLIENTS);
            assert!(
                subscribed
                    .chunks(3)
                    .zip(&ids)
                    .all(|(of_one, id)| of_one.iter().all(|own| own == id))
            );
            for target in [
                "/clients?username=fleet",
                "/clients/username/fleet",
                "/subscriptions?topic=all",
                "/subscriptions?topic=$share/g/all",
                "/subscriptions?topic=all&share=g",
            ] {
                assert_eq!(at.column(target, "clientid"), ids, "{target}");
                let last = format!("{target}{}", if target.contains('?') { "&" } else { "?" });
                let last = at.ok(&format!("{last}_page=3&_limit=149"));
                assert!(last.contains("c298") && !last.contains("c297"), "{last}");
                let meta = r#","meta":{"page":3,"limit":149,"count":300,"hasnext":false}}"#;
                assert!(last.ends_with(meta), "{last}");
            }
            // An old program is told the end by that of the connection.
            let old =
                b"GET /api/v4/clients HTTP/1.0\r\nAuthorization: Basic YWRtaW46cHVibGlj\r\n\r\n";
            let answer = at.exchange(old);
            assert_eq!(answer.header("transfer-encoding"), None);
            assert_eq!(answer.json()["data"].as_array().unwrap().len(), CLIENTS);
            drop(clients);
        },
    );
}

/// A socket is idle until its CONNECT has come, and is no client before.
#[test]
fn sockets_without_connect_are_idle() {
    with_broker(
        |_| {},
        |at| {
            let _client = Mqtt::connect(at, &client(V5, "a", None));
            let first = TcpStream::connect(at.mqtt).expect("a socket");
            let port = first.local_addr().expect("an address").port();
            let is_there = format!(r#""port":{port},"listener":"default""#);
            at.await_ok("/clients?conn_state=idle", |body| body.contains(&is_there));
            let listed = at.ok("/clients?conn_state=idle");
            for part in [
                r#"{"client_id":"","username":"","keepalive":0,"conn_state":"idle","#,
                r#""connected":false,"#,
            ] {
                assert!(listed.contains(part), "{listed}");
            }
            for query in ["", "conn_state=connected", "conn_state=disconnected"] {
                let rows = at.ok(&format!("/clients?{query}"));
                assert!(!rows.contains(&is_there), "{query}: {rows}");
            }
            for filter in [
                "clientid=a",
                "username=u",
                "clean_start=true",
                "proto_ver=5",
                "proto_name=MQTT",
            ] {
                let target = format!("/clients?conn_state=idle&{filter}");
                assert_eq!(at.ok(&target), r#"{"code":0,"data":[]}"#, "{filter}");
            }
            let second = TcpStream::connect(at.mqtt).expect("a socket");
            at.await_ok("/clients?conn_state=idle&_limit=1&_page=2", |body| {
                body.contains(r#""count":2,"#)
                    && body.contains(&format!(
                        r#""port":{}"#,
                        second.local_addr().expect("an address").port()
                    ))
            });
            drop((first, second));
            at.await_ok("/clients?conn_state=idle", |body| {
                body == r#"{"code":0,"data":[]}"#
            });
        },
    );
}
