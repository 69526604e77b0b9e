//! The identity of a broker with bridges, which is kept beside its configuration.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::private_file;

/// The file beside the configuration that holds what the identity of a broker with bridges is made of.
const ID_FILE: &str = "nanomq_id";

/// See the module's description.
#[derive(Clone, Debug)]
pub struct BridgeIdentity {
    /// As marks show it.
    pub id: Arc<str>,
    /// What it is made of is to be written to this file as soon as there is a bridge.
    unwritten: Option<(PathBuf, String)>,
}

impl BridgeIdentity {
    /// That of the broker with this configuration; a new one, if it has none yet.
    pub fn of(config_file: Option<&Path>) -> Self {
        let file = config_file.map(|file| file.with_file_name(ID_FILE));
        let known = file.as_deref().and_then(known_id);
        let new = || format!("{:016x}", fastrand::u64(..));
        let (id, is_known) = known.map_or_else(|| (new(), false), |id| (id, true));
        Self {
            id: own_id(&id, config_file),
            unwritten: file.filter(|_| !is_known).map(|file| (file, id)),
        }
    }

    /// Keeps it beside the configuration, so that remotes know the bridges of this broker again.
    pub fn keep(&mut self) {
        let Some((file, id)) = self.unwritten.take() else {
            return;
        };
        if let Err(error) = private_file::replace(&file, &format!("{id}\n")) {
            log::warn!(
                "{} cannot be written, so that remotes do not know the bridges of this broker again after a restart, \
                 unless they have a clientid: {error}",
                file.display()
            );
        }
    }
}

/// The identity of a broker: other brokers may have their configuration in the same folder, and that file with it.
fn own_id(id: &str, config_file: Option<&Path>) -> Arc<str> {
    let name = config_file.and_then(Path::file_name).unwrap_or_default();
    let text = [id.as_bytes(), b"/", name.as_encoded_bytes()].concat();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text);
    let bytes = digest.as_ref().iter().take(8);
    bytes
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into()
}

/// What the identity of this broker is made of, in its file.
fn known_id(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let known = text.trim();
    let is_one = known.len() == 16 && known.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_in_one_folder_have_identities_of_their_own() {
        let of = |file: &str| own_id("0123456789abcdef", Some(Path::new(file)));
        assert_eq!(of("/etc/a.conf"), of("/other/a.conf"));
        assert_ne!(of("/etc/a.conf"), of("/etc/b.conf"));
        assert_eq!(of("/etc/a.conf").len(), 16);
        assert!(crate::mqtt::hops::is_id(&of("/etc/a.conf")));
    }
}
