//! Parameters of the query string: filters and paging.

use std::{collections::HashSet, ops::RangeInclusive};

use actix_web::web;

use super::{ApiError, answer::Meta};

/// Rows on a page when only `_page` is given.
const DEFAULT_LIMIT: usize = 10_000;

/// The parameters of a request, percent-decoded. A handler takes those it knows; what is left is unknown.
///
/// As with NanoMQ, a parameter without a value counts as not given, and of one given twice the last holds, unless
/// [`Parameters::once`] says otherwise.
#[derive(Debug)]
pub struct Parameters(Vec<(String, Text)>);

/// A text that is looked for.
///
/// A plus sign in a query string is a plus sign (RFC 3986) for some programs and a space (HTML forms) for others,
/// and both occur in topics and client ids. So both are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    literal: String,
    with_spaces: Option<String>,
}

impl Text {
    /// True when `other` is the text.
    pub fn is(&self, other: &str) -> bool {
        self.literal == other || self.with_spaces.as_deref() == Some(other)
    }

    /// The text with its plus signs, for topics and filters: there a plus sign means one.
    pub fn literal(&self) -> &str {
        &self.literal
    }

    /// The text with spaces for its plus signs, unless it has none.
    pub fn spaced(&self) -> Option<&str> {
        self.with_spaces.as_deref()
    }

    /// The text, unless it could mean two.
    pub fn single(&self) -> Option<&str> {
        self.with_spaces.is_none().then_some(self.literal.as_str())
    }
}

impl Parameters {
    /// Reads a query string.
    ///
    /// # Errors
    /// [`ApiError::UnknownParameter`] when it is not one.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let decode = |query: &str| {
            web::Query::<Vec<(String, String)>>::from_query(query)
                .map(web::Query::into_inner)
                .map_err(|_| ApiError::UnknownParameter(query.to_owned()))
        };
        let literal = decode(&query.replace('+', "%2B"))?;
        let with_spaces = decode(query)?;
        let texts = literal.into_iter().zip(with_spaces);
        Ok(Self(
            texts
                .map(|((name, literal), (_, spaced))| {
                    let with_spaces = (spaced != literal).then_some(spaced);
                    (
                        name,
                        Text {
                            literal,
                            with_spaces,
                        },
                    )
                })
                .collect(),
        ))
    }

    /// Reads a query string in which no parameter may have two values: for requests that NanoMQ does not know.
    ///
    /// # Errors
    /// [`ApiError::UnknownParameter`] when it is not a query string, [`ApiError::RepeatedParameter`] with the first
    /// that is repeated.
    pub fn once(query: &str) -> Result<Self, ApiError> {
        let parameters = Self::parse(query)?;
        let mut names = HashSet::new();
        let given = parameters
            .0
            .iter()
            .filter(|(_, text)| !text.literal.is_empty());
        for (name, _) in given {
            if !names.insert(name) {
                return Err(ApiError::RepeatedParameter(name.clone()));
            }
        }
        Ok(parameters)
    }

    /// Takes a parameter out.
    pub fn text(&mut self, name: &str) -> Option<Text> {
        let mut found = None;
        self.0.retain(|(other, text)| {
            let same = other == name;
            if same && !text.literal.is_empty() {
                found = Some(text.clone());
            }
            !same
        });
        found
    }

    /// Takes a parameter out whose values are `words`, in upper or lower case.
    ///
    /// # Errors
    /// [`ApiError::WrongParameter`] when it has another value.
    pub fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let known = words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(&text.literal));
        match known {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(ApiError::WrongParameter {
                    name,
                    expected: format!("one of {}", words.join(", ")),
                })
            }
        }
    }

    /// Takes `_page` and `_limit` out.
    ///
    /// # Errors
    /// [`ApiError::WrongParameter`] when one is not a number from 1 on, [`ApiError::RepeatedParameter`] when there are
    /// two of it.
    pub fn paging(&mut self) -> Result<Paging, ApiError> {
        let page = self.number_in("_page", 1..=usize::MAX)?;
        let limit = self.number_in("_limit", 1..=usize::MAX)?;
        Ok(Paging((page.is_some() || limit.is_some()).then(|| {
            (page.unwrap_or(1), limit.unwrap_or(DEFAULT_LIMIT))
        })))
    }

    /// Takes a parameter out whose value is a number. NanoMQ has none, so that two may be refused.
    ///
    /// # Errors
    /// [`ApiError::WrongParameter`] when it is not one in `range`, [`ApiError::RepeatedParameter`] when there are two.
    pub fn number_in(
        &mut self,
        name: &'static str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, ApiError> {
        let mut values = self
            .0
            .iter()
            .filter(|(other, text)| other == name && !text.literal.is_empty());
        if values.nth(1).is_some() {
            return Err(ApiError::RepeatedParameter(name.to_owned()));
        }
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.literal.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::WrongParameter {
                name,
                expected: match *range.end() {
                    usize::MAX => format!("a number from {} on", range.start()),
                    end => format!("a number from {} to {end}", range.start()),
                },
            }),
        }
    }

    /// Refuses what nobody took.
    ///
    /// # Errors
    /// [`ApiError::UnknownParameter`] with the first.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.0.into_iter().next() {
            Some((name, _)) => Err(ApiError::UnknownParameter(name)),
            None => Ok(()),
        }
    }
}

