//! UTF-8 Encoded Strings and String Pairs `[1.5.4]`, `[1.5.7]`.

use crate::peer::{Peer, broker};

/// [MQTT-1.5.4-1] Text that is not well-formed UTF-8 is malformed: broken, overlong, surrogates, above U+10FFFF.
#[test]
fn ill_formed_utf8_is_malformed() {
    let broker = broker();
    for text in [
        "80",
        "C3",
        "C328",
        "E282",
        "E28028",
        "F09F98",
        "FF",
        "FE",
        "C0AF",
        "C080",
        "E080AF",
        "F08080AF",
        "EDA080",
        "EDBFBF",
        "EDA081EDB080",
        "F4908080",
        "F8888080",
    ] {
        let length = text.len() / 2;
        let string = format!("{length:04X} {text}");
        for packet in [
            format!("30 [{string} [] \"x\"]"),
            format!("30 ['t' [03 {string}] \"x\"]"),
            format!("30 ['t' [08 {string}] \"x\"]"),
            format!("82 [0001 [] {string} 00]"),
            format!("A2 [0001 [] {string}]"),
            format!("40 [0001 80 [1F {string}]]"),
            format!("E0 [00 [1F {string}]]"),
        ] {
            let mut peer = Peer::v5(&broker, "a");
            peer.send(&packet);
            peer.expect_disconnect(0x81);
        }
    }
}

/// [MQTT-1.5.4-2] Text with U+0000 is malformed.
#[test]
fn the_null_character_is_malformed() {
    let broker = broker();
    let string = "0003 \"a\" 00 \"b\"";
    for packet in [
        format!("30 ['t' [03 {string}] \"x\"]"),
        format!("30 ['t' [08 {string}] \"x\"]"),
        format!("40 [0001 80 [1F {string}]]"),
        format!("E0 [00 [1F {string}]]"),
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&packet);
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-1.5.4-3] U+FEFF is a character like others, wherever it stands: it is handed on as it came.
#[test]
fn a_byte_order_mark_is_kept() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] '#' 00]", "90 [0001 [] 00]");
    let message = "30 [0007 EFBBBF \"t\" EFBBBF [03 0004 EFBBBF \"c\" 26 0004 EFBBBF \"k\" 0003 EFBBBF] EFBBBF]";
    peer.send(message);
    peer.expect(message);
}

/// [MQTT-1.5.7-1] Both strings of a User Property are UTF-8 Encoded Strings.
#[test]
fn both_strings_of_a_pair_are_checked() {
    let broker = broker();
    for pair in [
        "0001 FF 'v'",
        "'k' 0001 FF",
        "0001 00 'v'",
        "'k' 0001 00",
        "'k' 0003 EDA080",
        "'k' 0005 \"v\"",
    ] {
        for packet in [
            format!("30 ['t' [26 {pair}] \"x\"]"),
            format!("82 [0001 [26 {pair}] 't' 00]"),
            format!("E0 [00 [26 {pair}]]"),
        ] {
            let mut peer = Peer::v5(&broker, "a");
            peer.send(&packet);
            peer.expect_disconnect(0x81);
        }
    }
}
