//! Passwords that were right. Those of whom only a slow hash is known are remembered under a key of this process, so
//! that who comes again costs next to nothing.

use std::collections::HashMap;

use aws_lc_rs::{hmac, rand::SystemRandom};

/// Users whose passwords are remembered; at the bound all are forgotten.
const MOST: usize = 100_000;

/// See the module's description. `V` is what a password was held against.
pub struct RememberedPasswords<V> {
    /// Made for the first: who needs none does not pay for the system's random numbers.
    key: Option<hmac::Key>,
    of_users: HashMap<String, Remembered<V>>,
}

struct Remembered<V> {
    /// While it is the user's, the password still is.
    verifier: V,
    tag: hmac::Tag,
}

impl<V> Default for RememberedPasswords<V> {
    fn default() -> Self {
        Self {
            key: None,
            of_users: HashMap::new(),
        }
    }
}

impl<V: PartialEq> RememberedPasswords<V> {
    /// Whether the password was right for this user and what it is held against.
    pub fn knows(&self, username: &str, verifier: &V, password: &[u8]) -> bool {
        let (Some(key), Some(known)) = (&self.key, self.of_users.get(username)) else {
            return false;
        };
        known.verifier == *verifier && hmac::verify(key, password, known.tag.as_ref()).is_ok()
    }

    /// Remembers a password that was right. Where the system gives no random numbers, it is not.
    pub fn add(&mut self, username: String, verifier: V, password: &[u8]) {
        if self.key.is_none() {
            self.key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        }
        let Some(key) = &self.key else {
            return;
        };
        if self.of_users.len() >= MOST {
            self.of_users.clear();
        }
        let tag = hmac::sign(key, password);
        self.of_users.insert(username, Remembered { verifier, tag });
    }

    /// Forgets those for whom `is_current` is false.
    pub fn retain(&mut self, is_current: impl Fn(&str, &V) -> bool) {
        self.of_users
            .retain(|username, known| is_current(username, &known.verifier));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_right_is_known() {
        let mut remembered = RememberedPasswords::default();
        assert!(!remembered.knows("ann", &1, b"secret"));
        remembered.add("ann".to_owned(), 1, b"secret");
        for (username, verifier, password, known) in [
            ("ann", 1, &b"secret"[..], true),
            ("ann", 1, b"secreT", false),
            ("ann", 1, b"", false),
            ("ann", 2, b"secret", false),
            ("bob", 1, b"secret", false),
        ] {
            let found = remembered.knows(username, &verifier, password);
            assert_eq!(found, known, "{username} {verifier} {password:?}");
        }
        remembered.add("bob".to_owned(), 3, b"other");
        remembered.retain(|username, verifier| username == "bob" && *verifier == 3);
        assert!(!remembered.knows("ann", &1, b"secret"));
        assert!(remembered.knows("bob", &3, b"other"));
    }

    #[test]
    fn no_more_than_the_bound_are_kept() {
        let mut remembered = RememberedPasswords::default();
        for number in 0..=MOST {
            remembered.add(number.to_string(), (), b"x");
        }
        assert_eq!(remembered.of_users.len(), 1);
        assert!(remembered.knows(&MOST.to_string(), &(), b"x"));
    }
}