/// The page that is asked for; all rows when none is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging(Option<(usize, usize)>);

impl Paging {
    /// True when a row is shown, of which there are `before` in front.
    pub fn shows(self, before: usize) -> bool {
        self.0.is_none_or(|(page, limit)| {
            let end = page.saturating_mul(limit);
            (end.saturating_sub(limit)..end).contains(&before)
        })
    }

    /// Which page of `count` rows it is.
    pub fn meta(self, count: usize) -> Option<Meta> {
        let (page, limit) = self.0?;
        Some(Meta {
            page,
            limit,
            count,
            hasnext: page.saturating_mul(limit) < count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_and_of_two_the_last_holds_or_none() {
        for (query, finds, misses) in [
            ("t=a%2Fb", "a/b", "a%2Fb"),
            ("t=%C3%A9%20x", "é x", "é+x"),
            ("t=a/+/b", "a/+/b", "a//b"),
            ("t=a+b", "a b", "ab"),
            ("t=a%2Bb", "a+b", "a b"),
            ("t=%25", "%", "%25"),
            ("t=1&t=2&t=", "2", "1"),
            ("%74=1", "1", ""),
        ] {
            let mut parameters = Parameters::parse(query).unwrap();
            let text = parameters.text("t").unwrap();
            assert!(text.is(finds) && !text.is(misses), "{query}: {text:?}");
            parameters.finish().unwrap();
        }
        for (query, repeated) in [
            ("t=1&t=2", Some("t")),
            ("a=1&t=1&%74=1", Some("t")),
            ("t=1&t=&t", None),
            ("a=1&t=1", None),
        ] {
            let expected = repeated.map(|name: &str| ApiError::RepeatedParameter(name.to_owned()));
            assert_eq!(Parameters::once(query).err(), expected, "{query}");
        }
        for query in ["", "t", "t=", "&"] {
            let mut parameters = Parameters::parse(query).unwrap();
            assert_eq!(parameters.text("t"), None, "{query}");
            parameters.finish().unwrap();
        }
    }

    #[test]
    fn a_page_is_cut_out() {
        // (query, rows before, rows after, count, has next)
        for (query, before, after, hasnext) in [
            ("_page=1&_limit=2", 5, vec![0, 1], true),
            ("_page=2&_limit=2", 5, vec![2, 3], true),
            ("_page=3&_limit=2", 5, vec![4], false),
            ("_page=4&_limit=2", 5, vec![], false),
            ("_limit=5", 5, vec![0, 1, 2, 3, 4], false),
            ("_page=1", 3, vec![0, 1, 2], false),
            ("_page=18446744073709551615&_limit=3", 5, vec![], false),
            ("_page=1&_limit=18446744073709551615", 2, vec![0, 1], false),
        ] {
            let paging = Parameters::parse(query).unwrap().paging().unwrap();
            let rows: Vec<usize> = (0..before).filter(|row| paging.shows(*row)).collect();
            let meta = paging.meta(before).unwrap();
            assert_eq!(
                (rows, meta.count, meta.hasnext),
                (after, before, hasnext),
                "{query}"
            );
        }
        let paging = Parameters::parse("").unwrap().paging().unwrap();
        assert_eq!(paging.meta(2), None);
        assert!(paging.shows(0) && paging.shows(usize::MAX));
        for query in [
            "_page=0",
            "_limit=0",
            "_page=x",
            "_limit=-1",
            "_page=99999999999999999999",
            "_page=1&_page=1",
        ] {
            assert!(
                Parameters::parse(query).unwrap().paging().is_err(),
                "{query}"
            );
        }
    }
}
