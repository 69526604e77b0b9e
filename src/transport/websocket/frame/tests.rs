use super::*;

const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    put_header(0, payload.len(), &mut bytes);
    bytes[0] = first;
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b));
    bytes.to_vec()
}

/// What a reader makes of bytes that come in parts of `step`: messages, replies, and how it ended.
fn read(bytes: &[u8], step: usize) -> (Vec<u8>, Vec<u8>, Result<Progress, FrameError>) {
    let mut reader = FrameReader::new(1000);
    let (mut out, mut replies) = (BytesMut::new(), BytesMut::new());
    let mut end = Ok(Progress::Open);
    for part in bytes.chunks(step) {
        end = reader.receive(part, &mut out, &mut replies);
        if end != Ok(Progress::Open) {
            break;
        }
    }
    (out.to_vec(), replies.to_vec(), end)
}

#[test]
fn messages_are_a_stream_however_they_are_cut() {
    let long = vec![7; 700];
    type Case = (Vec<Vec<u8>>, Vec<u8>, Vec<u8>);
    let cases: [Case; 6] = [
        (vec![frame(0x82, b"hello")], b"hello".to_vec(), vec![]),
        (
            vec![frame(0x82, b""), frame(0x82, b"x")],
            b"x".to_vec(),
            vec![],
        ),
        (
            vec![
                frame(0x02, b"ab"),
                frame(0x00, b""),
                frame(0x80, b"cd"),
                frame(0x82, b"e"),
            ],
            b"abcde".to_vec(),
            vec![],
        ),
        (vec![frame(0x82, &long)], long.clone(), vec![]),
        (
            vec![
                frame(0x02, b"a"),
                frame(0x89, b"ping"),
                frame(0x8A, b"x"),
                frame(0x80, b"b"),
            ],
            b"ab".to_vec(),
            b"\x8a\x04ping".to_vec(),
        ),
        (vec![frame(0x89, b"")], vec![], b"\x8a\x00".to_vec()),
    ];
    for (frames, messages, replies) in cases {
        let bytes = frames.concat();
        for step in [1, 2, 3, 5, 7, 64, 10_000] {
            let expected = (messages.clone(), replies.clone(), Ok(Progress::Open));
            assert_eq!(read(&bytes, step), expected, "{step}: {bytes:02X?}");
        }
    }
}

#[test]
fn a_close_frame_is_answered_and_ends_the_stream() {
    for (payload, reply) in [
        (&b""[..], &b"\x88\x00"[..]),
        (&[0x03, 0xE8], b"\x88\x02\x03\xe8"),
        (b"\x0f\xa0bye", b"\x88\x02\x0f\xa0"),
    ] {
        let bytes = [frame(0x82, b"a"), frame(0x88, payload), frame(0x82, b"b")].concat();
        for step in [1, 4, 1000] {
            let expected = (b"a".to_vec(), reply.to_vec(), Ok(Progress::Closed));
            assert_eq!(read(&bytes, step), expected, "{payload:?}");
        }
    }
}

#[test]
fn what_is_wrong_is_seen_at_the_header() {
    let unmasked = |first: u8| vec![first, 0x00];
    for (bytes, error, code) in [
        (frame(0x81, b"text"), FrameError::Text, 1003),
        (frame(0x01, b"text"), FrameError::Text, 1003),
        (unmasked(0x82), FrameError::Unmasked, 1002),
        (unmasked(0x89), FrameError::Unmasked, 1002),
        (frame(0xC2, b"x"), FrameError::ReservedBits, 1002),
        (frame(0xA2, b"x"), FrameError::ReservedBits, 1002),
        (frame(0x92, b"x"), FrameError::ReservedBits, 1002),
        (frame(0x83, b"x"), FrameError::Opcode, 1002),
        (frame(0x8F, b"x"), FrameError::Opcode, 1002),
        (frame(0x89, &[0; 126]), FrameError::ControlTooLong, 1002),
        (frame(0x88, &[0; 70_000]), FrameError::ControlTooLong, 1002),
        (frame(0x09, b"x"), FrameError::ControlFragmented, 1002),
        (frame(0x08, b""), FrameError::ControlFragmented, 1002),
        (frame(0x80, b"x"), FrameError::Fragmentation, 1002),
        (
            [frame(0x02, b"x"), frame(0x82, b"y")].concat(),
            FrameError::Fragmentation,
            1002,
        ),
        (frame(0x82, &[0; 1001]), FrameError::TooLarge, 1009),
        (vec![0x82, 0xFE, 0x00, 0x7D], FrameError::Length, 1002),
        (
            vec![0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
            FrameError::Length,
            1002,
        ),
        (
            vec![0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0],
            FrameError::Length,
            1002,
        ),
        (frame(0x88, b"\x03"), FrameError::CloseCode, 1002),
        (
            frame(0x88, &1005_u16.to_be_bytes()),
            FrameError::CloseCode,
            1002,
        ),
        (
            frame(0x88, &999_u16.to_be_bytes()),
            FrameError::CloseCode,
            1002,
        ),
    ] {
        for step in [1, 2, 100_000] {
            let (out, replies, end) = read(&bytes, step);
            assert_eq!(end, Err(error), "{:02X?}", bytes.get(..4));
            assert!(out.len() <= 1 && replies.is_empty());
        }
        assert_eq!(error.close_code(), code);
    }
}

#[test]
fn headers_of_our_own_have_the_shortest_length() {
    for (len, header) in [
        (0, &b"\x82\x00"[..]),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ] {
        let mut out = BytesMut::new();
        put_binary_header(len, &mut out);
        assert_eq!(&out[..], header);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_the_same_however_they_are_cut(bytes: Vec<u8>, step in 1_usize..20) {
        let whole = read(&bytes, 10_000);
        let cut = read(&bytes, step);
        assert_eq!((whole.0, whole.1), (cut.0, cut.1));
        // A partial last chunk may end in any state, the same one.
        assert_eq!(whole.2, cut.2);
    }

    #[test]
    fn what_is_sent_comes_out(parts: Vec<Vec<u8>>, step in 1_usize..50) {
        let frames: Vec<u8> = parts.iter().flat_map(|part| frame(0x82, part)).collect();
        let (out, _, end) = read(&frames, step);
        assert_eq!((out, end), (parts.concat(), Ok(Progress::Open)));
    }
}
