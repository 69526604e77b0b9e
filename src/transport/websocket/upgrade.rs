//! The request with which a client asks for WebSocket (RFC 6455, section 4), and its answer.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_STANDARD};

/// Longest request, in bytes.
pub const REQUEST_MAX: usize = 8192;
/// Most header fields of a request.
pub(super) const HEADERS_MAX: usize = 64;
/// Subprotocols that stand for MQTT; browsers' libraries of old ask for the second.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];
/// What every server appends to a client's key.
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why there is no WebSocket for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeError {
    /// It is no HTTP request, or none that can be understood.
    Malformed(String),
    /// It is longer than [`REQUEST_MAX`], or has too many header fields.
    TooLarge,
    /// Another method than GET.
    Method,
    /// A path that is not that of the listener.
    Path,
    /// It does not ask for WebSocket: the field that is missing.
    NoUpgrade(&'static str),
    /// Another version than 13.
    Version,
    /// None of the subprotocols is MQTT `[MQTT-6.0.0-3]`.
    Subprotocol,
}

impl UpgradeError {
    /// A stable name for statistics.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::TooLarge => "websocket_request",
            Self::Method | Self::Path | Self::NoUpgrade(_) | Self::Version => "websocket_upgrade",
            Self::Subprotocol => "websocket_subprotocol",
        }
    }

    /// The whole answer.
    pub fn answer(&self) -> String {
        let (status, field) = match self {
            Self::Malformed(_) | Self::Subprotocol => ("400 Bad Request", ""),
            Self::TooLarge => ("431 Request Header Fields Too Large", ""),
            Self::Method => ("405 Method Not Allowed", "Allow: GET\r\n"),
            Self::Path => ("404 Not Found", ""),
            Self::NoUpgrade(_) => ("426 Upgrade Required", "Upgrade: websocket\r\n"),
            Self::Version => ("426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n"),
        };
        let text = format!("{self}\n");
        format!(
            "HTTP/1.1 {status}\r\n{field}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\n\r\n{text}",
            text.len()
        )
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "not an HTTP request: {why}"),
            Self::TooLarge => write!(f, "the request is longer than {REQUEST_MAX} bytes"),
            Self::Method => f.write_str("WebSocket is asked for with GET"),
            Self::Path => f.write_str("there is no WebSocket at this path"),
            Self::NoUpgrade(field) => write!(f, "not a WebSocket request: no {field}"),
            Self::Version => f.write_str("only WebSocket version 13 is spoken"),
            Self::Subprotocol => f.write_str("the subprotocol must be mqtt [MQTT-6.0.0-3]"),
        }
    }
}

/// Reads a request at the front of `bytes`, which must ask for `path`: the answer, and how many bytes belong to the
/// request. None while it is not complete.
///
/// # Errors
/// [`UpgradeError`] with the answer that tells it.
pub fn upgrade(bytes: &[u8], path: &str) -> Result<Option<(String, usize)>, UpgradeError> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= REQUEST_MAX => len,
        Ok(httparse::Status::Partial) if bytes.len() <= REQUEST_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(UpgradeError::TooLarge),
        Err(error) => return Err(UpgradeError::Malformed(error.to_string())),
    };
    if request.method != Some("GET") {
        return Err(UpgradeError::Method);
    }
    let asked = request.path.unwrap_or_default();
    if asked.split('?').next() != Some(path) {
        return Err(UpgradeError::Path);
    }
    let fields = Fields(request.headers);
    if request.version != Some(1) || !fields.has_word("upgrade", "websocket") {
        return Err(UpgradeError::NoUpgrade("Upgrade: websocket"));
    }
    if !fields.has_word("connection", "upgrade") {
        return Err(UpgradeError::NoUpgrade("Connection: Upgrade"));
    }
    if fields.words("sec-websocket-version").next() != Some("13") {
        return Err(UpgradeError::Version);
    }
    let key = fields.words("sec-websocket-key").next().unwrap_or_default();
    if BASE64_STANDARD.decode(key).map(|key| key.len()) != Ok(16) {
        return Err(UpgradeError::NoUpgrade("Sec-WebSocket-Key with 16 bytes"));
    }
    // The client's order says which it likes best.
    let subprotocol = fields
        .words("sec-websocket-protocol")
        .find(|word| SUBPROTOCOLS.contains(word))
        .ok_or(UpgradeError::Subprotocol)?;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n",
        accept_key(key)
    );
    Ok(Some((answer, len)))
}

