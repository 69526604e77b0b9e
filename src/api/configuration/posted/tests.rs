//! What may be posted.

use super::*;
use serde_json::json;

fn read_json(posted: Value, running: &Config) -> Result<Vec<Setting>, Vec<String>> {
    let posted = posted.as_object().unwrap();
    read(
        posted,
        &postable(running, &CertificateTexts::default()),
        running,
    )
    .map(|posted| posted.settings)
    .map_err(|refused| refused.into_iter().map(|refused| refused.key).collect())
}

#[test]
fn what_is_shown_can_be_posted_back_and_changes_nothing() {
    let mut config = Config::default();
    config.mqtt.max_packet_size = 1_000_001;
    config.auth.password = vec![("u".to_owned(), Secret::new("p"))];
    for hide_secrets in [false, true] {
        config.http_server.hide_secrets = hide_secrets;
        let everything = shown::everything(&config, &CertificateTexts::default());
        for setting in read_json(everything, &config).unwrap() {
            assert!(setting.holds_in(&config), "{setting:?}");
        }
    }
}

#[test]
fn every_wrong_member_is_named() {
    let config = Config::default();
    for (posted, expected) in [
        (
            json!({"msq_len": "5", "daemon": 1}),
            vec!["daemon", "msq_len"],
        ),
        (json!({"msq_len": -1}), vec!["msq_len"]),
        (json!({"msq_len": 1.5}), vec!["msq_len"]),
        (json!({"msq_len": null}), vec!["msq_len"]),
        (
            json!({"msq_len": 0, "daemon": 0}),
            vec!["daemon", "msq_len"],
        ),
        (json!({"url": "0.0.0.0:1883"}), vec!["url"]),
        (json!({"url": "nmq-tcp://0.0.0.0:1\nx"}), vec!["url"]),
        (json!({"parallel": "many"}), vec!["parallel"]),
        (json!({"nonsense": 1}), vec!["nonsense"]),
        (json!({"tls": {"x": true}}), vec!["tls.x"]),
        (json!({"tls": true}), vec!["tls"]),
        (
            json!({"tls": {"key": 1, "cert": ""}}),
            vec!["tls.cert", "tls.key"],
        ),
        (
            json!({"http_server": {"port": "1"}}),
            vec!["http_server.port"],
        ),
        (json!({"basic": {"daemon": 0}}), vec!["basic.daemon"]),
        (json!({"auth": []}), vec![]),
        (json!({"auth": [{"login": "x"}]}), vec!["auth"]),
        (
            json!({"basic": {"msq_len": 1}, "msq_len": 2}),
            vec!["msq_len"],
        ),
    ] {
        let refused = read_json(posted.clone(), &config).err().unwrap_or_default();
        assert_eq!(refused, expected, "{posted}");
    }
}

#[test]
fn changes_of_what_is_not_built_are_told_and_change_nothing() {
    let config = Config::default();
    let posted = json!({
        "tls": {"verify_peer": false},
        "sqlite": {"resend_interval": 1},
    });
    let shown = postable(&config, &CertificateTexts::default());
    let read = read(posted.as_object().unwrap(), &shown, &config);
    let read = read.unwrap_or_else(|refused| panic!("{refused:?}"));
    assert!(
        read.settings
            .iter()
            .all(|setting| setting.holds_in(&config))
    );
    assert_eq!(read.ignored, ["sqlite.resend_interval"]);
}
