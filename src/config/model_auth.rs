//! The `auth` section of the model: who may connect, and what clients may do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model_http::JwtPublic;
use super::network::Network;
use super::values::{AclAction, DenyAction, HttpMethod, JwtAlgorithm, Permit, Secret};

/// Most rules of an ACL.
pub const MAX_ACL_RULES: usize = 10_000;
/// Most topics of a rule, and most conditions in its `and` or `or`.
const MAX_RULE_PARTS: usize = 1000;

/// Who may connect and what clients may do (`auth`). All of it can change while the broker runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Whether the users of `password` and `password_file` count; without them all others of the chain do. Default true.
    pub enable: bool,
    /// Whether a client without a user name may connect. Default true.
    pub allow_anonymous: bool,
    /// What a client may do that no rule speaks of. Default `allow`.
    pub no_match: Permit,
    /// What becomes of a client that does what it may not. Default `ignore`.
    pub deny_action: DenyAction,
    /// Decisions that a connection remembers.
    pub cache: DecisionCache,
    /// User names and passwords, a map in the file, in its order. A password may be a hash. Default empty.
    #[serde(with = "user_map")]
    pub password: Vec<(String, Secret)>,
    /// File with further users, a line `name:hash` each; empty = `nanomq_passwd` beside the configuration file. Default
    /// empty.
    pub password_file: PathBuf,
    /// Failed logins of one address within `failed_login_window` before it is refused; 0 = unlimited. Default 100.
    pub max_failed_logins: u32,
    /// How long failed logins count, and an address is refused that has too many. Default 1m.
    #[serde(with = "super::units::duration")]
    pub failed_login_window: Duration,
    /// Most logins whose password waits to be checked; more are refused. Default 1000.
    pub max_waiting_logins: usize,
    /// What clients may do.
    pub acl: Acl,
    /// Tokens in the place of passwords.
    pub jwt: ClientJwt,
    /// Requests that ask an HTTP server.
    pub http_auth: AuthRequests,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            enable: true,
            allow_anonymous: true,
            no_match: Permit::Allow,
            deny_action: DenyAction::Ignore,
            cache: DecisionCache::default(),
            password: Vec::new(),
            password_file: PathBuf::new(),
            max_failed_logins: 100,
            failed_login_window: Duration::from_secs(60),
            max_waiting_logins: 1000,
            acl: Acl::default(),
            jwt: ClientJwt::default(),
            http_auth: AuthRequests::default(),
        }
    }
}

/// Decisions that a connection remembers (`auth.cache`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionCache {
    /// Whether any are. Default true.
    pub enable: bool,
    /// Topics whose decision a connection remembers. Default 32.
    pub max_size: usize,
    /// How long. Default 1m.
    #[serde(with = "super::units::duration")]
    pub ttl: Duration,
}

impl Default for DecisionCache {
    fn default() -> Self {
        Self {
            enable: true,
            max_size: 32,
            ttl: Duration::from_secs(60),
        }
    }
}

/// What clients may do (`auth.acl`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Acl {
    /// Whether the rules count. Default true.
    pub enable: bool,
    /// The rules, of which the first that speaks of a matter decides it. Default none.
    pub rules: Vec<AclRule>,
}

impl Default for Acl {
    fn default() -> Self {
        Self {
            enable: true,
            rules: Vec::new(),
        }
    }
}

/// One rule: whom it is about, what they do, and whether they may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclRule {
    /// Whether it may be done.
    pub permit: Permit,
    /// What is done.
    #[serde(default)]
    pub action: AclAction,
    /// The user name; `#` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The client id; `#` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clientid: Option<String>,
    /// An address or a network such as `10.0.0.0/8`; `#` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipaddr: Option<String>,
    /// All of these have to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub and: Vec<AclWho>,
    /// One of these has to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub or: Vec<AclWho>,
    /// Topic filters; none: all topics. `${clientid}` and `${username}` stand for the client's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
}

/// A part of whom a rule is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AclWho {
    /// The user name; `#` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The client id; `#` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clientid: Option<String>,
    /// An address or a network; `#` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipaddr: Option<String>,
}

/// Why rules cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRules {
    /// The rule that is to blame, from 1; none when it is the list.
    pub rule: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for BadRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = self.rule {
            write!(f, "rule {rule}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl AclRule {
    /// Reads rules: a JSON array.
    ///
    /// # Errors
    /// What is wrong with which rule.
    pub fn read_all(value: &serde_json::Value) -> Result<Vec<Self>, BadRules> {
        let of_list = |message| BadRules {
            rule: None,
            message,
        };
        let Some(items) = value.as_array() else {
            return Err(of_list("expected a list of rules".to_owned()));
        };
        if items.len() > MAX_ACL_RULES {
            return Err(of_list(format!("more than {MAX_ACL_RULES} rules")));
        }
        let rules = (1..).zip(items).map(|(number, item)| {
            Self::read(item).map_err(|message| BadRules {
                rule: Some(number),
                message,
            })
        });
        rules.collect()
    }

    fn read(value: &serde_json::Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err("expected an object such as {\"permit\": \"allow\"}".to_owned());
        }
        let rule: Self =
            serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        for list in [rule.topics.len(), rule.and.len(), rule.or.len()] {
            if list > MAX_RULE_PARTS {
                return Err(format!("a list of more than {MAX_RULE_PARTS}"));
            }
        }
        rule.check()?;
        Ok(rule)
    }

    fn check(&self) -> Result<(), String> {
        let listed = self.and.iter().chain(&self.or);
        let addresses = listed.map(|who| &who.ipaddr).chain([&self.ipaddr]);
        for address in addresses.flatten().filter(|address| *address != "#") {
            if address.parse::<Network>().is_err() {
                return Err(format!("ipaddr: {address:?} is no address and no network"));
            }
        }
        match self.topics.iter().find(|topic| !is_pattern(topic)) {
            Some(topic) => Err(format!("topics: {topic:?} is no topic filter")),
            None => Ok(()),
        }
    }
}

