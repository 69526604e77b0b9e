//! The header of the PROXY protocol, versions 1 and 2, with which a load balancer tells the address of the client
//! before anything else.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Longest header of version 1, with its line end.
const V1_MAX: usize = 107;
/// What a header of version 2 begins with.
const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 2 that is taken: addresses and additions of the load balancer.
const V2_MAX: usize = 16 + 2048;

/// A header that is being read.
#[derive(Debug, Default)]
pub struct ProxyHeader {
    /// What has come of it.
    bytes: Vec<u8>,
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The client's address.
    Client(SocketAddr),
    /// The load balancer speaks for itself, or the address is of no kind that a TCP connection has.
    Itself,
}

/// The connection does not begin with a header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader(&'static str);

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PROXY protocol: {}", self.0)
    }
}

impl ProxyHeader {
    /// Takes what was received; once the header is complete, what it says and how many of `data` belong to it.
    ///
    /// # Errors
    /// [`BadHeader`] as soon as it cannot be one.
    pub fn receive(&mut self, data: &[u8]) -> Result<Option<(Source, usize)>, BadHeader> {
        let before = self.bytes.len();
        // No header is longer; what is behind it is not kept.
        let room = V2_MAX.saturating_sub(before).min(data.len());
        self.bytes
            .extend_from_slice(data.get(..room).unwrap_or_default());
        let parsed = parse(&self.bytes)?;
        Ok(parsed.map(|(source, len)| (source, len.saturating_sub(before))))
    }
}

/// A complete header at the front of `bytes`, and its length.
fn parse(bytes: &[u8]) -> Result<Option<(Source, usize)>, BadHeader> {
    let begins_as = |whole: &[u8]| {
        let common = whole.len().min(bytes.len());
        bytes.get(..common) == whole.get(..common)
    };
    if begins_as(b"PROXY ") {
        return v1(bytes);
    }
    if begins_as(&V2_SIGNATURE) {
        return v2(bytes);
    }
    Err(BadHeader("the connection does not begin with a header"))
}

fn v1(bytes: &[u8]) -> Result<Option<(Source, usize)>, BadHeader> {
    const BAD: BadHeader = BadHeader("malformed header of version 1");
    let line = bytes.get(..V1_MAX).unwrap_or(bytes);
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return match line.len() < V1_MAX {
            true => Ok(None),
            false => Err(BAD),
        };
    };
    let text = line
        .get(..end)
        .and_then(|line| std::str::from_utf8(line).ok());
    let words: Vec<&str> = text.ok_or(BAD)?.split(' ').collect();
    let source = match &words[..] {
        ["PROXY", "UNKNOWN", ..] => Source::Itself,
        [
            "PROXY",
            family @ ("TCP4" | "TCP6"),
            source,
            destination,
            from,
            to,
        ] => {
            let is_v4 = *family == "TCP4";
            let address = |text: &str| {
                let address: IpAddr = text.parse().map_err(|_| BAD)?;
                match address.is_ipv4() == is_v4 {
                    true => Ok(address),
                    false => Err(BAD),
                }
            };
            let port = |text: &str| text.parse::<u16>().map_err(|_| BAD);
            address(destination)?;
            port(to)?;
            Source::Client(SocketAddr::new(address(source)?, port(from)?))
        }
        _ => return Err(BAD),
    };
    Ok(Some((source, end + 2)))
}

