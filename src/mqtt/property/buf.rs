//! Properties the broker writes.

use super::{Properties, Property};
use crate::mqtt::error::EncodeError;

/// Growable properties. What is pushed is the caller's responsibility: nothing checks that a property is
/// allowed in the packet it will go into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertiesBuf(Vec<u8>);

impl PropertiesBuf {
    /// An empty list; allocates when something is pushed.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends a property. A value that cannot be on the wire (text or bytes over 65,535 bytes, a
    /// subscription identifier over 268,435,455) is left out; [`try_push`](Self::try_push) tells.
    pub fn push(&mut self, property: Property<'_>) {
        // Leaving it out is the documented answer.
        let _ = self.try_push(property);
    }

    /// Appends a property; fails, and appends nothing, if its value cannot be on the wire.
    pub fn try_push(&mut self, property: Property<'_>) -> Result<(), EncodeError> {
        property.write(&mut self.0)
    }

    /// Appends all properties of a packet.
    pub fn extend(&mut self, properties: Properties<'_>) {
        self.0.extend_from_slice(properties.raw());
    }

    /// Appends those properties whose identifier `keep` accepts, without reading their values: a forwarder
    /// drops topic alias and subscription identifiers this way.
    pub fn extend_if(&mut self, properties: Properties<'_>, mut keep: impl FnMut(u8) -> bool) {
        for (id, bytes) in properties.iter_raw() {
            if keep(id) {
                self.0.extend_from_slice(bytes);
            }
        }
    }

    /// The properties, to put into a packet.
    #[inline]
    pub fn as_properties(&self) -> Properties<'_> {
        Properties::from_validated(&self.0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Removes all properties and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
