//! Where each key stands in a HOCON text: its dotted path, line and the bytes of its value.
//!
//! The HOCON parser gives values without places. This scan gives the places without understanding values: it never fails,
//! follows braces, quotes and comments, and skips over arrays. Line numbers of problems come from it, and editing a value
//! in place can be built on its spans.

use std::ops::Range;

/// The longest path that is kept. No key is half as long, and the paths of a hostile file stay bounded.
const MAX_NAMES: usize = 64;

/// What kind of value a key has in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text, a number, a boolean or a substitution.
    Scalar,
    /// `{ .. }`; its span is the opening brace only, its keys follow as items of their own.
    Object,
    /// `[ .. ]`.
    Array,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// The path from the root of this text, one element a name.
    pub(crate) path: Vec<String>,
    /// How many names of the path its own key has; the others are those of the objects around it.
    pub(crate) names: usize,
    /// The bytes of the value in the text, quotes included, without comment and surrounding space.
    pub(crate) value: Range<usize>,
    /// The bytes of all of it, from the key to the end of the value, of an object to its closing brace.
    pub(crate) whole: Range<usize>,
    /// The kind of the value.
    pub(crate) shape: Shape,
    /// Whether it adds to what was there (`+=`).
    pub(crate) appends: bool,
    /// Line of the key, from 1.
    pub(crate) line: u32,
    /// Column of the key in characters, from 1.
    pub(crate) column: u32,
    /// Line and column of each element of an array.
    pub(crate) elements: Vec<(u32, u32)>,
}

/// An `include "file"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Include {
    /// The path of the object it stands in.
    pub(crate) path: Vec<String>,
    /// The file name as written.
    pub(crate) file: String,
    /// Whether it is `file(..)`: then it is relative to the working folder, not to the including file.
    pub(crate) from_cwd: bool,
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
}

/// One finding, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A key with its value.
    Value(Span),
    /// An include.
    Include(Include),
}

/// Scans a HOCON text.
pub(crate) fn scan(text: &str) -> Vec<Item> {
    Scanner {
        text,
        at: 0,
        line: 1,
        line_start: 0,
        path: Vec::new(),
        open: Vec::new(),
        items: Vec::new(),
    }
    .run()
}

struct Scanner<'a> {
    text: &'a str,
    /// Byte position, always on a character boundary.
    at: usize,
    line: u32,
    line_start: usize,
    /// Path of the object we are in.
    path: Vec<String>,
    /// For every open brace, how many names it added to the path, and the item whose value it opens.
    open: Vec<(usize, Option<usize>)>,
    items: Vec<Item>,
}

