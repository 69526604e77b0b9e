//! The limit of open files, which bounds the number of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of this process as far as the system allows, and logs it.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let highest = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if limit != highest
        && let Err(error) = setrlimit(Resource::Nofile, highest)
    {
        log::warn!("the limit of open files cannot be raised: {error}");
    }
    match getrlimit(Resource::Nofile).current {
        Some(files) => log::info!("limit of open files: {files}"),
        None => log::info!("limit of open files: none"),
    }
}
