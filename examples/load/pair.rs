//! A publisher and the subscriber of its topic, for `scaling`: bytes go in, and the same bytes have to come out.
//!
//! All messages of a pair are equal, so what arrived is counted without being looked at, and even without being copied:
//! the kernel throws away what is read. Only [`Pair::check`] compares.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

use crate::conn::{Conn, KEEP_ALIVE};
use crate::wire::{PublishTemplate, Session, Stamp};
use crate::{Failure, Result, Target};

/// Bytes of whole messages that are written at once.
const BLOCK_BYTES: usize = 64 * 1024;
/// Bytes thrown away at once.
const DISCARD_BYTES: usize = 16 * 1024 * 1024;
/// How long the one message of a check may take.
const CHECK_LIMIT: Duration = Duration::from_secs(20);

/// Names the length of what is read; no byte is ever written into it.
pub struct Sink(Vec<u8>);

impl Sink {
    pub fn new() -> Self {
        Self(vec![0; DISCARD_BYTES])
    }
}

pub struct Pair {
    publisher: TcpStream,
    subscriber: TcpStream,
    /// Whole messages, all the same.
    block: Vec<u8>,
    message_len: usize,
    /// Bytes that the publisher's socket has taken.
    written: u64,
    /// Bytes that were to be written, always those of whole messages.
    promised: u64,
    /// Bytes that have reached the subscriber.
    received: u64,
}

impl Pair {
    /// Connects and subscribes pair `index`; `prefix` begins its topic.
    pub async fn open(target: &Target, prefix: &str, index: u32, size: usize) -> Result<Self> {
        let topic = format!("{prefix}/{index}");
        let name = |role| format!("{prefix}{role}{index}").replace('/', "");
        let (mut subscriber, _) =
            Conn::open(target, &name('s'), Session::Clean, KEEP_ALIVE).await?;
        subscriber.subscribe(target, &topic, 0).await?;
        let (publisher, _) = Conn::open(target, &name('p'), Session::Clean, KEEP_ALIVE).await?;
        let stamp = Stamp {
            publisher: index,
            seq: 0,
            due_us: 0,
        };
        let template = PublishTemplate::new(target.version, &topic, 0, size);
        let mut block = Vec::with_capacity(BLOCK_BYTES + size);
        template.push(&mut block, 0, stamp);
        let message_len = block.len();
        while block.len() < BLOCK_BYTES {
            template.push(&mut block, 0, stamp);
        }
        Ok(Self {
            publisher: publisher.into_socket()?,
            subscriber: subscriber.into_socket()?,
            block,
            message_len,
            written: 0,
            promised: 0,
            received: 0,
        })
    }

    /// Messages that were written and that have arrived.
    pub fn messages(&self) -> (u64, u64) {
        let len = self.message_len as u64;
        (self.promised / len, self.received / len)
    }

    /// Bytes on their way.
    pub fn under_way(&self) -> u64 {
        self.promised.saturating_sub(self.received)
    }

    /// Writes `messages` more, or as many of them as the socket takes, and tells whether it took all. The rest of one
    /// that it took in part follows with [`Pair::advance`].
    pub fn fill(&mut self, messages: u64) -> Result<bool> {
        let len = self.message_len as u64;
        self.promised += messages * len;
        self.write()?;
        let full = self.written < self.promised;
        if full {
            self.promised = self.written.div_ceil(len) * len;
        }
        Ok(!full)
    }

    /// Takes what has arrived, and writes what is left of a message; true if anything moved.
    pub fn advance(&mut self, sink: &mut Sink) -> Result<bool> {
        let before = (self.written, self.received);
        self.write()?;
        match recv(&self.subscriber, &mut sink.0[..], RecvFlags::TRUNC) {
            Ok((_, 0)) => return Err(Failure::protocol("the broker closed a connection")),
            Ok((_, count)) => self.received += count as u64,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::Io(error.into())),
        }
        Ok(before != (self.written, self.received))
    }

    /// Sends one message through an idle pair: it must come out unchanged, and nothing before it.
    pub fn check(&mut self) -> Result<()> {
        self.fill(1)?;
        let deadline = Instant::now() + CHECK_LIMIT;
        let mut came = vec![0; self.message_len + 1];
        let mut at = 0;
        while at < self.message_len {
            let room = came.get_mut(at..).unwrap_or_default();
            match recv(&self.subscriber, room, RecvFlags::empty()) {
                Ok((0, _)) => return Err(Failure::protocol("the broker closed a connection")),
                Ok((count, _)) => at += count,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                    self.write()?;
                    if Instant::now() >= deadline {
                        return Err(Failure::protocol("a single message did not arrive"));
                    }
                    thread::sleep(Duration::from_micros(100));
                }
                Err(error) => return Err(Failure::Io(error.into())),
            }
        }
        self.received += at as u64;
        if came.get(..at) == self.block.get(..self.message_len) {
            Ok(())
        } else {
            Err(Failure::protocol("something else arrived than was sent"))
        }
    }

    /// Writes until nothing promised is left or the socket takes no more.
    fn write(&mut self) -> Result<()> {
        while self.written < self.promised {
            let at = (self.written % self.block.len() as u64) as usize;
            let left = (self.promised - self.written).min(self.block.len() as u64) as usize;
            let end = (at + left).min(self.block.len());
            match self
                .publisher
                .write(self.block.get(at..end).unwrap_or_default())
            {
                Ok(count) => self.written += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    /// A pair, and the other ends of its publisher and its subscriber.
    fn pair() -> (Pair, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || {
            let own = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            own.set_nonblocking(true).unwrap();
            (own, listener.accept().unwrap().0)
        };
        let ((publisher, from), (subscriber, to)) = (connect(), connect());
        let pair = Pair {
            publisher,
            subscriber,
            block: b"message".repeat(1000),
            message_len: 7,
            written: 0,
            promised: 0,
            received: 0,
        };
        (pair, from, to)
    }

    #[test]
    fn a_full_socket_takes_whole_messages_and_all_arrive() {
        let (mut pair, mut from, mut to) = pair();
        let mut sink = Sink::new();
        assert!(!pair.fill(100_000_000).unwrap());
        let (sent, received) = pair.messages();
        assert!(sent > 1000 && received == 0);
        assert_eq!(pair.under_way(), sent * 7);
        let broker = thread::spawn(move || {
            let copied = io::copy(&mut (&mut from).take(sent * 7), &mut to).unwrap();
            (from, to, copied)
        });
        while pair.under_way() > 0 {
            pair.advance(&mut sink).unwrap();
        }
        assert_eq!(pair.messages(), (sent, sent));
        let (mut from, mut to, copied) = broker.join().unwrap();
        assert_eq!(copied, sent * 7);

        let broker = thread::spawn(move || io::copy(&mut (&mut from).take(7), &mut to));
        pair.check().unwrap();
        broker.join().unwrap().unwrap();
    }

    #[test]
    fn what_was_not_sent_is_noticed() {
        for wrong in [&b"massage"[..], b"messagem"] {
            let (mut pair, _from, mut to) = pair();
            to.write_all(wrong).unwrap();
            // All of it is there before it is looked at.
            while pair.subscriber.peek(&mut [0; 16]).unwrap_or(0) < wrong.len() {}
            assert!(pair.check().is_err(), "{wrong:?}");
        }
    }
}
