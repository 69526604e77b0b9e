//! The part of the table of keys that describes TLS of the requests to an HTTP authentication server.

use super::keys::{Key, Set, hot, other_name, secret};

const FILE: &str = "a file name";

/// Its rows.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    [&AUTH, &SUPER, &ACL].into_iter().flatten()
}

/// The keys of one request, under our name and under NanoMQ's other one.
macro_rules! tls {
    ($request:ident, $name:literal) => {{
        const CA: Set = |c, v, _| v.path(&mut c.auth.http_auth.$request.tls.cacertfile);
        const CERTIFICATE: Set = |c, v, _| v.path(&mut c.auth.http_auth.$request.tls.certfile);
        const KEY: Set = |c, v, _| v.path(&mut c.auth.http_auth.$request.tls.keyfile);
        const PASSWORD: Set = |c, v, _| v.secret(&mut c.auth.http_auth.$request.tls.key_password);
        [
            hot(
                concat!("auth.http_auth.", $name, ".tls.cacertfile"),
                FILE,
                CA,
            ),
            hot(
                concat!("auth.http_auth.", $name, ".tls.certfile"),
                FILE,
                CERTIFICATE,
            ),
            hot(concat!("auth.http_auth.", $name, ".tls.keyfile"), FILE, KEY),
            secret(
                concat!("auth.http_auth.", $name, ".tls.key_password"),
                PASSWORD,
            ),
            other_name(
                concat!("auth.http_auth.", $name, ".ssl.cacertfile"),
                FILE,
                CA,
            ),
            other_name(
                concat!("auth.http_auth.", $name, ".ssl.certfile"),
                FILE,
                CERTIFICATE,
            ),
            other_name(concat!("auth.http_auth.", $name, ".ssl.keyfile"), FILE, KEY),
            other_name(
                concat!("auth.http_auth.", $name, ".ssl.key_password"),
                "a text",
                PASSWORD,
            ),
        ]
    }};
}

static AUTH: [Key; 8] = tls!(auth_req, "auth_req");
static SUPER: [Key; 8] = tls!(super_req, "super_req");
static ACL: [Key; 8] = tls!(acl_req, "acl_req");
