//! SCRAM-SHA-256 (RFC 5802, RFC 7677) on the side of the server: a client shows that it knows its password, and the
//! server that it knows the client's verifier, and the password itself is never sent.
//!
//! ```text
//! client-first  n,,n=user,r=nonce          --begin-->  server-first  r=nonce+ours,s=salt,i=iterations
//! client-final  c=biws,r=nonce,p=proof     --finish->  server-final  v=signature
//! ```

use std::{fmt, num::NonZeroU32};

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::same;

/// The name of the method in MQTT.
pub const METHOD: &str = "SCRAM-SHA-256";
/// Rounds for new verifiers; RFC 7677 asks for 4096 at least.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);
/// Most rounds that a file may ask clients for.
const MAX_ITERATIONS: u32 = 10_000_000;
const KEY_LEN: usize = digest::SHA256_OUTPUT_LEN;
/// Longest message of a client in bytes.
const MAX_MESSAGE: usize = 4096;
/// Random bytes of our part of the nonce, and of a salt.
const RANDOM_LEN: usize = 18;

/// What the server keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

/// Why an exchange has failed. A client is told no more than that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramError {
    /// A message is not as RFC 5802 has it; what.
    Malformed(&'static str),
    /// The proof is not that of the password, or there is no such user.
    Wrong,
    /// The system gives no random numbers.
    NoRandom,
}

impl fmt::Display for ScramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "SCRAM: {what}"),
            Self::Wrong => f.write_str("SCRAM: wrong user name or password"),
            Self::NoRandom => f.write_str("SCRAM: the system gives no random numbers"),
        }
    }
}

/// The first message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFirst {
    /// Who wants in.
    pub username: String,
    nonce: String,
    /// Without the header.
    bare: String,
    header: String,
}

/// An exchange of which the client's proof is awaited.
#[derive(Clone)]
pub struct Exchange {
    verifier: ScramVerifier,
    known: bool,
    nonce: String,
    header: String,
    /// `client-first-bare,server-first`.
    messages: String,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

impl ScramVerifier {
    /// Makes one for a password, with a new salt. It takes milliseconds.
    ///
    /// # Errors
    /// [`ScramError::NoRandom`].
    pub fn new(password: &str) -> Result<Self, ScramError> {
        let mut salt = vec![0; RANDOM_LEN];
        rand::fill(&mut salt).map_err(|_| ScramError::NoRandom)?;
        Ok(Self::derive(password.as_bytes(), salt, ITERATIONS))
    }

    fn derive(password: &[u8], salt: Vec<u8>, iterations: NonZeroU32) -> Self {
        let mut salted = [0; KEY_LEN];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            &salt,
            password,
            &mut salted,
        );
        let client_key = mac(&salted, b"Client Key");
        Self {
            iterations,
            salt,
            stored_key: hash(&client_key),
            server_key: mac(&salted, b"Server Key"),
        }
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("SCRAM-SHA-256$")?.split('$');
        let (iterations, salt) = parts.next()?.split_once(':')?;
        let (stored, server) = parts.next()?.split_once(':')?;
        let iterations: NonZeroU32 = iterations.parse().ok()?;
        let verifier = Self {
            iterations,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: STANDARD.decode(stored).ok()?,
            server_key: STANDARD.decode(server).ok()?,
        };
        let good = parts.next().is_none()
            && iterations.get() <= MAX_ITERATIONS
            && verifier.stored_key.len() == KEY_LEN
            && verifier.server_key.len() == KEY_LEN;
        good.then_some(verifier)
    }

    /// Whether a password that was sent as it is, is the one. It takes milliseconds.
    pub fn verify(&self, password: &[u8]) -> bool {
        let given = Self::derive(password, self.salt.clone(), self.iterations);
        same(&self.stored_key, &given.stored_key)
    }

