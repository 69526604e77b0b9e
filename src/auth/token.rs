//! JSON web tokens (RFC 7519): a signature that the configured public key confirms, and an end. Those of the HTTP API have
//! the issuer that the key file's name gives; those of clients may name their user and client id.

use std::{
    fmt, fs, io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;

use super::{api_access::Login, api_users::Role};
use crate::config::{ClientJwt, Jwt, JwtAlgorithm};

/// The largest key file that is read, in bytes.
const MAX_KEY_FILE: u64 = 64 << 10;

/// A token that lasts longer is taken to last this long.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It is none, was signed by somebody else or in another way, or says something that it must not; what.
    Wrong(&'static str),
    /// It has no end, or is past it.
    Expired,
}

/// What tokens are checked with.
pub struct TokenKey {
    key: DecodingKey,
    issuer: String,
    algorithms: Vec<Algorithm>,
    leeway: Duration,
}

/// What a token says, as far as it counts.
#[derive(Deserialize)]
struct Claims {
    iss: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    sub: Option<Value>,
    role: Option<Value>,
    username: Option<Value>,
    clientid: Option<Value>,
    superuser: Option<Value>,
}

impl TokenKey {
    /// Reads the key file of the HTTP API.
    ///
    /// # Errors
    /// It cannot be read, holds no public key, or none that fits the algorithms.
    pub fn read(jwt: &Jwt) -> io::Result<Self> {
        let algorithms = (&jwt.algorithms[..], "http_server.jwt.algorithms");
        Self::read_file(&jwt.public.keyfile, algorithms, jwt.leeway)
    }

    fn read_file(
        path: &Path,
        (algorithms, name): (&[JwtAlgorithm], &str),
        leeway: Duration,
    ) -> io::Result<Self> {
        let wrong = |what: &str| {
            let message = format!("{}: {what}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let at_path =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if fs::metadata(path).map_err(at_path)?.len() > MAX_KEY_FILE {
            return Err(wrong("is too large for a key"));
        }
        let pem = fs::read(path).map_err(at_path)?;
        if String::from_utf8_lossy(&pem).contains("PRIVATE KEY") {
            return Err(wrong("holds a private key; a public one is needed"));
        }
        let key = DecodingKey::from_rsa_pem(&pem)
            .or_else(|_| DecodingKey::from_ec_pem(&pem))
            .map_err(|_| wrong("holds no public RSA or EC key in PEM form"))?;
        let mut algorithms: Vec<Algorithm> = algorithms.iter().map(algorithm).collect();
        algorithms.retain(|algorithm| algorithm.family() == key.family());
        if algorithms.is_empty() {
            return Err(wrong(&format!("the key fits none of {name}")));
        }
        let issuer = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| wrong("a name that is not UTF-8 cannot be an issuer"))?;
        Ok(Self {
            key,
            issuer: issuer.to_owned(),
            algorithms,
            leeway,
        })
    }

    /// Checks a token of the HTTP API.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn check(&self, token: &str, now: SystemTime) -> Result<Login, TokenError> {
        let claims = self.signed(token)?;
        if claims.iss.as_ref().and_then(Value::as_str) != Some(&self.issuer) {
            return Err(TokenError::Wrong(
                "its issuer is not the name of the key file",
            ));
        }
        self.check_time(&claims, now)?;
        let role = match &claims.role {
            None => Role::Administrator,
            Some(role) => role
                .as_str()
                .and_then(|role| role.parse().ok())
                .ok_or(TokenError::Wrong("its role is unknown"))?,
        };
        let username = claims.sub.as_ref().and_then(Value::as_str);
        Ok(Login {
            username: username.unwrap_or_default().to_owned(),
            role,
        })
    }

    /// The claims of a token whose signature is right.
    fn signed(&self, token: &str) -> Result<Claims, TokenError> {
        const NO_TOKEN: TokenError = TokenError::Wrong("it is not a JSON web token");
        let header = decode_header(token).map_err(|_| NO_TOKEN)?;
        if !self.algorithms.contains(&header.alg) {
            return Err(TokenError::Wrong(
                "it is signed in a way that is not allowed",
            ));
        }
        // The signature only; the claims are looked at elsewhere, with the time as an argument and numbers also as texts.
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        decode(token, &self.key, &validation)
            .map(|token| token.claims)
            .map_err(|_| TokenError::Wrong("its signature or its claims are wrong"))
    }

    /// Checks that a token has an end and holds now; returns until when.
    fn check_time(&self, claims: &Claims, at: SystemTime) -> Result<SystemTime, TokenError> {
        let now = at
            .duration_since(UNIX_EPOCH)
            .map_err(|_| TokenError::Expired)?
            .as_secs_f64();
        let leeway = self.leeway.as_secs_f64();
        let end = match claims.exp.as_ref().map(number) {
            None => return Err(TokenError::Expired),
            Some(None) => return Err(TokenError::Wrong("its exp is not a time")),
            Some(Some(end)) => end + leeway,
        };
        if now >= end {
            return Err(TokenError::Expired);
        }
        match claims.nbf.as_ref().map(number) {
            None => {}
            Some(Some(start)) if now + leeway >= start => {}
            Some(_) => return Err(TokenError::Wrong("it is not valid yet")),
        }
        let left = Duration::try_from_secs_f64(end - now).unwrap_or(FOR_EVER);
        Ok(at + left.min(FOR_EVER))
    }
}

