//! What is decoded is encoded again, and decodes to the same: of every packet, version and sender.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use nanomq::mqtt::{Packet, Sender, connect_version, decode_as, encode, frame_header, packet_len};
use nanomq_fuzz::version;

fuzz_target!(|data: &[u8]| {
    let [how, first, body @ ..] = data else {
        return;
    };
    let _ = frame_header(data, u32::MAX);
    let _ = connect_version(body);
    let sender = match how & 0x80 {
        0 => Sender::Client,
        _ => Sender::Server,
    };
    let version = version(how & 0x7f);
    let Ok(packet) = decode_as(sender, version, *first, body) else {
        return;
    };
    let version = match &packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let mut wire = BytesMut::new();
    encode(&packet, version, &mut wire).expect("what was decoded can be encoded");
    assert_eq!(wire.len(), packet_len(&packet, version));
    let header = frame_header(&wire, u32::MAX)
        .expect("a header")
        .expect("a whole one");
    assert_eq!(header.packet_len(), wire.len());
    let again = decode_as(
        sender,
        version,
        header.first_byte,
        &wire[header.header_len..],
    );
    assert_eq!(again.expect("decodes again"), packet);
    // Whoever walks through it gets to the end.
    packet.properties().iter().count();
    if let Packet::Subscribe(subscribe) = &packet {
        assert!(subscribe.filters.iter().count() > 0);
    }
});
