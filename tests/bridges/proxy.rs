//! A TCP proxy that stands between a bridge and its remote broker, and breaks the line as a test tells it.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::kit::DEADLINE;

/// What happens to the bytes of all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// They pass.
    Whole,
    /// They vanish, both ways, while the sockets stay open. A connection that has lost bytes never passes any again.
    Silent,
    /// New connections are closed at once; those that are there go on.
    Refusing,
    /// They are not read any more, as by a peer that is too slow.
    Stopped,
    /// Every chunk waits this long.
    Delayed(Duration),
}

/// The proxy; it ends with all its connections when it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    line: Line,
    target: SocketAddr,
    /// Both sockets of every connection since the last cut.
    links: Vec<[TcpStream; 2]>,
    /// Connections so far.
    accepted: u64,
    /// Cuts so far. What a connection from before the last one has still read does not pass.
    cuts: u64,
    /// Connections are cut when so many bytes more have passed towards the target; and again after as many.
    cut_after: Option<(usize, usize)>,
    ended: bool,
}

impl State {
    fn cut(&mut self) {
        self.cuts += 1;
        for socket in self.links.drain(..).flatten() {
            // It fails when the peer has closed it already, which is what is wanted.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Proxy {
    /// A proxy on a free port.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                line: Line::Whole,
                target,
                links: Vec::new(),
                accepted: 0,
                cuts: 0,
                cut_after: None,
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// From now on connections lead there.
    pub fn lead_to(&self, target: SocketAddr) {
        self.shared.state.lock().unwrap().target = target;
    }

    /// Changes what happens to the bytes.
    pub fn set(&self, line: Line) {
        self.shared.state.lock().unwrap().line = line;
        self.shared.changed.notify_all();
    }

    /// Closes every connection, both ways.
    pub fn cut(&self) {
        self.shared.state.lock().unwrap().cut();
        self.shared.changed.notify_all();
    }

    /// Cuts whenever so many bytes have passed towards the target, wherever in a packet that is.
    pub fn cut_every(&self, bytes: usize) {
        self.shared.state.lock().unwrap().cut_after = Some((bytes, bytes));
    }

    /// Ends [`Proxy::cut_every`].
    pub fn cut_no_more(&self) {
        self.shared.state.lock().unwrap().cut_after = None;
    }

    /// Cuts again and again until what it returns is dropped.
    pub fn flap(&self, every: Duration) -> Flapping {
        let (ends, ended) = channel();
        let shared = Arc::clone(&self.shared);
        let thread = thread::spawn(move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                shared.state.lock().unwrap().cut();
                shared.changed.notify_all();
            }
        });
        Flapping {
            ends: Some(ends),
            thread: Some(thread),
        }
    }

    /// Connections so far.
    pub fn accepted(&self) -> u64 {
        self.shared.state.lock().unwrap().accepted
    }

    /// Waits until there have been so many connections.
    pub fn until_accepted(&self, connections: u64) {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.shared.state.lock().unwrap();
        while state.accepted < connections {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "only {} connections", state.accepted);
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap();
        state.ended = true;
        state.cut();
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// A line that is cut again and again.
pub struct Flapping {
    ends: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Flapping {
    fn drop(&mut self) {
        self.ends.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for near in listener.incoming() {
        let Ok(near) = near else { continue };
        let mut state = shared.state.lock().unwrap();
        if state.ended {
            return;
        }
        state.accepted += 1;
        shared.changed.notify_all();
        if state.line == Line::Refusing {
            continue;
        }
        let Ok(far) = TcpStream::connect(state.target) else {
            continue;
        };
        for socket in [&near, &far] {
            let _ = socket.set_nodelay(true);
        }
        let copy = |socket: &TcpStream| socket.try_clone().unwrap();
        state.links.push([copy(&near), copy(&far)]);
        for (from, to, is_up) in [(copy(&near), copy(&far), true), (far, near, false)] {
            let (shared, cuts) = (Arc::clone(shared), state.cuts);
            thread::spawn(move || pump(from, to, is_up, cuts, &shared));
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_up: bool, cuts_before: u64, shared: &Shared) {
    let mut has_lost = false;
    let mut chunk = [0; 16_384];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        let mut state = shared.state.lock().unwrap();
        while state.line == Line::Stopped && !state.ended {
            state = shared.changed.wait(state).unwrap();
        }
        if state.cuts != cuts_before {
            break;
        }
        let line = state.line;
        has_lost |= line == Line::Silent;
        if has_lost {
            continue;
        }
        let mut passes = n;
        let mut cuts = false;
        if let Some((left, every)) = state.cut_after.filter(|_| is_up) {
            cuts = left <= n;
            passes = left.min(n);
            state.cut_after = Some((if cuts { every } else { left - n }, every));
        }
        drop(state);
        if let Line::Delayed(time) = line {
            thread::sleep(time);
        }
        if to.write_all(&chunk[..passes]).is_err() {
            break;
        }
        if cuts {
            shared.state.lock().unwrap().cut();
        }
    }
    let _ = from.shutdown(Shutdown::Read);
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn the_proxy_passes_drops_and_cuts() {
    let target = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let proxy = Proxy::to(target.local_addr().unwrap());
    let pair = || {
        let near = TcpStream::connect(proxy.address).unwrap();
        let far = target.accept().unwrap().0;
        for socket in [&near, &far] {
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
        }
        (near, far)
    };
    let passes = |mut from: &TcpStream, mut to: &TcpStream| {
        from.write_all(b"bytes").unwrap();
        let mut read = [0; 5];
        to.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"bytes");
    };
    let (near, far) = pair();
    passes(&near, &far);
    passes(&far, &near);

    proxy.cut();
    assert_eq!((&near).read(&mut [0]).unwrap(), 0);
    assert_eq!((&far).read(&mut [0]).unwrap(), 0);

    let (near, far) = pair();
    proxy.set(Line::Silent);
    (&near).write_all(b"lost").unwrap();
    far.set_nonblocking(true).unwrap();
    let mut other = TcpStream::connect(proxy.address).unwrap();
    other.write_all(b"lost").unwrap();
    proxy.until_accepted(3);
    assert!(
        (&far).read(&mut [0]).is_err(),
        "nothing comes and nothing ends"
    );

    proxy.set(Line::Whole);
    proxy.cut();
    drop(target.accept().unwrap());
    let (near, far) = pair();
    proxy.cut_every(7);
    (&near).write_all(b"0123456789").unwrap();
    let mut read = Vec::new();
    (&far).read_to_end(&mut read).unwrap();
    assert_eq!(read, b"0123456");
}
