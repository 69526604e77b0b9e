//! The time by which actors decide what is due. In the simulation it stands still until a test moves it on.

/// The time now.
#[cfg(not(test))]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(test)]
pub(crate) use simulated::{now, stand_at};

#[cfg(test)]
mod simulated {
    use std::{cell::Cell, time::Instant};

    thread_local! {
        static STANDS_AT: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    /// The time at which the clock of this thread stands, or that of the machine.
    pub(crate) fn now() -> Instant {
        STANDS_AT.get().unwrap_or_else(Instant::now)
    }

    /// The clock of this thread stands at `time`, or is that of the machine again.
    pub(crate) fn stand_at(time: Option<Instant>) {
        STANDS_AT.set(time);
    }
}
