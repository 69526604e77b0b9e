//! Tests of the codec as a whole; what concerns one type alone is beside it.

mod bytes_exact;
mod corpus;
mod cut;
mod malformed;
mod malformed_connect;
mod properties;
mod round_trip;

use bytes::BytesMut;

use super::*;

const NO_LIMIT: u32 = u32::MAX;

/// Reads one whole packet the way a connection does.
fn read(sender: Sender, version: ProtocolVersion, bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let header = frame_header(bytes, NO_LIMIT)?.expect("a whole packet");
    assert_eq!(
        header.packet_len(),
        bytes.len(),
        "the remaining length of {bytes:02x?}"
    );
    decode_as(
        sender,
        version,
        header.first_byte,
        &bytes[header.header_len..],
    )
}

/// Writes one packet.
fn written(packet: &Packet<'_>, version: ProtocolVersion) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode(packet, version, &mut out).expect("a packet that can be written");
    out.to_vec()
}

/// Puts a fixed header before a body.
fn framed(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first_byte];
    let mut rest = body.len();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.extend_from_slice(body);
    out
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not zero")
}
