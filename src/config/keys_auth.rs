//! The part of the table of keys that describes TLS of the requests to an HTTP authentication server.

use super::keys::{Key, Role, hot, secret};

const FILE: &str = "a file name";

/// Its rows.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    [&AUTH, &SUPER, &ACL].into_iter().flatten()
}

/// The keys of one request, under our name and under NanoMQ's other one.
macro_rules! tls {
    ($request:ident, $name:literal) => {
        [
            hot(
                concat!("auth.http_auth.", $name, ".tls.cacertfile"),
                FILE,
                |c, v, _| v.path(&mut c.auth.http_auth.$request.tls.cacertfile),
            ),
            hot(
                concat!("auth.http_auth.", $name, ".tls.certfile"),
                FILE,
                |c, v, _| v.path(&mut c.auth.http_auth.$request.tls.certfile),
            ),
            hot(
                concat!("auth.http_auth.", $name, ".tls.keyfile"),
                FILE,
                |c, v, _| v.path(&mut c.auth.http_auth.$request.tls.keyfile),
            ),
            secret(
                concat!("auth.http_auth.", $name, ".tls.key_password"),
                |c, v, _| v.secret(&mut c.auth.http_auth.$request.tls.key_password),
            ),
            Key {
                path: concat!("auth.http_auth.", $name, ".ssl.cacertfile"),
                role: Role::OtherName {
                    expects: FILE,
                    set: |c, v, _| v.path(&mut c.auth.http_auth.$request.tls.cacertfile),
                },
            },
            Key {
                path: concat!("auth.http_auth.", $name, ".ssl.certfile"),
                role: Role::OtherName {
                    expects: FILE,
                    set: |c, v, _| v.path(&mut c.auth.http_auth.$request.tls.certfile),
                },
            },
            Key {
                path: concat!("auth.http_auth.", $name, ".ssl.keyfile"),
                role: Role::OtherName {
                    expects: FILE,
                    set: |c, v, _| v.path(&mut c.auth.http_auth.$request.tls.keyfile),
                },
            },
            Key {
                path: concat!("auth.http_auth.", $name, ".ssl.key_password"),
                role: Role::OtherName {
                    expects: "a text",
                    set: |c, v, _| v.secret(&mut c.auth.http_auth.$request.tls.key_password),
                },
            },
        ]
    };
}

static AUTH: [Key; 8] = tls!(auth_req, "auth_req");
static SUPER: [Key; 8] = tls!(super_req, "super_req");
static ACL: [Key; 8] = tls!(acl_req, "acl_req");
