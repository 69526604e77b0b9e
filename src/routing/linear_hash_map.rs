//! A hash map that grows by one bucket at a time (linear hashing): no insertion waits for all entries to be moved, and
//! there is little room that no entry uses.
//!
//! A bucket is a small array of exactly its entries, in the order of their hashes.

mod buckets;

use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    sync::LazyLock,
};

use foldhash::fast::RandomState;

use self::buckets::Buckets;

/// Look-ups that are done together.
const TOGETHER: usize = 16;

/// One seed a process, so that a key's hash is the same in every map.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// See the module's description.
#[derive(Debug)]
pub struct LinearHashMap<K, V> {
    buckets: Buckets<Entry<K, V>>,
}

#[derive(Debug)]
struct Entry<K, V> {
    hash: u32,
    key: K,
    value: V,
}

impl<K, V> buckets::Hashed for Entry<K, V> {
    fn hash(&self) -> u32 {
        self.hash
    }
}

impl<K, V> Default for LinearHashMap<K, V> {
    fn default() -> Self {
        Self {
            buckets: Buckets::default(),
        }
    }
}

impl<K, V> LinearHashMap<K, V> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every entry, in an order of its own.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let entries = self.buckets.iter();
        entries.map(|entry| (&entry.key, &entry.value))
    }

    /// Empties the map.
    pub fn take_values(&mut self) -> impl Iterator<Item = V> + use<K, V> {
        let entries = std::mem::take(&mut self.buckets).into_entries();
        entries.map(|entry| entry.value)
    }
}

impl<K: Hash + Eq, V> LinearHashMap<K, V> {
    /// The value of `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = hash_of(key);
        value_in(self.buckets.bucket(hash), hash, key)
    }

    /// The values of keys, each in a map of its own; `found` is told the index of each.
    ///
    /// Some are looked for together, step by step. Where the maps are in no cache, a step of one waits for memory while
    /// those of the others do, instead of each waiting by itself.
    pub fn get_each<'a, Q>(lookups: &[(&'a Self, &Q)], mut found: impl FnMut(usize, Option<&'a V>))
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let Some((map, key)) = lookups.first() else {
            return;
        };
        // Topics of one chunk often begin alike.
        let is_first = |(other, name): &(&Self, &Q)| std::ptr::eq(*other, *map) && *name == *key;
        if lookups.iter().skip(1).all(is_first) {
            let value = map.get(*key);
            return (0..lookups.len()).for_each(|index| found(index, value));
        }
        let mut index = 0;
        for lookups in lookups.chunks(TOGETHER) {
            let reached = reach(lookups);
            for ((_, key), (bucket, hash)) in lookups.iter().zip(reached) {
                found(index, value_in(bucket, hash, *key));
                index += 1;
            }
        }
    }

    /// Reads what entering each of the keys into a map of its own is going to touch, as [`LinearHashMap::get_each`] does.
    /// Nothing is changed.
    pub fn fetch_each<Q>(keys: &[(&Self, &Q)])
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        for keys in keys.chunks(TOGETHER) {
            let mut read = 0;
            for (bucket, _) in &reach(keys)[..keys.len()] {
                read ^= bucket.iter().fold(0, |read, entry| read ^ entry.hash);
            }
            std::hint::black_box(read);
        }
    }

    /// The value of `key`, to change it; `default` is entered where there is none.
    pub fn get_or_insert_with(&mut self, key: K, default: impl FnOnce() -> V) -> &mut V {
        let hash = hash_of(&key);
        if place_in(self.buckets.bucket(hash), hash, &key).is_err() {
            self.buckets.grow();
        }
        let entry = match place_in(self.buckets.bucket(hash), hash, &key) {
            Ok(place) => &mut self.buckets.bucket_mut(hash)[place],
            Err(place) => {
                let value = default();
                self.buckets.insert(place, Entry { hash, key, value })
            }
        };
        &mut entry.value
    }

    /// The value of `key`, to change it.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = hash_of(key);
        let bucket = self.buckets.bucket_mut(hash);
        let place = place_in(bucket, hash, key).ok()?;
        bucket.get_mut(place).map(|entry| &mut entry.value)
    }

    /// Takes `key` out.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = hash_of(key);
        let place = place_in(self.buckets.bucket(hash), hash, key).ok()?;
        Some(self.buckets.remove(hash, place).value)
    }
}

/// The buckets of keys, [`TOGETHER`] at most, each in a map of its own, and the hashes of the keys. What a look-up is going
/// to compare has been read.
fn reach<'a, K: Borrow<Q>, V, Q: Hash + ?Sized>(
    keys: &[(&'a LinearHashMap<K, V>, &Q)],
) -> [(&'a [Entry<K, V>], u32); TOGETHER] {
    let mut reached: [(&[Entry<K, V>], u32); TOGETHER] = [(&[], 0); TOGETHER];
    // By itself: between two buckets there are to be so few instructions that the processor looks for the next ones
    // while it waits for the first.
    for ((_, hash), (_, key)) in reached.iter_mut().zip(keys) {
        *hash = hash_of(*key);
    }
    for ((bucket, hash), (map, _)) in reached.iter_mut().zip(keys) {
        *bucket = map.buckets.bucket(*hash);
    }
    let mut read = 0;
    for (bucket, hash) in &reached[..keys.len()] {
        // With what is beside it: the entry may lie there, and is more than a cache line may hold of it.
        let at = guess(bucket.len(), *hash);
        for near in [at.saturating_sub(1), at, at + 1] {
            read ^= bucket.get(near).map_or(0, |entry| entry.hash);
        }
    }
    std::hint::black_box(read);
    reached
}

/// About where a hash is among so many that are in order.
fn guess(len: usize, hash: u32) -> usize {
    ((len as u64 * u64::from(hash)) >> 32) as usize
}

/// Where a key is in a bucket or, as an error, where it belongs. The entries are in the order of their hashes, so that few
/// of them are looked at.
fn place_in<K, V, Q>(entries: &[Entry<K, V>], hash: u32, key: &Q) -> Result<usize, usize>
where
    K: Borrow<Q>,
    Q: Eq + ?Sized,
{
    let mut place = guess(entries.len(), hash);
    while place > 0 && entries[place - 1].hash >= hash {
        place -= 1;
    }
    while let Some(entry) = entries.get(place)
        && entry.hash <= hash
    {
        if entry.hash == hash && entry.key.borrow() == key {
            return Ok(place);
        }
        place += 1;
    }
    Err(place)
}

fn value_in<'a, K, V, Q>(entries: &'a [Entry<K, V>], hash: u32, key: &Q) -> Option<&'a V>
where
    K: Borrow<Q>,
    Q: Eq + ?Sized,
{
    let place = place_in(entries, hash, key).ok()?;
    entries.get(place).map(|entry| &entry.value)
}

fn hash_of<Q: Hash + ?Sized>(key: &Q) -> u32 {
    let hash = HASHER.hash_one(key);
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests;
