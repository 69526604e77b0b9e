//! Reading the HOCON form: values from the parser, places from the scan, includes from both.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hocon::{HoconError, HoconValue, ParseOptions, ScalarType};

use super::entry::{Entry, Names, Value};
use super::load::read_text;
use super::problem::{Place, Problem};
use super::scan::{Include, Item, Shape, Span, scan};

/// How deep files may include each other.
const MAX_INCLUDES: usize = 16;

/// Reads a HOCON text.
///
/// After a syntax error the values before it are still returned, so that their problems are reported together with it.
pub(crate) fn read(
    file: &Arc<Path>,
    text: &str,
    env: &HashMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Vec<Entry> {
    let mut index = Index::default();
    index.collect(file, text, &[], &[], problems);
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let options = ParseOptions::defaults()
        .with_base_dir(folder)
        .with_env(env.clone());
    let error = match hocon::parse_string_with_options(text, options) {
        Ok(parsed) => {
            let mut entries = Vec::new();
            for key in parsed.keys() {
                if let Some(value) = parsed.get(&quote(key)).or_else(|| parsed.get(key)) {
                    walk(vec![key.to_owned()], value, &index, &mut entries);
                }
            }
            return entries;
        }
        Err(error) => error,
    };
    let place = match &error {
        HoconError::Parse(error) => Place::at(file, number(error.line), number(error.col)),
        HoconError::Resolve(error) if error.line > 0 => {
            let included = Path::new(&error.path);
            let file = if included.is_file() {
                Arc::from(included)
            } else {
                Arc::clone(file)
            };
            Place::at(&file, number(error.line), number(error.col))
        }
        _ => Place::file(file),
    };
    let message = match &error {
        HoconError::Parse(error) => format!("syntax error: {}", without_texts(&error.message)),
        HoconError::Resolve(error) => without_texts(&error.message),
        other => without_texts(&other.to_string()),
    };
    let limit = place
        .line
        .filter(|_| place.file.as_ref() == Some(file))
        .unwrap_or(0);
    problems.push(place.error(None, message));
    before(file, text, limit)
}

/// Where each key of a file and its includes got its value last, and each section begins first.
#[derive(Default)]
struct Index {
    places: HashMap<Vec<String>, Place>,
    /// Where the elements of each array begin.
    elements: HashMap<Vec<String>, Vec<Place>>,
}

impl Index {
    fn collect(
        &mut self,
        file: &Arc<Path>,
        text: &str,
        prefix: &[String],
        stack: &[Arc<Path>],
        problems: &mut Vec<Problem>,
    ) {
        let mut scalars: HashMap<Vec<String>, u32> = HashMap::new();
        for item in scan(text) {
            match item {
                Item::Include(include) => self.include(file, &include, prefix, stack, problems),
                Item::Value(span) => {
                    let place = Place::at(file, span.line, span.column);
                    let refers_back = text
                        .get(span.value.clone())
                        .is_some_and(|value| value.contains("${"));
                    let path = [prefix, &span.path].concat();
                    if span.shape != Shape::Object
                        && let Some(line) = scalars.insert(path.clone(), span.line)
                        && !span.appends
                        && !refers_back
                    {
                        let message =
                            format!("is set again; the last one counts, not that of line {line}");
                        problems.push(place.warning(Some(&label(&path)), message));
                    }
                    for length in (path.len().saturating_sub(span.names) + 1)..path.len() {
                        let section = path.get(..length).unwrap_or(&[]).to_vec();
                        self.places.entry(section).or_insert_with(|| place.clone());
                    }
                    if span.shape != Shape::Object {
                        let elements = self.elements.entry(path.clone()).or_default();
                        if !span.appends {
                            elements.clear();
                        }
                        let lines = span.elements.iter();
                        elements
                            .extend(lines.map(|(line, column)| Place::at(file, *line, *column)));
                    }
                    if span.shape == Shape::Object {
                        self.places.entry(path).or_insert(place);
                    } else {
                        self.places.insert(path, place);
                    }
                }
            }
        }
    }

    fn include(
        &mut self,
        file: &Arc<Path>,
        include: &Include,
        prefix: &[String],
        stack: &[Arc<Path>],
        problems: &mut Vec<Problem>,
    ) {
        let place = Place::at(file, include.line, include.column);
        let folder = if include.from_cwd {
            None
        } else {
            file.parent()
        };
        let named = folder.unwrap_or(Path::new("")).join(&include.file);
        // As the parser does it: a name without extension stands for all of these, the last counting most.
        let candidates: Vec<PathBuf> = match named.extension() {
            Some(_) => vec![named],
            None => ["json", "conf"]
                .map(|extension| named.with_extension(extension))
                .to_vec(),
        };
        let found: Vec<PathBuf> = candidates
            .into_iter()
            .filter(|path| path.is_file())
            .collect();
        if found.is_empty() {
            problems.push(place.warning(
                None,
                format!(
                    "included file {:?} does not exist; it is left out",
                    include.file
                ),
            ));
        }
        if stack.len() >= MAX_INCLUDES {
            problems.push(place.error(
                None,
                format!("files include each other more than {MAX_INCLUDES} deep"),
            ));
            return;
        }
        let stack = [stack, &[Arc::clone(file)]].concat();
        let prefix = [prefix, &include.path].concat();
        for path in found {
            let path: Arc<Path> = Arc::from(path);
            // The parser reports a circle.
            if stack.contains(&path) {
                continue;
            }
            match read_text(&path) {
                Ok(text) => self.collect(&path, &text, &prefix, &stack, problems),
                Err(problem) => problems.push(problem),
            }
        }
    }

    /// Where the elements of an array begin; none when it is put together in a way that does not tell.
    fn elements(&self, path: &[String], number: usize) -> Vec<Place> {
        let known = self.elements.get(path);
        let known = known.filter(|places| places.len() == number);
        known.cloned().unwrap_or_default()
    }

    /// The place of a key, or of the nearest object around it.
    fn place(&self, path: &[String]) -> Place {
        let mut length = path.len();
        while let Some(around) = path.get(..length).filter(|around| !around.is_empty()) {
            if let Some(place) = self.places.get(around) {
                return place.clone();
            }
            length = length.saturating_sub(1);
        }
        Place::default()
    }
}

/// Makes an entry of every leaf.
fn walk(path: Vec<String>, value: &HoconValue, index: &Index, entries: &mut Vec<Entry>) {
    let value = match value {
        HoconValue::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let mut path = path.clone();
                path.push(name.clone());
                walk(path, value, index, entries);
            }
            return;
        }
        // Null takes a value away: the default is left.
        HoconValue::Scalar(scalar) if scalar.value_type == ScalarType::Null => return,
        HoconValue::Scalar(scalar) => Value::Text(scalar.raw.clone()),
        HoconValue::Array(items) => {
            let texts = items.iter().map(|item| match item {
                HoconValue::Scalar(scalar) => Some(scalar.raw.clone()),
                _ => None,
            });
            texts.collect::<Option<Vec<String>>>().map_or_else(
                || Value::Tree(tree(value), index.elements(&path, items.len())),
                Value::List,
            )
        }
        _ => Value::Empty,
    };
    let place = index.place(&path);
    let section = |length| index.place(path.get(..length).unwrap_or(&[]));
    let around = (1..path.len()).map(section).collect();
    entries.push(Entry {
        label: label(&path),
        path,
        value,
        place,
        around,
        names: Names::Hocon,
    });
}

