//! WebSocket frames (RFC 6455, section 5) as MQTT uses them: a stream of bytes in binary messages `[MQTT-6.0.0-1]`, cut
//! anywhere `[MQTT-6.0.0-2]`. Nothing of a frame is kept but an incomplete header or control frame.

use std::fmt;

use bytes::{BufMut, BytesMut};

/// Payload of a control frame at most.
const CONTROL_MAX: u64 = 125;
/// Longest header: two bytes, eight of length, four of mask.
const HEADER_MAX: usize = 14;

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// What the peer did wrong; each has a close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A text frame `[MQTT-6.0.0-1]`.
    Text,
    /// A frame of a client without a mask.
    Unmasked,
    /// A frame of a server with a mask.
    Masked,
    /// A reserved bit: no extension was agreed.
    ReservedBits,
    /// A reserved opcode.
    Opcode,
    /// A control frame of more than 125 bytes.
    ControlTooLong,
    /// A control frame in fragments.
    ControlFragmented,
    /// A continuation of nothing, or a new message within another.
    Fragmentation,
    /// A frame larger than `max_frame_size`.
    TooLarge,
    /// A length that is not in the shortest form, or has its highest bit set.
    Length,
    /// A close frame with a code that may not be sent.
    CloseCode,
}

impl FrameError {
    /// The code of the close frame that answers it.
    pub fn close_code(self) -> u16 {
        match self {
            Self::Text => 1003,
            Self::TooLarge => 1009,
            _ => 1002,
        }
    }

    /// A stable name for statistics.
    pub fn kind_name(self) -> &'static str {
        match self {
            Self::Text => "websocket_text",
            Self::Unmasked => "websocket_unmasked",
            Self::Masked => "websocket_masked",
            Self::ReservedBits => "websocket_reserved_bits",
            Self::Opcode => "websocket_opcode",
            Self::ControlTooLong => "websocket_control_too_long",
            Self::ControlFragmented => "websocket_control_fragmented",
            Self::Fragmentation => "websocket_fragmentation",
            Self::TooLarge => "websocket_frame_too_large",
            Self::Length => "websocket_length",
            Self::CloseCode => "websocket_close_code",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "WebSocket: a text frame [MQTT-6.0.0-1]",
            Self::Unmasked => "WebSocket: a frame without a mask",
            Self::Masked => "WebSocket: a frame of a server with a mask",
            Self::ReservedBits => "WebSocket: a reserved bit is set",
            Self::Opcode => "WebSocket: a reserved opcode",
            Self::ControlTooLong => "WebSocket: a control frame of more than 125 bytes",
            Self::ControlFragmented => "WebSocket: a control frame in fragments",
            Self::Fragmentation => "WebSocket: fragments out of order",
            Self::TooLarge => "WebSocket: a frame larger than max_frame_size",
            Self::Length => "WebSocket: a malformed length",
            Self::CloseCode => "WebSocket: a close frame with a reserved code",
        })
    }
}

/// Whether the client goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Open,
    /// The client has sent a close frame, which is answered.
    Closed,
}

/// Reads the frames of a client or, as [`FrameReader::of_server`], those of a server.
#[derive(Debug)]
pub struct FrameReader {
    max_frame_size: u64,
    /// The frames are those of a server, which have no mask; answers to them have one.
    of_server: bool,
    /// A message has begun whose last fragment has not come.
    in_message: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Header { bytes: [u8; HEADER_MAX], len: u8 },
    Payload { left: u64, mask: [u8; 4] },
    Control(Box<Control>),
}

#[derive(Debug)]
struct Control {
    opcode: u8,
    left: u64,
    mask: [u8; 4],
    payload: Vec<u8>,
}

const NO_HEADER: State = State::Header {
    bytes: [0; HEADER_MAX],
    len: 0,
};

impl FrameReader {
    /// Waits for the first frame. One with more than `max_frame_size` bytes is refused at its header.
    pub fn new(max_frame_size: u64) -> Self {
        Self {
            max_frame_size,
            of_server: false,
            in_message: false,
            state: NO_HEADER,
        }
    }

