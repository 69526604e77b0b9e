//! Replacing and reloading the configuration, and asking for a stop or a restart.

use std::fs;

use actix::System;
use nanomq::{
    actors::ConfigSource,
    broker::Broker,
    messages::{GetConfig, Wanted},
};
use serde_json::json;

use crate::{
    configuration::{FILE, Files, NOTHING, data, ok, with_file},
    kit::{ADMIN, At, with_broker},
};

#[test]
fn a_whole_file_is_replaced_when_it_loads_and_waits_for_a_reload() {
    with_file(FILE, |at, files| {
        for (text, named) in [
            ("a = { b = ", "nanomq.conf"),
            (
                "mqtt.max_qos = 7\nhttp_server.port = x\n",
                "http_server.port",
            ),
            (" \n", "empty"),
        ] {
            let answer = at.post("/config_update", text);
            let body = answer.json();
            assert_eq!((answer.status, &body["code"]), (400, &json!(117)), "{text}");
            assert!(body["message"].as_str().unwrap().contains(named), "{body}");
            assert_eq!(files.text(), FILE);
        }
        let new = FILE.replace("# A broker", "# B") + "mqtt.max_mqueue_len = 11\n";
        let answer = at.post("/config_update", &new);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"code":0}"#)
        );
        assert_eq!(files.text(), new);
        let shown = data(at);
        assert_eq!(
            (&shown["msq_len"], &shown["pending"]),
            (&json!(2048), &json!(["msq_len"]))
        );

        let answer = at.post("/reload", "");
        assert_eq!(
            answer.body,
            r#"{"code":0,"applied":["msq_len"],"needs_restart":[]}"#
        );
        assert_eq!(data(at)["msq_len"], 11);
        fs::write(files.conf(), "mqtt.max_qos = 7").unwrap();
        let answer = at.post("/reload", "");
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(108)));
        assert_eq!(data(at)["msq_len"], 11);
    });
}

#[test]
fn a_reload_with_data_lasts_while_running() {
    with_file(FILE, |at, files| {
        assert_eq!(
            at.ok("/reload"),
            concat!(
                r#"{"code":0,"data":{"property_size":32,"max_packet_size":1024,"client_max_packet_size":1024,"#,
                r#""msq_len":2048,"qos_duration":60,"keepalive_backoff":1.5,"allow_anonymous":true,"#,
                r#""enable_mqtt_stream":false,"bridge_mode":false}}"#
            )
        );
        let posted =
            json!({"data": {"max_packet_size": 1, "keepalive_backoff": 2.25, "property_size": 9}});
        assert_eq!(
            ok(at, "/reload", &posted),
            r#"{"code":0,"applied":["keepalive_backoff","max_packet_size"],"needs_restart":[]}"#
        );
        assert_eq!(files.text(), FILE);
        for body in ["{}", r#"{"data":{}}"#] {
            assert_eq!(at.post("/reload", body).body, NOTHING);
        }
        for (body, code) in [
            ("{", 109),
            (r#"{"data":1}"#, 108),
            (r#"{"data":{"daemon":true}}"#, 108),
            (r#"{"data":{"msq_len":"1"}}"#, 108),
            (r#"{"data":{"keepalive_backoff":99}}"#, 108),
        ] {
            let answer = at.post("/reload", body);
            assert_eq!(
                (answer.status, &answer.json()["code"]),
                (400, &json!(code)),
                "{body}"
            );
        }
    });
}

#[test]
fn strangers_and_wrong_methods_are_refused() {
    with_broker(
        |config| config.http_server.max_body = 1024,
        |at| {
            for (method, target) in [
                ("POST", "/configuration"),
                ("POST", "/ctrl/stop"),
                ("POST", "/restart"),
                ("POST", "/config_update"),
                ("GET", "/reload"),
            ] {
                assert_eq!(at.request(method, target, None).status, 401, "{target}");
            }
            for (method, target, status, code) in [
                ("DELETE", "/configuration", 405, 102),
                ("GET", "/ctrl/stop", 405, 102),
                ("POST", "/ctrl/explode", 404, 101),
                ("POST", "/ctrl", 404, 102),
                ("PUT", "/configuration/basic", 405, 102),
            ] {
                let answer = at.request(method, target, Some(ADMIN));
                let what = format!("{method} {target}: {answer:?}");
                assert_eq!(
                    (answer.status, &answer.json()["code"]),
                    (status, &json!(code)),
                    "{what}"
                );
            }
            let large = format!(r#"{{"data":{{"url":"{}"}}}}"#, "x".repeat(2000));
            for target in ["/configuration", "/config_update", "/reload"] {
                let answer = at.post(target, &large);
                assert_eq!((answer.status, &answer.json()["code"]), (413, &json!(108)));
            }
        },
    );
}

#[test]
fn a_restart_is_asked_of_the_owner_when_the_configuration_loads() {
    let files = Files::new(FILE);
    let source = ConfigSource {
        path: Some(files.conf()),
        ..ConfigSource::default()
    };
    System::new().block_on(async move {
        let config = source.load().unwrap().config;
        let mut broker = Broker::start(config, source).await.unwrap();
        let at = At {
            mqtt: broker.mqtt()[0].1,
            http: broker.http().unwrap(),
        };
        let post = async |target: &'static str| {
            let answer = tokio::task::spawn_blocking(move || at.post(target, ""));
            let answer = answer.await.unwrap();
            (answer.status, answer.json()["code"].clone())
        };
        fs::write(files.conf(), "mqtt.max_qos = 9").unwrap();
        assert_eq!(post("/ctrl/restart").await, (400, json!(108)));
        fs::write(
            files.conf(),
            FILE.replace("num_taskq_thread = 1", "num_taskq_thread = 3"),
        )
        .unwrap();
        for target in ["/ctrl/restart", "/ctrl/ReStart", "/restart"] {
            assert_eq!(post(target).await, (200, json!(0)));
            match broker.wanted().await {
                Wanted::Restart(config) => assert_eq!(config.system.num_taskq_thread, 3),
                Wanted::Stop => panic!("{target}"),
            }
        }
        assert_eq!(post("/stop").await, (200, json!(0)));
        assert!(matches!(broker.wanted().await, Wanted::Stop));
        let running = broker.config().send(GetConfig).await.unwrap();
        assert_eq!(running.system.num_taskq_thread, 1);
        broker.stop().await;
    });
}
