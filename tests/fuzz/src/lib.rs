//! What the targets share.

use nanomq::mqtt::ProtocolVersion;

/// A version of the protocol out of a byte.
pub fn version(byte: u8) -> ProtocolVersion {
    match byte % 3 {
        0 => ProtocolVersion::V31,
        1 => ProtocolVersion::V311,
        _ => ProtocolVersion::V5,
    }
}

/// `data` in pieces whose lengths, up to 255, are the bytes of `cuts`; the rest is the last one.
pub fn pieces<'a>(cuts: &'a [u8], mut data: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let lengths = cuts.iter().map(|cut| usize::from(*cut));
    lengths.chain([usize::MAX]).map(move |length| {
        let (piece, rest) = data.split_at(length.min(data.len()));
        data = rest;
        piece
    })
}
