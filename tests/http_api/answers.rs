//! What the resources show.

use nanomq::mqtt::{Properties, QoS, Will};
use serde_json::Value;

use crate::kit::{ADMIN, Mqtt, V5, client, with_broker};

#[test]
fn endpoints_are_listed_as_the_specification_does() {
    with_broker(
        |_| {},
        |at| {
            let expected = concat!(
                r#"{"code":0,"data":["#,
                r#"{"path":"/brokers/","name":"list_brokers","method":"GET","descr":"A list of brokers in the cluster"},"#,
                r#"{"path":"/nodes/","name":"list_nodes","method":"GET","descr":"A list of nodes in the cluster"},"#,
                r#"{"path":"/clients/","name":"list_clients","method":"GET","descr":"A list of clients on current node"},"#,
                r#"{"path":"/clients/:clientid","name":"lookup_client","method":"GET","descr":"Lookup a client in the cluster"},"#,
                r#"{"path":"/clients/username/:username","name":"lookup_client_via_username","method":"GET","descr":"Lookup a client via username in the cluster"},"#,
                r#"{"path":"/subscriptions/","name":"list_subscriptions","method":"GET","descr":"A list of subscriptions in the cluster"},"#,
                r#"{"path":"/subscriptions/:clientid","name":"lookup_client_subscriptions","method":"GET","descr":"A list of subscriptions of a client"},"#,
                r#"{"path":"/topic-tree/","name":"list_topic-tree","method":"GET","descr":"A list of topic-tree in the cluster"}"#,
            );
            for target in ["", "/", "?x=1"] {
                assert!(at.ok(target).starts_with(expected), "{target}");
            }
            // What is listed is there.
            let listed: Value = serde_json::from_str(&at.ok("")).unwrap();
            for endpoint in listed["data"].as_array().unwrap() {
                let answer = at.request("PATCH", endpoint["path"].as_str().unwrap(), Some(ADMIN));
                let allow = answer.header("allow").unwrap_or_default();
                assert_eq!(answer.status, 405, "{endpoint}");
                assert!(
                    allow.contains(endpoint["method"].as_str().unwrap()),
                    "{endpoint} {allow}"
                );
            }
        },
    );
}

#[test]
fn brokers_and_nodes_show_this_broker() {
    with_broker(
        |_| {},
        |at| {
            let _client = Mqtt::connect(at, &client(V5, "a", None));
            let version = env!("CARGO_PKG_VERSION");
            for target in ["/brokers", "/brokers/"] {
                let body = at.ok(target);
                let row = &serde_json::from_str::<Value>(&body).unwrap()["data"][0];
                let datetime = row["datetime"].as_str().unwrap();
                let shape: String = datetime
                    .chars()
                    .map(|c| if c.is_ascii_digit() { '9' } else { c })
                    .collect();
                assert_eq!(shape, "9999-99-99 99:99:99");
                let uptime = row["uptime"].as_str().unwrap();
                assert!(uptime.starts_with("0 Hours, 0 minutes, ") && uptime.ends_with(" seconds"));
                assert_eq!(
                    body,
                    format!(
                        r#"{{"code":0,"data":[{{"datetime":"{datetime}","node_status":"Running","sysdescr":"NanoMQ Broker","uptime":"{uptime}","version":"{version}"}}]}}"#
                    )
                );
            }
            for target in ["/nodes", "/nodes/"] {
                let body = at.ok(target);
                let uptime =
                    serde_json::from_str::<Value>(&body).unwrap()["data"][0]["uptime"].clone();
                assert_eq!(
                    body,
                    format!(
                        r#"{{"code":0,"data":[{{"connections":1,"node_status":"Running","uptime":{uptime},"version":"{version}"}}]}}"#
                    )
                );
            }
        },
    );
}

#[test]
fn a_client_is_shown_with_all_its_members() {
    with_broker(
        |_| {},
        |at| {
            let mut connect_packet = client(V5, "nanomq-f6d6fbfb", Some("alvin"));
            connect_packet.will = Some(Will {
                topic: "gone",
                payload: b"",
                qos: QoS::AtMostOnce,
                retain: false,
                properties: Properties::EMPTY,
            });
            let mut mqtt = Mqtt::connect(at, &connect_packet);
            let port = mqtt.socket.local_addr().unwrap().port();
            for _ in 0..3 {
                mqtt.publish("t");
            }
            let example = r#"{"code":0,"data":[{"client_id":"nanomq-f6d6fbfb","username":"alvin","keepalive":60,"conn_state":"connected","clean_start":true,"proto_name":"MQTT","proto_ver":5,"recv_msg":3,"clientid":"nanomq-f6d6fbfb","connected":true,"ip_address":"127.0.0.1","#;
            at.await_ok("/clients", |body| body.starts_with(example));
            let row = &at.get("/clients").json()["data"][0];
            let members: Vec<&str> = row
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(members.len(), 22);
            assert_eq!(row["port"], port);
            assert_eq!(row["listener"], "default");
            assert_eq!(row["will_topic"], "gone");
            for number in [
                "expiry_interval",
                "mqueue_len",
                "mqueue_dropped",
                "inflight",
                "send_msg",
            ] {
                assert_eq!(row[number], 0, "{number}");
            }
            assert!(row["recv_oct"].as_u64() > Some(0) && row["send_oct"].as_u64() > Some(0));
            assert_eq!(row["connected_at"].as_str().map(str::len), Some(19));
            for target in [
                "/clients/",
                "/clients/nanomq-f6d6fbfb",
                "/clients/nanomq-f6d6fbfb/",
                "/clients/username/alvin",
                "/clients/username/alvin/",
            ] {
                assert!(at.ok(target).starts_with(example), "{target}");
            }
        },
    );
}
