//! The HTTP API over TLS, as curl speaks it.

use std::{fs, path::Path, process::Command};

use crate::harness::Broker;

fn curl(port: u16, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "-u",
            "admin:public",
        ])
        .args(arguments)
        .arg(format!("https://localhost:{port}/api/v4/nodes"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn certificate(folder: &Path, name: &str) -> (String, String) {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let write = |ending: &str, text: String| {
        let path = folder.join(format!("{name}.{ending}"));
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    (
        write("crt", made.cert.pem()),
        write("key", made.signing_key.serialize_pem()),
    )
}

#[test]
fn the_api_is_served_with_a_certificate_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path(), "own");
    let (stranger, _) = certificate(folder.path(), "stranger");
    let broker = Broker::start(&format!(
        r#"http_server.tls {{ enable = true, certfile = "{cert}", keyfile = "{key}" }}"#
    ));
    let Some(port) = broker.http_port() else {
        return;
    };
    for version in ["1.2", "1.3"] {
        let tls = [
            format!("--tlsv{version}"),
            "--tls-max".to_owned(),
            version.to_owned(),
        ];
        let arguments = [&*tls[0], &*tls[1], &*tls[2], "--cacert", &*cert];
        let (code, text) = curl(port, &arguments);
        assert_eq!(code, Some(0), "{version}: {text}");
        assert!(text.contains("\"code\":0"), "{version}: {text}");
    }
    // 60: the certificate is not the authority's.
    assert_eq!(curl(port, &["--cacert", &stranger]).0, Some(60));
    // Whoever speaks plain HTTP gets no answer, and does not keep others from one.
    let plain = Command::new("curl")
        .args(["--silent", "--max-time", "20"])
        .arg(format!("http://localhost:{port}/api/v4/nodes"))
        .output()
        .unwrap();
    assert!(
        !plain.status.success() && plain.stdout.is_empty(),
        "{plain:?}"
    );
    assert_eq!(curl(port, &["--cacert", &cert]).0, Some(0));
}
