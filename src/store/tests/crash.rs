//! Interrupted writes and changed bytes.

use super::{fake_disk::FakeDisk, *};

/// A store with messages 0 to 19 for one session, each committed by itself.
fn twenty(disk: &FakeDisk) -> Store {
    let (mut store, _) = Store::open(Box::new(disk.clone()), LIMITS).unwrap();
    store.add(&Record::Opened(1, info("a", 1)));
    store.commit(Sureness::Synced).unwrap();
    for number in 0..20u8 {
        let payload = [number; 40];
        store.publish(
            &message("t", &payload, QoS::AtLeastOnce),
            None,
            None,
            vec![to(1)],
        );
        store.commit(Sureness::Synced).unwrap();
    }
    store
}

fn payloads(store: &Store) -> Vec<u8> {
    let sessions = store.sessions();
    let Some(session) = sessions.first() else {
        return Vec::new();
    };
    let bodies = session.queue.iter().map(|entry| {
        let body = store.read(entry.message).unwrap().unwrap();
        let payload = body.message.view().payload.to_vec();
        assert!(payload.iter().all(|byte| *byte == payload[0]) && payload.len() == 40);
        payload[0]
    });
    bodies.collect()
}

#[test]
fn a_log_that_ends_anywhere_gives_the_records_that_are_whole() {
    let disk = FakeDisk::default();
    drop(twenty(&disk));
    let whole = disk.state().files[&1].clone();
    let mut most = 0;
    for length in 0..=whole.written.len() {
        let cut = disk.after_kill();
        cut.state()
            .files
            .get_mut(&1)
            .unwrap()
            .written
            .truncate(length);
        let (mut store, report) = Store::open(Box::new(cut.clone()), LIMITS).unwrap();
        let found = payloads(&store);
        let expected: Vec<u8> = (0..found.len() as u8).collect();
        assert_eq!(found, expected, "a prefix, cut at {length}");
        assert!(found.len() >= most, "more bytes, more records");
        most = found.len();
        assert!(report.damages.len() <= 1);
        assert!(report.damages.iter().all(|d| d.kind == DamageKind::Tail));
        // It goes on from there.
        store.add(&Record::Opened(9, info("b", 9)));
        store.commit(Sureness::Synced).unwrap();
        let (again, report) = Store::open(Box::new(cut.after_kill()), LIMITS).unwrap();
        assert_eq!(contents(&again), contents(&store), "cut at {length}");
        assert_eq!(report.damages, [], "the torn end is gone, cut at {length}");
    }
    assert_eq!(most, 20);
}

#[test]
fn a_changed_bit_costs_one_record_and_is_reported() {
    let disk = FakeDisk::default();
    drop(twenty(&disk));
    let length = disk.state().files[&1].written.len();
    for bit in (0..length * 8).step_by(3) {
        let changed = disk.after_kill();
        changed.state().files.get_mut(&1).unwrap().written[bit / 8] ^= 1 << (bit % 8);
        let (store, report) = Store::open(Box::new(changed), LIMITS).unwrap();
        let found = payloads(&store);
        if bit / 8 < 128 {
            assert_eq!(found.len(), 20, "the other copy of the header, bit {bit}");
            continue;
        }
        assert!(found.is_sorted(), "bit {bit}");
        match store.sessions().len() {
            // The record of the session itself: then nobody knows whose the messages were.
            0 => assert_eq!(
                (report.nameless_sessions, report.nameless_messages),
                (1, 20)
            ),
            _ => assert_eq!(found.len(), 19, "bit {bit}"),
        }
        assert_eq!(report.damages.len(), 1, "bit {bit}");
        let text = report.damages[0].to_string();
        assert!(text.starts_with("segment 1: "), "{text}");
    }
}

#[test]
fn a_body_that_changes_while_the_store_is_open_is_not_served() {
    let disk = FakeDisk::default();
    let store = twenty(&disk);
    let session = store.sessions().remove(0);
    let last = disk.state().files[&1].written.len() - 30;
    disk.state().files.get_mut(&1).unwrap().written[last] ^= 1;
    let read = store.read(session.queue[19].message);
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    assert!(store.read(session.queue[18].message).unwrap().is_some());
}

