//! One client connection: a non-blocking socket, its receive buffer and what waits to be written.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::carrier::Carrier;
use crate::wire::{self, DISCONNECT, DISCONNECT_PACKET, Frame, Session};
use crate::{Failure, Result, Target};

/// Keep alive of clients that are not idle, in seconds: longer than any run, since some brokers refuse 0.
pub const KEEP_ALIVE: u16 = 3600;
/// How long a broker may take to answer CONNECT or SUBSCRIBE.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Large enough for every answer of a handshake; clients that receive messages get more.
const HANDSHAKE_BUFFER: usize = 256;

pub struct Conn {
    /// Shared so that a task can wait for readiness without borrowing the rest.
    stream: Rc<TcpStream>,
    inbox: Vec<u8>,
    /// Bytes of `inbox` that hold unread input.
    filled: usize,
    /// What is to be written from `written` on.
    pub out: Vec<u8>,
    written: usize,
    /// Between the socket and MQTT; none with plain TCP.
    carrier: Option<Box<Carrier>>,
}

impl Conn {
    /// Connects and waits for CONNACK; also returns the broker's receive maximum.
    pub async fn open(
        target: &Target,
        client_id: &str,
        session: Session,
        keepalive: u16,
    ) -> Result<(Self, u16)> {
        let stream = timeout(ANSWER_LIMIT, TcpStream::connect(target.addr))
            .await
            .map_err(|_| {
                Failure::protocol(format!("no TCP connection to {} in time", target.addr))
            })?
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("connecting to {}: {error}", target.addr),
                )
            })?;
        stream.set_nodelay(true)?;
        let carrier = match (&target.tls, target.ws) {
            (None, false) => None,
            (tls, websocket) => {
                let opening = Carrier::open(&stream, tls.as_ref(), websocket);
                let carrier = timeout(ANSWER_LIMIT, opening)
                    .await
                    .map_err(|_| Failure::protocol("no handshake in time"))??;
                Some(Box::new(carrier))
            }
        };
        let mut conn = Self {
            stream: Rc::new(stream),
            inbox: vec![0; HANDSHAKE_BUFFER],
            filled: 0,
            out: Vec::new(),
            written: 0,
            carrier,
        };
        conn.out = wire::connect(target.version, client_id, session, keepalive);
        let receive_maximum = conn
            .answer(|frame| wire::parse_connack(frame, target.version))
            .await?;
        Ok((conn, receive_maximum))
    }

    /// Subscribes to one filter and waits for SUBACK.
    pub async fn subscribe(&mut self, target: &Target, filter: &str, qos: u8) -> Result<()> {
        self.out
            .extend(wire::subscribe(target.version, filter, qos));
        self.answer(|frame| wire::parse_suback(frame, target.version, qos))
            .await
    }

    /// Gives the receive buffer at least `len` bytes.
    pub fn reserve_inbox(&mut self, len: usize) {
        if self.inbox.len() < len {
            self.inbox.resize(len, 0);
        }
    }

    pub fn stream(&self) -> Rc<TcpStream> {
        Rc::clone(&self.stream)
    }

    /// The socket alone, non-blocking, of a connection with plain TCP on which nothing is under way.
    pub fn into_socket(self) -> Result<std::net::TcpStream> {
        if self.filled > 0 || self.has_output() || self.carrier.is_some() {
            return Err(Failure::protocol("the broker said more than was asked"));
        }
        let stream = Rc::try_unwrap(self.stream)
            .map_err(|_| Failure::Io(io::Error::other("the socket is in use")))?;
        Ok(stream.into_std()?)
    }

    pub fn has_output(&self) -> bool {
        let in_carrier = self
            .carrier
            .as_ref()
            .is_some_and(|carrier| carrier.has_output());
        in_carrier || self.written < self.out.len()
    }

    /// Readable, and writable too while output waits.
    pub fn interest(&self) -> Interest {
        if self.has_output() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        }
    }

    /// Reads once and hands each complete packet to `handle`, together with the output to answer into.
    /// A socket that has nothing to read is not an error.
    pub fn read_frames(
        &mut self,
        mut handle: impl FnMut(&Frame<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        self.fill()?;
        let mut at = 0;
        while let Some(len) = self.handle_frame(at, &mut handle)? {
            at += len;
        }
        self.consume(at);
        Ok(())
    }

    /// Reads what is there into the receive buffer.
    fn fill(&mut self) -> Result<()> {
        if let Some(carrier) = &mut self.carrier {
            let size = self.inbox.len();
            self.inbox.truncate(self.filled);
            carrier.read(&self.stream, &mut self.inbox)?;
            self.filled = self.inbox.len();
            self.inbox.resize(self.filled.max(size), 0);
            return Ok(());
        }
        let Some(space) = self.inbox.get_mut(self.filled..) else {
            return Ok(());
        };
        match self.stream.try_read(space) {
            Ok(0) => Err(Failure::protocol("the broker closed a connection")),
            Ok(count) => {
                self.filled += count;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands the packet that begins at `at` to `handle`, if it is complete; returns its length.
    fn handle_frame(
        &mut self,
        at: usize,
        handle: &mut impl FnMut(&Frame<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<Option<usize>> {
        let unread = self.inbox.get(at..self.filled).unwrap_or_default();
        let Some(frame) = wire::next_frame(unread)? else {
            return Ok(None);
        };
        if frame.kind() == DISCONNECT {
            let reason = frame.body.first().copied().unwrap_or(0);
            return Err(Failure::protocol(format!(
                "the broker disconnected with reason 0x{reason:02X}"
            )));
        }
        handle(&frame, &mut self.out)?;
        Ok(Some(frame.len))
    }

    /// Forgets the first `len` bytes of the receive buffer, and makes it larger when it is full.
    fn consume(&mut self, len: usize) {
        self.inbox.copy_within(len..self.filled, 0);
        self.filled -= len;
        if self.filled == self.inbox.len() {
            self.inbox.resize(self.filled * 2, 0);
        }
    }

    /// Writes until everything is out or the socket is full.
    pub fn flush(&mut self) -> Result<()> {
        if let Some(carrier) = &mut self.carrier {
            // Only what the socket takes is taken over, so that `out` shows how much waits.
            if !carrier.has_output() && !self.out.is_empty() {
                carrier.put(&self.out)?;
                self.out.clear();
            }
            return carrier.flush(&self.stream);
        }
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.try_write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Writes all that waits; a broker that does not read for long is an error.
    pub async fn flush_all(&mut self) -> Result<()> {
        self.flush()?;
        while self.has_output() {
            timeout(ANSWER_LIMIT, self.stream.writable())
                .await
                .map_err(|_| Failure::protocol("the broker does not read"))??;
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what waits, waits until something can be read, and hands what came to `handle`.
    pub async fn exchange(
        &mut self,
        handle: impl FnMut(&Frame<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        self.flush()?;
        // What came behind an answer is there already.
        let unread = self.inbox.get(..self.filled).unwrap_or_default();
        if wire::next_frame(unread)?.is_none() {
            timeout(ANSWER_LIMIT, self.stream.ready(self.interest()))
                .await
                .map_err(|_| Failure::protocol("the broker says nothing"))??;
        }
        self.read_frames(handle)?;
        self.flush()
    }

    /// Says goodbye.
    pub async fn close(mut self) -> Result<()> {
        self.out.extend_from_slice(&DISCONNECT_PACKET);
        self.flush_all().await
    }

    /// Sends what waits and lets `parse` judge the next packet; those behind it stay in the buffer.
    async fn answer<T>(&mut self, parse: impl Fn(&Frame<'_>) -> Result<T>) -> Result<T> {
        let exchange = async {
            let mut answer = None;
            loop {
                self.flush()?;
                self.stream.ready(self.interest()).await?;
                self.fill()?;
                let taken = self.handle_frame(0, &mut |frame, _| {
                    answer = Some(parse(frame)?);
                    Ok(())
                })?;
                self.consume(taken.unwrap_or(0));
                if let Some(answer) = answer.take() {
                    return Ok(answer);
                }
            }
        };
        timeout(ANSWER_LIMIT, exchange)
            .await
            .map_err(|_| Failure::protocol("no answer to CONNECT or SUBSCRIBE in time"))?
    }
}
