//! Who may come in, and who may do what.
//!
//! For clients there is one [`policy::Policy`] at a time: users ([`client_users`], [`verifier`], [`scram`]), tokens
//! ([`token`]), the HTTP server that is asked ([`http_request`]) and rules ([`acl`]). A connection keeps what its client
//! may do as [`permissions::Permissions`]. For the HTTP API there are its users ([`api_access`]) and tokens.

pub mod acl;
pub mod api_access;
pub mod api_users;
pub mod client_users;
pub mod failed_logins;
pub mod http_request;
pub mod password_hash;
pub mod permissions;
pub mod policy;
pub mod remembered;
pub mod scram;
pub mod token;
pub mod verifier;

/// Compares in a time that depends on the lengths only.
pub fn same(expected: &[u8], given: &[u8]) -> bool {
    let mut difference = expected.len() ^ given.len();
    for (index, byte) in expected.iter().enumerate() {
        difference |= usize::from(byte ^ given.get(index).copied().unwrap_or(0));
    }
    std::hint::black_box(difference) == 0
}
