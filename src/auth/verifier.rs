//! What a password is held against, in every form in which files have it.
//!
//! | text | what it is |
//! |---|---|
//! | `$argon2id$v=19$m=..,t=..,p=..$salt$hash` | argon2, PHC form |
//! | `SCRAM-SHA-256$4096:salt$stored:server` | a SCRAM verifier (RFC 5803's values in PostgreSQL's form) |
//! | `$7$101$salt$hash` | PBKDF2 with HMAC-SHA-512, as mosquitto 2 writes it |
//! | `$6$salt$hash` | SHA-512 of password and salt, as mosquitto 1 wrote it |
//! | anything else | the password itself |

use std::{fmt, num::NonZeroU32};

use argon2::{Argon2, PasswordVerifier, password_hash::phc::PasswordHash};
use aws_lc_rs::{digest, pbkdf2};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{password_hash, same, scram::ScramVerifier};

/// Most iterations that a file may ask for.
const MAX_ITERATIONS: u32 = 10_000_000;

/// See the module's description.
#[derive(Clone, PartialEq, Eq)]
pub enum Verifier {
    /// The password itself.
    Plain(String),
    /// argon2.
    Argon2(String),
    /// SCRAM-SHA-256.
    Scram(Box<ScramVerifier>),
    /// mosquitto's `$7$`.
    Pbkdf2 {
        /// Rounds.
        iterations: NonZeroU32,
        /// Salt.
        salt: Vec<u8>,
        /// Hash.
        hash: Vec<u8>,
    },
    /// mosquitto's `$6$`.
    Sha512 {
        /// Salt.
        salt: Vec<u8>,
        /// Hash.
        hash: Vec<u8>,
    },
}

impl Verifier {
    /// Reads a text.
    ///
    /// # Errors
    /// It begins as a hash and is none.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("$argon2") {
            return match password_hash::is_hash(text) {
                true => Ok(Self::Argon2(text.to_owned())),
                false => Err("is no complete argon2 hash"),
            };
        }
        if text.starts_with("SCRAM-SHA-256$") {
            let verifier = ScramVerifier::parse(text).ok_or("is no complete SCRAM verifier")?;
            return Ok(Self::Scram(Box::new(verifier)));
        }
        if let Some(rest) = text.strip_prefix("$7$") {
            return pbkdf2_of(rest).ok_or("is no complete PBKDF2 hash");
        }
        if let Some(rest) = text.strip_prefix("$6$") {
            return sha512_of(rest).ok_or("is no complete SHA-512 hash");
        }
        Ok(Self::Plain(text.to_owned()))
    }

    /// Whether the password is the one. It takes up to tens of milliseconds when [`Verifier::is_slow`].
    pub fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Plain(own) => same(own.as_bytes(), password),
            Self::Argon2(hash) => PasswordHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
            Self::Scram(verifier) => verifier.verify(password),
            Self::Pbkdf2 {
                iterations,
                salt,
                hash,
            } => pbkdf2::verify(
                pbkdf2::PBKDF2_HMAC_SHA512,
                *iterations,
                salt,
                password,
                hash,
            )
            .is_ok(),
            Self::Sha512 { salt, hash } => {
                let mut context = digest::Context::new(&digest::SHA512);
                context.update(password);
                context.update(salt);
                same(hash, context.finish().as_ref())
            }
        }
    }

    /// The name of its form.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Plain(_) => "plain",
            Self::Argon2(_) => "argon2",
            Self::Scram(_) => "SCRAM-SHA-256",
            Self::Pbkdf2 { .. } => "PBKDF2",
            Self::Sha512 { .. } => "SHA-512",
        }
    }

    /// Whether checking a password is work, which is not done on a thread that serves others.
    pub fn is_slow(&self) -> bool {
        !matches!(self, Self::Plain(_) | Self::Sha512 { .. })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

fn pbkdf2_of(text: &str) -> Option<Verifier> {
    let mut parts = text.split('$');
    let iterations: NonZeroU32 = parts.next()?.parse().ok()?;
    let salt = STANDARD.decode(parts.next()?).ok()?;
    let hash = STANDARD.decode(parts.next()?).ok()?;
    let good = parts.next().is_none()
        && hash.len() == digest::SHA512_OUTPUT_LEN
        && iterations.get() <= MAX_ITERATIONS;
    good.then_some(Verifier::Pbkdf2 {
        iterations,
        salt,
        hash,
    })
}

fn sha512_of(text: &str) -> Option<Verifier> {
    let mut parts = text.split('$');
    let salt = STANDARD.decode(parts.next()?).ok()?;
    let hash = STANDARD.decode(parts.next()?).ok()?;
    let good = parts.next().is_none() && hash.len() == digest::SHA512_OUTPUT_LEN;
    good.then_some(Verifier::Sha512 { salt, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_knows_its_password_only() {
        let argon2 = password_hash::hash("pässword").unwrap();
        let scram = ScramVerifier::new("pässword").unwrap().to_string();
        for (text, kind) in [
            ("pässword", "plain"),
            (argon2.as_str(), "argon2"),
            (&scram, "SCRAM-SHA-256"),
            // Made with Python's hashlib from the description of mosquitto's file.
            (MOSQUITTO_7, "PBKDF2"),
            (MOSQUITTO_6, "SHA-512"),
        ] {
            let verifier = Verifier::parse(text).unwrap();
            assert_eq!(format!("{verifier:?}"), kind);
            assert!(verifier.verify("pässword".as_bytes()), "{text}");
            for wrong in ["", "passwort", "pässwor", "pässword "] {
                assert!(!verifier.verify(wrong.as_bytes()), "{text} {wrong}");
            }
        }
    }

    #[test]
    fn what_begins_as_a_hash_has_to_be_one() {
        for text in [
            "$argon2id$v=19",
            "SCRAM-SHA-256$4096:AAAA",
            "$7$101$AAAA",
            "$7$0$AAAA$AAAA",
            "$7$99999999$AAAA$AAAA",
            "$7$101$AAAA$AAAA",
            "$6$AAAA",
            "$6$???$AAAA",
        ] {
            assert!(Verifier::parse(text).is_err(), "{text}");
        }
        assert!(Verifier::parse("$8$x").is_ok(), "some password");
    }

    const MOSQUITTO_7: &str = "$7$101$AAECAwQFBgcICQoL$e/v9apB/RvM7mBrdA/GgLkzhnMY/vJUwAJ42KJQ+U8R6ypNmAXW/a1RPUW6/uv53cdyh01wu/PUyq/u/azz99w==";
    const MOSQUITTO_6: &str = "$6$AAECAwQFBgcICQoL$3SSe1aVl0kMji9YENpGbiQ5/1DOQ1Q6Qfn3tPOyhG13Bn5vnZBl3lM01DcayhkqBVHfq+LuUOWwyI3kzCQvUSw==";
}