    /// What an unknown user is held against: always the same for a name, so that nobody learns who is known.
    fn nobody(username: &str, secret: &[u8]) -> Self {
        let mut salt = mac(secret, username.as_bytes());
        salt.truncate(RANDOM_LEN);
        Self {
            iterations: ITERATIONS,
            salt,
            stored_key: vec![0; KEY_LEN],
            server_key: vec![0; KEY_LEN],
        }
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt, &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        write!(
            f,
            "SCRAM-SHA-256${}:{salt}${stored}:{server}",
            self.iterations
        )
    }
}

impl ClientFirst {
    /// Reads the first message of a client.
    ///
    /// # Errors
    /// [`ScramError::Malformed`].
    pub fn parse(data: &[u8]) -> Result<Self, ScramError> {
        let text = text(data)?;
        let bare = match text.split_once(',') {
            Some(("n" | "y", rest)) => rest,
            _ => return Err(ScramError::Malformed("channel binding is not supported")),
        };
        // An authorisation identity would be a second name.
        let Some(bare) = bare.strip_prefix(',') else {
            return Err(ScramError::Malformed(
                "an authorisation identity is not supported",
            ));
        };
        let header = text.strip_suffix(bare).unwrap_or_default();
        let mut parts = bare.split(',');
        let name = parts.next().and_then(|part| part.strip_prefix("n="));
        let nonce = parts.next().and_then(|part| part.strip_prefix("r="));
        let (Some(name), Some(nonce)) = (name, nonce.filter(|nonce| is_printable(nonce))) else {
            return Err(ScramError::Malformed(
                "the first message has no name or no nonce",
            ));
        };
        if parts.next().is_some() {
            return Err(ScramError::Malformed("extensions are not supported"));
        }
        Ok(Self {
            username: unescaped(name).ok_or(ScramError::Malformed("a name with a bad escape"))?,
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
            header: header.to_owned(),
        })
    }

    /// Begins the exchange; returns the message for the client. `secret` is the same for the life of the process.
    ///
    /// # Errors
    /// [`ScramError::NoRandom`].
    pub fn begin(
        self,
        verifier: Option<&ScramVerifier>,
        secret: &[u8],
    ) -> Result<(Exchange, String), ScramError> {
        let mut random = [0; RANDOM_LEN];
        rand::fill(&mut random).map_err(|_| ScramError::NoRandom)?;
        Ok(self.begin_with(verifier, secret, &STANDARD.encode(random)))
    }

    fn begin_with(
        self,
        verifier: Option<&ScramVerifier>,
        secret: &[u8],
        own_nonce: &str,
    ) -> (Exchange, String) {
        let known = verifier.is_some();
        let verifier = verifier
            .cloned()
            .unwrap_or_else(|| ScramVerifier::nobody(&self.username, secret));
        let nonce = format!("{}{own_nonce}", self.nonce);
        let salt = STANDARD.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        let exchange = Exchange {
            verifier,
            known,
            nonce,
            header: self.header,
            messages: format!("{},{server_first}", self.bare),
        };
        (exchange, server_first)
    }
}

impl Exchange {
    /// Checks the client's proof; returns the last message for the client.
    ///
    /// # Errors
    /// [`ScramError::Malformed`] or [`ScramError::Wrong`].
    pub fn finish(&self, data: &[u8]) -> Result<String, ScramError> {
        let text = text(data)?;
        let (without_proof, proof) = text
            .rsplit_once(",p=")
            .ok_or(ScramError::Malformed("the last message has no proof"))?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c="));
        let nonce = parts.next().and_then(|part| part.strip_prefix("r="));
        if binding != Some(&STANDARD.encode(&self.header)) {
            return Err(ScramError::Malformed(
                "another channel binding than at first",
            ));
        }
        if nonce != Some(&self.nonce) {
            return Err(ScramError::Malformed("another nonce than ours"));
        }
        if parts.next().is_some() {
            return Err(ScramError::Malformed("extensions are not supported"));
        }
        let proof = STANDARD
            .decode(proof)
            .ok()
            .filter(|proof| proof.len() == KEY_LEN)
            .ok_or(ScramError::Malformed("the proof has another length"))?;
        let messages = format!("{},{without_proof}", self.messages);
        let signature = mac(&self.verifier.stored_key, messages.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let right = same(&self.verifier.stored_key, &hash(&client_key));
        if !(right && self.known) {
            return Err(ScramError::Wrong);
        }
        let signature = mac(&self.verifier.server_key, messages.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signature)))
    }
}

