//! Keys that are checked against each other.

use super::*;

#[test]
fn keys_are_checked_against_each_other() {
    let cases = [
        (
            "mqtt { max_packet_size = 1KB, max_payload_size = 2KB }",
            "mqtt.max_payload_size",
            Severity::Warning,
        ),
        (
            "mqtt.max_packet_size = 20MB",
            "mqtt.max_packet_size",
            Severity::Warning,
        ),
        (
            "mqtt.max_packet_size = 256MB\nmqtt.max_mqueue_bytes = 1GB",
            "mqtt.max_packet_size",
            Severity::Warning,
        ),
        (
            "mqtt.session_expiry_interval = infinite",
            "mqtt.session_expiry_interval",
            Severity::Warning,
        ),
        (
            "system { num_taskq_thread = 4, max_taskq_thread = 2 }",
            "system.num_taskq_thread",
            Severity::Warning,
        ),
        (
            "listeners.tcp.enable = false",
            "listeners",
            Severity::Warning,
        ),
        (
            "listeners.ssl { certfile = a }",
            "listeners.ssl.default.keyfile",
            Severity::Error,
        ),
        (
            "listeners.ssl { certfile = a, keyfile = b, verify_peer = true }",
            "listeners.ssl.default.cacertfile",
            Severity::Error,
        ),
        (
            "listeners.ssl { certfile = a, keyfile = b, fail_if_no_peer_cert = true }",
            "listeners.ssl.default.fail_if_no_peer_cert",
            Severity::Warning,
        ),
        (
            "listeners.ssl { certfile = a, keyfile = b, peer_cert_as_username = dn }",
            "listeners.ssl.peer_cert_as_username",
            Severity::Error,
        ),
        (
            "listeners.ws.max_frame_size = 64KB",
            "listeners.ws.default.max_frame_size",
            Severity::Warning,
        ),
        (
            "listeners.ws.bind = \"0.0.0.0:8083/a b\"",
            "listeners.ws.bind",
            Severity::Error,
        ),
        (
            "listeners.ws.bind = \"nmq-tcp://0.0.0.0:8083\"",
            "listeners.ws.bind",
            Severity::Error,
        ),
        (
            "listeners.tcp.bind = \"0.0.0.0:1883/mqtt\"",
            "listeners.tcp.bind",
            Severity::Error,
        ),
        (
            "auth.allow_anonymous = false",
            "auth.allow_anonymous",
            Severity::Warning,
        ),
        (
            "http_server.auth_type = jwt",
            "http_server.jwt.public.keyfile",
            Severity::Error,
        ),
        (
            "http_server { auth_type = jwt, jwt.public.keyfile = /nowhere }",
            "http_server.jwt.public.keyfile",
            Severity::Error,
        ),
        (
            "http_server.jwt.algorithms = [HS256]",
            "http_server.jwt.algorithms",
            Severity::Error,
        ),
        (
            "http_server.jwt.algorithms = []",
            "http_server.jwt.algorithms",
            Severity::Error,
        ),
        (
            "http_server.jwt.leeway = 2h",
            "http_server.jwt.leeway",
            Severity::Error,
        ),
        (
            "http_server.failed_login_window = 0s",
            "http_server.failed_login_window",
            Severity::Error,
        ),
        (
            "http_server.password = \"\"",
            "http_server.password",
            Severity::Error,
        ),
        (
            "http_server.username = \"a:b\"",
            "http_server.username",
            Severity::Error,
        ),
        (
            "http_server.port = 1883",
            "http_server.port",
            Severity::Error,
        ),
        (
            "mqtt.protocol_versions = [4, 6]",
            "mqtt.protocol_versions",
            Severity::Error,
        ),
        (
            "mqtt.protocol_versions = []",
            "mqtt.protocol_versions",
            Severity::Error,
        ),
        (
            "mqtt.sys_interval = 10ms",
            "mqtt.sys_interval",
            Severity::Error,
        ),
        (
            "mqtt.max_keepalive = 1d",
            "mqtt.max_keepalive",
            Severity::Error,
        ),
        (
            "mqtt.receive_maximum = 0",
            "mqtt.receive_maximum",
            Severity::Error,
        ),
        (
            "mqtt.max_mqueue_len = { a = 1, b = 2 }",
            "mqtt.max_mqueue_len",
            Severity::Error,
        ),
    ];
    for (text, key, severity) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.conf");
        std::fs::write(&path, text).unwrap();
        let problems = check(&path, None).problems;
        let found: Vec<_> = problems
            .iter()
            .map(|p| (p.key.as_deref().unwrap_or(""), p.severity))
            .collect();
        assert_eq!(found, [(key, severity)], "{text}: {problems:?}");
    }
}