/// Whether a text is a topic filter, in which `${clientid}` and `${username}` may stand for a part of a level.
fn is_pattern(text: &str) -> bool {
    let mut levels = text.split('/').peekable();
    while let Some(level) = levels.next() {
        let hash = level.contains('#') && (level != "#" || levels.peek().is_some());
        let plus = level.contains('+') && level != "+";
        let rest = level.replace("${clientid}", "").replace("${username}", "");
        if hash || plus || rest.contains("${") || rest.contains('\0') {
            return false;
        }
    }
    !text.is_empty() && text.len() <= 65_535 && !text.starts_with("$share/")
}

/// JSON web tokens that clients send as passwords (`auth.jwt`). They are on when there is a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientJwt {
    /// The public key.
    pub public: JwtPublic,
    /// How long after its `exp` a token still holds, at most an hour. Default 0s.
    #[serde(with = "super::units::duration")]
    pub leeway: Duration,
    /// What tokens may be signed with. Default `[RS256]`.
    pub algorithms: Vec<JwtAlgorithm>,
}

impl Default for ClientJwt {
    fn default() -> Self {
        Self {
            public: JwtPublic::default(),
            leeway: Duration::ZERO,
            algorithms: vec![JwtAlgorithm::Rs256],
        }
    }
}

/// Requests that ask an HTTP server about clients (`auth.http_auth`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthRequests {
    /// Whether they are sent. Default true.
    pub enable: bool,
    /// May this client connect?
    pub auth_req: AuthRequest,
    /// May it do anything?
    pub super_req: AuthRequest,
    /// May it publish or subscribe to this topic?
    pub acl_req: AuthRequest,
    /// Time for an answer, waiting for a turn included. Default 5s.
    #[serde(with = "super::units::duration")]
    pub timeout: Duration,
    /// Time for the connection. Default 5s.
    #[serde(with = "super::units::duration")]
    pub connect_timeout: Duration,
    /// Most requests at once. Default 32.
    pub pool_size: usize,
    /// Most requests that wait for their turn; more are not sent, and deny. Default 1000.
    pub max_waiting: usize,
    /// How long a connection remembers an answer of `acl_req`; 0 = not at all. Default 0s.
    #[serde(with = "super::units::duration")]
    pub cache_ttl: Duration,
}

impl Default for AuthRequests {
    fn default() -> Self {
        Self {
            enable: true,
            auth_req: AuthRequest::default(),
            super_req: AuthRequest::default(),
            acl_req: AuthRequest::default(),
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            pool_size: 32,
            max_waiting: 1000,
            cache_ttl: Duration::ZERO,
        }
    }
}

/// One request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthRequest {
    /// Where it goes, `http://` or `https://`; empty = it is not sent. Default empty.
    pub url: String,
    /// `post` or `get`. Default `post`.
    pub method: HttpMethod,
    /// Headers. Default none.
    pub headers: BTreeMap<String, String>,
    /// Parameters with their placeholders. Default none.
    pub params: BTreeMap<String, String>,
    /// How an `https://` server is known, and how the broker is known to it.
    pub tls: RequestTls,
}

/// TLS of a request (`auth.http_auth.*.tls`, NanoMQ's other name is `ssl`). The server's certificate and its name are
/// always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestTls {
    /// PEM file with the authorities that vouch for the server; empty = those of the operating system. Default empty.
    pub cacertfile: PathBuf,
    /// PEM file with the certificate that is shown to the server; empty = none is. Default empty.
    pub certfile: PathBuf,
    /// PEM file with its private key. Default empty.
    pub keyfile: PathBuf,
    /// Password of the private key, if it is encrypted (PKCS#8 only). Default empty.
    pub key_password: Secret,
}

impl RequestTls {
    /// True when a server is known by what the operating system trusts, and nothing is shown to it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// serde of the list of users as the map it is in the file.
mod user_map {
    use std::fmt;

    use serde::{Deserializer, Serializer, de};

    use super::Secret;

    pub(super) fn serialize<S: Serializer>(
        users: &[(String, Secret)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(users.iter().map(|(user, password)| (user, password)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(String, Secret)>, D::Error> {
        struct Users;
        impl<'de> de::Visitor<'de> for Users {
            type Value = Vec<(String, Secret)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of user names to passwords")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut users = Vec::new();
                while let Some(user) = map.next_entry()? {
                    users.push(user);
                }
                Ok(users)
            }
        }
        from.deserialize_map(Users)
    }
}
