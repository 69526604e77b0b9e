//! Topic Names and Topic Filters `[4.7]`.

use crate::peer::{Peer, broker};

/// [MQTT-4.7.1-1] '#' stands alone or behind a separator, and last.
#[test]
fn the_multi_level_wildcard_has_its_place() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask(
        "82 [0001 [] '#' 00 'a/#' 00 '/#' 00 '+/#' 00 'a#' 00 'a/#/b' 00 '#/a' 00 '##' 00 'a/#b' 00]",
        "90 [0001 [] 00 00 00 00 8F 8F 8F 8F 8F]",
    );
}

/// [MQTT-4.7.1-2] '+' is a whole level.
#[test]
fn the_single_level_wildcard_is_a_whole_level() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask(
        "82 [0001 [] '+' 00 '+/a' 00 'a/+' 00 'a/+/b' 00 '/+' 00 '+/+' 00 'a+' 00 '+a' 00 'a/b+' 00 '++' 00]",
        "90 [0001 [] 00 00 00 00 00 00 8F 8F 8F 8F]",
    );
}

/// [MQTT-4.7.1-1] [MQTT-4.7.1-2] What the wildcards match: the parent of '#', one level and not two of '+'.
#[test]
fn wildcards_match_their_levels() {
    let broker = broker();
    for (filter, matching, other) in [
        (
            "sport/#",
            &["sport", "sport/", "sport/a/b"][..],
            &["sports", "Sport/a"][..],
        ),
        ("sport/+", &["sport/", "sport/a"], &["sport", "sport/a/b"]),
        ("+/+", &["/finance", "a/b"], &["finance", "/a/b"]),
        ("/+", &["/finance"], &["finance", "a/b"]),
        ("+", &["finance"], &["/finance"]),
        ("+/a/#", &["x/a", "/a/b/c"], &["a", "x/b/a"]),
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.ask(&format!("82 [0001 [] '{filter}' 00]"), "90 [0001 [] 00]");
        for topic in other {
            peer.ask(&format!("32 ['{topic}' 0001 [] \"x\"]"), "40 [0001 10]");
        }
        for topic in matching {
            peer.send(&format!("30 ['{topic}' [] \"x\"]"));
            peer.expect(&format!("30 ['{topic}' [] \"x\"]"));
        }
    }
}

/// [MQTT-4.7.2-1] A filter that begins with a wildcard does not match a topic that begins with '$', shared or not.
#[test]
fn a_leading_wildcard_does_not_match_dollar() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask(
        "82 [0001 [] '#' 00 '+/t' 00 '+/#' 00 '$share/g/#' 00 '$share/g/+/t' 00]",
        "90 [0001 [] 00 00 00 00 00]",
    );
    for topic in ["$x/t", "$", "$/t"] {
        peer.ask(&format!("32 ['{topic}' 0001 [] \"x\"]"), "40 [0001 10]");
    }
    peer.expect_nothing();
    // A retained one neither.
    peer.send("31 ['$x/t' [] \"kept\"]");
    peer.ask("82 [0002 [] '#' 00 '+/t' 00]", "90 [0002 [] 00 00]");
    peer.expect_no_retained(&broker);
    peer.ask("82 [0003 [] '$x/#' 00]", "90 [0003 [] 00]");
    peer.expect("31 ['$x/t' [] \"kept\"]");
    peer.send("30 ['$x/t' [] \"new\"]");
    peer.expect("30 ['$x/t' [] \"new\"]");
}

/// [MQTT-4.7.3-1] A filter has at least one character.
#[test]
fn an_empty_topic_filter_is_refused() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] '' 00]", "90 [0001 [] 8F]");
    peer.ask("A2 [0002 [] '']", "B0 [0002 [] 11]");
}

/// [MQTT-4.7.3-2] Neither a name nor a filter has the character U+0000.
#[test]
fn the_null_character_is_malformed() {
    let broker = broker();
    for packet in [
        "30 [0003 \"a\" 00 \"b\" [] \"x\"]",
        "82 [0001 [] 0003 \"a\" 00 \"b\" 00]",
        "A2 [0001 [] 0003 \"a\" 00 \"b\"]",
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(packet);
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-4.7.3-3] Names and filters of 65,535 bytes are taken; the two bytes of length hold no more.
#[test]
fn topics_of_65535_bytes_are_taken() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    let topic = "t".repeat(65_535);
    peer.ask(&format!("82 [0001 [] '{topic}' 00]"), "90 [0001 [] 00]");
    peer.send(&format!("30 ['{topic}' [] \"x\"]"));
    peer.expect(&format!("30 ['{topic}' [] \"x\"]"));
    // With a subscription of that length nothing else is disturbed.
    peer.ask(&format!("A2 [0002 [] '{topic}']"), "B0 [0002 [] 00]");
}

/// [MQTT-4.7.3-4] Topics are compared as they are: case, blanks, separators, accents and characters of every kind.
#[test]
fn topics_are_not_normalized() {
    let broker = broker();
    // Composed and decomposed e with acute accent; U+FEFF; a noncharacter; a control character; the code of '+'.
    let topics = [
        "e",
        "E",
        " e",
        "e ",
        "/e",
        "e/",
        "//e",
        "e//",
        "\u{e9}",
        "e\u{301}",
        "\u{feff}e",
        "e\u{feff}",
        "e\u{ffff}",
        "e\u{1}",
        "e\u{2b1}",
        "%65",
        "e.",
        "./e",
        "../e",
    ];
    let mut peer = Peer::v5(&broker, "a");
    for topic in topics {
        peer.ask(&format!("82 [0001 [] '{topic}' 00]"), "90 [0001 [] 00]");
        for other in topics {
            let code = if other == topic { "" } else { " 10" };
            peer.send(&format!("32 ['{other}' 0001 [] \"x\"]"));
            match other == topic {
                true => peer.expect_all(&[&format!("30 ['{topic}' [] \"x\"]"), "40 [0001]"]),
                false => peer.expect(&format!("40 [0001{code}]")),
            }
        }
        peer.ask(&format!("A2 [0001 [] '{topic}']"), "B0 [0001 [] 00]");
    }
}
