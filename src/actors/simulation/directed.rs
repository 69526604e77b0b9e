//! What two clients do on purpose, with the actors in between in many orders.

mod slow;

use std::time::Duration;

use fastrand::Rng;

use super::{
    peer::{Event, Hello, Outgoing, Peer, Received, UNDER_WAY_MAX},
    run::{quiet, with_backlog},
    with_timers,
    world::{AGE, World},
};
use crate::{
    config::{Durability, Mqtt},
    mqtt::{ProtocolVersion, QoS},
    stats::Metric,
};

const ORDERS: u64 = 200;
const TOPICS: &[&str] = &["t"];
/// Longer than a test.
const LONG: u32 = Duration::from_secs(3600).as_secs() as u32;

fn connect(world: &mut World, peer: &mut Peer) -> Vec<Received> {
    connect_for(world, peer, LONG)
}

/// The session lasts for so many seconds. What comes at once.
fn connect_for(world: &mut World, peer: &mut Peer, expiry: u32) -> Vec<Received> {
    connect_with(world, peer, expiry, false)
}

fn connect_with(world: &mut World, peer: &mut Peer, expiry: u32, clean: bool) -> Vec<Received> {
    let stream = world.accept(0, usize::MAX);
    peer.connect(stream, &hello(expiry, clean), u16::MAX);
    read(world, peer)
}

fn hello(expiry: u32, clean: bool) -> Hello {
    Hello {
        clean,
        expiry,
        receive_maximum: u16::MAX,
        alias_maximum: 0,
        keep_alive: 0,
        will: None,
    }
}

/// All that comes when the broker has come to rest.
fn read(world: &mut World, peer: &mut Peer) -> Vec<Received> {
    world.settle();
    let events = peer.read(usize::MAX).into_iter();
    let messages = events.filter_map(|event| match event {
        Event::Message(received) => Some(received),
        _ => None,
    });
    messages.collect()
}

fn turns(world: &mut World, rng: &mut Rng, most: usize) {
    for _ in 0..rng.usize(..most) {
        world.turn(rng);
    }
}

fn peer(name: &'static str) -> Peer {
    Peer::new(name, ProtocolVersion::V5, TOPICS)
}

/// The publisher's actor has one turn, and another behind those that it has woken: they write before it acknowledges.
#[test]
fn subscribers_have_their_turn_before_a_message_is_acknowledged() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        with_timers(|| {
            let mut world = World::new(quiet());
            let (mut publisher, mut subscriber) = (peer("ann"), peer("bob"));
            connect(&mut world, &mut publisher);
            connect(&mut world, &mut subscriber);
            subscriber.subscribe("t", QoS::AtMostOnce, false);
            let _ = read(&mut world, &mut subscriber);
            world.settle();
            publisher.publish(Outgoing::new(0, "t", qos, false, false));
            assert!(world.turn(&mut Rng::with_seed(0)));
            publisher.read(usize::MAX);
            assert!(!publisher.owes() && !publisher.is_done(), "{qos:?}");
            assert_eq!(numbers(&read(&mut world, &mut subscriber)), [0]);
            publisher.read(usize::MAX);
            assert!(publisher.owes() || publisher.is_done(), "{qos:?}");
        });
    }
}

/// A client that has something to read from whenever the broker looks.
#[test]
fn who_publishes_without_a_pause_moves_to_another_worker() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        with_timers(|| {
            let mut world = World::new(quiet());
            let mut publisher = peer("ann");
            connect(&mut world, &mut publisher);
            world.settle();
            world.relieve(0);
            for number in 0..UNDER_WAY_MAX.into() {
                publisher.publish(Outgoing::new(number, "t", qos, false, false));
                assert!(world.turn(&mut Rng::with_seed(0)));
            }
            assert!(world.is_relieved(0), "{qos:?}");
        });
    }
}

