//! Records of the store: what is decoded is encoded again, and decodes to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanomq::store::Record;

fuzz_target!(|data: &[u8]| {
    let Some(record) = Record::decode(data) else {
        return;
    };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    assert_eq!(Record::decode(&bytes).as_ref(), Some(&record));
});
