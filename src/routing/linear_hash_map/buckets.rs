//! The buckets of a [`super::LinearHashMap`]: which one a hash belongs to, and how their number follows that of the entries.

/// Entries up to which one bucket is enough.
const ALONE: usize = 12;
/// Buckets where there is more than one.
const FIRST: usize = 4;
/// Entries for which there is a bucket where there are many.
const AVERAGE: usize = 6;

/// What lies in buckets.
pub(super) trait Hashed {
    /// Its lower bits say which bucket it is in, all of it where in there.
    fn hash(&self) -> u32;
}

type Bucket<E> = Box<[E]>;

/// See the module's description.
#[derive(Debug)]
pub(super) enum Buckets<E> {
    One(Bucket<E>),
    Many {
        /// [`FIRST`] buckets, then again and again as many as there are before; only the last segment may be shorter. No
        /// bucket is ever moved, and room that is not used yet has not been touched.
        segments: Vec<Vec<Bucket<E>>>,
        /// Number of entries.
        len: usize,
    },
}

impl<E> Default for Buckets<E> {
    fn default() -> Self {
        Self::One(Box::default())
    }
}

impl<E> Buckets<E> {
    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(bucket) => bucket.len(),
            Self::Many { len, .. } => *len,
        }
    }

    /// The entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        let (one, many) = match self {
            Self::One(bucket) => (&bucket[..], &[][..]),
            Self::Many { segments, .. } => (&[][..], &segments[..]),
        };
        one.iter().chain(many.iter().flatten().flatten())
    }

    /// The entries.
    pub(super) fn into_entries(self) -> impl Iterator<Item = E> {
        let (one, many) = match self {
            Self::One(bucket) => (bucket, Vec::new()),
            Self::Many { segments, .. } => (Box::default(), segments),
        };
        one.into_iter().chain(many.into_iter().flatten().flatten())
    }

    /// The bucket of a hash.
    #[inline]
    pub(super) fn bucket(&self, hash: u32) -> &[E] {
        match self {
            Self::One(bucket) => bucket,
            Self::Many { segments, .. } => {
                let (segment, place) = locate(number_of(hash, count(segments)));
                &segments[segment][place]
            }
        }
    }

    /// The bucket of a hash, to change what is in it.
    pub(super) fn bucket_mut(&mut self, hash: u32) -> &mut [E] {
        match self {
            Self::One(bucket) => bucket,
            Self::Many { segments, .. } => {
                let number = number_of(hash, count(segments));
                bucket_in(segments, number)
            }
        }
    }
}

impl<E: Hashed> Buckets<E> {
    /// Before an entry is put in: makes another bucket if they are many for those that there are.
    pub(super) fn grow(&mut self) {
        match self {
            Self::One(bucket) if bucket.len() >= ALONE => {
                let mut buckets: Vec<Vec<E>> = (0..FIRST).map(|_| Vec::new()).collect();
                let len = bucket.len();
                for entry in std::mem::take(bucket) {
                    buckets[number_of(entry.hash(), FIRST)].push(entry);
                }
                let buckets = buckets.into_iter().map(Box::from).collect();
                let segments = vec![buckets];
                *self = Self::Many { segments, len };
            }
            Self::Many { segments, len } if *len >= count(segments) * AVERAGE => {
                let new = count(segments);
                let split = bucket_in(segments, before(new));
                let entries = std::mem::take(split).into_iter();
                let (stay, go): (Vec<E>, Vec<E>) =
                    entries.partition(|entry| number_of(entry.hash(), new + 1) != new);
                *split = stay.into();
                if locate(new).0 == segments.len() {
                    segments.push(Vec::with_capacity(new));
                }
                if let Some(last) = segments.last_mut() {
                    last.push(go.into());
                }
            }
            Self::One(_) | Self::Many { .. } => {}
        }
    }

    /// Puts an entry in at a place in its bucket.
    pub(super) fn insert(&mut self, place: usize, entry: E) -> &mut E {
        let bucket = match self {
            Self::One(bucket) => bucket,
            Self::Many { segments, len } => {
                *len += 1;
                let number = number_of(entry.hash(), count(segments));
                bucket_in(segments, number)
            }
        };
        let mut entries = Vec::from(std::mem::take(bucket));
        entries.reserve_exact(1);
        entries.insert(place, entry);
        *bucket = entries.into();
        &mut bucket[place]
    }

    /// Takes out the entry at a place in the bucket of its hash.
    pub(super) fn remove(&mut self, hash: u32, place: usize) -> E {
        let bucket = match self {
            Self::One(bucket) => bucket,
            Self::Many { segments, len } => {
                *len -= 1;
                let number = number_of(hash, count(segments));
                bucket_in(segments, number)
            }
        };
        let mut entries = Vec::from(std::mem::take(bucket));
        let entry = entries.remove(place);
        *bucket = entries.into();
        self.shrink();
        entry
    }

    /// Does without a bucket if they are few that are left.
    fn shrink(&mut self) {
        let Self::Many { segments, len } = self else {
            return;
        };
        let count = count(segments);
        if count == FIRST {
            // Half, so that an entry that comes and goes does not make buckets and undo them each time.
            if *len <= ALONE / 2 {
                let entries = std::mem::take(self).into_entries();
                *self = Self::One(in_order(entries));
            }
        } else if *len < count * AVERAGE / 2
            && let Some(last) = segments.last_mut()
        {
            let gone = last.pop().unwrap_or_default();
            if last.is_empty() {
                segments.pop();
            }
            let merged = bucket_in(segments, before(count - 1));
            *merged = in_order(std::mem::take(merged).into_iter().chain(gone));
        }
    }
}

fn in_order<E: Hashed>(entries: impl Iterator<Item = E>) -> Bucket<E> {
    let mut entries: Vec<E> = entries.collect();
    entries.sort_by_key(E::hash);
    entries.into()
}

/// Number of buckets.
fn count<B>(segments: &[Vec<B>]) -> usize {
    match segments {
        [] => 0,
        [first] => first.len(),
        [before @ .., last] => (FIRST << (before.len() - 1)) + last.len(),
    }
}

/// The number of the bucket of a hash where there are `count`: its lower bits, one fewer of them if there is no such bucket
/// yet.
fn number_of(hash: u32, count: usize) -> usize {
    let bits = count.next_power_of_two() - 1;
    let number = hash as usize & bits;
    match number < count {
        true => number,
        false => number & (bits >> 1),
    }
}

/// The number of the bucket in which the entries of bucket `number` were before there was that.
fn before(number: usize) -> usize {
    number_of(u32::try_from(number).unwrap_or(u32::MAX), number)
}

/// Segment and place there of a bucket.
fn locate(number: usize) -> (usize, usize) {
    match (number / FIRST).checked_ilog2() {
        None => (0, number),
        Some(doubled) => (doubled as usize + 1, number - (FIRST << doubled)),
    }
}

fn bucket_in<E>(segments: &mut [Vec<Bucket<E>>], number: usize) -> &mut Bucket<E> {
    let (segment, place) = locate(number);
    &mut segments[segment][place]
}