/// A value with all that is in it.
fn tree(value: &HoconValue) -> serde_json::Value {
    match value {
        HoconValue::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), tree(value)))
            .collect(),
        HoconValue::Array(items) => items.iter().map(tree).collect(),
        HoconValue::Scalar(scalar) if scalar.value_type == ScalarType::Null => {
            serde_json::Value::Null
        }
        HoconValue::Scalar(scalar) => scalar.raw.as_str().into(),
        _ => serde_json::Value::Null,
    }
}

/// The single values of a text that stand before a line, as far as they can be read without the parser.
fn before(file: &Arc<Path>, text: &str, line: u32) -> Vec<Entry> {
    let entry = |span: Span| {
        let value = text.get(span.value)?;
        let value = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(value);
        (!value.contains(['"', '$', '\\'])).then(|| Entry {
            label: label(&span.path),
            path: span.path,
            value: Value::Text(value.to_owned()),
            place: Place::at(file, span.line, span.column),
            around: Vec::new(),
            names: Names::Hocon,
        })
    };
    let spans = scan(text).into_iter().filter_map(|item| match item {
        Item::Value(span) if span.line < line && span.shape == Shape::Scalar => Some(span),
        _ => None,
    });
    spans.filter_map(entry).collect()
}

/// A path as one text; a name with a dot is quoted.
fn label(path: &[String]) -> String {
    let names: Vec<String> = path
        .iter()
        .map(|name| {
            if name.contains('.') {
                quote(name)
            } else {
                name.clone()
            }
        })
        .collect();
    names.join(".")
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// A message of the parser without the texts it quotes from the file, which may be passwords.
fn without_texts(message: &str) -> String {
    let mut out = String::new();
    let mut chars = message.chars();
    while let Some(c) = chars.next() {
        if c != '"' {
            out.push(c);
            continue;
        }
        out.push_str("\"..\"");
        while let Some(inner) = chars.next() {
            match inner {
                '\\' => drop(chars.next()),
                '"' => break,
                _ => {}
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_texts_are_cut_out_of_parser_messages() {
        let cases = [
            (
                "reserved character '@' in \"pa@ss\"",
                "reserved character '@' in \"..\"",
            ),
            (
                "expected key, got String(\"a\\\"b\") here",
                "expected key, got String(\"..\") here",
            ),
            ("open \"rest", "open \"..\""),
            ("plain", "plain"),
        ];
        for (message, expected) in cases {
            assert_eq!(without_texts(message), expected);
        }
    }
}
