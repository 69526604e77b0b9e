//! The client's side of a WebSocket: the request, the check of its answer, and frames with masks.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::BytesMut;

use super::{
    FrameError, FrameReader, NORMAL, Progress,
    frame::{put_masked_binary, put_masked_close},
    upgrade::{Fields, HEADERS_MAX, REQUEST_MAX, accept_key},
};

/// The largest frame of a server that is taken. A frame is never kept: the limit of packets bounds memory.
const MAX_FRAME: u64 = 256 << 20;

/// A request for WebSocket whose answer is awaited.
#[derive(Debug)]
pub struct UpgradeRequest {
    key: String,
}

impl UpgradeRequest {
    /// A request to a server, and its bytes.
    pub fn new(authority: &str, path: &str) -> (Self, Vec<u8>) {
        let key = BASE64_STANDARD.encode(fastrand::u128(..).to_ne_bytes());
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        (Self { key }, request.into_bytes())
    }

    /// Reads the answer at the front of `bytes`: how many belong to it, or none while it is not complete.
    ///
    /// # Errors
    /// Why there is no WebSocket.
    pub fn answered(&self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let len = match response.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= REQUEST_MAX => len,
            Ok(httparse::Status::Partial) if bytes.len() <= REQUEST_MAX => return Ok(None),
            Ok(_) => return Err(format!("the answer is longer than {REQUEST_MAX} bytes")),
            Err(error) => return Err(format!("the answer is not HTTP: {error}")),
        };
        match response.code {
            Some(101) => {}
            Some(code) => return Err(format!("the server answered {code}")),
            None => return Err("the answer has no status".to_owned()),
        }
        let fields = Fields(response.headers);
        if !fields.has_word("upgrade", "websocket") || !fields.has_word("connection", "upgrade") {
            return Err("the server did not upgrade to WebSocket".to_owned());
        }
        let accepted = fields.words("sec-websocket-accept").next();
        if accepted != Some(accept_key(&self.key).as_str()) {
            return Err("the answer is not to this request".to_owned());
        }
        if fields.words("sec-websocket-protocol").next() != Some("mqtt") {
            return Err("the server does not speak the subprotocol mqtt [MQTT-6.0.0-3]".to_owned());
        }
        Ok(Some(len))
    }
}

/// A WebSocket that is open, seen from the client.
#[derive(Debug)]
pub struct ClientWebSocket {
    reader: FrameReader,
    closed: bool,
}

impl Default for ClientWebSocket {
    fn default() -> Self {
        Self {
            reader: FrameReader::of_server(MAX_FRAME),
            closed: false,
        }
    }
}

impl ClientWebSocket {
    /// Takes what was received: `plain` gets what the server says in MQTT, `replies` what is to be sent at once.
    ///
    /// # Errors
    /// What the server did wrong.
    pub fn receive(
        &mut self,
        data: &[u8],
        plain: &mut BytesMut,
        replies: &mut BytesMut,
    ) -> Result<Progress, FrameError> {
        let progress = self.reader.receive(data, plain, replies)?;
        self.closed |= progress == Progress::Closed;
        Ok(progress)
    }

    /// Appends `data` to `out` as a frame.
    pub fn send(&self, data: &[u8], out: &mut BytesMut) {
        if !self.closed {
            put_masked_binary(data, out);
        }
    }

    /// Appends a close frame to `out`, once.
    pub fn close(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.closed, true) {
            put_masked_close(NORMAL, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, transport::websocket::WebSocket};

    #[test]
    fn both_sides_understand_each_other() {
        let (request, bytes) = UpgradeRequest::new("h:80", "/mqtt");
        let mut server = WebSocket::new(&config::WebSocket::default());
        let (mut plain, mut answer) = (BytesMut::new(), BytesMut::new());
        server.receive(&bytes, &mut plain, &mut answer).unwrap();
        for cut in 0..answer.len() {
            assert_eq!(request.answered(&answer[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(request.answered(&answer), Ok(Some(answer.len())));

        let mut client = ClientWebSocket::default();
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let data = vec![7; len];
            let (mut wire, mut plain, mut none) = Default::default();
            client.send(&data, &mut wire);
            server.receive(&wire, &mut plain, &mut none).unwrap();
            assert_eq!(plain, data);
            let mut wire = BytesMut::new();
            assert!(server.begin_frame(len, &mut wire));
            wire.extend_from_slice(&data);
            let mut plain = BytesMut::new();
            client.receive(&wire, &mut plain, &mut none).unwrap();
            assert_eq!(plain, data);
        }
        let (mut wire, mut plain, mut replies) = Default::default();
        client.close(&mut wire);
        client.close(&mut wire);
        let progress = server.receive(&wire, &mut plain, &mut replies);
        assert_eq!(progress, Ok(Progress::Closed));
        let progress = client.receive(&replies, &mut plain, &mut BytesMut::new());
        assert_eq!(progress, Ok(Progress::Closed));
    }

    #[test]
    fn pings_are_answered_with_masks_and_masks_refused() {
        let mut client = ClientWebSocket::default();
        let (mut plain, mut replies) = (BytesMut::new(), BytesMut::new());
        let ping = [0x89, 2, b'a', b'b'];
        client.receive(&ping, &mut plain, &mut replies).unwrap();
        assert_eq!(replies.first().copied(), Some(0x8A));
        assert_eq!(replies.len(), 2 + 4 + 2);
        let masked = [0x82, 0x81, 0, 0, 0, 0, 1];
        let refused = client.receive(&masked, &mut plain, &mut replies);
        assert_eq!(refused, Err(FrameError::Masked));
    }

    #[test]
    fn other_answers_are_refused() {
        let (request, _) = UpgradeRequest::new("h", "/");
        for answer in [
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "\u{20}\u{2}\r\n\r\n",
        ] {
            assert!(request.answered(answer.as_bytes()).is_err(), "{answer}");
        }
        let long = format!("HTTP/1.1 101 X\r\na: {}", "x".repeat(9000));
        assert!(request.answered(long.as_bytes()).is_err());
    }
}