/// Publishers wait for each worker that has more to do than it may, also while others of them stand in line for another one:
/// what waits for any is bounded.
#[test]
fn publishers_wait_for_all_workers_that_have_too_much_to_do() {
    const PUBLISHERS: usize = 3;
    const LIMIT: usize = 100;
    with_timers(|| {
        let (mut most, mut waited) = (0, 0);
        for seed in 0..ORDERS {
            let mut rng = Rng::with_seed(seed);
            let mut world = World::of(with_backlog(quiet(), LIMIT), None);
            let mut subscribers = [peer("ann"), peer("bob")];
            for (worker, subscriber) in subscribers.iter_mut().enumerate() {
                let stream = world.accept(worker, usize::MAX);
                subscriber.connect(stream, &hello(0, true), u16::MAX);
                let _ = read(&mut world, subscriber);
                subscriber.subscribe("t", QoS::AtMostOnce, false);
                let _ = read(&mut world, subscriber);
            }
            let mut publishers = ["cid", "dot", "eve"].map(peer);
            assert_eq!(publishers.len(), PUBLISHERS);
            for publisher in &mut publishers {
                connect_with(&mut world, publisher, 0, true);
            }
            let message = Outgoing::new(0, "t", QoS::AtMostOnce, false, false);
            publishers[0].publish(message);
            while world.backlog(0) == 0 {
                assert!(world.turn(&mut rng));
            }
            let size = world.backlog(0);
            for _ in 0..200 {
                for publisher in &mut publishers {
                    match publisher.unread() {
                        0 => publisher.publish(message),
                        _ => waited += 1,
                    }
                }
                world.turn(&mut rng);
                for worker in 0..subscribers.len() {
                    let backlog = world.backlog(worker);
                    most = most.max(backlog);
                    assert!(
                        backlog <= LIMIT + PUBLISHERS * size,
                        "seed {seed}: {backlog} bytes wait for worker {worker}"
                    );
                }
            }
            for mut peer in publishers.into_iter().chain(subscribers) {
                peer.lose().unwrap().end();
            }
            world.check_nothing_left();
        }
        assert!(most > LIMIT && waited > 0, "nobody had to wait");
    });
}

/// A message with QoS 0 that lies between others, which are stored, is not overtaken by the next one `[MQTT-4.6.0-5]`.
#[test]
fn what_is_not_stored_waits_for_nothing() {
    with_timers(|| {
        for seed in 0..ORDERS {
            let mut rng = Rng::with_seed(seed);
            let mut world = World::durable(quiet(), Durability::Sync);
            let (mut publisher, mut subscriber) = (peer("ann"), peer("bob"));
            connect(&mut world, &mut publisher);
            connect(&mut world, &mut subscriber);
            subscriber.subscribe("t", QoS::AtLeastOnce, false);
            let _ = read(&mut world, &mut subscriber);
            for (number, qos) in [
                (0, QoS::AtLeastOnce),
                (1, QoS::AtMostOnce),
                (2, QoS::AtMostOnce),
            ] {
                publisher.publish(Outgoing::new(number, "t", qos, false, false));
                turns(&mut world, &mut rng, 4);
            }
            let got = read(&mut world, &mut subscriber);
            let numbers = |qos| -> Vec<_> {
                let of_qos = got.iter().filter(|of| of.qos == qos);
                of_qos.map(|of| of.number).collect()
            };
            assert_eq!(numbers(QoS::AtMostOnce), [Some(1), Some(2)], "seed {seed}");
            assert_eq!(numbers(QoS::AtLeastOnce), [Some(0)], "seed {seed}");
        }
    });
}

