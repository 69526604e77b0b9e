//! What a connection has read and not handled yet: nothing, most of the time, so that it takes no room then.

use bytes::{Bytes, BytesMut};

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Unread(Option<Box<Rest>>);

#[derive(Debug)]
enum Rest {
    /// The beginning of a packet whose rest has not come.
    Partial(BytesMut),
    /// Bytes behind a packet whose answer is awaited.
    Waiting(Bytes),
}

impl Unread {
    /// Keeps what is left of a chunk, the beginning of a packet, with room for `more` bytes of it.
    pub(super) fn keep_partial(&mut self, rest: &[u8], more: usize) {
        self.0 = None;
        if !rest.is_empty() {
            let mut partial = BytesMut::with_capacity(rest.len() + more);
            partial.extend_from_slice(rest);
            self.0 = Some(Box::new(Rest::Partial(partial)));
        }
    }

    /// Keeps what is left of a chunk until it may be handled.
    pub(super) fn wait(&mut self, rest: Bytes) {
        self.0 = match rest.is_empty() {
            true => None,
            false => Some(Box::new(Rest::Waiting(rest))),
        };
    }

    /// True when bytes wait to be handled.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.0.as_deref(), Some(Rest::Waiting(_)))
    }

    /// Takes the bytes that wait to be handled.
    pub(super) fn take_waiting(&mut self) -> Option<Bytes> {
        match self.0.as_deref_mut() {
            Some(Rest::Waiting(rest)) => {
                let rest = std::mem::take(rest);
                self.0 = None;
                Some(rest)
            }
            Some(Rest::Partial(_)) | None => None,
        }
    }

    /// The beginning of a packet whose rest has not come.
    pub(super) fn partial(&self) -> &[u8] {
        match self.0.as_deref() {
            Some(Rest::Partial(partial)) => partial,
            Some(Rest::Waiting(_)) | None => &[],
        }
    }

    /// The same, to be continued, or to be taken when it is whole.
    pub(super) fn partial_mut(&mut self) -> Option<&mut BytesMut> {
        match self.0.as_deref_mut() {
            Some(Rest::Partial(partial)) => Some(partial),
            Some(Rest::Waiting(_)) | None => None,
        }
    }
}