    /// As [`FrameReader::new`], for the frames of a server.
    pub fn of_server(max_frame_size: u64) -> Self {
        Self {
            of_server: true,
            ..Self::new(max_frame_size)
        }
    }

    /// Takes what was received: payload of messages goes to `out`, answers to control frames to `replies`.
    ///
    /// # Errors
    /// What the client did wrong; nothing of it may be read any more.
    pub fn receive(
        &mut self,
        mut data: &[u8],
        out: &mut BytesMut,
        replies: &mut BytesMut,
    ) -> Result<Progress, FrameError> {
        while !data.is_empty() {
            match &mut self.state {
                State::Header { bytes, len } => {
                    let Some((byte, rest)) = data.split_first() else {
                        break;
                    };
                    data = rest;
                    if let Some(slot) = bytes.get_mut(usize::from(*len)) {
                        *slot = *byte;
                    }
                    *len = len.saturating_add(1);
                    let bytes = bytes.get(..usize::from(*len)).unwrap_or_default();
                    let header = Header::parse(bytes, self.of_server)?;
                    if let Some(header) = header {
                        self.state = self.begin(header)?;
                    }
                }
                State::Payload { left, mask } => {
                    let (part, rest) = split(data, *left);
                    data = rest;
                    unmask(part, mask, out);
                    *left -= part.len() as u64;
                }
                State::Control(control) => {
                    let (part, rest) = split(data, control.left);
                    data = rest;
                    let mut payload = BytesMut::new();
                    unmask(part, &mut control.mask, &mut payload);
                    control.payload.extend_from_slice(&payload);
                    control.left -= part.len() as u64;
                }
            }
            // An empty payload is complete with its header.
            match &self.state {
                State::Payload { left: 0, .. } => self.state = NO_HEADER,
                State::Control(control) if control.left == 0 => {
                    let progress = control.answer(self.of_server, replies)?;
                    if progress == Progress::Closed {
                        return Ok(progress);
                    }
                    self.state = NO_HEADER;
                }
                _ => {}
            }
        }
        Ok(Progress::Open)
    }

    fn begin(&mut self, header: Header) -> Result<State, FrameError> {
        let Header {
            fin,
            opcode,
            len,
            mask,
        } = header;
        match (opcode, self.in_message) {
            (CLOSE | PING | PONG, _) => {
                return Ok(State::Control(Box::new(Control {
                    opcode,
                    left: len,
                    mask,
                    payload: Vec::new(),
                })));
            }
            (BINARY, false) | (CONTINUATION, true) => self.in_message = !fin,
            _ => return Err(FrameError::Fragmentation),
        }
        if len > self.max_frame_size {
            return Err(FrameError::TooLarge);
        }
        Ok(State::Payload { left: len, mask })
    }
}

impl Control {
    fn answer(&self, masked: bool, replies: &mut BytesMut) -> Result<Progress, FrameError> {
        let mut reply = |opcode, payload: &[u8]| match masked {
            true => put_masked(opcode, payload, replies),
            false => put_frame(opcode, payload, replies),
        };
        match self.opcode {
            PING => reply(PONG, &self.payload),
            CLOSE => {
                let code = match *self.payload.as_slice() {
                    [] => None,
                    [high, low, ..] => Some(u16::from_be_bytes([high, low])),
                    [_] => return Err(FrameError::CloseCode),
                };
                match code {
                    None => reply(CLOSE, &[]),
                    Some(code @ (1000..=1003 | 1007..=1014 | 3000..=4999)) => {
                        reply(CLOSE, &code.to_be_bytes());
                    }
                    Some(_) => return Err(FrameError::CloseCode),
                }
                return Ok(Progress::Closed);
            }
            _ => {}
        }
        Ok(Progress::Open)
    }
}

/// A header that is complete.
struct Header {
    fin: bool,
    opcode: u8,
    len: u64,
    mask: [u8; 4],
}

