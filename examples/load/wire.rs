//! The few MQTT packets a load generator needs: built once, patched in place, scanned without copying.
//!
//! Written apart from the broker's codec on purpose, so that a mistake there cannot hide itself here.

use crate::{Failure, Result};

/// What a payload starts with: publisher, sequence number and scheduled time, four bytes each.
pub const STAMP_LEN: usize = 12;

pub const CONNACK: u8 = 2;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;
pub const SUBACK: u8 = 9;
pub const PINGRESP: u8 = 13;
pub const DISCONNECT: u8 = 14;

pub const PINGREQ_PACKET: [u8; 2] = [0xC0, 0];
pub const DISCONNECT_PACKET: [u8; 2] = [0xE0, 0];

/// The protocol version a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V4,
    V5,
}

/// One complete packet inside a receive buffer.
pub struct Frame<'a> {
    pub header: u8,
    pub body: &'a [u8],
    /// Bytes of the whole packet, fixed header included.
    pub len: usize,
}

impl Frame<'_> {
    pub fn kind(&self) -> u8 {
        self.header >> 4
    }
}

/// Returns the first packet in `buf`, or `None` while it is incomplete.
pub fn next_frame(buf: &[u8]) -> Result<Option<Frame<'_>>> {
    let Some(&header) = buf.first() else {
        return Ok(None);
    };
    let Some((remaining, used)) = variable_int(buf.get(1..).unwrap_or_default())? else {
        return Ok(None);
    };
    let start = 1 + used;
    Ok(buf.get(start..start + remaining).map(|body| Frame {
        header,
        body,
        len: start + remaining,
    }))
}

/// The parts of a received PUBLISH that the generator looks at.
pub struct Publish<'a> {
    pub qos: u8,
    /// Zero at QoS 0.
    pub packet_id: u16,
    pub payload: &'a [u8],
}

/// Takes a PUBLISH apart.
pub fn parse_publish<'a>(frame: &Frame<'a>, version: Version) -> Result<Publish<'a>> {
    let short = || Failure::protocol("a PUBLISH is shorter than its fields");
    let qos = (frame.header >> 1) & 3;
    let topic_len = usize::from(be16(frame.body, 0).ok_or_else(short)?);
    let mut at = 2 + topic_len;
    let mut packet_id = 0;
    if qos > 0 {
        packet_id = be16(frame.body, at).ok_or_else(short)?;
        at += 2;
    }
    if version == Version::V5 {
        let rest = frame.body.get(at..).ok_or_else(short)?;
        let (len, used) = variable_int(rest)?.ok_or_else(short)?;
        at += used + len;
    }
    let payload = frame.body.get(at..).ok_or_else(short)?;
    Ok(Publish {
        qos,
        packet_id,
        payload,
    })
}

/// Who sent a payload, as which message, and when it was due (microseconds since the start of the run).
#[derive(Clone, Copy)]
pub struct Stamp {
    pub publisher: u32,
    pub seq: u32,
    pub due_us: u32,
}

impl Stamp {
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (words, _) = payload.first_chunk::<STAMP_LEN>()?.as_chunks::<4>();
        match words {
            [publisher, seq, due] => Some(Self {
                publisher: u32::from_be_bytes(*publisher),
                seq: u32::from_be_bytes(*seq),
                due_us: u32::from_be_bytes(*due),
            }),
            _ => None,
        }
    }

    /// Writes itself to the front of a payload.
    pub fn write(self, payload: &mut [u8]) {
        put(payload, 0, self.publisher.to_be_bytes());
        put(payload, 4, self.seq.to_be_bytes());
        put(payload, 8, self.due_us.to_be_bytes());
    }
}

/// Returns the packet identifier that an acknowledgement carries; a v5 reason code of 0x80 or more is an error.
pub fn parse_ack(frame: &Frame<'_>) -> Result<u16> {
    let id = be16(frame.body, 0)
        .ok_or_else(|| Failure::protocol("an acknowledgement without a packet identifier"))?;
    match frame.body.get(2) {
        Some(reason) if *reason >= 0x80 => Err(Failure::protocol(format!(
            "packet type {} for identifier {id} carries reason 0x{reason:02X}",
            frame.kind()
        ))),
        _ => Ok(id),
    }
}

