//! Small value types of the model: secrets, addresses and the words a key may take.

use std::{fmt, io, net, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that must not be shown: its `Debug` is redacted and it has no `Display`. It serialises as the text.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the comparison or the file that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

/// A host (address or name) and port to listen on; written `host:port`, `[::1]:port` or `:port` (all IPv4 addresses).
///
/// Port 0 lets the system choose a free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindAddr {
    host: String,
    port: u16,
}

impl BindAddr {
    /// Checks a host and makes the address. A host is an IP address without brackets or a host name.
    ///
    /// # Errors
    /// [`BadAddress`] when the host is neither.
    pub fn new(host: &str, port: u16) -> Result<Self, BadAddress> {
        if host.parse::<net::IpAddr>().is_ok() || is_host_name(host) {
            Ok(Self {
                host: host.to_owned(),
                port,
            })
        } else {
            Err(BadAddress)
        }
    }

    /// All IPv4 addresses of the machine, `0.0.0.0:port`.
    pub fn any(port: u16) -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port,
        }
    }

    /// The host: an IP address without brackets, or a name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 lets the system choose.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The socket addresses to bind, the name being looked up if it is one (which may block).
    ///
    /// # Errors
    /// The look-up of a name failed.
    pub fn resolve(&self) -> io::Result<Vec<net::SocketAddr>> {
        net::ToSocketAddrs::to_socket_addrs(&(self.host.as_str(), self.port)).map(Iterator::collect)
    }
}

/// The text is not `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadAddress;

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address such as 0.0.0.0:1883")
    }
}

impl std::error::Error for BadAddress {}

impl FromStr for BindAddr {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let text = text.trim();
        let (host, port) = text.rsplit_once(':').ok_or(BadAddress)?;
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadAddress);
        }
        let port = port.parse().map_err(|_| BadAddress)?;
        if host.is_empty() {
            return Ok(Self::any(port));
        }
        let Some(inner) = host.strip_prefix('[') else {
            // Without brackets an IPv6 address would make its last group the port.
            return if host.contains(':') {
                Err(BadAddress)
            } else {
                Self::new(host, port)
            };
        };
        let inner = inner.strip_suffix(']').ok_or(BadAddress)?;
        inner.parse::<net::Ipv6Addr>().map_err(|_| BadAddress)?;
        Self::new(inner, port)
    }
}

impl fmt::Display for BindAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Serialize for BindAddr {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BindAddr {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Whether a text may name a host. All digits and dots is refused: it is a mistyped IPv4 address.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.split('.').all(label) && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// Makes an enum of fixed words with its serde, `WORDS` and `FromStr` in one place.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word the key takes.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err(()) }
            }
        }
    };
}

words! {
    /// What happens to a message that does not fit: a session's queue, or the durable store.
    MqueuePolicy {
        /// The oldest waiting message makes room.
        DropOldest = "drop_oldest",
        /// The new message is dropped.
        Reject = "reject",
    }
}

words! {
    /// What it means that a message for a durable session is acknowledged.
    Durability {
        /// The operating system has it: it survives the end of the broker, however it ends, but perhaps not that of
        /// the machine.
        None = "none",
        /// As `none`, and soon the disk has it.
        Async = "async",
        /// The disk has it.
        Sync = "sync",
    }
}

words! {
    /// How the HTTP API knows its user.
    HttpAuth {
        /// User name and password in every request.
        Basic = "basic",
        /// A JSON web token in every request.
        Jwt = "jwt",
        /// Nobody is asked.
        NoAuth = "no_auth",
    }
}

words! {
    /// Which part of a client's certificate is its user name.
    CertUsername {
        /// None: the user name is that of CONNECT.
        Disabled = "disabled",
        /// The common name of its subject.
        Cn = "cn",
    }
}

words! {
    /// What a JSON web token may be signed with. Only kinds with a public key: with a shared secret, everybody who can
    /// read the key file could make tokens.
    JwtAlgorithm {
        /// RSA with PKCS#1 padding and SHA-256.
        Rs256 = "RS256",
        /// RSA with PKCS#1 padding and SHA-384.
        Rs384 = "RS384",
        /// RSA with PKCS#1 padding and SHA-512.
        Rs512 = "RS512",
        /// RSA with PSS padding and SHA-256.
        Ps256 = "PS256",
        /// RSA with PSS padding and SHA-384.
        Ps384 = "PS384",
        /// RSA with PSS padding and SHA-512.
        Ps512 = "PS512",
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256",
        /// ECDSA on P-384 with SHA-384.
        Es384 = "ES384",
    }
}

words! {
    /// Whether something may be done.
    Permit {
        /// It may.
        Allow = "allow",
        /// It may not.
        Deny = "deny",
    }
}

words! {
    /// What becomes of a client that does what it may not.
    DenyAction {
        /// It is told by a code where the protocol has one, and goes on.
        Ignore = "ignore",
        /// Its connection is closed.
        Disconnect = "disconnect",
    }
}

words! {
    /// What a rule is about.
    #[derive(Default)]
    AclAction {
        /// PUBLISH.
        Publish = "publish",
        /// SUBSCRIBE.
        Subscribe = "subscribe",
        /// Both.
        #[default]
        PubSub = "pubsub",
    }
}

words! {
    /// How a request carries its parameters.
    #[derive(Default)]
    HttpMethod {
        /// In its body.
        #[default]
        Post = "post",
        /// In its query string.
        Get = "get",
    }
}

words! {
    /// The least severe messages that are logged.
    LogLevel {
        /// Nothing is logged.
        Off = "off",
        /// Only what stops something from working.
        Error = "error",
        /// Also what is probably wrong.
        Warn = "warn",
        /// Also what happens seldom and is worth knowing.
        Info = "info",
        /// Also what explains a single connection.
        Debug = "debug",
        /// Everything, packet by packet.
        Trace = "trace",
    }
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::Off,
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}

words! {
    /// Where log messages go.
    LogTarget {
        /// The standard error stream.
        Console = "console",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let cases = [
            ("0.0.0.0:1883", Some("0.0.0.0:1883")),
            (":1883", Some("0.0.0.0:1883")),
            ("[::1]:1883", Some("[::1]:1883")),
            ("localhost:0", Some("localhost:0")),
            ("mqtt-1.example.org:8883", Some("mqtt-1.example.org:8883")),
            ("1883", None),
            ("0.0.0.0", None),
            ("0.0.0.0:", None),
            ("0.0.0.0:65536", None),
            ("0.0.0.0:+1", None),
            ("256.0.0.1:1883", None),
            ("::1:1883", None),
            ("[localhost]:1883", None),
            ("a b:1883", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let written = text.parse::<BindAddr>().ok().map(|addr| addr.to_string());
            assert_eq!(written.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_secret_does_not_show() {
        let secret = Secret::new("public");
        assert_eq!(format!("{secret:?}"), "******");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"public\"");
    }
}
