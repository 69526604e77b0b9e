//! Passwords as argon2id hashes in PHC form, `$argon2id$v=19$m=..,t=..,p=..$salt$hash`.
//!
//! Hashing takes tens of milliseconds and 19 MiB on purpose. Never call it from an actor.

use std::fmt;

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};

/// What the password of an unknown user is held against, so that it takes as long as that of a known one. No text is
/// known that has this hash.
pub const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AcY5vE3t1DcJtqW0XkpyRtn0hIpTVZ1rA8bGzv3qJ1M";

/// No hash could be made: the system gave no random salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashFailed;

impl fmt::Display for HashFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the password could not be hashed")
    }
}

impl std::error::Error for HashFailed {}

/// Hashes a password with a new salt.
///
/// # Errors
/// [`HashFailed`].
pub fn hash(password: &str) -> Result<String, HashFailed> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|_| HashFailed)
}

/// True when `hash` was made of this password.
pub fn verify(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// True when a text has the form of a hash that [`verify`] can use.
pub fn is_hash(text: &str) -> bool {
    text.starts_with("$argon2") && PasswordHash::new(text).is_ok_and(|hash| hash.hash.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_only() {
        let hashed = hash("pässword").unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(is_hash(&hashed) && is_hash(NOBODY));
        assert_ne!(hash("pässword").unwrap(), hashed, "the salt is new");
        for (hash, password, right) in [
            (hashed.as_str(), "pässword", true),
            (&hashed, "pässwor", false),
            (&hashed, "", false),
            (NOBODY, "", false),
            ("", "", false),
            ("pässword", "pässword", false),
        ] {
            assert_eq!(verify(hash, password), right, "{hash} {password}");
        }
        for text in ["", "secret", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1"] {
            assert!(!is_hash(text), "{text}");
        }
    }
}
