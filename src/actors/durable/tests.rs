//! What comes out of the store when the clock is not what it was.

use super::*;
use crate::mqtt::QoS;

const HOUR: u64 = 60 * 60 * 1000;
/// What the clock showed when the session was kept, in milliseconds since 1970.
const KEPT_AT: u64 = 1_000_000 * HOUR;

/// A session that is kept for 60 s, with a will that is due in 30 s, as a broker finds it that starts at `millis`:
/// seconds until it expires and until the will is due.
fn found_at(millis: u64, interval: u32) -> (Option<u64>, u64) {
    let now = Instant::now() + Duration::from_secs(10_000);
    let clock = WallClock::new(now, millis);
    let body = Body {
        topic: "t",
        properties: b"",
        payload: b"gone",
        qos: QoS::AtMostOnce,
        retain: false,
        expires_at: None,
    };
    let recovered = RecoveredSession {
        number: 1,
        info: SessionInfo {
            client_id: "c".into(),
            generation: 1,
            username: None,
            superuser: false,
            version: 5,
            clean_start: false,
            keep_alive: 0,
            expiry_interval: interval,
            peer: "127.0.0.1:1".to_owned(),
            listener: "default".into(),
            connected_at: KEPT_AT,
            will: None,
        },
        kept: Some(Kept {
            generation: 1,
            expiry_interval: interval,
            expires_at: (interval != u32::MAX).then_some(KEPT_AT + 60_000),
            will: Some(StoredWill {
                due_at: KEPT_AT + 30_000,
                body: body.to_owned(),
            }),
            unsent: None,
        }),
        subscriptions: Vec::new(),
        taken: Vec::new(),
        queue: Vec::new(),
    };
    let inbox = inbox_of(&recovered, Owner::Nobody);
    let subject = Subject {
        client_id: "c".into(),
        username: None,
        address: [127, 0, 0, 1].into(),
        superuser: false,
    };
    let kept = kept_session(recovered, subject, &inbox, 1, &clock, now).unwrap();
    let left = |at: Instant| at.saturating_duration_since(now).as_secs();
    (kept.expires_at.map(left), left(kept.will.unwrap().0))
}

/// Class 40: a clock that is set back an hour, or ahead, keeps no session longer than its expiry interval.
#[test]
fn class_40_a_clock_that_was_set_back_gives_nobody_more_time() {
    assert_eq!(found_at(KEPT_AT + 10_000, 60), (Some(50), 20));
    assert_eq!(found_at(KEPT_AT - HOUR, 60), (Some(60), 60));
    assert_eq!(found_at(KEPT_AT + HOUR, 60), (Some(0), 0));
    // One that is kept for ever has no end to hold the will against.
    assert_eq!(found_at(KEPT_AT - HOUR, u32::MAX).0, None);
}
