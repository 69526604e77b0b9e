//! Tokens signed with the keys of `tests/fixtures/jwt`, which are used for nothing else.

use std::path::PathBuf;

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::*;

/// Seconds since 1970 at which the tokens are checked.
const NOW: u64 = 1_800_000_000;
/// The issuer that the tests' key file gives.
const ISS: &str = "api.key.pub";

fn fixture(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jwt");
    folder.join(name)
}

fn jwt(keyfile: &str) -> Jwt {
    let mut jwt = Jwt::default();
    jwt.public.keyfile = fixture(keyfile);
    jwt
}

fn rsa(name: &str) -> EncodingKey {
    EncodingKey::from_rsa_pem(&fs::read(fixture(name)).unwrap()).unwrap()
}

fn signed(algorithm: Algorithm, claims: &Value, key: &EncodingKey) -> String {
    encode(&Header::new(algorithm), claims, key).unwrap()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

#[test]
fn claims_decide() {
    let key = TokenKey::read(&jwt(ISS)).unwrap();
    let private = rsa("api.key");
    let later = NOW + 1;
    let administrator = Ok(Role::Administrator);
    let wrong = |why| Err(TokenError::Wrong(why));
    let (no_time, no_role, issuer) = (
        wrong("its exp is not a time"),
        wrong("its role is unknown"),
        wrong("its issuer is not the name of the key file"),
    );
    for (claims, expected) in [
        (json!({"iss": ISS, "exp": later}), administrator),
        (json!({"iss": ISS, "exp": later.to_string()}), administrator),
        (json!({"iss": ISS, "exp": NOW as f64 + 0.5}), administrator),
        (
            json!({"iss": ISS, "exp": later, "iat": "x", "aud": "y", "bodyEncode": 0}),
            administrator,
        ),
        (
            json!({"iss": ISS, "exp": later, "role": "administrator", "nbf": NOW}),
            administrator,
        ),
        (
            json!({"iss": ISS, "exp": later, "role": "viewer"}),
            Ok(Role::Viewer),
        ),
        (json!({"iss": ISS, "exp": NOW}), Err(TokenError::Expired)),
        (json!({"iss": ISS, "exp": "1"}), Err(TokenError::Expired)),
        (json!({"iss": ISS, "exp": -1}), Err(TokenError::Expired)),
        (json!({"iss": ISS}), Err(TokenError::Expired)),
        (json!({"iss": ISS, "exp": "NaN"}), no_time),
        (json!({"iss": ISS, "exp": "inf"}), no_time),
        (
            json!({"iss": ISS, "exp": [later]}),
            wrong("its signature or its claims are wrong"),
        ),
        (
            json!({"iss": ISS, "exp": later, "nbf": later}),
            wrong("it is not valid yet"),
        ),
        (json!({"iss": ISS, "exp": later, "role": "root"}), no_role),
        (
            json!({"iss": ISS, "exp": later, "role": ["viewer"]}),
            no_role,
        ),
        (json!({"iss": "other", "exp": later}), issuer),
        (json!({"iss": [ISS], "exp": later}), issuer),
        (json!({"exp": later}), issuer),
    ] {
        let token = signed(Algorithm::RS256, &claims, &private);
        let found = key.check(&token, now()).map(|login| login.role);
        assert_eq!(found, expected, "{claims}");
    }
    let named = json!({"iss": ISS, "exp": later, "sub": "ann"});
    let login = key.check(&signed(Algorithm::RS256, &named, &private), now());
    assert_eq!(login.unwrap().username, "ann");
}

#[test]
fn leeway_prolongs() {
    let mut jwt = jwt(ISS);
    jwt.leeway = Duration::from_secs(10);
    let key = TokenKey::read(&jwt).unwrap();
    let private = rsa("api.key");
    for (end, expected) in [(NOW - 9, true), (NOW - 10, false)] {
        let claims = json!({"iss": ISS, "exp": end});
        let token = signed(Algorithm::RS256, &claims, &private);
        assert_eq!(key.check(&token, now()).is_ok(), expected, "{end}");
    }
}

#[test]
fn only_the_key_and_the_configured_algorithms_count() {
    let claims = json!({"iss": ISS, "exp": NOW + 1});
    let good = signed(Algorithm::RS256, &claims, &rsa("api.key"));
    let rs512 = signed(Algorithm::RS512, &claims, &rsa("api.key"));
    let stranger = signed(Algorithm::RS256, &claims, &rsa("other.key"));
    let public = EncodingKey::from_secret(&fs::read(fixture(ISS)).unwrap());
    let public_as_secret = signed(Algorithm::HS256, &claims, &public);
    let (_, rest) = good.split_once('.').unwrap();
    // {"alg":"none"}
    let none = format!("eyJhbGciOiJub25lIn0.{rest}");
    let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
    for (token, by_rs256, by_rs512) in [
        (good.clone(), true, false),
        (rs512, false, true),
        (stranger, false, false),
        (public_as_secret, false, false),
        (none, false, false),
        (unsigned, false, false),
        (good.replacen('.', ".A", 1), false, false),
        (format!("{good}x"), false, false),
        ("a.b.c".to_owned(), false, false),
        ("..".to_owned(), false, false),
        (String::new(), false, false),
    ] {
        for (algorithm, expected) in [
            (JwtAlgorithm::Rs256, by_rs256),
            (JwtAlgorithm::Rs512, by_rs512),
        ] {
            let mut jwt = jwt(ISS);
            jwt.algorithms = vec![algorithm];
            let found = TokenKey::read(&jwt).unwrap().check(&token, now());
            assert_eq!(found.is_ok(), expected, "{algorithm:?} {token} {found:?}");
        }
    }
}

#[test]
fn keys_are_read_in_both_forms_and_of_both_kinds() {
    let mut ec = jwt("ec.key.pub");
    ec.algorithms = vec![JwtAlgorithm::Rs256, JwtAlgorithm::Es256];
    let ec_private = EncodingKey::from_ec_pem(&fs::read(fixture("ec.key")).unwrap()).unwrap();
    for (jwt, algorithm, private) in [
        (jwt("api.spki.pub"), Algorithm::RS256, rsa("api.key")),
        (ec, Algorithm::ES256, ec_private),
    ] {
        let issuer = jwt.public.keyfile.file_name().unwrap().to_str();
        let claims = json!({"iss": issuer, "exp": NOW + 1});
        let key = TokenKey::read(&jwt).unwrap();
        let found = key.check(&signed(algorithm, &claims, &private), now());
        assert!(found.is_ok(), "{algorithm:?} {found:?}");
    }
}

#[test]
fn files_that_hold_no_usable_key_are_refused() {
    for (jwt, part) in [
        (jwt("missing.pub"), "missing.pub"),
        (jwt("api.key"), "private"),
        (jwt("README.md"), "no public"),
        (jwt("ec.key.pub"), "algorithms"),
    ] {
        let error = TokenKey::read(&jwt).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
}
