//! Which servers a bridge with MQTT 3 tells who it is. Some close the connection of one that subscribes to what they have
//! not got, which looks like a line that breaks just then.

use std::collections::HashMap;

/// Connections in a row that may end before a server has answered: then one goes without.
const TRIES: u8 = 2;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Introductions {
    /// By URL.
    servers: HashMap<String, Server>,
}

#[derive(Debug)]
enum Server {
    /// It has answered once, and so it always does.
    Answers,
    /// So many connections in a row have ended before it had.
    Silent(u8),
}

impl Introductions {
    /// Whether a server is told on a connection that begins now.
    pub fn begin(&mut self, url: &str) -> bool {
        match self.servers.get_mut(url) {
            Some(Server::Silent(times)) if *times >= TRIES => {
                // It may have learned to by the time of the next connection.
                *times = TRIES.saturating_sub(1);
                false
            }
            _ => true,
        }
    }

    /// A server has answered.
    pub fn answered(&mut self, url: &str) {
        self.servers.insert(url.to_owned(), Server::Answers);
    }

    /// A connection has ended before the server has answered.
    pub fn ended(&mut self, url: &str) {
        let server = self.servers.entry(url.to_owned());
        if let Server::Silent(times) = server.or_insert(Server::Silent(0)) {
            *times = times.saturating_add(1);
        }
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
    fn only_a_server_that_never_answers_is_spared() {
        let mut known = Introductions::default();
        for _ in 0..TRIES {
            assert!(known.begin("never"));
            known.ended("never");
        }
        // One connection goes without; the one after that tries again.
        for _ in 0..3 {
            assert!(!known.begin("never"));
            assert!(known.begin("never"));
            known.ended("never");
        }
        assert!(known.begin("other"));
        known.answered("other");
        for _ in 0..=TRIES {
            known.ended("other");
            assert!(known.begin("other"));
        }
        known.forget();
        assert!(known.begin("never"));
    }
}
