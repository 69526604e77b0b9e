//! A server that answers every connection of a bridge as a test says, and from some connection on leads to a real
//! broker.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use bytes::BytesMut;
use nanomq::mqtt::{
    Packet, Properties, ProtocolVersion, Sender as Side, SubAck, decode_as, frame_header,
};

use crate::{
    kit::{DEADLINE, bytes_of},
    notation::bytes,
    proxy::Proxy,
};

/// What is done with one connection.
pub type Conduct = Box<dyn FnOnce(&mut Caller) + Send>;

/// Conducts in their order, by name.
type Conducts = VecDeque<(String, Conduct)>;

/// The server; it ends when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    left: Arc<Mutex<Option<Conducts>>>,
    done: Receiver<(String, Result<(), String>)>,
}

impl Server {
    /// Each connection gets the next conduct, with its name; those after the last are led on.
    pub fn start(conducts: Vec<(String, Conduct)>, then: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(Mutex::new(Some(VecDeque::from(conducts))));
        let (says, done) = channel();
        let taken = Arc::clone(&left);
        thread::spawn(move || {
            let on = Proxy::to(then);
            for socket in listener.incoming().map_while(Result::ok) {
                let next = match taken.lock().unwrap().as_mut() {
                    Some(left) => left.pop_front(),
                    None => return,
                };
                match next {
                    Some((name, conduct)) => serve(socket, name, conduct, &says),
                    None => lead_on(socket, on.address),
                }
            }
        });
        Self {
            address,
            left,
            done,
        }
    }

    /// The names of the conducts in their order, each with what went otherwise than it has to; waits for the next.
    pub fn next_done(&self) -> (String, Result<(), String>) {
        self.done
            .recv_timeout(DEADLINE)
            .expect("the bridge comes again")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.left.lock().unwrap() = None;
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    socket: TcpStream,
    name: String,
    conduct: Conduct,
    says: &Sender<(String, Result<(), String>)>,
) {
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.set_nodelay(true).unwrap();
    let mut caller = Caller {
        socket,
        input: BytesMut::new(),
        wrong: None,
        version: 4,
    };
    conduct(&mut caller);
    let _ = caller.socket.shutdown(Shutdown::Both);
    let result = caller.wrong.map_or(Ok(()), Err);
    let _ = says.send((name, result));
}

/// Passes bytes both ways.
fn lead_on(near: TcpStream, to: SocketAddr) {
    let Ok(far) = TcpStream::connect(to) else {
        return;
    };
    for (mut from, mut to) in [
        (near.try_clone().unwrap(), far.try_clone().unwrap()),
        (far, near),
    ] {
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}

/// The bridge as the server sees it: a socket.
pub struct Caller {
    socket: TcpStream,
    input: BytesMut,
    wrong: Option<String>,
    /// Protocol level of what [`Caller::packet_of_kind`] answers.
    pub version: u8,
}

impl Caller {
    /// Sends bytes in notation. The bridge may be gone already.
    pub fn send(&mut self, text: &str) {
        self.send_bytes(&bytes(text));
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// The next packet with its fixed header; none when the bridge has closed the connection, or says nothing.
    pub fn packet(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(header) = frame_header(&self.input, 1 << 28).unwrap() {
                return Some(self.input.split_to(header.packet_len()));
            }
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk) {
                Ok(n @ 1..) => self.input.extend_from_slice(&chunk[..n]),
                _ => return None,
            }
        }
    }

    /// The next packet of a kind (the first byte's upper half), and whatever comes before it is answered well:
    /// CONNECT, SUBSCRIBE and PINGREQ. None when the connection ends first.
    pub fn packet_of_kind(&mut self, kind: u8) -> Option<BytesMut> {
        loop {
            let packet = self.packet()?;
            let first = packet.first()? >> 4;
            if first == kind {
                return Some(packet);
            }
            self.answer_well(first, &packet);
        }
    }

    /// Answers well until the first SUBSCRIBE is granted. False when the connection ends first.
    pub fn subscribed(&mut self) -> bool {
        match self.packet_of_kind(8) {
            Some(packet) => {
                self.answer_well(8, &packet);
                true
            }
            None => false,
        }
    }

    /// Answers as a server that grants everything.
    pub fn answer_well(&mut self, kind: u8, packet: &[u8]) {
        match (kind, self.version) {
            (1, 5) => self.send("20 [00 00 []]"),
            (1, _) => self.send("20 [00 00]"),
            (8, version) => {
                let version = match version {
                    5 => ProtocolVersion::V5,
                    _ => ProtocolVersion::V311,
                };
                let header = frame_header(packet, 1 << 28).unwrap().unwrap();
                let body = &packet[header.header_len..];
                let subscribe = decode_as(Side::Client, version, header.first_byte, body);
                let Ok(Packet::Subscribe(subscribe)) = subscribe else {
                    return self.complain("a SUBSCRIBE that is none".to_owned());
                };
                let granted = vec![2; subscribe.filters.iter().count()];
                let answer = Packet::SubAck(SubAck {
                    packet_id: subscribe.packet_id,
                    properties: Properties::EMPTY,
                    reasons: &granted,
                });
                self.send_bytes(&bytes_of(&answer, version));
            }
            (12, _) => self.send("D0 []"),
            _ => {}
        }
    }

    /// The bridge has to close the connection, whatever it sends before that.
    pub fn expect_closed(&mut self) {
        let mut chunk = [0; 4096];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(1..) => {}
                Ok(0) => return,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
                Err(error) => {
                    self.wrong = Some(format!("the bridge goes on: {error}"));
                    return;
                }
            }
        }
    }

    /// What happened must not have.
    pub fn complain(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }
}
