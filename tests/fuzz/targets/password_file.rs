//! Files of users and their passwords: what is accepted is written as it means, and users can be changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanomq::auth::client_users::{PasswordFile, is_username};

fuzz_target!(|text: &str| {
    match PasswordFile::parse(text) {
        Ok(file) => {
            let written = file.render();
            let again = PasswordFile::parse(&written).expect("what was written can be read");
            assert!(
                again.users().eq(file.users()),
                "{text:?} became {written:?}"
            );
            for (name, verifier) in file.users() {
                assert!(file.find(name) == Some(verifier));
                assert!(is_username(name), "{name:?}");
            }
        }
        Err(wrong) => {
            assert!(!wrong.is_empty());
            let lines = text.lines().count();
            assert!(
                wrong
                    .iter()
                    .all(|bad| (1..=lines).contains(&(bad.line as usize)))
            );
        }
    }
});
