//! As much of an HTTP/1.1 client as the tests of the API need.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::harness::DEADLINE;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, with their values.
    headers: Vec<(String, String)>,
    /// The body, which is always JSON.
    pub body: Value,
}

impl Response {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Asks for `path` with HTTP basic authentication, or without any when `login` is `None`.
pub fn get(port: u16, path: &str, login: Option<(&str, &str)>) -> Response {
    let mut stream =
        TcpStream::connect(("127.0.0.1", port)).expect("the HTTP server accepts connections");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a read time-out");
    let authorization = login
        .map(|(user, password)| {
            format!(
                "Authorization: Basic {}\r\n",
                base64(format!("{user}:{password}").as_bytes())
            )
        })
        .unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{authorization}Connection: close\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .expect("the request is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer is read");
    parse(&String::from_utf8(answer).expect("the answer is UTF-8"))
}

/// Takes an answer apart. A body in chunks is joined, since a server may choose that.
fn parse(answer: &str) -> Response {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("not an HTTP answer: {answer:?}"));
    let mut lines = head.lines();
    let status_line = lines.next().expect("a status line");
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status in {status_line:?}"));
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked {
        joined(body)
    } else {
        body.to_owned()
    };
    let body = serde_json::from_str(&body)
        .unwrap_or_else(|error| panic!("the body is not JSON ({error}): {body:?}"));
    Response {
        status,
        headers,
        body,
    }
}

fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        if size == 0 {
            break;
        }
        body.push_str(&rest[..size]);
        chunks = &rest[size + 2..];
    }
    body
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0u32, |group, byte| (group << 8) | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[test]
fn base64_pads() {
    for (plain, encoded) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("admin:public", "YWRtaW46cHVibGlj"),
    ] {
        assert_eq!(base64(plain.as_bytes()), encoded);
    }
}

#[test]
fn answers_are_taken_apart() {
    let cases = [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"code\":0}",
            200,
            0,
        ),
        (
            "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"cod\r\n7\r\ne\":112}\r\n0\r\n\r\n",
            404,
            112,
        ),
    ];
    for (answer, status, code) in cases {
        let response = parse(answer);
        assert_eq!(
            (response.status, response.body["code"].as_i64()),
            (status, Some(code))
        );
    }
}