fn text(data: &[u8]) -> Result<&str, ScramError> {
    if data.len() > MAX_MESSAGE {
        return Err(ScramError::Malformed("a message is too long"));
    }
    std::str::from_utf8(data).map_err(|_| ScramError::Malformed("a message is not UTF-8"))
}

fn is_printable(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|byte| (0x21..0x7f).contains(&byte))
}

/// A name, in which `=2C` stands for a comma and `=3D` for an equals sign.
fn unescaped(name: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = name;
    while let Some((before, behind)) = rest.split_once('=') {
        out.push_str(before);
        let (c, behind) = match (behind.strip_prefix("2C"), behind.strip_prefix("3D")) {
            (Some(behind), _) => (',', behind),
            (_, Some(behind)) => ('=', behind),
            _ => return None,
        };
        out.push(c);
        rest = behind;
    }
    out.push_str(rest);
    (!out.is_empty()).then_some(out)
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, data).as_ref().to_vec()
}

fn hash(data: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, data).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const OWN: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn verifier() -> ScramVerifier {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        ScramVerifier::derive(b"pencil", salt, ITERATIONS)
    }

    #[test]
    fn the_example_of_rfc_7677() {
        let first = ClientFirst::parse(FIRST.as_bytes()).unwrap();
        assert_eq!(first.username, "user");
        let (exchange, server_first) = first.begin_with(Some(&verifier()), b"s", OWN);
        assert_eq!(
            server_first,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        assert_eq!(
            exchange.finish(FINAL.as_bytes()).unwrap(),
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn what_is_not_the_example_fails() {
        let start = |verifier: Option<&ScramVerifier>| {
            let first = ClientFirst::parse(FIRST.as_bytes()).unwrap();
            first.begin_with(verifier, b"s", OWN)
        };
        let (known, _) = start(Some(&verifier()));
        let (unknown, unknown_first) = start(None);
        assert_eq!(unknown.finish(FINAL.as_bytes()), Err(ScramError::Wrong));
        // An unknown user looks like a known one, each time the same.
        assert_eq!(start(None).1, unknown_first);
        assert!(unknown_first.ends_with(",i=4096"));
        let wrong = FINAL.replace("p=dH", "p=dG");
        assert_eq!(known.finish(wrong.as_bytes()), Err(ScramError::Wrong));
        for message in [
            "",
            "c=biws",
            &FINAL.replace("c=biws", "c=eSws"),
            &FINAL.replace("r=rO", "r=xO"),
            &FINAL.replace(",p=", ",x=1,p="),
            &FINAL.replace("ndVQ=", ""),
            &"x".repeat(5000),
        ] {
            let error = known.finish(message.as_bytes()).unwrap_err();
            assert!(matches!(error, ScramError::Malformed(_)), "{message}");
        }
        for first in [
            "",
            "p=tls-unique,,n=user,r=x",
            "n,a=admin,n=user,r=x",
            "n,,n=user",
            "n,,r=x,n=user",
            "n,,m=x,n=user,r=x",
            "n,,n=us=er,r=x",
            "n,,n=,r=x",
            "n,,n=user,r=",
            "n,,n=user,r=x,e=1",
        ] {
            assert!(ClientFirst::parse(first.as_bytes()).is_err(), "{first}");
        }
        let escaped = ClientFirst::parse(b"n,,n=a=2Cb=3Dc,r=x").unwrap();
        assert_eq!(escaped.username, "a,b=c");
    }

    #[test]
    fn a_verifier_reads_back() {
        let made = ScramVerifier::new("secret").unwrap();
        let read = ScramVerifier::parse(&made.to_string()).unwrap();
        assert!(read == made && read.verify(b"secret") && !read.verify(b"secre"));
    }
}
