//! What a broker tells of a certificate: until when it is valid, its subject, and the common name in that.
//!
//! Only as much of DER (X.690) and of X.509 (RFC 5280) is read as leads there. Whether a certificate is to be trusted is
//! decided elsewhere.

/// Seconds since 1970 at which the validity of a certificate ends; none when it is no certificate.
pub fn not_after(certificate: &[u8]) -> Option<i64> {
    let mut validity = Fields::of(certificate)?.validity?;
    validity.next()?;
    let (tag, text) = validity.next()?;
    seconds(tag, text)
}

/// The common name of a certificate's subject, the last one if there are several; none when it has none that is text.
pub fn common_name(certificate: &[u8]) -> Option<String> {
    // 2.5.4.3
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    let mut found = None;
    for (_, set) in Fields::of(certificate)?.subject? {
        for (_, attribute) in Der(set) {
            let mut attribute = Der(attribute);
            let (Some((0x06, COMMON_NAME)), Some((tag, value))) =
                (attribute.next(), attribute.next())
            else {
                continue;
            };
            found = text(tag, value);
        }
    }
    found
}

/// A certificate's subject as text, as RFC 4514 writes it: the last part first, `CN=device 1,OU=floor 2,O=plant`. Empty when
/// it has none, none when it is no certificate.
pub fn subject(certificate: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    for (_, set) in Fields::of(certificate)?.subject? {
        let attributes = Der(set).filter_map(|(_, attribute)| {
            let mut attribute = Der(attribute);
            let ((0x06, kind), (tag, value)) = (attribute.next()?, attribute.next()?) else {
                return None;
            };
            Some(attribute_text(kind, tag, value))
        });
        parts.push(attributes.collect::<Vec<_>>().join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

/// The names of attributes that have one in RFC 4514, and of that for a mail address, which openssl gives.
const ATTRIBUTES: [(&[u8], &str); 10] = [
    (&[0x55, 0x04, 0x03], "CN"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x0A], "O"),
    (&[0x55, 0x04, 0x0B], "OU"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x09], "street"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 0x01, 0x19],
        "DC",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 0x01, 0x01],
        "UID",
    ),
    (
        &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x01],
        "emailAddress",
    ),
];

/// `CN=device 1`; what has no name, or is no text, by its number and its bytes.
fn attribute_text(kind: &[u8], tag: u8, value: &[u8]) -> String {
    let known = ATTRIBUTES.iter().find(|(id, _)| *id == kind);
    let name = known.map_or_else(|| dotted(kind), |(_, name)| (*name).to_owned());
    match text(tag, value) {
        Some(text) => format!("{name}={}", escaped(&text)),
        None => {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{name}=#{hex}")
        }
    }
}

/// An object identifier as its numbers.
fn dotted(id: &[u8]) -> String {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number: u64 = 0;
    for byte in id {
        number = (number << 7) | u64::from(byte & 0x7F);
        if byte & 0x80 != 0 {
            continue;
        }
        match numbers.is_empty() {
            true => {
                let first = (number / 40).min(2);
                numbers.extend([first, number - first * 40]);
            }
            false => numbers.push(number),
        }
        number = 0;
    }
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    numbers.join(".")
}

/// A value in which what has a meaning in a subject stands behind a backslash (RFC 4514, 2.4).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, c) in text.chars().enumerate() {
        match c {
            '\0' => out.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', c]),
            ' ' if at == 0 || at == last => out.extend(['\\', c]),
            '#' if at == 0 => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// The fields of a certificate that are looked at.
struct Fields<'a> {
    validity: Option<Der<'a>>,
    subject: Option<Der<'a>>,
}

impl<'a> Fields<'a> {
    fn of(certificate: &'a [u8]) -> Option<Self> {
        let (_, certificate) = Der(certificate).next()?;
        let (_, to_be_signed) = Der(certificate).next()?;
        // [0] version, if there is one; then serial number, signature, issuer, validity, subject.
        let mut fields = Der(to_be_signed).filter(|(tag, _)| *tag != 0xA0);
        let validity = fields.nth(3)?.1;
        let subject = fields.next()?.1;
        Some(Self {
            validity: Some(Der(validity)),
            subject: Some(Der(subject)),
        })
    }
}

/// Values one after the other: their tags and contents. Ends at the first that is cut off.
struct Der<'a>(&'a [u8]);