/// A retained message with QoS 2 whose identifier outlives the broker's end does so too: sent again it is not taken again
/// `[MQTT-4.3.3-10]`.
#[test]
fn what_is_retained_outlives_the_broker_as_its_identifier_does() {
    with_timers(|| {
        for seed in 0..ORDERS {
            let mut rng = Rng::with_seed(seed);
            let mut world = World::durable(quiet(), Durability::Sync);
            let (mut publisher, mut subscriber) = (peer("ann"), peer("bob"));
            connect(&mut world, &mut publisher);
            publisher.publish(Outgoing::new(0, "t", QoS::ExactlyOnce, true, false));
            turns(&mut world, &mut rng, 8);
            publisher.lose();
            world.restart();
            connect(&mut world, &mut publisher);
            publisher.resume();
            let _ = read(&mut world, &mut publisher);
            connect(&mut world, &mut subscriber);
            subscriber.subscribe("t", QoS::AtLeastOnce, false);
            let got = read(&mut world, &mut subscriber);
            let numbers: Vec<_> = got.iter().map(|of| of.number).collect();
            assert_eq!(numbers, [Some(0)], "seed {seed}");
        }
    });
}

/// What is retained of the topic for a client that comes.
fn retained(world: &mut World) -> Vec<usize> {
    let mut witness = peer("eva");
    connect_for(world, &mut witness, 0);
    witness.subscribe("t", QoS::AtMostOnce, false);
    let got = read(world, &mut witness);
    witness.lose().unwrap().end();
    world.settle();
    numbers(&got)
}

/// A QoS 2 message is stored as retained ahead of its identifier. One that there is no room for is not retained after all,
/// when the broker is killed neither: what was there before it is.
#[test]
fn what_there_is_no_room_for_is_not_retained() {
    with_timers(|| {
        let publish = |world: &mut World, publisher: &mut Peer, number: usize| {
            publisher.publish(Outgoing::new(number, "t", QoS::ExactlyOnce, true, false));
            world.settle();
            publisher.read(usize::MAX);
            while publisher.owes() {
                publisher.reply(&mut Rng::with_seed(0), true);
            }
            let _ = read(world, publisher);
        };
        let mut world = World::durable(quiet(), Durability::Sync);
        let mut publisher = peer("ann");
        connect(&mut world, &mut publisher);
        publish(&mut world, &mut publisher, 0);
        let bytes = world.gauges.retained_bytes.get() as usize;
        // Room for none, and for the first one alone, which is shorter than the second.
        for (max_retained_bytes, expected) in [(1, vec![]), (bytes + 2, vec![0])] {
            let limits = Mqtt {
                max_retained_bytes,
                ..quiet()
            };
            let mut world = World::durable(limits, Durability::Sync);
            let mut publisher = peer("ann");
            connect(&mut world, &mut publisher);
            publish(&mut world, &mut publisher, 0);
            publish(&mut world, &mut publisher, 1_000_000);
            assert!(publisher.is_done());
            assert_eq!(retained(&mut world), expected);
            let refused = world.count(Metric::DroppedRetainedFull);
            assert_eq!(refused, 2 - expected.len() as u64);
            publisher.lose();
            world.restart();
            assert_eq!(retained(&mut world), expected, "after a restart");
        }
    });
}

/// How the session of a member that is away ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Expires,
    /// The client comes back and begins another one.
    BeginsAnew,
    /// An administrator ends it.
    IsRemoved,
}

const ENDINGS: [Ending; 3] = [Ending::Expires, Ending::BeginsAnew, Ending::IsRemoved];
const GROUP: &str = "$share/g/t";

/// A broker, and a member of a group that has gone: one message was sent to it and is not acknowledged, two wait for it. They
/// are of QoS 1, 1 and 2. Then another member has come.
fn with_absent_member(mut world: World) -> (World, Peer, Peer) {
    let (mut publisher, mut absent, mut other) = (peer("ann"), peer("bob"), peer("cid"));
    connect(&mut world, &mut publisher);
    connect_for(&mut world, &mut absent, AGE);
    absent.subscribe(GROUP, QoS::ExactlyOnce, false);
    let _ = read(&mut world, &mut absent);
    publisher.publish(Outgoing::new(0, "t", QoS::AtLeastOnce, false, false));
    assert_eq!(read(&mut world, &mut absent).len(), 1);
    absent.lose().unwrap().end();
    world.settle();
    publisher.publish(Outgoing::new(1, "t", QoS::AtLeastOnce, false, false));
    publisher.publish(Outgoing::new(2, "t", QoS::ExactlyOnce, false, false));
    world.settle();
    connect(&mut world, &mut other);
    other.subscribe(GROUP, QoS::ExactlyOnce, false);
    assert_eq!(read(&mut world, &mut other).len(), 0);
    (world, absent, other)
}

