//! A disk that is full, or fails.

use super::{fake_disk::FakeDisk, *};

fn opened() -> (FakeDisk, Store) {
    let disk = FakeDisk::default();
    let (mut store, _) = Store::open(Box::new(disk.clone()), LIMITS).unwrap();
    store.add(&Record::Opened(1, info("a", 1)));
    store.commit(Sureness::Synced).unwrap();
    (disk, store)
}

fn publish(store: &mut Store, payload: &[u8]) -> bool {
    let message = message("t", payload, QoS::AtLeastOnce);
    store.publish(&message, None, None, vec![to(1)]);
    let done = store.commit(Sureness::Synced).is_ok();
    if !done {
        store.discard();
    }
    done
}

fn restarted(disk: &FakeDisk) -> Vec<String> {
    let (store, _) = Store::open(Box::new(disk.after_power_failure(0)), LIMITS).unwrap();
    contents(&store)
}

#[test]
fn a_full_disk_costs_what_was_refused_and_nothing_else() {
    let (disk, mut store) = opened();
    assert!(publish(&mut store, b"1"));
    for room in [0, 1, 20, 60] {
        disk.state().room = Some(room);
        let before = contents(&store);
        assert!(!publish(&mut store, &[b'x'; 100]));
        assert_eq!(contents(&store), before);
        assert_eq!(restarted(&disk), before);
        disk.state().room = None;
        assert!(publish(&mut store, b"after"));
        assert_eq!(restarted(&disk), contents(&store));
    }
    assert_eq!(store.figures().failures, 4);
}

#[test]
fn a_short_write_is_not_read_again() {
    for length in 0..120 {
        let (disk, mut store) = opened();
        disk.state().torn_write = Some(length);
        // The file cannot even be cut.
        disk.state().read_only = true;
        assert!(!publish(&mut store, &[b'x'; 100]));
        disk.state().read_only = false;
        assert!(publish(&mut store, b"after"));
        assert_eq!(store.totals().queued, 1);
        assert_eq!(restarted(&disk), contents(&store), "{length}");
    }
}

#[test]
fn a_failed_sync_is_not_taken_for_a_later_one() {
    let (disk, mut store) = opened();
    assert!(publish(&mut store, b"1"));
    disk.state().failing_syncs = 1;
    assert!(!publish(&mut store, b"refused"));
    assert!(publish(&mut store, b"2"));
    assert_eq!(store.totals().queued, 2);
    assert_eq!(restarted(&disk), contents(&store));
}

#[test]
fn what_was_counted_on_before_a_failed_sync_is_written_anew() {
    let (disk, mut store) = opened();
    let message = message("t", b"1", QoS::AtLeastOnce);
    store.publish(&message, None, None, vec![to(1)]);
    store.commit(Sureness::Written).unwrap();
    disk.state().failing_syncs = 1;
    assert!(store.sync().is_err());
    // The disk is well again, but what it had been given before is gone.
    assert!(publish(&mut store, b"2"));
    assert!(store.wants_cleaning());
    while store.wants_cleaning() {
        store.clean(1 << 20).unwrap();
    }
    assert_eq!(restarted(&disk), contents(&store));
    assert_eq!(store.totals().queued, 2);
}

#[test]
fn cleaning_that_is_interrupted_goes_on() {
    for room in (0..3000).step_by(37) {
        let (disk, mut store) = opened();
        for number in 0..100u8 {
            assert!(publish(&mut store, &[number; 100]));
            if number % 10 != 0 {
                let sequence = u64::from(number) + 1;
                store.add(&Record::Settled(1, vec![sequence]));
            }
        }
        store.commit(Sureness::Synced).unwrap();
        let before = contents(&store);
        disk.state().room = Some(room);
        let mut failed = false;
        for _ in 0..100 {
            if !store.wants_cleaning() {
                break;
            }
            failed |= store.clean(200).is_err();
            if failed {
                disk.state().room = None;
            }
            assert_eq!(contents(&store), before, "room {room}");
            assert_eq!(restarted(&disk), before, "room {room}");
        }
        assert!(!store.wants_cleaning());
    }
}

#[test]
fn a_disk_that_messages_have_filled_is_emptied_by_their_acknowledgements() {
    let disk = FakeDisk::default();
    disk.state().room = Some(40_000);
    let (mut store, _) = Store::open(Box::new(disk.clone()), LIMITS).unwrap();
    store.add(&Record::Opened(1, info("a", 1)));
    store.commit(Sureness::Synced).unwrap();
    for round in 0..3 {
        while publish(&mut store, &[b'x'; 500]) {}
        store.go_short();
        assert!(store.is_short());
        let queue = store.sessions()[0].queue.clone();
        assert!(queue.len() > 30, "round {round}: {}", queue.len());
        // Nothing but the space that was set aside is left.
        for entry in queue {
            store.add(&Record::Settled(1, vec![entry.sequence]));
            store.commit(Sureness::Synced).unwrap();
            if store.is_short() && store.wants_cleaning() {
                store.clean(1000).unwrap();
            }
        }
        while store.wants_cleaning() {
            store.clean(1000).unwrap();
        }
        assert!(
            !store.is_short(),
            "round {round}: room {:?}",
            disk.state().room
        );
        assert_eq!(restarted(&disk), contents(&store));
    }
}
