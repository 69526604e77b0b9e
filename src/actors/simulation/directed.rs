//! What two clients do on purpose, with the actors in between in many orders.

use std::time::Duration;

use fastrand::Rng;

use super::{
    peer::{Event, Hello, Outgoing, Peer, Received},
    run::quiet,
    with_timers,
    world::{AGE, World},
};
use crate::{
    config::Durability,
    mqtt::{ProtocolVersion, QoS},
};

const ORDERS: u64 = 200;
const TOPICS: &[&str] = &["t"];
/// Longer than a test.
const LONG: u32 = Duration::from_secs(3600).as_secs() as u32;

fn connect(world: &mut World, peer: &mut Peer) {
    connect_for(world, peer, LONG);
}

/// The session lasts for so many seconds.
fn connect_for(world: &mut World, peer: &mut Peer, expiry: u32) {
    let hello = Hello {
        clean: false,
        expiry,
        receive_maximum: u16::MAX,
        alias_maximum: 0,
        keep_alive: 0,
        will: None,
    };
    let stream = world.accept(0, usize::MAX);
    peer.connect(stream, &hello, u16::MAX);
    world.settle();
    let _ = read(world, peer);
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

/// What waits for a member of a group that is away goes to another one that is there when the session ends with it.
#[test]
fn what_waits_for_an_absent_member_goes_to_another_one() {
    with_timers(|| {
        let mut world = World::new(quiet());
        let (mut publisher, mut absent, mut other) = (peer("ann"), peer("bob"), peer("cid"));
        connect(&mut world, &mut publisher);
        connect_for(&mut world, &mut absent, AGE);
        absent.subscribe("$share/g/t", QoS::AtLeastOnce, false);
        let _ = read(&mut world, &mut absent);
        publisher.publish(Outgoing::new(0, "t", QoS::AtLeastOnce, false, false));
        assert_eq!(read(&mut world, &mut absent).len(), 1);
        // Not acknowledged.
        absent.lose().unwrap().end();
        world.settle();
        publisher.publish(Outgoing::new(1, "t", QoS::AtLeastOnce, false, false));
        world.settle();
        connect(&mut world, &mut other);
        other.subscribe("$share/g/t", QoS::AtLeastOnce, false);
        assert_eq!(read(&mut world, &mut other).len(), 0);
        world.pass(2 * AGE);
        let got = read(&mut world, &mut other);
        let numbers: Vec<_> = got.iter().map(|of| of.number).collect();
        assert_eq!(numbers, [Some(0), Some(1)]);
    });
}