/// Checks a CONNACK and returns the broker's receive maximum (65,535 where it names none).
pub fn parse_connack(frame: &Frame<'_>, version: Version) -> Result<u16> {
    match (frame.kind(), frame.body.get(1)) {
        (CONNACK, Some(0)) => {}
        (CONNACK, Some(code)) => {
            return Err(Failure::protocol(format!(
                "CONNECT refused with code 0x{code:02X}"
            )));
        }
        (kind, _) => {
            return Err(Failure::protocol(format!(
                "packet type {kind} where CONNACK was due"
            )));
        }
    }
    match version {
        Version::V4 => Ok(u16::MAX),
        Version::V5 => receive_maximum(frame.body.get(2..).unwrap_or_default()),
    }
}

/// Checks that a SUBACK grants every subscription at exactly `qos`.
pub fn parse_suback(frame: &Frame<'_>, version: Version, qos: u8) -> Result<()> {
    if frame.kind() != SUBACK {
        return Err(Failure::protocol(format!(
            "packet type {} where SUBACK was due",
            frame.kind()
        )));
    }
    let mut codes = frame.body.get(2..).unwrap_or_default();
    if version == Version::V5 {
        let (len, used) =
            variable_int(codes)?.ok_or_else(|| Failure::protocol("a SUBACK without properties"))?;
        codes = codes.get(used + len..).unwrap_or_default();
    }
    match codes {
        [granted] if *granted == qos => Ok(()),
        other => Err(Failure::protocol(format!(
            "SUBSCRIBE at QoS {qos} answered with codes {other:02X?}"
        ))),
    }
}

/// Whether a session begins anew and ends with its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Session {
    Clean,
    /// It goes on for ten minutes without a connection.
    Kept,
}

/// CONNECT; `keepalive` in seconds, 0 for none.
pub fn connect(version: Version, client_id: &str, session: Session, keepalive: u16) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T'];
    let flags = if session == Session::Clean { 0x02 } else { 0 };
    body.extend_from_slice(&[if version == Version::V4 { 4 } else { 5 }, flags]);
    body.extend_from_slice(&keepalive.to_be_bytes());
    match (version, session) {
        (Version::V4, _) => {}
        (Version::V5, Session::Clean) => body.push(0),
        (Version::V5, Session::Kept) => body.extend_from_slice(&[5, 0x11, 0, 0, 2, 88]),
    }
    string(&mut body, client_id);
    packet(0x10, &body)
}

/// SUBSCRIBE to one filter, with packet identifier 1.
pub fn subscribe(version: Version, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    if version == Version::V5 {
        body.push(0);
    }
    string(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

/// A PUBLISH; `id` counts only above QoS 0.
pub fn publish(
    version: Version,
    topic: &str,
    qos: u8,
    retain: bool,
    id: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 5);
    string(&mut body, topic);
    if qos > 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    if version == Version::V5 {
        body.push(0);
    }
    body.extend_from_slice(payload);
    packet(0x30 | (qos << 1) | u8::from(retain), &body)
}

/// Checks that a packet is of a kind.
pub fn expect(frame: &Frame<'_>, kind: u8) -> Result<()> {
    match frame.kind() == kind {
        true => Ok(()),
        false => Err(Failure::protocol(format!(
            "packet type {} where {kind} was due",
            frame.kind()
        ))),
    }
}

/// Appends a packet that is nothing but an identifier: PUBACK, PUBREC, PUBREL or PUBCOMP.
pub fn push_ack(out: &mut Vec<u8>, kind: u8, id: u16) {
    let flags = if kind == PUBREL { 2 } else { 0 };
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[(kind << 4) | flags, 2, high, low]);
}

/// A PUBLISH that is complete but for its packet identifier and stamp.
pub struct PublishTemplate {
    bytes: Vec<u8>,
    /// Where the packet identifier is; equal to `stamp_at` at QoS 0 and then not used.
    id_at: usize,
    stamp_at: usize,
    qos: u8,
}

impl PublishTemplate {
    /// `size` is the payload's size in bytes, at least [`STAMP_LEN`].
    pub fn new(version: Version, topic: &str, qos: u8, size: usize) -> Self {
        let mut body = Vec::new();
        string(&mut body, topic);
        if qos > 0 {
            body.extend_from_slice(&[0, 0]);
        }
        if version == Version::V5 {
            body.push(0);
        }
        let before_payload = body.len();
        body.resize(before_payload + size, b'.');
        let bytes = packet(0x30 | (qos << 1), &body);
        let stamp_at = bytes.len() - size;
        let id_len = if qos > 0 { 2 } else { 0 };
        let id_at = stamp_at - usize::from(version == Version::V5) - id_len;
        Self {
            bytes,
            id_at,
            stamp_at,
            qos,
        }
    }

