//! Which servers take the bit by which a bridge with MQTT 3 is known. Some refuse the protocol level that it makes, or close
//! the connection without an answer; but so does what stands before a server that is away.

use std::collections::HashMap;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Bits {
    /// By URL.
    servers: HashMap<String, Server>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// It has accepted a bridge with the bit, and so it always does.
    Takes,
    /// It has closed a connection with the bit. It is tried without.
    Doubted,
    /// And then has accepted one without: it was there. It is tried with the bit again.
    Tested,
    /// And has closed that again, or said that it does not know the level.
    Refuses,
}

/// What it means that a server has closed a connection with the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It is not the bit.
    Fails,
    /// It may be the bit: the server is to be greeted without.
    IsDoubted,
    /// It is the bit, and the server is greeted without from now on.
    Refuses,
}

impl Bits {
    /// Whether a server is greeted with the bit.
    pub fn takes(&self, url: &str) -> bool {
        !matches!(
            self.servers.get(url),
            Some(Server::Doubted | Server::Refuses)
        )
    }

    /// A server has closed the connection instead of answering a CONNECT with the bit.
    pub fn closed(&mut self, url: &str) -> Closed {
        let (next, closed) = match self.servers.get(url) {
            None | Some(Server::Doubted) => (Server::Doubted, Closed::IsDoubted),
            Some(Server::Tested | Server::Refuses) => (Server::Refuses, Closed::Refuses),
            Some(Server::Takes) => return Closed::Fails,
        };
        self.servers.insert(url.to_owned(), next);
        closed
    }

    /// A server has said that it does not know the level.
    pub fn refused(&mut self, url: &str) {
        self.servers.insert(url.to_owned(), Server::Refuses);
    }

    /// A server has accepted. False when it is to be greeted once more, with the bit.
    pub fn accepted(&mut self, url: &str, with_bit: bool) -> bool {
        let (next, stays) = match (with_bit, self.servers.get(url)) {
            (true, _) => (Server::Takes, true),
            (false, Some(Server::Doubted)) => (Server::Tested, false),
            (false, _) => return true,
        };
        self.servers.insert(url.to_owned(), next);
        stays
    }

    /// An attempt has failed otherwise, with whatever it was to show.
    pub fn failed(&mut self) {
        let is_known = |server: &Server| matches!(server, Server::Takes | Server::Refuses);
        self.servers.retain(|_, server| is_known(server));
    }

    /// The servers are others.
    pub fn forget(&mut self) {
        self.servers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_refuses_the_bit_only_if_it_is_there() {
        use Closed::{Fails, IsDoubted, Refuses};
        let mut bits = Bits::default();
        // It is away, then there, and takes the bit.
        for _ in 0..2 {
            assert!(bits.takes("s"));
            assert_eq!(bits.closed("s"), IsDoubted);
            assert!(!bits.takes("s"));
            bits.failed();
        }
        assert_eq!(bits.closed("s"), IsDoubted);
        assert!(!bits.accepted("s", false) && bits.takes("s"));
        assert!(bits.accepted("s", true));
        // What it does from now on has nothing to do with the bit.
        for _ in 0..2 {
            assert_eq!(bits.closed("s"), Fails);
            bits.failed();
            assert!(bits.takes("s"));
        }
        // It is there, and does not.
        assert_eq!(bits.closed("old"), IsDoubted);
        assert!(!bits.accepted("old", false) && bits.takes("old"));
        assert_eq!(bits.closed("old"), Refuses);
        bits.failed();
        assert!(!bits.takes("old") && bits.accepted("old", false) && !bits.takes("old"));
        // It was there, and is away again before that is known.
        assert_eq!(bits.closed("t"), IsDoubted);
        assert!(!bits.accepted("t", false));
        bits.failed();
        assert_eq!(bits.closed("t"), IsDoubted);

        bits.refused("says");
        assert!(!bits.takes("says") && bits.accepted("says", false));
        bits.forget();
        assert!(bits.takes("says") && bits.takes("old"));
        // Without the bit from the beginning, as with MQTT 5.
        assert!(bits.accepted("five", false) && bits.takes("five"));
    }
}