fn v2(bytes: &[u8]) -> Result<Option<(Source, usize)>, BadHeader> {
    const BAD: BadHeader = BadHeader("malformed header of version 2");
    let Some((&[.., command, family, high, low], rest)) = bytes.split_first_chunk::<16>() else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len + 16 > V2_MAX {
        return Err(BadHeader("the header is too long"));
    }
    if command >> 4 != 2 {
        return Err(BAD);
    }
    let Some(body) = rest.get(..len) else {
        return Ok(None);
    };
    let source = match (command & 0xF, family) {
        // LOCAL: health checks of the load balancer.
        (0, _) => Source::Itself,
        // PROXY, TCP over IPv4 or IPv6.
        (1, 0x11) => {
            let (source, rest) = body.split_first_chunk::<4>().ok_or(BAD)?;
            let (_, rest) = rest.split_first_chunk::<4>().ok_or(BAD)?;
            let (port, _) = rest.split_first_chunk::<2>().ok_or(BAD)?;
            rest.first_chunk::<4>().ok_or(BAD)?;
            let address = IpAddr::V4(Ipv4Addr::from(*source));
            Source::Client(SocketAddr::new(address, u16::from_be_bytes(*port)))
        }
        (1, 0x21) => {
            let (source, rest) = body.split_first_chunk::<16>().ok_or(BAD)?;
            let (_, rest) = rest.split_first_chunk::<16>().ok_or(BAD)?;
            let (port, _) = rest.split_first_chunk::<2>().ok_or(BAD)?;
            rest.first_chunk::<4>().ok_or(BAD)?;
            let address = IpAddr::V6(Ipv6Addr::from(*source));
            Source::Client(SocketAddr::new(address, u16::from_be_bytes(*port)))
        }
        (1, _) => Source::Itself,
        _ => return Err(BAD),
    };
    Ok(Some((source, 16 + len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2.
    fn second(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn client(address: &str) -> Option<Source> {
        Some(Source::Client(address.parse().unwrap()))
    }

    fn cases() -> Vec<(Vec<u8>, Option<Source>)> {
        let v4 = [
            &[10, 0, 0, 1, 10, 0, 0, 2, 0x1F, 0x90, 7, 91][..],
            b"addition",
        ]
        .concat();
        let mut v6 = vec![0; 31];
        v6.insert(15, 1);
        v6.extend([0x1F, 0x90, 7, 91]);
        let text = |line: &str| line.as_bytes().to_vec();
        vec![
            (
                text("PROXY TCP4 192.0.2.1 192.0.2.2 56324 1883\r\n"),
                client("192.0.2.1:56324"),
            ),
            (
                text("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"),
                client("[2001:db8::1]:1"),
            ),
            (text("PROXY UNKNOWN\r\n"), Some(Source::Itself)),
            (
                text("PROXY UNKNOWN ffff::1 ::1 1 2\r\n"),
                Some(Source::Itself),
            ),
            (text("PROXY TCP4 ::1 ::1 1 2\r\n"), None),
            (text("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), None),
            (text("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), None),
            (text("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"), None),
            (text(&format!("PROXY {}", "x".repeat(200))), None),
            (second(0x21, 0x11, &v4), client("10.0.0.1:8080")),
            (second(0x21, 0x21, &v6), client("[::1]:8080")),
            (second(0x20, 0x00, b""), Some(Source::Itself)),
            (second(0x21, 0x31, b"a path"), Some(Source::Itself)),
            (second(0x21, 0x11, &[1; 11]), None),
            (second(0x21, 0x21, &[1; 35]), None),
            (second(0x11, 0x11, &v4), None),
            (second(0x22, 0x11, &v4), None),
            (second(0x21, 0x11, &[0; 2049]), None),
            (text("\x10\x0c\x00\x04MQTT"), None),
            (text("GET / HTTP/1.1\r\n"), None),
        ]
    }

    #[test]
    fn headers_are_read_whole_and_byte_by_byte() {
        for (bytes, expected) in cases() {
            let with_more = [&bytes[..], b"\x10\x0c"].concat();
            let whole = ProxyHeader::default().receive(&with_more);
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            match (whole, expected) {
                (Ok(Some((source, used))), Some(expected)) => {
                    assert_eq!((source, used), (expected, bytes.len()), "{shown}");
                }
                (Err(_), None) => {}
                (got, _) => panic!("{shown}: {got:?}"),
            }
            let mut header = ProxyHeader::default();
            let mut result = None;
            for (at, byte) in with_more.iter().enumerate() {
                match header.receive(&[*byte]) {
                    Ok(None) => {}
                    Ok(Some((source, used))) => {
                        assert_eq!((at + 1, used), (bytes.len(), 1), "{shown}");
                        result = Some(source);
                        break;
                    }
                    Err(_) => break,
                }
            }
            assert_eq!(result, expected, "{shown}");
        }
    }
}
