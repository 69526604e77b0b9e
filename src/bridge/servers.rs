//! Which of a bridge's servers comes next.

/// The servers of a bridge by their place in the list: the first is wanted, the others stand in for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    current: usize,
}

impl Servers {
    /// The server that is connected to, or tried next.
    pub fn current(&self) -> usize {
        self.current
    }

    /// It could not be reached, or was lost: the next one of `count` is tried. True when all of them have been, so
    /// that it is time to wait.
    pub fn failed(&mut self, count: usize) -> bool {
        self.current = self.current.saturating_add(1);
        if self.current >= count {
            self.current = 0;
        }
        self.current == 0
    }

    /// The wanted server answers again.
    pub fn back(&mut self) {
        self.current = 0;
    }

    /// Whether another server than the wanted one is used.
    pub fn is_away(&self) -> bool {
        self.current > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_tried_in_turn() {
        let mut servers = Servers::default();
        let turns: Vec<_> = (0..5)
            .map(|_| (servers.failed(3), servers.current()))
            .collect();
        assert_eq!(
            turns,
            [(false, 1), (false, 2), (true, 0), (false, 1), (false, 2)]
        );
        assert!(servers.is_away());
        servers.back();
        assert!(!servers.is_away());
        assert!(servers.failed(1) && !servers.is_away());
        // There are fewer than before.
        servers.failed(3);
        assert!(servers.failed(1));
    }
}
