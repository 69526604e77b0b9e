//! Which messages make room for newer ones.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use foldhash::fast::RandomState;

use super::Index;
use crate::store::{
    log::{Need, Places},
    record::{MessageNumber, SessionNumber},
};

impl Index {
    /// The oldest messages in the queues of these sessions, as many as give back what `short` says, in the order of their
    /// places. Of each queue the first ones stay, as many as are said with it, which are on their way to the client, and so
    /// do those that the client has. None when all of them, or `most`, are not enough.
    pub(in crate::store) fn oldest(
        &self,
        from: &[(SessionNumber, usize)],
        short: Need,
        most: usize,
    ) -> Option<Vec<Places>> {
        let from: BTreeMap<_, _> = from.iter().copied().collect();
        let mut queues: Vec<_> = from
            .into_iter()
            .filter_map(|(number, skip)| {
                let behind = self.sessions.get(&number)?.queue.iter().skip(skip);
                let waiting = behind.filter(|(_, entry)| !entry.received);
                Some((number, waiting, Vec::new()))
            })
            .collect();
        // Numbers of messages are given in order.
        let mut next = BinaryHeap::new();
        for (at, (_, waiting, _)) in queues.iter_mut().enumerate() {
            next.extend(
                waiting
                    .next()
                    .map(|(place, entry)| Reverse((entry.message, at, *place))),
            );
        }
        let mut taken: HashMap<MessageNumber, u32, RandomState> = HashMap::default();
        let (mut places, mut bytes) = (0, 0);
        while places < short.places || bytes < short.bytes {
            if places >= most as u64 {
                return None;
            }
            let Reverse((number, at, place)) = next.pop()?;
            let (_, waiting, chosen) = queues.get_mut(at)?;
            chosen.push(place);
            places += 1;
            let taken = taken.entry(number).or_default();
            *taken += 1;
            if let Some(message) = self.messages.get(&number)
                && message.references == *taken
            {
                bytes += u64::from(message.at.length);
            }
            next.extend(
                waiting
                    .next()
                    .map(|(place, entry)| Reverse((entry.message, at, *place))),
            );
        }
        let chosen = queues
            .into_iter()
            .map(|(number, _, places)| (number, places));
        Some(chosen.filter(|(_, places)| !places.is_empty()).collect())
    }
}
