//! The map against a hash map.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn check(map: &LinearHashMap<u32, u16>, model: &HashMap<u32, u16>) -> Result<(), TestCaseError> {
    let seen: HashMap<u32, u16> = map.iter().map(|(key, value)| (*key, *value)).collect();
    prop_assert_eq!(&seen, model);
    prop_assert_eq!(map.iter().count(), model.len());
    prop_assert_eq!(map.len(), model.len());
    prop_assert_eq!(map.is_empty(), model.is_empty());
    let keys: Vec<u32> = (0..400).collect();
    let lookups: Vec<_> = keys.iter().map(|key| (map, key)).collect();
    LinearHashMap::fetch_each(&lookups);
    let mut each = Vec::new();
    LinearHashMap::get_each(&lookups, |index, value| each.push((index, value)));
    prop_assert_eq!(each.len(), keys.len());
    for (place, key) in keys.iter().enumerate() {
        prop_assert_eq!(map.get(key), model.get(key));
        prop_assert_eq!(each[place], (place, model.get(key)));
    }
    Ok(())
}

proptest! {
    #[test]
    fn behaves_like_a_hash_map(
        // Phases in which most steps insert, or remove: it grows and shrinks.
        phases in proptest::collection::vec(
            (1u8..10, proptest::collection::vec((0u8..10, 0u32..400, any::<u16>()), 0..600)),
            1..5,
        ),
    ) {
        let mut map = LinearHashMap::default();
        let mut model = HashMap::new();
        for (inserting, steps) in phases {
            for (step, key, value) in steps {
                if step < inserting {
                    *map.get_or_insert_with(key, || 0) = value;
                    model.insert(key, value);
                } else if step == 9 {
                    let (own, expected) = (map.get_mut(&key), model.get_mut(&key));
                    prop_assert_eq!(&own, &expected);
                    for slot in own.into_iter().chain(expected) {
                        *slot = value;
                    }
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
            }
            check(&map, &model)?;
        }
        let mut values: Vec<u16> = map.take_values().collect();
        values.sort_unstable();
        let mut expected: Vec<u16> = model.into_values().collect();
        expected.sort_unstable();
        prop_assert_eq!(values, expected);
        prop_assert!(map.is_empty() && map.iter().next().is_none());
    }
}

#[test]
fn many_entries_come_and_go() {
    let mut map = LinearHashMap::default();
    for key in 0..50_000u32 {
        *map.get_or_insert_with(key, || 0) = key;
        assert_eq!(map.len(), key as usize + 1);
    }
    for key in 0..50_000u32 {
        assert_eq!(map.get(&key), Some(&key));
    }
    for key in 0..50_000u32 {
        assert_eq!(map.remove(&key), Some(key));
        assert_eq!(map.remove(&key), None);
    }
    assert!(map.is_empty());
}

/// A key whose hash is always the same.
#[derive(Debug, PartialEq, Eq)]
struct Colliding(u32);

impl Hash for Colliding {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        0u8.hash(state);
    }
}

#[test]
fn keys_with_one_hash_are_all_kept() {
    let mut map = LinearHashMap::default();
    for key in 0..100 {
        *map.get_or_insert_with(Colliding(key), || 0) = key;
    }
    let keys: Vec<_> = (0..100).map(Colliding).collect();
    let lookups: Vec<_> = keys.iter().map(|key| (&map, key)).collect();
    LinearHashMap::get_each(&lookups, |index, value| {
        assert_eq!(value, Some(&keys[index].0));
    });
    for key in 0..100 {
        assert_eq!(map.get(&Colliding(key)), Some(&key));
        assert_eq!(map.remove(&Colliding(key)), Some(key));
    }
    assert!(map.is_empty());
}
