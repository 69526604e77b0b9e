//! The log, on the standard error stream.

use std::env;

use env_logger::Builder;
use log::LevelFilter;

use crate::config::LogLevel;

/// The variable that replaces the configured level, in the syntax of env_logger such as `info,nanomq::session=debug`.
const FILTER: &str = "NANOMQ_LOG";

/// Starts logging. To be called once.
///
/// The level is `log`'s own maximum, which a reload can change while the broker runs; the logger itself lets everything
/// of the broker through, and of the libraries below it what is at least a warning. With `NANOMQ_LOG` its filter
/// decides, and the maximum is the most that the filter asks for.
pub(super) fn init(level: LogLevel) {
    let filter = own_filter();
    let mut builder = Builder::new();
    builder.format_timestamp_millis();
    match &filter {
        Some(filter) => builder.parse_filters(filter),
        None => builder
            .filter_level(LevelFilter::Warn)
            // Logs each malformed request, so that any stranger could fill the log.
            .filter_module("actix_http", LevelFilter::Off)
            .filter_module(env!("CARGO_CRATE_NAME"), LevelFilter::Trace),
    };
    // It fails only where a logger exists, which then is the one to use.
    let _ = builder.try_init();
    set_level(level);
}

/// Makes `level` the least severe that is logged, unless `NANOMQ_LOG` decides.
pub(super) fn set_level(level: LogLevel) {
    if own_filter().is_none() {
        log::set_max_level(level.into());
    }
}

fn own_filter() -> Option<String> {
    env::var(FILTER).ok().filter(|filter| !filter.is_empty())
}
