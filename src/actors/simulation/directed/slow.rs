//! Subscribers that do not read, and who waits for them.

use std::time::Duration;

use super::{connect_for, hello, numbers, peer, read};
use crate::{
    actors::simulation::{
        peer::{Event, Hello, Outgoing},
        run::quiet,
        with_timers,
        world::World,
    },
    config::Mqtt,
    mqtt::QoS,
    stats::Metric,
};

/// Number of the first message, as long as possible.
const FIRST: usize = 1_000_000_000_000_000;
/// Such messages that make an output of 2000 bytes congested.
const TO_FILL: usize = 68;

/// A subscriber that does not read for a moment loses nothing of what was on its way when its publishers began to wait; one that
/// does not read for longer than they wait loses what there is no room for, and nobody has to publish for that.
#[test]
fn what_is_on_its_way_to_a_full_output_is_dropped_only_when_publishers_wait_no_longer() {
    const PAUSE: u32 = 5;
    const OTHERS: usize = 30;
    for (pause, passes, others, is_lost) in [
        (0, 0, OTHERS, true),
        (PAUSE, 0, OTHERS, false),
        (PAUSE, PAUSE - 1, OTHERS, false),
        (PAUSE, PAUSE + 1, OTHERS, true),
        // More than may wait.
        (PAUSE, 0, 4 * OTHERS, true),
    ] {
        with_timers(|| {
            let mut world = World::new(Mqtt {
                max_output_buffer: 2000,
                max_publisher_pause: Duration::from_secs(pause.into()),
                ..quiet()
            });
            let mut subscriber = peer("bob");
            let stream = world.accept(0, 64);
            subscriber.connect(stream, &hello(0, false), u16::MAX);
            let _ = read(&mut world, &mut subscriber);
            subscriber.subscribe("t", QoS::AtMostOnce, false);
            let _ = read(&mut world, &mut subscriber);
            let message =
                |number| Outgoing::new(FIRST + number, "t", QoS::AtMostOnce, false, false);
            let mut publisher = peer("ann");
            connect_for(&mut world, &mut publisher, 0);
            for number in 0..TO_FILL {
                publisher.publish(message(number));
                world.settle();
            }
            let mut publishers = vec![publisher];
            for number in TO_FILL..TO_FILL + others {
                let mut other = peer(format!("other {number}").leak());
                connect_for(&mut world, &mut other, 0);
                other.publish(message(number));
                world.settle();
                publishers.push(other);
            }
            world.pass(passes);
            world.settle();
            let dropped = world.count(Metric::DroppedOutputFull);
            assert_eq!(
                dropped > 0,
                is_lost,
                "{dropped}, {passes} of {pause} s, {others}"
            );
            let mut got = Vec::new();
            loop {
                let some = numbers(&read(&mut world, &mut subscriber));
                if some.is_empty() {
                    break;
                }
                got.extend(some);
            }
            let dropped = world.count(Metric::DroppedOutputFull);
            assert_eq!(
                dropped > 0,
                is_lost,
                "{dropped}, {passes} of {pause} s, {others}"
            );
            assert_eq!(got.len() + dropped as usize, TO_FILL + others);
            for mut peer in publishers.into_iter().chain([subscriber]) {
                peer.lose().unwrap().end();
            }
            world.settle();
            world.check_nothing_left();
        });
    }
}

