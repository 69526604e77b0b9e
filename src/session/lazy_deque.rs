//! A double-ended queue that takes the room of a pointer while it is empty: most clients have nothing waiting.

use std::collections::{VecDeque, vec_deque};

/// See the module's description. What became empty holds no memory.
#[derive(Clone, Debug)]
pub struct LazyDeque<T>(Option<Box<Items<T>>>);

/// Never empty.
#[derive(Clone, Debug)]
struct Items<T>(VecDeque<T>);

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

    /// The one at `index`.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.0.as_ref()?.0.get(index)
    }

    /// The one at `index`, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.as_mut()?.0.get_mut(index)
    }

    /// Appends an element.
    pub fn push_back(&mut self, item: T) {
        let items = self
            .0
            .get_or_insert_with(|| Box::new(Items(VecDeque::new())));
        items.0.push_back(item);
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
