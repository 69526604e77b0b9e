//! `/api/v4/prometheus` as Prometheus' client library reads it.

use crate::{
    clients::{Subscriber, publish, python_program},
    harness::Broker,
};

#[test]
fn it_keeps_the_rules_and_counters_only_grow() {
    let broker = Broker::start("");
    let Some(port) = broker.http_port() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counters.json");
    let url = format!("http://127.0.0.1:{port}/api/v4/prometheus");
    let look = || {
        let arguments = [&*url, "admin:public", file.to_str().unwrap()];
        let finished = python_program("prometheus_rules.py", &arguments);
        assert_eq!(finished.code, Some(0), "{}", finished.output);
        finished.output
    };
    look();
    let mut subscriber = Subscriber::start(&broker, "mqttv5", &["-t", "a", "-q", "1"]);
    publish(&broker, "mqttv5", &["-t", "a", "-m", "x", "-q", "1"]);
    subscriber.take(1);
    let output = look();
    let grown = output.split_whitespace().nth(2).unwrap();
    assert!(grown.parse::<u32>().unwrap() >= 8, "{output}");
}