    /// Appends one PUBLISH to `out`.
    pub fn push(&self, out: &mut Vec<u8>, packet_id: u16, stamp: Stamp) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let Some(packet) = out.get_mut(start..) else {
            return;
        };
        if self.qos > 0 {
            put(packet, self.id_at, packet_id.to_be_bytes());
        }
        if let Some(payload) = packet.get_mut(self.stamp_at..) {
            stamp.write(payload);
        }
    }
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(slot) = bytes.get_mut(at..at + N) {
        slot.copy_from_slice(&value);
    }
}

fn packet(header: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![header];
    let mut rest = body.len();
    loop {
        let digit = (rest % 128) as u8;
        rest /= 128;
        out.push(if rest > 0 { digit | 0x80 } else { digit });
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*pair))
}

/// Reads a variable byte integer: its value and its length, or `None` while it is incomplete.
fn variable_int(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut value = 0usize;
    for (i, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((value, i + 1)));
        }
    }
    match bytes.len() {
        0..4 => Ok(None),
        _ => Err(Failure::protocol(
            "a variable byte integer is longer than four bytes",
        )),
    }
}

/// Finds Receive Maximum (0x21) among the properties of a CONNACK.
fn receive_maximum(bytes: &[u8]) -> Result<u16> {
    let broken = || Failure::protocol("the properties of CONNACK cannot be read");
    let (len, used) = variable_int(bytes)?.ok_or_else(broken)?;
    let mut rest = bytes.get(used..used + len).ok_or_else(broken)?;
    while let Some((id, value)) = rest.split_first() {
        let text = |at: usize| be16(value, at).map(|len| 2 + usize::from(len));
        let size = match id {
            0x21 => return be16(value, 0).ok_or_else(broken),
            0x24 | 0x25 | 0x28 | 0x29 | 0x2A => 1,
            0x13 | 0x22 => 2,
            0x11 | 0x27 => 4,
            0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => text(0).ok_or_else(broken)?,
            0x26 => {
                let key = text(0).ok_or_else(broken)?;
                key + text(key).ok_or_else(broken)?
            }
            _ => return Err(broken()),
        };
        rest = value.get(size..).ok_or_else(broken)?;
    }
    Ok(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pushed_publish_reads_back() {
        for (version, qos) in [Version::V4, Version::V5]
            .into_iter()
            .flat_map(|version| [0, 1, 2].map(|qos| (version, qos)))
        {
            let template = PublishTemplate::new(version, "a/b", qos, 300);
            let mut out = Vec::new();
            template.push(
                &mut out,
                513,
                Stamp {
                    publisher: 7,
                    seq: 8,
                    due_us: 9,
                },
            );
            for cut in 0..out.len() {
                assert!(
                    next_frame(&out[..cut]).unwrap().is_none(),
                    "{version:?} QoS {qos}: complete after {cut} bytes"
                );
            }
            let frame = next_frame(&out).unwrap().unwrap();
            assert_eq!(frame.len, out.len());
            let publish = parse_publish(&frame, version).unwrap();
            let stamp = Stamp::read(publish.payload).unwrap();
            assert_eq!((publish.qos, publish.payload.len()), (qos, 300));
            assert_eq!(publish.packet_id, if qos > 0 { 513 } else { 0 });
            assert_eq!((stamp.publisher, stamp.seq, stamp.due_us), (7, 8, 9));
        }
    }

    #[test]
    fn connack_names_the_receive_maximum_or_refuses() {
        let cases: [(&[u8], Version, Option<u16>); 7] = [
            (&[0x20, 2, 0, 0], Version::V4, Some(65_535)),
            (&[0x20, 2, 0, 5], Version::V4, None),
            (&[0x20, 3, 0, 0, 0], Version::V5, Some(65_535)),
            (&[0x20, 6, 0, 0, 3, 0x21, 0, 20], Version::V5, Some(20)),
            (
                &[0x20, 11, 0, 0, 8, 0x12, 0, 2, b'i', b'd', 0x21, 1, 0],
                Version::V5,
                Some(256),
            ),
            (&[0x20, 5, 0, 0, 2, 0x21, 0], Version::V5, None),
            (&[0x20, 3, 0, 0, 9], Version::V5, None),
        ];
        for (bytes, version, expected) in cases {
            let frame = next_frame(bytes).unwrap().unwrap();
            assert_eq!(
                parse_connack(&frame, version).ok(),
                expected,
                "{bytes:02X?}"
            );
        }
    }

    #[test]
    fn an_overlong_length_is_an_error() {
        assert!(next_frame(&[0x30, 0x80, 0x80, 0x80, 0x80]).is_err());
        assert!(next_frame(&[0x30, 0x80, 0x80, 0x80]).unwrap().is_none());
    }
}
