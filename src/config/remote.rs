//! The address of a remote broker, as a URL.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::model_listeners::ListenerKind;

/// Where a remote broker listens and what it speaks below MQTT: `mqtt-tcp://host:1883`, `tls+mqtt-tcp://host:8883`,
/// `ws://host:8083/mqtt` or `wss://host:8084/mqtt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    kind: ListenerKind,
    host: String,
    port: u16,
    path: String,
}

impl RemoteUrl {
    /// What the remote speaks below MQTT.
    pub fn kind(&self) -> ListenerKind {
        self.kind
    }

    /// Its host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path of the WebSocket upgrade; empty for others.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port as a header names them, IPv6 addresses in brackets.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether it is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.kind, ListenerKind::Ssl | ListenerKind::Wss)
    }
}

/// Why a text is no such address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRemote {
    /// It is QUIC, which is not spoken.
    Quic,
    /// It is none.
    Other,
}

impl fmt::Display for BadRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "QUIC is not built yet",
            Self::Other => "expected an address such as mqtt-tcp://broker.example:1883",
        })
    }
}

impl std::error::Error for BadRemote {}

impl FromStr for RemoteUrl {
    type Err = BadRemote;

    fn from_str(text: &str) -> Result<Self, BadRemote> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt-tcp", text));
        let (kind, default_port) = match scheme {
            "mqtt-tcp" | "mqtt" | "tcp" | "nmq-tcp" => (ListenerKind::Tcp, 1883),
            "tls+mqtt-tcp" | "mqtts" | "ssl" | "nmq-tls" | "tls+nmq-tcp" => {
                (ListenerKind::Ssl, 8883)
            }
            "ws" | "mqtt-ws" | "nmq-ws" => (ListenerKind::Ws, 80),
            "wss" | "mqtt-wss" | "nmq-wss" => (ListenerKind::Wss, 443),
            "mqtt-quic" | "quic" => return Err(BadRemote::Quic),
            _ => return Err(BadRemote::Other),
        };
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(slash).ok_or(BadRemote::Other)?;
        let (host, port) = split_authority(authority, default_port).ok_or(BadRemote::Other)?;
        let is_web = matches!(kind, ListenerKind::Ws | ListenerKind::Wss);
        let is_path = path.bytes().all(|byte| byte.is_ascii_graphic()) && !path.contains('#');
        let path = match (is_web, path) {
            (true, "" | "/") => "/mqtt",
            (true, path) if is_path => path,
            (false, "" | "/") => "",
            _ => return Err(BadRemote::Other),
        };
        Ok(Self {
            kind,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }
}

/// `host`, `host:port` or `[::1]:port`.
fn split_authority(text: &str, default_port: u16) -> Option<(&str, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (
                host,
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            )
        }
        None => match text.split_once(':') {
            Some((host, port)) => (is_host(host).then_some(host)?, Some(port)),
            None => (is_host(text).then_some(text)?, Some("")),
        },
    };
    let port = match port? {
        "" => default_port,
        port if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        _ => return None,
    };
    (port != 0).then_some((host, port))
}

/// A host name, or an IPv4 address, the short forms of which (`127.1`) are known to the operating system too.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ListenerKind::Tcp => "mqtt-tcp",
            ListenerKind::Ssl => "tls+mqtt-tcp",
            ListenerKind::Ws => "ws",
            ListenerKind::Wss => "wss",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl Serialize for RemoteUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RemoteUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// serde of an address that may be missing, which is an empty text.
pub(crate) mod optional {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::RemoteUrl;

    pub(crate) fn serialize<S: Serializer>(
        url: &Option<RemoteUrl>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match url {
            Some(url) => to.collect_str(url),
            None => to.serialize_str(""),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<RemoteUrl>, D::Error> {
        let text = String::deserialize(from)?;
        match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, expected) in [
            (
                "mqtt-tcp://127.0.0.1:1883",
                Some("mqtt-tcp://127.0.0.1:1883"),
            ),
            ("127.0.0.1:1884", Some("mqtt-tcp://127.0.0.1:1884")),
            (
                "mqtt-tcp://broker.example",
                Some("mqtt-tcp://broker.example:1883"),
            ),
            ("mqtt-tcp://127.1:1883/", Some("mqtt-tcp://127.1:1883")),
            ("tls+mqtt-tcp://[::1]", Some("tls+mqtt-tcp://[::1]:8883")),
            ("ws://h:8083", Some("ws://h:8083/mqtt")),
            ("wss://h/a/b?c=1", Some("wss://h:443/a/b?c=1")),
            ("mqtt-tcp://h:1883/mqtt", None),
            ("mqtt-tcp://h:0", None),
            ("mqtt-tcp://h:+1", None),
            ("mqtt-tcp://:1883", None),
            ("mqtt-tcp://::1:1883", None),
            ("mqtt-tcp://[h]:1883", None),
            ("mqtt-tcp://a b:1883", None),
            ("ws://h/a b", None),
            ("http://h:1883", None),
            ("", None),
        ] {
            let read = text.parse::<RemoteUrl>().ok().map(|url| url.to_string());
            assert_eq!(read.as_deref(), expected, "{text:?}");
        }
        assert_eq!("mqtt-quic://h:1".parse::<RemoteUrl>(), Err(BadRemote::Quic));
    }
}
