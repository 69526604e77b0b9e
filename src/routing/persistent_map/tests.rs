//! The map against a hash map, and what its clones share.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn behaves_like_a_hash_map_and_leaves_snapshots_alone(
        steps in proptest::collection::vec((any::<bool>(), 0u32..400, any::<u16>()), 0..1200),
    ) {
        let mut map = PersistentMap::default();
        let mut model = HashMap::new();
        let half = steps.len() / 2;
        let mut snapshot = (map.clone(), model.clone());
        for (index, (insert, key, value)) in steps.into_iter().enumerate() {
            if insert {
                *map.get_or_insert_with(key, || 0) = value;
                model.insert(key, value);
            } else {
                prop_assert_eq!(map.remove(&key), model.remove(&key));
            }
            if index == half {
                snapshot = (map.clone(), model.clone());
            }
        }
        for (map, model) in [(map, model), snapshot] {
            let mut seen = HashMap::new();
            map.for_each(&mut |key, value| { seen.insert(*key, *value); });
            prop_assert_eq!(&seen, &model);
            prop_assert_eq!(map.is_empty(), model.is_empty());
            prop_assert_eq!(map.is_single(), model.len() == 1);
            let keys: Vec<u32> = (0..400).collect();
            let lookups: Vec<_> = keys.iter().map(|key| (&map, key)).collect();
            let mut each = Vec::new();
            PersistentMap::get_each(&lookups, |index, value| each.push((index, value)));
            PersistentMap::fetch_each(&keys.iter().map(|key| (&map, key)).collect::<Vec<_>>());
            prop_assert_eq!(each.len(), keys.len());
            for (place, key) in keys.iter().enumerate() {
                prop_assert_eq!(map.get(key), model.get(key));
                prop_assert_eq!(each[place], (place, model.get(key)));
            }
        }
    }
}

#[test]
fn a_map_gives_away_what_no_clone_shares() {
    let mut map = PersistentMap::default();
    for key in 0..100 {
        *map.get_or_insert_with(key, || 0) = key;
    }
    let mut clone = map.clone();
    *clone.get_or_insert_with(7, || 0) = 700;
    let mut taken = Vec::new();
    clone.drain_own(&mut |value| taken.push(*value));
    assert!(clone.is_empty() && taken.contains(&700) && taken.len() < 100);
    assert_eq!(map.get(&7), Some(&7));
    taken.clear();
    map.drain_own(&mut |value| taken.push(*value));
    taken.sort_unstable();
    assert!(map.is_empty() && taken.into_iter().eq(0..100));
}

/// A key whose hash is always the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Colliding(u32);

impl Hash for Colliding {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        0u8.hash(state);
    }
}

#[test]
fn keys_with_one_hash_are_all_kept() {
    let mut map = PersistentMap::default();
    for key in 0..100 {
        *map.get_or_insert_with(Colliding(key), || 0) = key;
    }
    let keys: Vec<_> = (0..100).map(Colliding).collect();
    let lookups: Vec<_> = keys.iter().map(|key| (&map, key)).collect();
    PersistentMap::get_each(&lookups, |index, value| {
        assert_eq!(value, Some(&keys[index].0));
    });
    for key in 0..100 {
        assert_eq!(map.get(&Colliding(key)), Some(&key));
        assert_eq!(map.remove(&Colliding(key)), Some(key));
    }
    assert!(map.is_empty());
}