impl Header {
    /// None while bytes are missing. What is wrong is seen at the first byte that shows it.
    fn parse(bytes: &[u8], of_server: bool) -> Result<Option<Self>, FrameError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(FrameError::ReservedBits);
        }
        let (fin, opcode) = (first & FIN != 0, first & 0x0F);
        match opcode {
            CONTINUATION | BINARY => {}
            TEXT => return Err(FrameError::Text),
            CLOSE | PING | PONG if !fin => return Err(FrameError::ControlFragmented),
            CLOSE | PING | PONG => {}
            _ => return Err(FrameError::Opcode),
        }
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        match (second & 0x80 != 0, of_server) {
            (false, false) => return Err(FrameError::Unmasked),
            (true, true) => return Err(FrameError::Masked),
            _ => {}
        }
        let (len, rest) = match second & 0x7F {
            126 => match rest.split_first_chunk::<2>() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
                None if opcode >= CLOSE => return Err(FrameError::ControlTooLong),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None if opcode >= CLOSE => return Err(FrameError::ControlTooLong),
                None => return Ok(None),
            },
            len => (u64::from(len), rest),
        };
        let shortest = match second & 0x7F {
            126 => 126..=0xFFFF,
            127 => 0x1_0000..=u64::MAX >> 1,
            _ => 0..=CONTROL_MAX,
        };
        if !shortest.contains(&len) {
            return Err(FrameError::Length);
        }
        let mask = match (of_server, rest.first_chunk::<4>()) {
            (true, _) => [0; 4],
            (false, Some(mask)) => *mask,
            (false, None) => return Ok(None),
        };
        Ok(Some(Self {
            fin,
            opcode,
            len,
            mask,
        }))
    }
}

fn split(data: &[u8], left: u64) -> (&[u8], &[u8]) {
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
    data.split_at_checked(len).unwrap_or((data, &[]))
}

/// Appends `part` to `out` without its mask, which is turned on to where the next part begins.
fn unmask(part: &[u8], mask: &mut [u8; 4], out: &mut BytesMut) {
    let begin = out.len();
    out.extend_from_slice(part);
    let added = out.get_mut(begin..).unwrap_or_default();
    let (words, rest) = added.as_chunks_mut::<8>();
    let [a, b, c, d] = *mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip([a, b, c, d].iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(part.len() % 4);
}

/// Appends the header of a binary frame with `len` bytes, unmasked as those of a server are.
pub fn put_binary_header(len: usize, out: &mut BytesMut) {
    put_header(BINARY, len, out);
}

/// Appends a close frame.
pub fn put_close(code: u16, out: &mut BytesMut) {
    put_frame(CLOSE, &code.to_be_bytes(), out);
}

fn put_frame(opcode: u8, payload: &[u8], out: &mut BytesMut) {
    put_header(opcode, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Appends a binary frame of a client.
pub fn put_masked_binary(payload: &[u8], out: &mut BytesMut) {
    put_masked(BINARY, payload, out);
}

/// Appends a close frame of a client.
pub fn put_masked_close(code: u16, out: &mut BytesMut) {
    put_masked(CLOSE, &code.to_be_bytes(), out);
}

/// A frame with a mask that nobody can foresee (RFC 6455, section 5.3).
fn put_masked(opcode: u8, payload: &[u8], out: &mut BytesMut) {
    let mut mask = fastrand::u32(..).to_ne_bytes();
    put_lengths(opcode, payload.len(), 0x80, out);
    out.extend_from_slice(&mask);
    unmask(payload, &mut mask, out);
}

fn put_header(opcode: u8, len: usize, out: &mut BytesMut) {
    put_lengths(opcode, len, 0, out);
}

fn put_lengths(opcode: u8, len: usize, mask_bit: u8, out: &mut BytesMut) {
    out.put_u8(FIN | opcode);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..=125), _) => out.put_u8(mask_bit | len),
        (_, Ok(len)) => {
            out.put_u8(mask_bit | 126);
            out.put_u16(len);
        }
        _ => {
            out.put_u8(mask_bit | 127);
            out.put_u64(len as u64);
        }
    }
}

#[cfg(test)]
mod tests;
