//! Times as the API shows them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, tz::TimeZone};

/// `YYYY-MM-DD HH:MM:SS` in the machine's time zone.
pub fn local_time(at: SystemTime) -> String {
    // A time outside the years -9999 to 9999 is no time that a clock shows.
    let at = Timestamp::try_from(at).unwrap_or_default();
    let local = at.to_zoned(TimeZone::system());
    local.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The time that is so many milliseconds after 1970.
pub fn moment(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}

/// `15 Hours, 1 minutes, 38 seconds`: never days, and no leading zeros.
pub fn uptime(since_start: Duration) -> String {
    let seconds = since_start.as_secs();
    format!(
        "{} Hours, {} minutes, {} seconds",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_written_as_the_specification_shows() {
        for (seconds, expected) in [
            (0, "0 Hours, 0 minutes, 0 seconds"),
            (54_098, "15 Hours, 1 minutes, 38 seconds"),
            (100 * 3600, "100 Hours, 0 minutes, 0 seconds"),
        ] {
            assert_eq!(uptime(Duration::from_secs(seconds)), expected);
        }
    }
}
