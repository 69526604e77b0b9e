//! Reading back what was written, held against its checksum.

use std::io;

use super::{Segment, Store};
use crate::{
    mqtt::{Message, MessageRef},
    store::{
        index::Location,
        record::{Body, MessageNumber, Record},
        segment::FRAME,
    },
};

/// A message out of the store.
#[derive(Clone, Debug)]
pub struct StoredBody {
    /// The message; it does not know when it expires.
    pub message: Message,
    /// In milliseconds since 1970; none: never.
    pub expires_at: Option<u64>,
}

impl StoredBody {
    fn new(body: &Body<'_>) -> Self {
        let message = MessageRef {
            topic: body.topic,
            properties: body.properties(),
            payload: body.payload,
            qos: body.qos,
            retain: body.retain,
            expires_at: None,
        };
        Self {
            message: message.to_message(),
            expires_at: body.expires_at,
        }
    }
}

impl Store {
    /// The body of a message; none when nobody needs it any more.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub fn read(&self, number: MessageNumber) -> io::Result<Option<StoredBody>> {
        let Some(at) = self.index.message(number) else {
            return Ok(None);
        };
        let bytes = self.read_record(at)?;
        match Record::decode(&bytes) {
            Some(Record::Message(message) | Record::Moved(_, _, message))
                if message.number == number =>
            {
                Ok(Some(StoredBody::new(&message.body)))
            }
            _ => Err(damaged(at)),
        }
    }

    fn segment(&self, number: u32) -> Option<&Segment> {
        match number == self.head_number {
            true => Some(&self.head),
            false => self.sealed.get(&number),
        }
    }

    fn read_record(&self, at: Location) -> io::Result<Vec<u8>> {
        let segment = self.segment(at.segment).ok_or_else(|| damaged(at))?;
        let mut frame = vec![0; FRAME + at.length as usize];
        let start = at.offset.saturating_sub(FRAME as u32);
        segment.file.read(&mut frame, start.into())?;
        match segment.header.record(&frame, 0) {
            Some(record) if record.len() == at.length as usize => {
                frame.drain(..FRAME);
                Ok(frame)
            }
            _ => Err(damaged(at)),
        }
    }

    /// Calls `take` with each retained message.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn retained(&self, mut take: impl FnMut(StoredBody)) -> io::Result<u64> {
        let mut loaded: Option<(u32, Vec<u8>)> = None;
        let mut unreadable = 0;
        for at in self.index.retained() {
            let Some(segment) = self.segment(at.segment) else {
                continue;
            };
            if loaded
                .as_ref()
                .is_none_or(|(number, _)| *number != at.segment)
            {
                loaded = Some((at.segment, segment.load()?));
            }
            let bytes = loaded.as_ref().map(|(_, bytes)| bytes.as_slice());
            let start = (at.offset as usize).saturating_sub(FRAME);
            let record = bytes
                .and_then(|bytes| segment.header.record(bytes, start))
                .and_then(Record::decode);
            match record {
                Some(Record::Retained(body)) => take(StoredBody::new(&body)),
                _ => unreadable += 1,
            }
        }
        Ok(unreadable)
    }
}

fn damaged(at: Location) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "segment {} holds at {} not what was written there",
            at.segment, at.offset
        ),
    )
}
