//! Scenarios with Eclipse Paho for Python, written in `tests/clients/`: each is one test of the same name.

use crate::clients::{paho, paho_program};
use crate::harness::Broker;

/// Makes one test per scenario and the list of all.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                paho(&Broker::start(""), stringify!($name));
            }
        )*

        const SCENARIOS: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios![
    assigned_client_id,
    binary_payload,
    client_receive_maximum,
    client_maximum_packet_size,
    disconnect_with_will,
    keep_alive_pings,
    message_expiry_counts_down,
    no_local,
    offline_queue,
    overlapping_subscriptions,
    properties_round_trip,
    request_response,
    retain_as_published,
    retain_handling,
    retained_under_wildcards,
    session_end_at_disconnect,
    session_present,
    shared_subscription_v311,
    shared_subscription_v5,
    subscribe_many,
    subscribing_again_replaces_options,
    subscription_identifiers,
    takeover_v311,
    takeover_v5,
    topic_aliases_change,
    unsubscribe,
    will_delay,
    will_properties,
    will_when_the_session_ends,
];

#[test]
fn every_scenario_of_the_program_is_a_test() {
    let listed = paho_program(&["--list"]).output;
    let mut listed: Vec<&str> = listed.lines().collect();
    let mut tested = SCENARIOS.to_vec();
    listed.sort_unstable();
    tested.sort_unstable();
    assert_eq!(tested, listed);
}
