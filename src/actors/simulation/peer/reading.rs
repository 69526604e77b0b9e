//! What a client reads, and what it holds the broker to.

use super::*;

impl Peer {
    /// Reads up to `most` packets.
    pub fn read(&mut self, most: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..most {
            let link = self.link.as_mut().expect("connected");
            let header = frame_header(&link.input, u32::MAX).expect("a valid header");
            let Some(header) = header.filter(|header| header.packet_len() <= link.input.len())
            else {
                // A little at a time, so that a full socket stays full.
                let more = link.stream.receive(64);
                if more.is_empty() {
                    assert!(
                        !link.stream.is_ended(),
                        "{}: closed by the broker",
                        self.name
                    );
                    break;
                }
                link.input.extend_from_slice(&more);
                continue;
            };
            self.packets += 1;
            let packet = link.input.split_to(header.packet_len());
            let body = &packet[header.header_len..];
            let decoded = decode_as(Sender::Server, self.version, header.first_byte, body);
            let decoded = decoded.unwrap_or_else(|error| panic!("{error}: {packet:02x?}"));
            events.extend(self.take(&decoded));
        }
        events
    }

    fn take(&mut self, packet: &Packet<'_>) -> Option<Event> {
        let name = self.name;
        let link = self.link.as_mut().expect("connected");
        let is_first = !link.accepted;
        match packet {
            Packet::ConnAck(connack) => {
                assert!(is_first, "{name}: a second CONNACK");
                assert_eq!(connack.reason, ReasonCode::Success, "{name}");
                link.accepted = true;
                link.resumed = connack.session_present;
                return Some(Event::Connected {
                    session_present: connack.session_present,
                });
            }
            _ => assert!(!is_first, "{name}: before CONNACK: {packet:?}"),
        }
        match packet {
            Packet::Publish(publish) => return self.take_publish(publish).map(Event::Message),
            Packet::PubAck(ack) => return self.take_ack(ack, QoS::AtLeastOnce),
            Packet::PubRec(ack) => return self.take_ack(ack, QoS::ExactlyOnce),
            Packet::PubRel(ack) => {
                // One whose PUBCOMP was lost is released already.
                self.unreleased.remove(&ack.packet_id.get());
                link.owed.push(Reply::Comp(ack.packet_id.get()));
            }
            Packet::PubComp(ack) => {
                let done = |other: &Outgoing| other.id == ack.packet_id.get() && other.released;
                self.outgoing.retain(|other| !done(other));
            }
            Packet::SubAck(ack) => {
                let number = ack.packet_id.get();
                assert!(link.requests.remove(&number), "{name}: {packet:?}");
                assert!(ack.reasons.iter().all(|code| *code < 0x80), "{packet:?}");
                return Some(Event::Subscribed(number));
            }
            Packet::UnsubAck(ack) => {
                let number = ack.packet_id.get();
                assert!(link.requests.remove(&number), "{name}: {packet:?}");
                return Some(Event::Unsubscribed(number));
            }
            Packet::PingResp => {
                assert!(link.pings > 0, "{name}: {packet:?}");
                link.pings -= 1;
            }
            other => panic!("{name}: {other:?}"),
        }
        None
    }

    fn take_ack(&mut self, ack: &Ack<'_>, qos: QoS) -> Option<Event> {
        assert!(!ack.reason.is_error(), "{}: {ack:?}", self.name);
        let of_it = |other: &Outgoing| other.id == ack.packet_id.get() && other.qos == qos;
        let index = self.outgoing.iter().position(of_it)?;
        let outgoing = &mut self.outgoing[index];
        let number = outgoing.number;
        if qos == QoS::ExactlyOnce {
            // The answer to a message that was sent twice on one connection cannot come: it is sent once on each.
            assert!(!outgoing.released, "{}: PUBREC twice", self.name);
            outgoing.released = true;
            let link = self.link.as_mut().expect("connected");
            link.owed.push(Reply::Rel(outgoing.id));
        } else {
            self.outgoing.remove(index);
        }
        Some(Event::Taken(number))
    }

    fn take_publish(&mut self, publish: &Publish<'_>) -> Option<Received> {
        let name = self.name;
        let link = self.link.as_mut().expect("connected");
        let named = self.topics.iter().find(|topic| **topic == publish.topic);
        let topic = match publish.properties.topic_alias() {
            None => named,
            Some(alias) => {
                assert!(
                    (1..=link.alias_maximum).contains(&alias),
                    "{name}: alias: {publish:?}"
                );
                if let Some(named) = named {
                    link.aliases.insert(alias, named);
                }
                assert!(named.is_some() || publish.topic.is_empty(), "{publish:?}");
                link.aliases.get(&alias)
            }
        };
        let text = std::str::from_utf8(publish.payload).expect("a number");
        let received = Received {
            topic: topic
                .copied()
                .unwrap_or_else(|| panic!("{name}: {publish:?}")),
            expiry: publish.properties.message_expiry_interval(),
            number: (!text.is_empty()).then(|| text.parse().expect("a number")),
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
        };
        let Some(id) = publish.packet_id.map(PacketId::get) else {
            assert!(!publish.dup, "{name}: DUP with QoS 0");
            return Some(received);
        };
        assert!(
            link.in_use.insert(id),
            "{name}: {id} is in use: {publish:?}"
        );
        assert!(
            link.in_use.len() <= link.receive_maximum,
            "{name}: {} messages, receive maximum {}",
            link.in_use.len(),
            link.receive_maximum
        );
        assert!(
            !publish.dup || link.resumed,
            "{name}: DUP in a new session: {publish:?}"
        );
        if publish.qos == QoS::ExactlyOnce {
            link.owed.push(Reply::Rec(id));
            if !self.unreleased.insert(id) {
                assert!(publish.dup, "{name}: {id} is not released: {publish:?}");
                return None;
            }
        } else {
            link.owed.push(Reply::Ack(id));
        }
        Some(received)
    }
}
