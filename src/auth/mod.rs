//! Who may come in: for clients, user names and passwords of the configuration, and whether anybody may without; for the
//! HTTP API, its users ([`api_access`]) and tokens ([`token`]).

pub mod api_access;
pub mod api_users;
pub mod failed_logins;
pub mod password_hash;
pub mod token;

use crate::{config::Auth, mqtt::ReasonCode};

/// Checks the credentials of a CONNECT.
///
/// With a user name that the list `auth.password` has, the password must be its own. Any other client, with a
/// user name or without, is anonymous.
///
/// # Errors
/// The CONNACK code for a client that may not come in, and why.
pub fn check_credentials(
    auth: &Auth,
    username: Option<&str>,
    password: Option<&[u8]>,
) -> Result<(), (ReasonCode, &'static str)> {
    let listed =
        username.and_then(|username| auth.password.iter().find(|(user, _)| user == username));
    match listed {
        Some((_, secret)) => {
            let right = same(secret.expose().as_bytes(), password.unwrap_or_default());
            match right {
                true => Ok(()),
                false => Err((ReasonCode::BadUserNameOrPassword, "wrong password")),
            }
        }
        None if auth.allow_anonymous && (username.is_none() || auth.password.is_empty()) => Ok(()),
        None if username.is_some() => Err((ReasonCode::BadUserNameOrPassword, "unknown user name")),
        None => Err((
            ReasonCode::NotAuthorized,
            "no user name, and auth.allow_anonymous is false",
        )),
    }
}

/// Compares in a time that depends on the lengths only.
pub fn same(expected: &[u8], given: &[u8]) -> bool {
    let mut difference = expected.len() ^ given.len();
    for (index, byte) in expected.iter().enumerate() {
        difference |= usize::from(byte ^ given.get(index).copied().unwrap_or(0));
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn credentials_are_held_against_the_list() {
        let bad = Some(ReasonCode::BadUserNameOrPassword);
        let none = Some(ReasonCode::NotAuthorized);
        // (anonymous allowed, list used, user name, password, refusal)
        for (anonymous, list, user, password, expected) in [
            (true, true, None, None, None),
            (true, true, Some("ann"), Some("secret"), None),
            (true, true, Some("ann"), Some("secre"), bad),
            (true, true, Some("ann"), Some("secretx"), bad),
            (true, true, Some("ann"), None, bad),
            (true, true, Some("bob"), Some("secret"), bad),
            (true, false, Some("bob"), Some("x"), None),
            (false, true, None, None, none),
            (false, true, Some("ann"), Some("secret"), None),
            (false, false, Some("ann"), Some("secret"), bad),
        ] {
            let auth = Auth {
                allow_anonymous: anonymous,
                password: match list {
                    true => vec![("ann".to_owned(), Secret::new("secret"))],
                    false => Vec::new(),
                },
            };
            let got = check_credentials(&auth, user, password.map(str::as_bytes)).err();
            assert_eq!(got.map(|(code, _)| code), expected, "{user:?} {password:?}");
        }
    }
}
