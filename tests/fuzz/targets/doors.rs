//! What is below MQTT: the header of the PROXY protocol, and WebSocket from the request to the frames. However the bytes
//! are cut into pieces, the outcome is the same.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use nanomq::{
    config,
    transport::fuzzing::{FrameReader, Progress, ProxyHeader, WebSocket},
};
use nanomq_fuzz::pieces;

const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

fuzz_target!(|data: &[u8]| {
    let [kind, cuts, data @ ..] = data else {
        return;
    };
    let Some((cuts, data)) = data.split_at_checked(usize::from(cuts % 16)) else {
        return;
    };
    match kind % 4 {
        0 => assert_eq!(proxy(&[], data), proxy(cuts, data)),
        1 => assert_eq!(websocket(&[], data), websocket(cuts, data)),
        2 => {
            let all = [REQUEST, data].concat();
            assert_eq!(websocket(&[], &all), websocket(cuts, &all));
        }
        _ => assert_eq!(frames(&[], data), frames(cuts, data)),
    }
});

/// What the header says, and how many bytes in all belong to it.
fn proxy(cuts: &[u8], data: &[u8]) -> Result<Option<(String, usize)>, ()> {
    let (mut header, mut before) = (ProxyHeader::default(), 0);
    for piece in pieces(cuts, data) {
        if let Some((source, len)) = header.receive(piece).map_err(|_| ())? {
            assert!(len <= piece.len());
            return Ok(Some((format!("{source:?}"), before + len)));
        }
        before += piece.len();
    }
    Ok(None)
}

type Received = (Vec<u8>, Vec<u8>, Result<bool, String>);

fn frames(cuts: &[u8], data: &[u8]) -> Received {
    let mut reader = FrameReader::new(1000);
    receive(cuts, data, |piece, out, replies| {
        reader
            .receive(piece, out, replies)
            .map_err(|error| error.to_string())
    })
}

fn websocket(cuts: &[u8], data: &[u8]) -> Received {
    let config = config::WebSocket {
        path: "/mqtt".into(),
        max_frame_size: 1000,
    };
    let mut socket = WebSocket::new(&config);
    let received = receive(cuts, data, |piece, out, replies| {
        socket
            .receive(piece, out, replies)
            .map_err(|error| format!("{error:?}"))
    });
    let mut out = BytesMut::new();
    socket.begin_frame(data.len(), &mut out);
    socket.close(&mut out);
    received
}

fn receive(
    cuts: &[u8],
    data: &[u8],
    mut each: impl FnMut(&[u8], &mut BytesMut, &mut BytesMut) -> Result<Progress, String>,
) -> Received {
    let (mut out, mut replies) = (BytesMut::new(), BytesMut::new());
    let mut end = Ok(true);
    for piece in pieces(cuts, data) {
        match each(piece, &mut out, &mut replies) {
            Ok(Progress::Open) => {}
            Ok(Progress::Closed) => {
                end = Ok(false);
                break;
            }
            Err(error) => {
                end = Err(error);
                break;
            }
        }
    }
    assert!(
        out.len() <= data.len(),
        "a frame is longer than its payload"
    );
    (out.to_vec(), replies.to_vec(), end)
}