impl Scanner<'_> {
    fn run(mut self) -> Vec<Item> {
        loop {
            self.skip_blank(true);
            match self.peek() {
                None => return self.items,
                Some('}') => {
                    self.bump();
                    let (names, item) = self.open.pop().unwrap_or((0, None));
                    self.path.truncate(self.path.len().saturating_sub(names));
                    if let Some(Item::Value(span)) = item.and_then(|at| self.items.get_mut(at)) {
                        span.whole.end = self.at;
                    }
                }
                Some('{') => {
                    self.bump();
                    self.open.push((0, None));
                }
                Some(_) => self.field(),
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn bump(&mut self) {
        if let Some(c) = self.peek() {
            self.at += c.len_utf8();
            if c == '\n' {
                self.line = self.line.saturating_add(1);
                self.line_start = self.at;
            }
        }
    }

    fn bump_bytes(&mut self, bytes: usize) {
        let end = self.at + bytes;
        while self.at < end && self.peek().is_some() {
            self.bump();
        }
    }

    fn column(&self) -> u32 {
        let before = self.text.get(self.line_start..self.at).unwrap_or("");
        u32::try_from(before.chars().count())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }

    fn at_comment(&self) -> bool {
        self.rest().starts_with('#') || self.rest().starts_with("//")
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.bump();
        }
    }

    /// Skips space and comments, and with `all` also commas.
    fn skip_blank(&mut self, all: bool) {
        while let Some(c) = self.peek() {
            if c.is_whitespace() || c == '\u{feff}' || (all && c == ',') {
                self.bump();
            } else if self.at_comment() {
                self.skip_line();
            } else {
                return;
            }
        }
    }

    /// Skips a quoted string of one or three quotes and returns its content.
    fn quoted(&mut self) -> String {
        if self.rest().starts_with("\"\"\"") {
            self.bump_bytes(3);
            let length = self.rest().find("\"\"\"").unwrap_or(self.rest().len());
            let content = self.rest().get(..length).unwrap_or("").to_owned();
            self.bump_bytes(length + 3);
            return content;
        }
        self.bump();
        let mut content = String::new();
        while let Some(c) = self.peek() {
            // A string ends with its line at the latest; the parser reports it.
            if c == '\n' {
                break;
            }
            self.bump();
            match c {
                '"' => break,
                '\\' => {
                    content.extend(self.peek());
                    self.bump();
                }
                _ => content.push(c),
            }
        }
        content
    }

    /// Reads `key = value`, `key { ..` or an include.
    fn field(&mut self) {
        let (line, column, start) = (self.line, self.column(), self.at);
        if self.include(line, column) {
            return;
        }
        let names = self.key();
        let appends = self.rest().starts_with("+=");
        match self.peek() {
            _ if appends => self.bump_bytes(2),
            Some('=' | ':') => self.bump(),
            Some('{') => {}
            _ => {
                // Not a field: step over it so that the scan always moves on.
                if self.at == start {
                    self.bump();
                }
                return;
            }
        }
        self.skip_blank(false);
        let value_start = self.at;
        let shape = match self.peek() {
            Some('{') => Shape::Object,
            Some('[') => Shape::Array,
            _ => Shape::Scalar,
        };
        let is_kept = self.path.len().saturating_add(names.len()) <= MAX_NAMES;
        let mut path = self.path.clone();
        if is_kept {
            path.extend(names.iter().cloned());
        }
        let mut elements = Vec::new();
        match shape {
            Shape::Object => {
                self.bump();
                self.open.push(match is_kept {
                    true => (names.len(), Some(self.items.len())),
                    false => (0, None),
                });
                self.path.clone_from(&path);
            }
            Shape::Array => elements = self.skip_array(),
            Shape::Scalar => self.skip_scalar(),
        }
        if !is_kept {
            return;
        }
        let written = self.text.get(value_start..self.at).unwrap_or("").trim_end();
        let value = value_start..value_start + written.len();
        self.items.push(Item::Value(Span {
            path,
            names: names.len(),
            whole: start..value.end,
            value,
            shape,
            appends,
            line,
            column,
            elements,
        }));
    }

    /// Reads the names of a key up to its separator.
    fn key(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        let mut name = String::new();
        let mut was_quoted = false;
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    name.push_str(&self.quoted());
                    was_quoted = true;
                    continue;
                }
                '.' => {
                    names.push(take_name(&mut name, was_quoted));
                    was_quoted = false;
                }
                '=' | ':' | '{' | '}' | '[' | ']' | ',' | '\n' => break,
                _ if self.rest().starts_with("+=") || self.at_comment() => break,
                _ if was_quoted && c.is_whitespace() => {}
                _ => name.push(c),
            }
            self.bump();
        }
        names.push(take_name(&mut name, was_quoted));
        names
    }

    /// Reads `include "file"`, `include file("file")` or `include required(..)` if one stands here.
    fn include(&mut self, line: u32, column: u32) -> bool {
        let Some(rest) = self.rest().strip_prefix("include") else {
            return false;
        };
        let head = rest.split(['"', '\n']).next().unwrap_or("");
        let is_include = rest
            .get(head.len()..)
            .is_some_and(|tail| tail.starts_with('"'))
            && head.starts_with([' ', '\t', '('])
            && head
                .chars()
                .all(|c| c.is_ascii_alphabetic() || matches!(c, ' ' | '\t' | '('));
        if !is_include {
            return false;
        }
        let from_cwd = head.contains("file");
        self.bump_bytes("include".len() + head.len());
        let file = self.quoted();
        while self.peek().is_some_and(|c| matches!(c, ')' | ' ' | '\t')) {
            self.bump();
        }
        self.items.push(Item::Include(Include {
            path: self.path.clone(),
            file,
            from_cwd,
            line,
            column,
        }));
        true
    }

    /// Skips an array and returns where its elements begin.
    fn skip_array(&mut self) -> Vec<(u32, u32)> {
        let mut elements = Vec::new();
        let mut between = true;
        let mut depth = 0_usize;
        while let Some(c) = self.peek() {
            if self.at_comment() {
                self.skip_line();
                continue;
            }
            if depth == 1 {
                if matches!(c, ',' | '\n') {
                    between = true;
                } else if between && c != ']' && !c.is_whitespace() {
                    elements.push((self.line, self.column()));
                    between = false;
                }
            }
            match c {
                '"' => {
                    self.quoted();
                    continue;
                }
                '[' | '{' => depth += 1,
                ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.bump();
            if depth == 0 {
                break;
            }
        }
        elements
    }

    fn skip_scalar(&mut self) {
        while let Some(c) = self.peek() {
            if c == '"' {
                self.quoted();
            } else if self.rest().starts_with("${") {
                while self.peek().is_some_and(|c| c != '}' && c != '\n') {
                    self.bump();
                }
                if self.peek() == Some('}') {
                    self.bump();
                }
            } else if matches!(c, '\n' | ',' | '}') || self.at_comment() {
                return;
            } else {
                self.bump();
            }
        }
    }
}

/// Takes a finished name; space around an unquoted one is not part of it.
fn take_name(name: &mut String, was_quoted: bool) -> String {
    let taken = std::mem::take(name);
    if was_quoted {
        taken
    } else {
        taken.trim().to_owned()
    }
}

#[cfg(test)]
mod tests;
