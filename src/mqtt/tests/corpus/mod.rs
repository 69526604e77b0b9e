//! One packet and its bytes per kind, version and form.

mod connection;
mod message;
mod subscription;

use super::super::*;

/// A packet in its shortest form, which is how it is written.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) sender: Sender,
    pub(super) version: ProtocolVersion,
    pub(super) packet: Packet<'static>,
    pub(super) bytes: &'static [u8],
}

/// Takes a name, sender, version, packet and bytes.
type Add<'a> =
    &'a mut dyn FnMut(&'static str, Sender, ProtocolVersion, Packet<'static>, &'static [u8]);

pub(super) fn corpus() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name, sender, version, packet, bytes: &'static [u8]| {
        cases.push(Case {
            name,
            sender,
            version,
            packet,
            bytes,
        });
    };
    connection::add(&mut add);
    message::add(&mut add);
    subscription::add(&mut add);
    cases
}
