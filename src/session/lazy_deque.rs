//! A double-ended queue that takes the room of a pointer while it is empty: most clients have nothing waiting.

use std::collections::{VecDeque, vec_deque};

/// See the module's description. What became empty holds no memory.
#[derive(Clone, Debug)]
pub struct LazyDeque<T>(Option<Box<Items<T>>>);

/// Never empty.
#[derive(Clone, Debug)]
struct Items<T>(VecDeque<T>);

impl<T> Items<T> {
    /// What is allocated for the first has room for some more: those that are small grow less often so.
    fn of(first: T) -> Box<Self> {
        let room = (64 / size_of::<T>().max(1)).max(4);
        let mut items = VecDeque::with_capacity(room);
        items.push_back(first);
        Box::new(Self(items))
    }
}

impl<T> Default for LazyDeque<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> LazyDeque<T> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |items| items.0.len())
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The first.
    pub fn front(&self) -> Option<&T> {
        self.0.as_ref()?.0.front()
    }

    /// The last.
    pub fn back(&self) -> Option<&T> {
        self.0.as_ref()?.0.back()
    }

    /// The one at `index`.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.0.as_ref()?.0.get(index)
    }

    /// The one at `index`, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.as_mut()?.0.get_mut(index)
    }

    /// Where `item` is among elements that are in order, or where it belongs.
    pub fn binary_search(&self, item: &T) -> Result<usize, usize>
    where
        T: Ord,
    {
        match &self.0 {
            None => Err(0),
            Some(items) => items.0.binary_search(item),
        }
    }

    /// Puts an element before the one at `index`, or at the end.
    pub fn insert(&mut self, index: usize, item: T) {
        match &mut self.0 {
            Some(items) => items.0.insert(index.min(items.0.len()), item),
            None => self.push_back(item),
        }
    }

    /// Puts an element before all others.
    pub fn push_front(&mut self, item: T) {
        match &mut self.0 {
            Some(items) => items.0.push_front(item),
            None => self.push_back(item),
        }
    }

    /// Appends an element.
    pub fn push_back(&mut self, item: T) {
        match &mut self.0 {
            Some(items) => items.0.push_back(item),
            None => self.0 = Some(Items::of(item)),
        }
    }

    /// Takes the first.
    pub fn pop_front(&mut self) -> Option<T> {
        let items = &mut self.0.as_mut()?.0;
        let item = items.pop_front();
        if items.is_empty() {
            self.0 = None;
        }
        item
    }

    /// Takes the one at `index`.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        let items = &mut self.0.as_mut()?.0;
        let item = items.remove(index);
        if items.is_empty() {
            self.0 = None;
        }
        item
    }

    /// Keeps only what `keep` says yes to.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        if let Some(items) = &mut self.0 {
            items.0.retain(keep);
            if items.0.is_empty() {
                self.0 = None;
            }
        }
    }

    /// All elements.
    pub fn iter(&self) -> vec_deque::Iter<'_, T> {
        self.0
            .as_ref()
            .map(|items| items.0.iter())
            .unwrap_or_default()
    }

    /// All elements, to be changed.
    pub fn iter_mut(&mut self) -> vec_deque::IterMut<'_, T> {
        self.0
            .as_mut()
            .map(|items| items.0.iter_mut())
            .unwrap_or_default()
    }
}

impl<T> From<Vec<T>> for LazyDeque<T> {
    fn from(items: Vec<T>) -> Self {
        Self((!items.is_empty()).then(|| Box::new(Items(items.into()))))
    }
}

impl<T> Extend<T> for LazyDeque<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push_back(item));
    }
}

impl<T> IntoIterator for LazyDeque<T> {
    type Item = T;
    type IntoIter = vec_deque::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map(|items| items.0).unwrap_or_default().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_deque_and_is_nothing_when_it_is_empty(
            steps in proptest::collection::vec((0u8..8, 0usize..12, any::<u8>()), 0..200),
        ) {
            let mut own = LazyDeque::default();
            let mut model = VecDeque::new();
            for (step, index, value) in steps {
                match step {
                    0 | 1 => {
                        own.push_back(value);
                        model.push_back(value);
                    }
                    2 => prop_assert_eq!(own.pop_front(), model.pop_front()),
                    3 => prop_assert_eq!(own.remove(index), model.remove(index)),
                    4 => {
                        own.insert(index, value);
                        model.insert(index.min(model.len()), value);
                    }
                    5 => {
                        own.push_front(value);
                        model.push_front(value);
                    }
                    6 => {
                        own.retain(|item| *item >= value);
                        model.retain(|item| *item >= value);
                    }
                    _ => {
                        own = LazyDeque::from(own.into_iter().collect::<Vec<u8>>());
                        own.extend([value]);
                        model.extend([value]);
                    }
                }
                prop_assert_eq!(own.len(), model.len());
                prop_assert_eq!(own.is_empty(), own.0.is_none());
                prop_assert_eq!(own.front(), model.front());
                prop_assert_eq!(own.back(), model.back());
                prop_assert_eq!(own.get(index), model.get(index));
                prop_assert_eq!(own.get_mut(index), model.get_mut(index));
                prop_assert!(own.iter().eq(&model));
                prop_assert!(own.iter_mut().eq(&mut model));
            }
        }
    }
}