/// What answers a client's key.
pub(super) fn accept_key(key: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(KEY_SUFFIX);
    BASE64_STANDARD.encode(hash.finish())
}

/// The header fields of a request.
pub(super) struct Fields<'a>(pub(super) &'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// The words between commas of all fields with a name.
    pub(super) fn words(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let fields = self.0.iter();
        fields
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .filter_map(|field| std::str::from_utf8(field.value).ok())
            .flat_map(|value| value.split(',').map(str::trim))
    }

    pub(super) fn has_word(&self, name: &'static str, word: &str) -> bool {
        self.words(name)
            .any(|other| other.eq_ignore_ascii_case(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                        Sec-WebSocket-Protocol: chat, mqtt\r\n\r\n";

    /// [MQTT-6.0.0-4] The answer names the subprotocol mqtt.
    #[test]
    fn a_request_is_answered_as_the_standard_has_it() {
        let with_more = format!("{GOOD}\u{1}more");
        let (answer, len) = upgrade(with_more.as_bytes(), "/mqtt").unwrap().unwrap();
        assert_eq!(len, GOOD.len());
        // The example of RFC 6455, section 1.3.
        assert!(
            answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{answer}"
        );
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(
            answer.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"),
            "{answer}"
        );
        let old = GOOD
            .replace("chat, mqtt", "mqttv3.1")
            .replace("/mqtt HTTP", "/mqtt?x=1 HTTP");
        let (answer, _) = upgrade(old.as_bytes(), "/mqtt").unwrap().unwrap();
        assert!(
            answer.contains("\r\nSec-WebSocket-Protocol: mqttv3.1\r\n"),
            "{answer}"
        );
        for cut in 0..GOOD.len() {
            let part = GOOD.as_bytes().get(..cut).unwrap();
            assert_eq!(upgrade(part, "/mqtt"), Ok(None), "{cut}");
        }
    }

    #[test]
    fn other_requests_are_refused_with_a_reason() {
        let without = |line: &str| GOOD.replace(line, "");
        for (request, status, kind) in [
            (
                without("Sec-WebSocket-Protocol: chat, mqtt\r\n"),
                "400",
                "websocket_subprotocol",
            ),
            (
                GOOD.replace("chat, mqtt", "amqp"),
                "400",
                "websocket_subprotocol",
            ),
            (
                GOOD.replace("GET /mqtt", "GET /"),
                "404",
                "websocket_upgrade",
            ),
            (
                GOOD.replace("GET /mqtt", "POST /mqtt"),
                "405",
                "websocket_upgrade",
            ),
            (
                GOOD.replace("HTTP/1.1", "HTTP/1.0"),
                "426",
                "websocket_upgrade",
            ),
            (
                without("Upgrade: WebSocket\r\n"),
                "426",
                "websocket_upgrade",
            ),
            (GOOD.replace(", Upgrade", ""), "426", "websocket_upgrade"),
            (GOOD.replace(": 13", ": 8"), "426", "websocket_upgrade"),
            (
                GOOD.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"),
                "426",
                "websocket_upgrade",
            ),
            (
                "\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(),
                "400",
                "websocket_request",
            ),
            (GOOD.replace("Host", "H st"), "400", "websocket_request"),
            (
                GOOD.replace("Host: x", &format!("Host: {}", "x".repeat(9000))),
                "431",
                "websocket_request",
            ),
            (
                GOOD.replace("Host: x", &"a: b\r\n".repeat(70)),
                "431",
                "websocket_request",
            ),
            (
                "GET /mqtt HTTP/1.1\r\n".to_owned() + &"a: b\r\n".repeat(2000),
                "431",
                "websocket_request",
            ),
        ] {
            let error = upgrade(request.as_bytes(), "/mqtt").unwrap_err();
            let answer = error.answer();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{request}: {answer}"
            );
            assert_eq!(error.kind_name(), kind, "{request}");
        }
    }
}