impl<'a> Iterator for Der<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            short @ 0..=0x7F => (usize::from(*short), rest),
            long => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7F))?;
                if bytes.len() > 4 {
                    return None;
                }
                let len = bytes
                    .iter()
                    .fold(0_usize, |len, byte| (len << 8) | usize::from(*byte));
                (len, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((*tag, content))
    }
}

fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        // UTF8String, PrintableString, IA5String, TeletexString as the ASCII it nearly always is.
        0x0C | 0x13 | 0x16 | 0x14 => std::str::from_utf8(value).ok().map(str::to_owned),
        // BMPString
        0x1E => {
            let (pairs, []) = value.as_chunks::<2>() else {
                return None;
            };
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// UTCTime `YYMMDDhhmmssZ` or GeneralizedTime `YYYYMMDDhhmmssZ`.
fn seconds(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (0x17, 12) => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (0x18, 14) => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (two(0)?, two(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    Some(((days * 24 + two(4)?) * 60 + two(6)?) * 60 + two(8)?)
}

/// Days since 1970-01-01 in the Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_the_validity_is_read() {
        for (year, month, day, expected) in [
            (2030, 1, 2, 1_893_542_400),
            (2024, 2, 29, 1_709_164_800),
            (1999, 12, 31, 946_598_400),
            // GeneralizedTime from 2050 on.
            (2051, 6, 1, 2_569_190_400),
            (4096, 1, 1, 67_090_118_400),
        ] {
            let certificate =
                certificate(|params| params.not_after = date_time_ymd(year, month, day));
            assert_eq!(not_after(&certificate), Some(expected), "{year}");
        }
    }

    #[test]
    fn the_common_name_is_read() {
        for (name, expected) in [
            (
                DnValue::Utf8String("sensor \u{e9}".to_owned()),
                "sensor \u{e9}",
            ),
            (
                DnValue::PrintableString("device 1".try_into().unwrap()),
                "device 1",
            ),
            (DnValue::BmpString("wide".try_into().unwrap()), "wide"),
        ] {
            let certificate = certificate(|params| {
                params
                    .distinguished_name
                    .push(DnType::OrganizationName, "x");
                params.distinguished_name.push(DnType::CommonName, name);
            });
            assert_eq!(common_name(&certificate).as_deref(), Some(expected));
        }
        let without = certificate(|params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
        });
        assert_eq!(common_name(&without), None);
    }

    #[test]
    fn the_subject_is_read() {
        let named = |parts: &[(DnType, DnValue)]| {
            certificate(|params| {
                params.distinguished_name = rcgen::DistinguishedName::new();
                for (kind, value) in parts {
                    params.distinguished_name.push(kind.clone(), value.clone());
                }
            })
        };
        let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
        let own = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 311, 2]);
        let mail = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        for (parts, expected) in [
            (vec![], ""),
            (vec![(DnType::CommonName, utf8("d"))], "CN=d"),
            (
                vec![
                    (DnType::CountryName, utf8("DE")),
                    (DnType::OrganizationName, utf8("A, B+C")),
                    (DnType::CommonName, utf8(" #d\\ ")),
                ],
                "CN=\\ #d\\\\\\ ,O=A\\, B\\+C,C=DE",
            ),
            (
                vec![(own, utf8("x")), (mail, utf8("a@b.c"))],
                "emailAddress=a@b.c,1.3.6.1.4.1.311.2=x",
            ),
            (vec![(DnType::CommonName, utf8("#1"))], "CN=\\#1"),
        ] {
            assert_eq!(subject(&named(&parts)).as_deref(), Some(expected));
        }
        assert_eq!(dotted(&[0x88, 0x37]), "2.999");
        assert_eq!(
            attribute_text(&[0x55, 0x04, 0x03], 0x1C, &[0, 0xAB]),
            "CN=#00ab"
        );
    }

    #[test]
    fn what_is_no_certificate_has_nothing() {
        let whole = certificate(|_| {});
        for cut in 0..whole.len() {
            let part = whole.get(..cut).unwrap_or_default();
            let _ = (not_after(part), common_name(part), subject(part));
        }
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x80",
            b"\x30\x8f",
        ] {
            assert_eq!(
                (not_after(bytes), common_name(bytes), subject(bytes)),
                (None, None, None),
                "{bytes:?}"
            );
        }
    }
}
