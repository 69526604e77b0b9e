//! The acknowledgements that a client sends.

use super::*;

impl Peer {
    pub fn owes(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.owed.is_empty())
    }

    /// Sends an acknowledgement that is owed: the oldest, or any.
    pub fn reply(&mut self, rng: &mut Rng, oldest: bool) {
        let link = self.link.as_mut().expect("connected");
        let index = if oldest {
            0
        } else {
            rng.usize(..link.owed.len())
        };
        let reply = link.owed.remove(index);
        if let Reply::Ack(id) | Reply::Comp(id) = reply {
            link.in_use.remove(&id);
        }
        link.answered.push(reply);
        self.send_reply(reply);
    }

    /// Sends an acknowledgement once more. Not a PUBREL: its identifier may be that of a new message.
    pub fn repeat_a_reply(&mut self, rng: &mut Rng) {
        let link = self.link.as_ref().expect("connected");
        let repeatable = |reply: &&Reply| !matches!(reply, Reply::Rel(_));
        let all: Vec<_> = link.answered.iter().filter(repeatable).copied().collect();
        if let Some(reply) = rng.choice(all) {
            self.send_reply(reply);
        }
    }

    fn send_reply(&mut self, reply: Reply) {
        let success = |value| Ack::new(id(value), ReasonCode::Success);
        self.send(&match reply {
            Reply::Ack(id) => Packet::PubAck(success(id)),
            Reply::Rec(id) => Packet::PubRec(success(id)),
            Reply::Rel(id) => Packet::PubRel(success(id)),
            Reply::Comp(id) => Packet::PubComp(success(id)),
        });
    }
}
