//! What the wire can say: one version-neutral packet model and its codec.
