//! A hash map whose clones share everything but what was changed since.
//!
//! One writer keeps a map, clones it (one reference count) for its readers and goes on writing: only the path
//! from the root to a changed leaf is copied, and only if a reader may still hold it. Leaves are small arrays
//! instead of single entries, which keeps the cost per entry near that of a plain hash map.

use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    sync::{Arc, LazyLock},
};

use foldhash::fast::RandomState;

/// Entries of a leaf before it is split. Copying one touches the reference counts of them all, most of them not in any
/// cache where there are many.
const LEAF_MAX: usize = 12;
/// Hash bits used per level.
const BITS: u32 = 2;
const FANOUT: usize = 1 << BITS;
/// Look-ups that are done together.
const TOGETHER: usize = 16;
/// Hash bits in all; keys that agree in all of them share a leaf of any size.
const HASH_BITS: u32 = 32;

/// One seed a process, so that a key's hash is the same in every map.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// See the module's description.
#[derive(Clone, Debug)]
pub struct PersistentMap<K, V> {
    root: Option<Node<K, V>>,
}

#[derive(Debug)]
enum Node<K, V> {
    /// In the order of the hashes.
    Leaf(Arc<[Entry<K, V>]>),
    Branch(Arc<Children<K, V>>),
}

type Children<K, V> = [Option<Node<K, V>>; FANOUT];

impl<K, V> Clone for Node<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(entries) => Self::Leaf(entries.clone()),
            Self::Branch(children) => Self::Branch(children.clone()),
        }
    }
}

#[derive(Clone, Debug)]
struct Entry<K, V> {
    hash: u32,
    key: K,
    value: V,
}

