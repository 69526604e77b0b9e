//! Opening a store: reading what is there, and saying what of it could not be read.

use std::{collections::BTreeMap, fmt, io};

use super::{
    disk::Disk,
    index::{Index, Location},
    log::{Limits, Segment, Store},
    record::Record,
    segment::{FIRST_FRAME, Header, Part, VERSION, frames},
};

/// What was found when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segment files.
    pub segments: u64,
    /// Records read.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What could not be read.
    pub damages: Vec<Damage>,
    /// Sessions that were dropped because the records that say whose they are could not be read.
    pub nameless_sessions: u64,
    /// Messages that waited for them.
    pub nameless_messages: u64,
}

/// A part of a segment that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment.
    pub segment: u32,
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
    /// What is wrong with it.
    pub kind: DamageKind,
}

/// What is wrong with a part of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// The end of the last segment: the process or the machine ended while it was written. Nobody was told that it was
    /// there, unless the disk has lost what it had confirmed.
    Tail,
    /// Records that were changed after they were written.
    Changed,
    /// Both copies of the header cannot be read, and so nothing of the segment.
    Header,
    /// A record that was written by another program.
    Unknown,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            segment,
            start,
            end,
            kind,
        } = self;
        let bytes = end - start;
        match kind {
            DamageKind::Tail => write!(
                f,
                "segment {segment}: the last {bytes} bytes, from {start} on, are no whole record; writing them was interrupted"
            ),
            DamageKind::Changed => write!(
                f,
                "segment {segment}: {bytes} bytes from {start} on are not as they were written (checksum); the records in them are lost"
            ),
            DamageKind::Header => write!(
                f,
                "segment {segment}: its header cannot be read, so its {bytes} bytes are lost"
            ),
            DamageKind::Unknown => write!(
                f,
                "segment {segment}: the record of {bytes} bytes at {start} is of no known kind and was left out"
            ),
        }
    }
}

impl Store {
    /// Opens the store in a folder, making it where there is none. What cannot be read is left out and reported.
    ///
    /// # Errors
    /// As the operating system reports them; and `InvalidData` for a store of another format, and for a file that is too large
    /// to be a segment; neither is touched.
    pub fn open(mut disk: Box<dyn Disk>, limits: Limits) -> io::Result<(Self, Report)> {
        let mut read = read(&mut *disk)?;
        let head = match read.sealed.pop_last() {
            Some((number, mut segment)) if segment.length < limits.segment => {
                if segment.file.length()? > segment.length.into() {
                    segment.file.truncate(segment.length.into())?;
                }
                // What the last process has written and not synced is counted on from here on.
                segment.file.sync()?;
                Some((number, segment))
            }
            Some((number, mut segment)) => {
                segment.file.sync()?;
                read.sealed.insert(number, segment);
                None
            }
            None => None,
        };
        // Without the salt in its header nothing can be made of a segment. It was reported.
        for number in &read.unreadable {
            disk.remove(*number)?;
        }
        let store = Self::new(disk, limits, read.index, read.sealed, head)?;
        Ok((store, read.report))
    }

    /// Reads a store without changing anything.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn inspect(mut disk: Box<dyn Disk>) -> io::Result<(super::Totals, Report)> {
        let read = read(&mut *disk)?;
        Ok((read.index.totals(), read.report))
    }
}

struct Read {
    index: Index,
    sealed: BTreeMap<u32, Segment>,
    /// Segments without a header, which are nothing but in the way.
    unreadable: Vec<u32>,
    report: Report,
}

fn read(disk: &mut dyn Disk) -> io::Result<Read> {
    let mut read = Read {
        index: Index::replaying(),
        sealed: BTreeMap::new(),
        unreadable: Vec::new(),
        report: Report::default(),
    };
    let numbers = disk.list()?;
    let last = numbers.last().copied();
    for number in numbers {
        let file = disk.open(number)?;
        let length = file.length()?;
        let Ok(length) = u32::try_from(length).map(|length| length as usize) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "segment {number} has {length} bytes: the broker writes none of 4 GiB and more"
                ),
            ));
        };
        let mut bytes = vec![0; length];
        file.read(&mut bytes, 0)?;
        read.report.segments += 1;
        read.report.bytes += length as u64;
        let is_last = Some(number) == last;
        if length == 0 {
            // It was about to be begun.
            read.unreadable.push(number);
            continue;
        }
        let Some(header) = Header::decode(&bytes).filter(|header| header.segment == number) else {
            let kind = match is_last && length <= FIRST_FRAME {
                true => DamageKind::Tail,
                false => DamageKind::Header,
            };
            read.report.damages.push(Damage {
                segment: number,
                start: 0,
                end: length,
                kind,
            });
            read.unreadable.push(number);
            continue;
        };
        if header.version != VERSION {
            let age = match header.version > VERSION {
                true => "a newer",
                false => "an older",
            };
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the store was written by {age} version of the broker (segment {number} is of format {}, this one reads \
                     format {VERSION}); start that version, or another folder as store.path",
                    header.version
                ),
            ));
        }
        let counted = read.replay(&header, &bytes, is_last);
        let segment = Segment {
            file,
            header,
            length: u32::try_from(counted).unwrap_or(u32::MAX),
        };
        read.sealed.insert(number, segment);
    }
    let (sessions, messages) = read.index.replayed();
    read.report.nameless_sessions = sessions;
    read.report.nameless_messages = messages;
    Ok(read)
}

impl Read {
    /// Enters the records of a segment. Returns how many of its bytes count.
    fn replay(&mut self, header: &Header, bytes: &[u8], is_last: bool) -> usize {
        let index = &mut self.index;
        index.next_session = index.next_session.max(header.next_session);
        index.next_message = index.next_message.max(header.next_message);
        let mut counted = FIRST_FRAME;
        for part in frames(header, bytes, FIRST_FRAME) {
            let (start, end, kind) = match part {
                Part::Record(offset, record) => {
                    let end = offset + record.len();
                    counted = end;
                    self.report.records += 1;
                    let at = Location {
                        segment: header.segment,
                        offset: offset as u32,
                        length: record.len() as u32,
                    };
                    match Record::decode(record) {
                        Some(record) => {
                            index.apply(&record, at);
                            continue;
                        }
                        None => (offset, end, DamageKind::Unknown),
                    }
                }
                Part::Damaged(start, end) if is_last && end == bytes.len() => {
                    (start, end, DamageKind::Tail)
                }
                Part::Damaged(start, end) => (start, end, DamageKind::Changed),
            };
            self.report.damages.push(Damage {
                segment: header.segment,
                start,
                end,
                kind,
            });
        }
        match is_last {
            true => counted,
            false => bytes.len(),
        }
    }
}