#[test]
fn what_was_synced_survives_a_power_failure() {
    for part in [0, 1, 50, 99] {
        let disk = FakeDisk::default();
        let mut store = twenty(&disk);
        let message = message("t", &[20; 40], QoS::AtLeastOnce);
        store.publish(&message, None, None, vec![to(1)]);
        store.commit(Sureness::Written).unwrap();
        let after = disk.after_power_failure(part);
        let (again, _) = Store::open(Box::new(after), LIMITS).unwrap();
        assert_eq!(payloads(&again), (0..20).collect::<Vec<u8>>());
        // The end of the process alone loses nothing.
        let (again, _) = Store::open(Box::new(disk.after_kill()), LIMITS).unwrap();
        assert_eq!(payloads(&again).len(), 21);
    }
}

#[test]
fn a_payload_cannot_pass_for_a_record() {
    let disk = FakeDisk::default();
    let (mut store, _) = Store::open(Box::new(disk.clone()), LIMITS).unwrap();
    store.add(&Record::Opened(1, info("a", 1)));
    store.commit(Sureness::Synced).unwrap();
    // The bytes of the store's own beginning, header and record, as a client that knows the format would send them.
    let other = FakeDisk::default();
    drop(twenty(&other));
    let forged = other.state().files[&1].written[128..].to_vec();
    let message = message("t", &forged, QoS::AtLeastOnce);
    store.publish(&message, None, None, vec![to(1)]);
    store.commit(Sureness::Synced).unwrap();
    let length = disk.state().files[&1].written.len();
    // Damage the record around it.
    disk.state().files.get_mut(&1).unwrap().written[length - forged.len() - 30] ^= 1;
    let (again, report) = Store::open(Box::new(disk.after_kill()), LIMITS).unwrap();
    assert_eq!(again.totals().queued, 0);
    assert_eq!(report.records, 1);
}

#[test]
fn a_store_of_another_format_is_refused_and_not_touched() {
    for (version, age) in [(99, "a newer version"), (1, "an older version")] {
        let disk = FakeDisk::default();
        drop(twenty(&disk));
        for copy in [0, 64] {
            let mut state = disk.state();
            let bytes = &mut state.files.get_mut(&1).unwrap().written;
            bytes[copy + 8] = version;
            let sum = crc32fast::hash(&bytes[copy..copy + 40]);
            bytes[copy + 40..copy + 44].copy_from_slice(&sum.to_le_bytes());
        }
        let before = disk.state().files[&1].written.clone();
        for error in [
            Store::open(Box::new(disk.clone()), LIMITS).err().unwrap(),
            Store::inspect(Box::new(disk.clone())).err().unwrap(),
        ] {
            let text = error.to_string();
            assert!(text.contains(age), "{text}");
            assert!(text.contains(&format!("of format {version},")), "{text}");
        }
        assert_eq!(disk.state().files[&1].written, before);
    }
}

#[test]
fn a_file_that_is_too_large_is_refused_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("0000000007.seg")).unwrap();
    file.set_len(1 << 32).unwrap();
    let disk = Folder::lock(folder.path()).unwrap();
    let error = Store::open(Box::new(disk), LIMITS).err().unwrap();
    assert!(error.to_string().contains("segment 7"), "{error}");
}

#[test]
fn the_last_number_of_a_segment_is_the_last() {
    let disk = FakeDisk::default();
    drop(twenty(&disk));
    let mut state = disk.state();
    let mut file = state.files.remove(&1).unwrap();
    for copy in [0, 64] {
        let bytes = &mut file.written;
        bytes[copy + 12..copy + 16].copy_from_slice(&u32::MAX.to_le_bytes());
        let sum = crc32fast::hash(&bytes[copy..copy + 40]);
        bytes[copy + 40..copy + 44].copy_from_slice(&sum.to_le_bytes());
    }
    state.files.insert(u32::MAX, file);
    drop(state);
    let (mut store, _) = Store::open(Box::new(disk), LIMITS).unwrap();
    let before = contents(&store);
    let message = message("t", &[b'x'; 4096], QoS::AtLeastOnce);
    store.publish(&message, None, None, vec![to(1)]);
    assert!(store.commit(Sureness::Written).is_err());
    store.discard();
    assert_eq!(contents(&store), before);
}