impl<K, V> Default for PersistentMap<K, V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<K, V> PersistentMap<K, V> {
    /// Empties the map: shows `take` the values that no clone shares before they go, and leaves the others to the clones.
    pub fn drain_own(&mut self, take: &mut impl FnMut(&mut V)) {
        fn walk<K, V>(node: Node<K, V>, take: &mut impl FnMut(&mut V)) {
            match node {
                Node::Leaf(mut entries) => {
                    let own = Arc::get_mut(&mut entries).into_iter().flatten();
                    own.for_each(|entry| take(&mut entry.value));
                }
                // At most HASH_BITS / BITS levels deep.
                Node::Branch(children) => {
                    let own = Arc::into_inner(children).into_iter().flatten();
                    own.flatten().for_each(|child| walk(child, take));
                }
            }
        }
        if let Some(root) = self.root.take() {
            walk(root, take);
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> PersistentMap<K, V> {
    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The value of `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut node = self.root.as_ref()?;
        let hash = hash_of(key);
        let mut shift = 0;
        loop {
            match node {
                Node::Leaf(entries) => return value_in(entries, hash, key),
                Node::Branch(children) => {
                    node = children[slot(hash, shift)].as_ref()?;
                    shift += BITS;
                }
            }
        }
    }

    /// The values of keys, each in a map of its own; `found` is told the index of each.
    ///
    /// Some go down together, level by level. Where the maps are in no cache, a step of one waits for memory while those of
    /// the others do, instead of each waiting by itself.
    pub fn get_each<'a, Q>(lookups: &[(&'a Self, &Q)], mut found: impl FnMut(usize, Option<&'a V>))
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let [(map, key)] = lookups {
            return found(0, map.get(*key));
        }
        let mut index = 0;
        for lookups in lookups.chunks(TOGETHER) {
            let mut reached = start(lookups);
            let reached = &mut reached[..lookups.len()];
            go_down(reached, |_| {});
            // All leaves are read before one is looked at, for the same reason.
            let mut read = 0;
            for (node, hash) in reached.iter() {
                if let Some(Node::Leaf(entries)) = node {
                    // With what is beside it: the entry may lie there, and is more than a cache line may hold of it.
                    let at = guess(entries.len(), *hash);
                    for near in [at.saturating_sub(1), at, at + 1] {
                        read |= entries.get(near).map_or(0, |entry| entry.hash);
                    }
                }
            }
            std::hint::black_box(read);
            for ((_, key), (node, hash)) in lookups.iter().zip(reached) {
                let value = match node {
                    Some(Node::Leaf(entries)) => value_in(entries, *hash, *key),
                    _ => None,
                };
                found(index, value);
                index += 1;
            }
        }
    }

    /// Reads what entering each of the keys into a map of its own is going to copy, some at a time as
    /// [`PersistentMap::get_each`] does: above all the reference counts beside the paths to them. Nothing is changed.
    pub fn fetch_each<Q>(keys: &[(&Self, &Q)])
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut read = 0;
        for keys in keys.chunks(TOGETHER) {
            let mut reached = start(keys);
            let reached = &mut reached[..keys.len()];
            go_down(reached, |children| {
                for child in children.iter().flatten() {
                    read += match child {
                        Node::Leaf(entries) => Arc::strong_count(entries),
                        Node::Branch(children) => Arc::strong_count(children),
                    };
                }
            });
            for (node, _) in reached {
                if let Some(Node::Leaf(entries)) = node {
                    read += entries
                        .iter()
                        .map(|entry| entry.hash as usize)
                        .sum::<usize>();
                }
            }
        }
        std::hint::black_box(read);
    }

    /// The value of `key`, to change it; `default` is entered where there is none.
    pub fn get_or_insert_with(&mut self, key: K, default: impl FnOnce() -> V) -> &mut V {
        let hash = hash_of(&key);
        let root = self.root.get_or_insert_with(Node::empty);
        entry_in(root, hash, 0, key, default)
    }

    /// The value of `key`, to change it.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        // Looking first keeps a miss from copying the path.
        self.get(key)?;
        let hash = hash_of(key);
        let mut node = self.root.as_mut()?;
        let mut shift = 0;
        loop {
            match node {
                Node::Leaf(entries) => {
                    let place = place_in(entries, hash, key).ok()?;
                    let entry = Arc::make_mut(entries).get_mut(place);
                    return entry.map(|entry| &mut entry.value);
                }
                Node::Branch(children) => {
                    node = Arc::make_mut(children)[slot(hash, shift)].as_mut()?;
                    shift += BITS;
                }
            }
        }
    }

    /// Takes `key` out.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get(key)?;
        let root = self.root.as_mut()?;
        let (value, empty) = remove_from(root, hash_of(key), 0, key);
        if empty {
            self.root = None;
        }
        value
    }

    /// True when there is exactly one entry.
    pub fn is_single(&self) -> bool {
        // Branches hold no empty leaves, so two entries are found within a few steps.
        fn count_two<K, V>(node: &Node<K, V>) -> usize {
            match node {
                Node::Leaf(entries) => entries.len().min(2),
                Node::Branch(children) => {
                    let mut found = 0;
                    for child in children.iter().flatten() {
                        found += count_two(child);
                        if found >= 2 {
                            break;
                        }
                    }
                    found
                }
            }
        }
        self.root.as_ref().is_some_and(|root| count_two(root) == 1)
    }

    /// Every entry, in an order of its own.
    pub fn for_each<'a>(&'a self, visit: &mut impl FnMut(&'a K, &'a V)) {
        fn walk<'a, K, V>(node: &'a Node<K, V>, visit: &mut impl FnMut(&'a K, &'a V)) {
            match node {
                Node::Leaf(entries) => entries
                    .iter()
                    .for_each(|entry| visit(&entry.key, &entry.value)),
                // At most HASH_BITS / BITS levels deep.
                Node::Branch(children) => children
                    .iter()
                    .flatten()
                    .for_each(|child| walk(child, visit)),
            }
        }
        if let Some(root) = &self.root {
            walk(root, visit);
        }
    }
}

/// A node on the way to a key, if it goes on, and the hash of the key.
type Reached<'a, K, V> = (Option<&'a Node<K, V>>, u32);

/// The roots of maps in which keys are looked for, [`TOGETHER`] at most.
fn start<'a, K: Borrow<Q>, V, Q: Hash + ?Sized>(
    keys: &[(&'a PersistentMap<K, V>, &Q)],
) -> [Reached<'a, K, V>; TOGETHER] {
    let mut reached = [(None, 0); TOGETHER];
    for (reached, (map, key)) in reached.iter_mut().zip(keys) {
        *reached = (map.root.as_ref(), hash_of(*key));
    }
    reached
}

/// Takes each of the nodes to the leaf of its hash, if there is one, all of them a level at a time; `passes` is told the
/// branches.
fn go_down<'a, K, V>(
    reached: &mut [Reached<'a, K, V>],
    mut passes: impl FnMut(&'a Children<K, V>),
) {
    let mut shift = 0;
    let mut goes_down = true;
    while goes_down {
        goes_down = false;
        for (node, hash) in reached.iter_mut() {
            if let Some(Node::Branch(children)) = node {
                passes(children);
                *node = children[slot(*hash, shift)].as_ref();
                goes_down = true;
            }
        }
        shift += BITS;
    }
}

/// About where a hash is among so many that are in order.
fn guess(len: usize, hash: u32) -> usize {
    ((len as u64 * u64::from(hash)) >> 32) as usize
}

/// Where a key is in a leaf or, as an error, where it belongs. The entries of a leaf are in the order of their hashes, so
/// that few of them are looked at.
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

fn slot(hash: u32, shift: u32) -> usize {
    (hash >> shift) as usize % FANOUT
}

impl<K, V> Node<K, V> {
    fn empty() -> Self {
        Self::Leaf(Arc::default())
    }
}

fn entry_in<K: Hash + Eq + Clone, V: Clone>(
    node: &mut Node<K, V>,
    hash: u32,
    shift: u32,
    key: K,
    default: impl FnOnce() -> V,
) -> &mut V {
    if let Node::Leaf(entries) = node
        && entries.len() >= LEAF_MAX
        && shift < HASH_BITS
        && place_in(entries, hash, &key).is_err()
    {
        *node = Node::Branch(Arc::new(split(entries, shift)));
    }
    match node {
        Node::Leaf(entries) => {
            let place = place_in(entries, hash, &key).unwrap_or_else(|place| {
                let entry = Entry {
                    hash,
                    key,
                    value: default(),
                };
                let (before, after) = entries.split_at(place);
                let before = before.iter().cloned().chain([entry]);
                *entries = before.chain(after.iter().cloned()).collect();
                place
            });
            &mut Arc::make_mut(entries)[place].value
        }
        Node::Branch(children) => {
            let child = &mut Arc::make_mut(children)[slot(hash, shift)];
            let child = child.get_or_insert_with(Node::empty);
            entry_in(child, hash, shift + BITS, key, default)
        }
    }
}

fn split<K: Clone, V: Clone>(entries: &[Entry<K, V>], shift: u32) -> Children<K, V> {
    let mut leaves: [Vec<Entry<K, V>>; FANOUT] = Default::default();
    for entry in entries {
        leaves[slot(entry.hash, shift)].push(entry.clone());
    }
    leaves.map(|leaf| (!leaf.is_empty()).then(|| Node::Leaf(leaf.into())))
}

/// Removes `key`; the flag tells that the node has become empty.
fn remove_from<K, V, Q>(node: &mut Node<K, V>, hash: u32, shift: u32, key: &Q) -> (Option<V>, bool)
where
    K: Hash + Eq + Clone + Borrow<Q>,
    V: Clone,
    Q: Hash + Eq + ?Sized,
{
    match node {
        Node::Leaf(entries) => {
            let value = place_in(entries, hash, key).ok().map(|index| {
                let value = entries[index].value.clone();
                let (before, after) = (&entries[..index], &entries[index + 1..]);
                *entries = before.iter().chain(after).cloned().collect();
                value
            });
            (value, entries.is_empty())
        }
        Node::Branch(children) => {
            let children = Arc::make_mut(children);
            let child = &mut children[slot(hash, shift)];
            let Some(inner) = child.as_mut() else {
                return (None, false);
            };
            let (value, empty) = remove_from(inner, hash, shift + BITS, key);
            if empty {
                *child = None;
            }
            (value, children.iter().all(Option::is_none))
        }
    }
}

#[cfg(test)]
mod tests;