/// A publisher waits for its subscribers with QoS 0 as long as it may where most of them are slow, and else only for a twentieth
/// of that: one that does not read hardly slows down those that do.
#[test]
fn a_slow_subscriber_holds_up_a_publisher_only_where_most_are_slow() {
    const PAUSE: usize = 4;
    const MESSAGES: usize = 120;
    for (slow, fast, are_most) in [
        (1, 0, true),
        (2, 1, true),
        (1, 1, false),
        (1, 2, false),
        (2, 3, false),
    ] {
        with_timers(|| {
            let mut world = World::new(Mqtt {
                max_output_buffer: 2000,
                max_publisher_pause: Duration::from_secs(PAUSE as u64),
                ..quiet()
            });
            let mut subscribers = Vec::new();
            for number in 0..slow + fast {
                let mut subscriber = peer(format!("subscriber {number}").leak());
                let room = if number < slow { 64 } else { usize::MAX };
                let stream = world.accept(0, room);
                subscriber.connect(stream, &hello(0, false), u16::MAX);
                let _ = read(&mut world, &mut subscriber);
                subscriber.subscribe("t", QoS::AtMostOnce, false);
                let _ = read(&mut world, &mut subscriber);
                subscribers.push(subscriber);
            }
            let mut publisher = peer("ann");
            connect_for(&mut world, &mut publisher, 0);
            let mut is_read = |world: &mut World, number: usize| {
                // The broker answers to this one when it has read what came before.
                publisher.publish(Outgoing::new(number, "t", QoS::AtMostOnce, false, false));
                let asked = MESSAGES + number;
                publisher.publish(Outgoing::new(asked, "u", QoS::AtLeastOnce, false, false));
                world.settle();
                let events = publisher.read(usize::MAX);
                let is_answer =
                    |event: &Event| matches!(event, Event::Taken(taken) if *taken == asked);
                events.iter().any(is_answer)
            };
            let mut held = 0;
            for number in FIRST..FIRST + MESSAGES {
                if !is_read(&mut world, number) {
                    held += 1;
                    world.pass(1);
                }
            }
            // The time is kept in whole milliseconds.
            let expected = if are_most { PAUSE..=PAUSE + 1 } else { 1..=1 };
            assert!(
                expected.contains(&held),
                "{slow} slow, {fast} fast: {held} s"
            );
            for subscriber in subscribers.iter_mut().skip(slow) {
                assert_eq!(
                    numbers(&read(&mut world, subscriber)),
                    Vec::from_iter(FIRST..FIRST + MESSAGES)
                );
            }
            for mut peer in subscribers.into_iter().chain([publisher]) {
                peer.lose().unwrap().end();
            }
            world.settle();
            world.check_nothing_left();
        });
    }
}

/// Nobody can wait for a slow subscriber in place of a client that is gone, whose will goes to it.
#[test]
fn a_will_to_a_slow_subscriber_holds_up_nobody() {
    with_timers(|| {
        let mut world = World::new(Mqtt {
            max_output_buffer: 2000,
            max_publisher_pause: Duration::from_secs(10),
            ..quiet()
        });
        let (mut slow, mut mortal, mut publisher) = (peer("bob"), peer("eva"), peer("ann"));
        let stream = world.accept(0, 64);
        slow.connect(stream, &hello(0, false), u16::MAX);
        let _ = read(&mut world, &mut slow);
        slow.subscribe("t", QoS::AtMostOnce, false);
        let _ = read(&mut world, &mut slow);
        connect_for(&mut world, &mut publisher, 0);
        // Each waits for the slow one as soon as that has enough.
        let mut fillers = Vec::new();
        for number in 0..2 * TO_FILL {
            let mut filler = peer(format!("filler {number}").leak());
            connect_for(&mut world, &mut filler, 0);
            let message = Outgoing::new(FIRST + number, "t", QoS::AtMostOnce, false, false);
            filler.publish(message);
            world.settle();
            fillers.push(filler);
        }
        let stream = world.accept(0, usize::MAX);
        let will = Some((FIRST + 2 * TO_FILL, "t", QoS::AtMostOnce, 0));
        let hello = Hello {
            will,
            ..hello(0, false)
        };
        mortal.connect(stream, &hello, u16::MAX);
        let _ = read(&mut world, &mut mortal);
        mortal.lose().unwrap().reset();
        world.settle();
        let mut is_read = |world: &mut World, number: usize| {
            publisher.publish(Outgoing::new(number, "u", QoS::AtLeastOnce, false, false));
            world.settle();
            let events = publisher.read(usize::MAX);
            let is_taken = |event: &Event| matches!(event, Event::Taken(taken) if *taken == number);
            events.iter().any(is_taken)
        };
        assert!(is_read(&mut world, 0));
        assert!(is_read(&mut world, 1), "held for the will");
        let mut last = fillers.pop().unwrap();
        last.publish(Outgoing::new(2, "u", QoS::AtLeastOnce, false, false));
        world.settle();
        assert!(last.read(usize::MAX).is_empty(), "nobody has to wait");
        fillers.push(last);
        for mut peer in fillers.into_iter().chain([slow, publisher]) {
            peer.lose().unwrap().end();
        }
        world.settle();
        world.check_nothing_left();
    });
}
