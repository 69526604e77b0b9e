//! The bound on what waits for a worker.
//!
//! `do_send` knows no bound, so the bound is kept here: every inbox adds the bytes that wait in it to the load of
//! the worker that is to drain it, and a publisher that finds a worker over its limit stops reading its socket
//! until the worker has caught up. Workers never block, so that ends.
//!
//! Publishers go on in the order in which they came to wait, and while any waits, each that publishes gets in line
//! after one chunk: those that run would keep the load just high enough for the others to wait for ever. The first few
//! may go on in any order, for the first of all may be on another thread and busy.
//!
//! A publisher waits for all workers that it is to wait for: if it waited for one of them only, those in line for that one would
//! go round without ever waiting for another.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
};

/// So many at the front of the line may go on when the worker has caught up.
const FRONT: usize = 32;

/// Bytes that wait in the inboxes of one worker, and who waits for them to shrink.
#[derive(Debug)]
pub struct WorkerLoad {
    pending: AtomicUsize,
    limit: usize,
    /// Whether publishers stand in line.
    has_line: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Publishers by number, ascending.
    line: VecDeque<(u64, Waker)>,
    /// Number of the next one.
    next: u64,
    /// Those that wait for something else which this worker does.
    parked: Vec<Waker>,
}

impl WorkerLoad {
    /// No publisher goes on while more than `limit` bytes wait.
    pub fn new(limit: usize) -> Self {
        Self {
            pending: AtomicUsize::new(0),
            limit,
            has_line: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    /// Bytes have come to wait.
    pub fn add(&self, bytes: usize) {
        self.pending.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes wait no longer.
    pub fn remove(&self, bytes: usize) {
        let before = self.pending.fetch_sub(bytes, Ordering::AcqRel);
        let after = before.saturating_sub(bytes);
        if before > self.limit / 2 && after <= self.limit / 2 {
            let mut waiting = self.lock();
            let parked = std::mem::take(&mut waiting.parked);
            waiting.wake_front();
            drop(waiting);
            parked.into_iter().for_each(Waker::wake);
        }
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// True when publishers are to pause.
    pub fn is_over(&self) -> bool {
        self.pending.load(Ordering::Acquire) > self.limit || self.has_line.load(Ordering::Acquire)
    }

    /// Wakes `waker` with the others at the next occasion.
    pub fn park(&self, waker: &Waker) {
        let mut waiting = self.lock();
        if !waiting.parked.iter().any(|other| other.will_wake(waker)) {
            waiting.parked.push(waker.clone());
        }
    }

    /// Wakes everybody who is parked, to look again.
    pub fn wake_parked(&self) {
        let parked = std::mem::take(&mut self.lock().parked);
        parked.into_iter().for_each(Waker::wake);
    }

    /// [`Turn::wait`] for one worker, by a publisher that has this number in the line.
    fn wait(&self, own: &mut Option<u64>, waker: &Waker) -> bool {
        let mut waiting = self.lock();
        // Looked at under the lock: `remove` wakes the front after it has lowered the sum.
        let over = self.pending.load(Ordering::Acquire) > self.limit / 2;
        let Some(number) = *own else {
            let before = waiting.line.len();
            if before == 0 && !over {
                return false;
            }
            *own = Some(waiting.next);
            let place = (waiting.next, waker.clone());
            waiting.next += 1;
            waiting.line.push_back(place);
            self.has_line.store(true, Ordering::Release);
            if before < FRONT && !over {
                // Nobody else will: it goes on after those who were woken before.
                waker.wake_by_ref();
            }
            return true;
        };
        let before = waiting.before(number);
        if before < FRONT && !over {
            *own = None;
            self.leave(&mut waiting, number);
            return false;
        }
        if let Some((_, own)) = waiting.line.get_mut(before) {
            own.clone_from(waker);
        }
        true
    }

    /// The publisher with this number leaves the line.
    fn leave(&self, waiting: &mut Waiting, number: u64) {
        let before = waiting.before(number);
        waiting.line.remove(before);
        self.has_line
            .store(!waiting.line.is_empty(), Ordering::Release);
        // Another has come to the front by that.
        if let Some((_, waker)) = waiting.line.get(FRONT - 1).filter(|_| before < FRONT) {
            waker.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn wake_front(&self) {
        let front = self.line.iter().take(FRONT);
        front.for_each(|(_, waker)| waker.wake_by_ref());
    }

    /// How many stand before this one.
    fn before(&self, number: u64) -> usize {
        self.line.partition_point(|(other, _)| *other < number)
    }
}

/// The workers for which a publisher has found that it is to wait.
#[derive(Debug, Default)]
pub struct Overloaded(Vec<Arc<WorkerLoad>>);

impl Overloaded {
    /// One more, unless it is among them.
    pub fn note(&mut self, load: Arc<WorkerLoad>) {
        if !self.0.iter().any(|other| Arc::ptr_eq(other, &load)) {
            self.0.push(load);
        }
    }
}

/// A publisher's place in the lines before workers that have too much to do. Dropped, it is given up.
///
/// It stands in one after the other, never in two: who waited in a second one at the front of the first could wait for somebody
/// who stands behind it.
#[derive(Debug)]
pub struct Turn {
    /// It stands before the last.
    loads: Vec<Arc<WorkerLoad>>,
    number: Option<u64>,
}

impl Turn {
    /// Of a publisher that waits for these workers from the next call of [`Turn::wait`] on; none if there are none.
    pub fn new(overloaded: Overloaded) -> Option<Self> {
        let Overloaded(loads) = overloaded;
        let number = None;
        (!loads.is_empty()).then_some(Self { loads, number })
    }

    /// False when the workers have caught up and it is this publisher's turn. Else `waker` is woken when that may have
    /// changed; whoever is woken must call this again or give its place up, for others stand behind it.
    pub fn wait(&mut self, waker: &Waker) -> bool {
        while let Some(load) = self.loads.last() {
            if load.wait(&mut self.number, waker) {
                return true;
            }
            self.loads.pop();
        }
        false
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let (Some(load), Some(number)) = (self.loads.last(), self.number) {
            let mut waiting = load.lock();
            load.leave(&mut waiting, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::task::{ArcWake, waker};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl ArcWake for Woken {
        fn wake_by_ref(arc_self: &Arc<Self>) {
            arc_self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A publisher that has found the worker over its limit.
    struct Publisher(Turn, Arc<Woken>);

    impl Publisher {
        fn new(load: &Arc<WorkerLoad>) -> Self {
            Self::of(&[load])
        }

        /// One that has found all of these, in this order.
        fn of(loads: &[&Arc<WorkerLoad>]) -> Self {
            let mut overloaded = Overloaded::default();
            loads
                .iter()
                .for_each(|load| overloaded.note((*load).clone()));
            Self(Turn::new(overloaded).unwrap(), Arc::default())
        }

        fn waits(&mut self) -> bool {
            self.0.wait(&waker(self.1.clone()))
        }

        fn woken(&self) -> usize {
            self.1.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn a_publisher_is_woken_once_when_half_is_drained() {
        let load = Arc::new(WorkerLoad::new(100));
        load.add(100);
        assert!(!load.is_over());
        load.add(50);
        assert!(load.is_over());
        let mut publisher = Publisher::new(&load);
        assert!(publisher.waits());
        assert!(publisher.waits());
        load.remove(60);
        assert_eq!(publisher.woken(), 0);
        load.remove(60);
        assert_eq!(publisher.woken(), 1);
        assert!(!publisher.waits());
        assert!(!load.is_over());
    }

    #[test]
    fn publishers_go_on_in_the_order_in_which_they_came() {
        let load = Arc::new(WorkerLoad::new(100));
        load.add(101);
        let mut line: Vec<_> = (0..FRONT + 2).map(|_| Publisher::new(&load)).collect();
        assert!(line.iter_mut().all(Publisher::waits));
        load.remove(101);
        let woken: Vec<_> = line.iter().map(Publisher::woken).collect();
        assert_eq!(woken, [vec![1; FRONT], vec![0; 2]].concat());
        // One that has published meanwhile gets in line, however little waits.
        assert!(load.is_over());
        line.push(Publisher::new(&load));
        assert!(line[FRONT + 2].waits());
        assert!(line[FRONT].waits(), "it is not its turn");
        for (place, publisher) in line.iter_mut().enumerate() {
            assert_eq!(publisher.woken(), 1, "{place}");
            assert!(!publisher.waits(), "{place}");
        }
        assert!(!load.is_over());
    }

    #[test]
    fn a_slow_one_at_the_front_holds_nobody_up() {
        let load = Arc::new(WorkerLoad::new(100));
        load.add(101);
        let (mut slow, mut other) = (Publisher::new(&load), Publisher::new(&load));
        assert!(slow.waits());
        load.remove(101);
        assert!(other.waits());
        assert_eq!(other.woken(), 1);
        assert!(!other.waits());
        assert!(!slow.waits());
        assert!(!load.is_over());
    }

    #[test]
    fn the_load_is_looked_at_anew_before_each_goes_on() {
        let load = Arc::new(WorkerLoad::new(100));
        load.add(101);
        let (mut first, mut second) = (Publisher::new(&load), Publisher::new(&load));
        assert!(first.waits() && second.waits());
        load.remove(101);
        assert!(!first.waits());
        load.add(51);
        assert!(second.waits());
        load.remove(1);
        assert_eq!(second.woken(), 2);
        assert!(!second.waits());
    }

    #[test]
    fn a_place_that_is_given_up_holds_nobody_up() {
        for leaver in [0, FRONT - 1, FRONT] {
            let load = Arc::new(WorkerLoad::new(100));
            load.add(101);
            let mut line: Vec<_> = (0..FRONT + 1).map(|_| Publisher::new(&load)).collect();
            assert!(line.iter_mut().all(Publisher::waits));
            drop(line.remove(leaver));
            load.remove(101);
            for publisher in &mut line {
                assert!(publisher.woken() > 0, "{leaver}");
                assert!(!publisher.waits(), "{leaver}");
            }
            assert!(!load.is_over());
        }
    }

    #[test]
    fn a_publisher_waits_for_all_workers_it_has_found() {
        let loads = [(); 2].map(|()| Arc::new(WorkerLoad::new(100)));
        let [first, second] = &loads;
        for (found, one, other) in [
            ([first, second], first, second),
            ([second, first], first, second),
            ([first, second], second, first),
        ] {
            one.add(101);
            other.add(101);
            let mut publisher = Publisher::of(&found);
            assert!(publisher.waits());
            one.remove(101);
            assert!(publisher.waits());
            let woken = publisher.woken();
            other.remove(101);
            assert!(publisher.woken() > woken);
            assert!(!publisher.waits());
            assert!(!first.is_over() && !second.is_over());
        }
        assert!(Turn::new(Overloaded::default()).is_none());
    }

    #[test]
    fn publishers_that_wait_for_two_workers_do_not_wait_for_one_another() {
        let loads = [(); 2].map(|()| Arc::new(WorkerLoad::new(100)));
        let [first, second] = &loads;
        first.add(101);
        second.add(101);
        let found = |turn: usize| [[first, second], [second, first]][turn % 2];
        let mut line: Vec<_> = (0..2 * FRONT + 2)
            .map(|turn| Publisher::of(&found(turn)))
            .collect();
        assert!(line.iter_mut().all(Publisher::waits));
        first.remove(101);
        second.remove(101);
        let mut seen = vec![0; line.len()];
        // Only those that are woken ask again.
        while let Some(place) = (0..line.len()).find(|place| line[*place].woken() > seen[*place]) {
            seen[place] = line[place].woken();
            line[place].waits();
        }
        assert!(!line.iter_mut().any(Publisher::waits));
        assert!(!first.is_over() && !second.is_over());
    }
}