/// The end of the absent member's session begins.
fn begin_end(world: &mut World, absent: &mut Peer, ending: Ending) {
    match ending {
        Ending::Expires => world.pass(2 * AGE),
        Ending::BeginsAnew => {
            let stream = world.accept(0, usize::MAX);
            absent.connect(stream, &hello(LONG, true), u16::MAX);
        }
        Ending::IsRemoved => world.kick(absent.name, true),
    }
}

fn numbers(received: &[Received]) -> Vec<usize> {
    received.iter().filter_map(|of| of.number).collect()
}

/// What waits for a member of a group that is away goes to another one that is there when the session ends with it.
#[test]
fn what_waits_for_an_absent_member_goes_to_another_one() {
    with_timers(|| {
        for ending in ENDINGS {
            for durability in [None, Some(Durability::Sync)] {
                let world = match durability {
                    None => World::new(quiet()),
                    Some(durability) => World::durable(quiet(), durability),
                };
                let (mut world, mut absent, mut other) = with_absent_member(world);
                begin_end(&mut world, &mut absent, ending);
                let got = numbers(&read(&mut world, &mut other));
                assert_eq!(got, [0, 1, 2], "{ending:?}, {durability:?}");
            }
        }
    });
}

/// Nothing of it is lost and no QoS 2 message comes twice when the broker is killed meanwhile.
#[test]
fn what_waits_for_an_absent_member_is_with_one_when_the_broker_is_killed() {
    with_timers(|| {
        for ending in ENDINGS {
            for seed in 0..ORDERS {
                let mut rng = Rng::with_seed(seed);
                let world = World::durable(quiet(), Durability::Sync);
                let (mut world, mut absent, mut other) = with_absent_member(world);
                begin_end(&mut world, &mut absent, ending);
                turns(&mut world, &mut rng, 30);
                absent.lose();
                other.lose();
                world.restart();
                // If its session has not ended it has them still.
                let mut got = numbers(&connect(&mut world, &mut absent));
                got.extend(numbers(&connect(&mut world, &mut other)));
                got.sort_unstable();
                got.dedup_by(|a, b| a == b && *a < 2);
                assert_eq!(got, [0, 1, 2], "{ending:?}, seed {seed}");
            }
        }
    });
}

/// A message for a member whose session has just ended goes to another one, though both are away.
#[test]
fn what_comes_as_a_session_ends_goes_to_another_member() {
    with_timers(|| {
        for durability in [None, Some(Durability::Sync)] {
            for seed in 0..ORDERS {
                let mut rng = Rng::with_seed(seed);
                let mut world = match durability {
                    None => World::new(quiet()),
                    Some(durability) => World::durable(quiet(), durability),
                };
                let (mut publisher, mut ending, mut other) =
                    (peer("ann"), peer("bob"), peer("cid"));
                connect(&mut world, &mut publisher);
                for (member, expiry) in [(&mut ending, AGE), (&mut other, LONG)] {
                    connect_for(&mut world, member, expiry);
                    member.subscribe(GROUP, QoS::ExactlyOnce, false);
                    let _ = read(&mut world, member);
                    member.lose().unwrap().end();
                    world.settle();
                }
                world.pass(2 * AGE);
                for number in 0..8 {
                    let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number % 2];
                    publisher.publish(Outgoing::new(number, "t", qos, false, false));
                    turns(&mut world, &mut rng, 4);
                }
                world.settle();
                let mut got = numbers(&connect(&mut world, &mut other));
                got.sort_unstable();
                assert_eq!(got, Vec::from_iter(0..8), "{durability:?}, seed {seed}");
            }
        }
    });
}
