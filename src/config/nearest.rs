//! The known name nearest to an unknown one, for "did you mean".

use super::aliases;
use super::entry::Names;
use super::keys::{self, Role};

/// The known key nearest to a path; for the flat form also among its own keys.
pub(crate) fn key(path: &[String], names: Names) -> Option<String> {
    let hocon = keys::all()
        .filter(|key| matches!(key.role, Role::Setting { .. }))
        .map(|key| key.path);
    let flat = aliases::FLAT
        .iter()
        .map(|alias| alias.name)
        .filter(|_| names == Names::Flat);
    let written = path.join(".");
    // `listeners.tcp.default.bnd` is compared with `listeners.tcp.default.bind`, not with the pattern.
    let candidates: Vec<String> = flat
        .chain(hocon)
        .filter(|name| !name.ends_with("**"))
        .map(|name| fill(name, path))
        .collect();
    let by_path = best(&written, candidates.iter().map(String::as_str));
    by_path
        .map(str::to_owned)
        .or_else(|| same_leaf(path, &candidates))
}

/// The known section nearest to a path.
pub(crate) fn section(path: &[String]) -> Option<String> {
    let mut sections: Vec<String> = Vec::new();
    for key in keys::all() {
        let parts: Vec<&str> = key
            .path
            .split('.')
            .filter(|part| !part.starts_with('*'))
            .collect();
        if let Some(parts) = parts.get(..path.len()) {
            sections.push(parts.join("."));
        }
    }
    best(&path.join("."), sections.iter().map(String::as_str)).map(str::to_owned)
}

/// The known environment variable nearest to a name, both without `NANOMQ_`.
pub(crate) fn variable(name: &str) -> Option<&'static str> {
    best(name, aliases::ENV.iter().map(|alias| alias.name))
}

/// A key of the same last name in another section, if there is exactly one.
fn same_leaf(path: &[String], candidates: &[String]) -> Option<String> {
    let leaf = path.last()?;
    let mut same = candidates
        .iter()
        .filter(|name| name.rsplit('.').next() == Some(leaf.as_str()));
    let found = same.next()?;
    same.next().is_none().then(|| found.clone())
}

/// Puts the names of a path where a pattern has `*`.
fn fill(pattern: &str, path: &[String]) -> String {
    let parts: Vec<&str> = pattern
        .split('.')
        .enumerate()
        .map(|(at, part)| {
            if part == "*" {
                path.get(at).map_or("NAME", String::as_str)
            } else {
                part
            }
        })
        .collect();
    parts.join(".")
}

/// The name with the smallest edit distance, if it is small enough to be a slip.
fn best<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Two neighbours exchanged are a distance of 2; a short name would be near to anything then.
    let limit = if written.len() < 5 { 1 } else { 2 };
    names
        .map(|name| (distance(written, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|pair| pair.0)
        .map(|(_, name)| name)
}

/// Edit distance (Levenshtein). A long text is nobody's slip and not worth its square.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 100 || b.len() > 100 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (cell, to) in row.windows(2).zip(&b) {
            let [diagonal, above] = cell else { continue };
            let left = next.last().copied().unwrap_or(usize::MAX - 1);
            let replaced = diagonal + usize::from(from != *to);
            next.push(replaced.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("bind", "bnid", 2),
            ("x", "x", 0),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_name_is_found() {
        let cases = [
            ("mqtt.max_mqeue_len", Some("mqtt.max_mqueue_len")),
            ("listeners.tcp.a.bnd", Some("listeners.tcp.a.bind")),
            ("system.max_qos", Some("mqtt.max_qos")),
            ("mqtt.enable", None),
            ("something.else", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                key(&path(text), Names::Hocon).as_deref(),
                expected,
                "{text}"
            );
        }
        assert_eq!(
            key(&path("msq_ln"), Names::Flat).as_deref(),
            Some("msq_len")
        );
        assert_eq!(section(&path("mqt")).as_deref(), Some("mqtt"));
        assert_eq!(variable("ALOW_ANONYMOUS"), Some("ALLOW_ANONYMOUS"));
        assert_eq!(variable("SERVICE_HOST"), None);
    }
}
