//! The `nanomq` command.
fn main() {}
