//! Round trips with `rumqttc`, which keeps a window of many messages in flight.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Broker, DEADLINE, unique};

/// Messages of one round trip.
const COUNT: usize = 1000;

/// The two clients of `rumqttc` have the same shape but no common trait, so one text serves both.
macro_rules! round_trip {
    ($name:ident, $protocol:ident, $set_up:expr) => {
        /// Sends [`COUNT`] numbered messages with quality `qos` and returns the payloads that arrive.
        fn $name(broker: &Broker, qos: u8) -> Vec<String> {
            use $protocol::{Client, Event, MqttOptions, Packet, QoS};

            let qos = if qos == 1 {
                QoS::AtLeastOnce
            } else {
                QoS::ExactlyOnce
            };
            let (topic, started) = (unique("rumqtt"), Instant::now());
            let options = |prefix: &str| {
                let mut options =
                    MqttOptions::new(unique(prefix), broker.host(), broker.mqtt_port());
                $set_up(&mut options);
                options
            };

            let (subscriber, mut incoming) = Client::new(options("sub"), 10);
            subscriber.subscribe(&topic, qos).unwrap();
            let (ready, subscribed) = mpsc::channel();
            let receiving = thread::spawn(move || {
                let mut payloads = Vec::new();
                while payloads.len() < COUNT {
                    let Ok(event) = incoming.recv_timeout(left(started)) else {
                        panic!(
                            "{} of {COUNT} messages arrived, the last {:?}",
                            payloads.len(),
                            payloads.last()
                        );
                    };
                    match event.expect("a working connection") {
                        Event::Incoming(Packet::SubAck(_)) => ready.send(()).unwrap(),
                        Event::Incoming(Packet::Publish(publish)) => {
                            payloads.push(String::from_utf8(publish.payload.to_vec()).unwrap());
                        }
                        _ => {}
                    }
                }
                payloads
            });
            subscribed.recv_timeout(DEADLINE).expect("a SUBACK");

            let (publisher, mut outgoing) = Client::new(options("pub"), 10);
            let sending = thread::spawn(move || {
                for number in 0..COUNT {
                    publisher
                        .publish(&topic, qos, false, number.to_string())
                        .unwrap();
                }
                publisher
            });
            let mut acknowledged = 0;
            while acknowledged < COUNT {
                match outgoing
                    .recv_timeout(left(started))
                    .expect("an event in time")
                    .expect("a working connection")
                {
                    Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) => acknowledged += 1,
                    _ => {}
                }
            }
            sending.join().unwrap();
            receiving.join().unwrap()
        }
    };
}

/// What the text above needs of the client for version 3.1.1.
mod v4 {
    pub use rumqttc::mqttbytes::QoS;
    pub use rumqttc::mqttbytes::v4::Packet;
    pub use rumqttc::{Client, Event, MqttOptions};
}

/// What the text above needs of the client for version 5.
mod v5 {
    pub use rumqttc::v5::mqttbytes::QoS;
    pub use rumqttc::v5::mqttbytes::v5::Packet;
    pub use rumqttc::v5::{Client, Event, MqttOptions};
}

round_trip!(round_trip_v4, v4, |options: &mut rumqttc::MqttOptions| {
    options.set_inflight(100);
});

round_trip!(
    round_trip_v5,
    v5,
    |options: &mut rumqttc::v5::MqttOptions| {
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
    }
);

/// What is left of the deadline: pings go on arriving, so a time limit on each event alone would never be over.
fn left(started: Instant) -> Duration {
    DEADLINE.saturating_sub(started.elapsed())
}

/// Runs one round trip and compares.
fn check(round_trip: fn(&Broker, u8) -> Vec<String>, qos: u8) {
    let broker = Broker::start("");
    let expected: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(round_trip(&broker, qos), expected);
}

#[test]
fn v311_qos_1() {
    check(round_trip_v4, 1);
}

#[test]
fn v311_qos_2() {
    check(round_trip_v4, 2);
}

#[test]
fn v5_qos_1() {
    check(round_trip_v5, 1);
}

#[test]
fn v5_qos_2() {
    check(round_trip_v5, 2);
}