/// What a client's token gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// It may do anything.
    pub superuser: bool,
    /// Until then.
    pub until: SystemTime,
}

/// What the tokens are checked with that clients send as passwords.
pub struct ClientTokens(TokenKey);

impl ClientTokens {
    /// Reads the key file.
    ///
    /// # Errors
    /// As [`TokenKey::read`].
    pub fn read(jwt: &ClientJwt) -> io::Result<Self> {
        let algorithms = (&jwt.algorithms[..], "auth.jwt.algorithms");
        TokenKey::read_file(&jwt.public.keyfile, algorithms, jwt.leeway).map(Self)
    }

    /// The token that a password is, if it has the form of one.
    pub fn token(password: &[u8]) -> Option<&str> {
        let text = std::str::from_utf8(password).ok()?;
        decode_header(text).ok().map(|_| text)
    }

    /// Checks a token. Where the token says `username` or `clientid`, they
    /// are those of the client.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn check(
        &self,
        token: &str,
        username: Option<&str>,
        client_id: &str,
        now: SystemTime,
    ) -> Result<Granted, TokenError> {
        let claims = self.0.signed(token)?;
        let until = self.0.check_time(&claims, now)?;
        let is = |claim: &Option<Value>, own: Option<&str>| {
            claim
                .as_ref()
                .is_none_or(|claim| claim.as_str().is_some() && claim.as_str() == own)
        };
        if !is(&claims.username, username) {
            return Err(TokenError::Wrong("it is for another user name"));
        }
        if !is(&claims.clientid, Some(client_id)) {
            return Err(TokenError::Wrong("it is for another client id"));
        }
        Ok(Granted {
            superuser: claims.superuser == Some(Value::Bool(true)),
            until,
        })
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.issuer, self.algorithms)
    }
}

/// A time in seconds since 1970, as a number or a text.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite())
}

fn algorithm(configured: &JwtAlgorithm) -> Algorithm {
    match configured {
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Rs384 => Algorithm::RS384,
        JwtAlgorithm::Rs512 => Algorithm::RS512,
        JwtAlgorithm::Ps256 => Algorithm::PS256,
        JwtAlgorithm::Ps384 => Algorithm::PS384,
        JwtAlgorithm::Ps512 => Algorithm::PS512,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::Es384 => Algorithm::ES384,
    }
}

#[cfg(test)]
mod tests;
