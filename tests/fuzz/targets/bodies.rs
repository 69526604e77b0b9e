//! Bodies of HTTP requests: what is refused says why; what is accepted can be published, or be set.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use nanomq::{
    api::{ApiError, fuzzing},
    config::{Config, with_settings},
    mqtt::{Properties, ProtocolVersion, Publish, decode_publish, encode_publish, frame_header},
};

fn refused(error: &ApiError) {
    assert!(!error.to_string().is_empty(), "refused without a reason");
    assert!(error.code() > 0);
}

fuzz_target!(|data: &[u8]| {
    let config = Config::default();
    match fuzzing::publish(data, &config) {
        Err(error) => refused(&error),
        Ok(messages) => {
            assert!(!messages.is_empty());
            for message in messages {
                let view = message.view();
                for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
                    let publish = Publish {
                        dup: false,
                        qos: view.qos,
                        retain: view.retain,
                        topic: view.topic,
                        packet_id: (view.qos as u8 > 0).then_some(nanomq::mqtt::PacketId::MIN),
                        properties: match version.is_v5() {
                            true => view.properties,
                            false => Properties::EMPTY,
                        },
                        payload: view.payload,
                    };
                    let mut wire = BytesMut::new();
                    encode_publish(&publish, version, &mut wire).expect("it can be written");
                    let header = frame_header(&wire, u32::MAX)
                        .expect("a header")
                        .expect("a packet");
                    let body = &wire[header.header_len..];
                    let read = decode_publish(version, header.first_byte, body);
                    assert_eq!(read.expect("it can be read"), publish);
                }
            }
        }
    }
    match fuzzing::configuration(data, &config) {
        Err(error) => refused(&error),
        Ok(settings) => {
            if let Err(refusals) = with_settings(&config, &settings) {
                assert!(!refusals.is_empty(), "refused without a reason");
            }
        }
    }
});
