//! Units of the configuration: sizes (`10MB`), durations (`60s`) and expiry intervals (`7d`, `infinite`).
//!
//! NanoMQ's rules, not HOCON's: `KB`, `MB` and `GB` count in steps of 1024, in any case, and a duration needs its unit.

use std::time::Duration;

/// The expiry interval that means "never", as it stands on the wire [MQTT-3.1.2.11.2].
pub const NEVER_EXPIRES: u32 = u32::MAX;

const SIZE_UNITS: [(&str, u64); 7] = [
    ("gb", 1 << 30),
    ("g", 1 << 30),
    ("mb", 1 << 20),
    ("m", 1 << 20),
    ("kb", 1 << 10),
    ("k", 1 << 10),
    ("b", 1),
];

/// Milliseconds of each unit; the longest unit that divides a duration is the one it is written with.
const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a size in bytes: a number alone or followed by `B`, `K`, `KB`, `M`, `MB`, `G` or `GB`, in any case, times 1024 each.
///
/// `None` for anything else, and for a size that does not fit 64 bits.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = SIZE_UNITS
        .iter()
        .find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    number.checked_mul(*factor)
}

/// Writes a size with the largest unit that divides it, so that `parse_size` reads the same number.
pub fn format_size(bytes: u64) -> String {
    let units = [("GB", 1_u64 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    match units
        .iter()
        .find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor))
    {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => bytes.to_string(),
    }
}

/// Reads a duration: a number followed by `ms`, `s`, `m`, `h` or `d`, in any case; `0` needs no unit.
///
/// A bare number is refused, because it would be milliseconds in some programs and seconds in others.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    if unit.is_empty() {
        return (number == 0).then_some(Duration::ZERO);
    }
    let (_, factor) = TIME_UNITS
        .iter()
        .find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    number.checked_mul(*factor).map(Duration::from_millis)
}

/// Writes a duration with the longest unit that divides it; fractions of a millisecond are cut off.
pub fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match TIME_UNITS
        .iter()
        .find(|(_, factor)| millis != 0 && millis.is_multiple_of(*factor))
    {
        Some((name, factor)) => format!("{}{name}", millis / factor),
        None => "0s".to_owned(),
    }
}

/// Reads an expiry interval in seconds: a duration of whole seconds, or `infinite` for [`NEVER_EXPIRES`].
pub fn parse_expiry(text: &str) -> Option<u32> {
    if text.trim().eq_ignore_ascii_case("infinite") {
        return Some(NEVER_EXPIRES);
    }
    parse_seconds(text).filter(|seconds| *seconds < NEVER_EXPIRES)
}

/// Reads a duration that must be a whole number of seconds and fit 32 bits.
pub fn parse_seconds(text: &str) -> Option<u32> {
    let duration = parse_duration(text)?;
    if duration.subsec_nanos() != 0 {
        return None;
    }
    u32::try_from(duration.as_secs()).ok()
}

/// Splits `10 MB` into 10 and `MB`.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit.trim()))
}

/// serde of a size in bytes as text such as `10MB`; a plain number is read as bytes.
pub(crate) mod size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Text(String),
    }

    pub(crate) fn serialize<T: Copy + TryInto<u64>, S: Serializer>(
        bytes: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::format_size((*bytes).try_into().unwrap_or(u64::MAX)))
    }

    pub(crate) fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let bytes = match Written::deserialize(from)? {
            Written::Number(bytes) => Some(bytes),
            Written::Text(text) => super::parse_size(&text),
        };
        bytes
            .and_then(|bytes| T::try_from(bytes).ok())
            .ok_or_else(|| D::Error::custom("expected a size such as 10KB"))
    }
}

/// serde of a [`std::time::Duration`] as text such as `60s`.
pub(crate) mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::format_duration(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_duration(&text)
            .ok_or_else(|| D::Error::custom("expected a duration such as 60s"))
    }
}

/// serde of a number of seconds as text such as `60s`.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(seconds: &u16, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::format_duration(Duration::from_secs(u64::from(
            *seconds,
        ))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_seconds(&text)
            .and_then(|seconds| u16::try_from(seconds).ok())
            .ok_or_else(|| D::Error::custom("expected a duration such as 60s, at most 65535s"))
    }
}

/// serde of an expiry interval in seconds as text such as `7d` or `infinite`.
pub(crate) mod expiry {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(seconds: &u32, to: S) -> Result<S::Ok, S::Error> {
        if *seconds == super::NEVER_EXPIRES {
            return to.serialize_str("infinite");
        }
        to.serialize_str(&super::format_duration(Duration::from_secs(u64::from(
            *seconds,
        ))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_expiry(&text)
            .ok_or_else(|| D::Error::custom("expected a duration such as 7d, or infinite"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_nanomq_units() {
        let cases = [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("10B", Some(10)),
            ("10KB", Some(10_240)),
            ("10kb", Some(10_240)),
            ("10 K", Some(10_240)),
            ("256MB", Some(268_435_456)),
            ("1g", Some(1 << 30)),
            ("ten", None),
            ("", None),
            ("KB", None),
            ("-1", None),
            ("1.5MB", None),
            ("10TB", None),
            ("99999999999999GB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), expected, "{text:?}");
        }
    }

    #[test]
    fn durations_are_read_with_their_unit_only() {
        let cases = [
            ("0", Some(0)),
            ("500ms", Some(500)),
            ("60s", Some(60_000)),
            ("2 M", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("60", None),
            ("60x", None),
            ("s", None),
            ("99999999999999999d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse_duration(text),
                expected.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }

    #[test]
    fn expiry_is_whole_seconds_or_infinite() {
        let cases = [
            ("0s", Some(0)),
            ("7d", Some(604_800)),
            ("Infinite", Some(NEVER_EXPIRES)),
            ("1500ms", None),
            ("4294967295s", None),
            ("100000d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_expiry(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for bytes in [0, 1, 1023, 1024, 1025, 1 << 20, 3 << 30, u64::MAX] {
            assert_eq!(parse_size(&format_size(bytes)), Some(bytes));
        }
        for millis in [
            0,
            1,
            999,
            1000,
            1500,
            60_000,
            90_000,
            3_600_000,
            604_800_000,
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
        assert_eq!(format_size(1 << 20), "1MB");
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
    }
}
