use proptest::prelude::*;

use super::*;

fn found(text: &str) -> Vec<(String, String, u32, u32)> {
    scan(text)
        .into_iter()
        .map(|item| match item {
            Item::Value(span) => (
                span.path.join("/"),
                text[span.value].to_owned(),
                span.line,
                span.column,
            ),
            Item::Include(include) => (
                include.path.join("/"),
                format!("include {}", include.file),
                include.line,
                include.column,
            ),
        })
        .collect()
}

fn row(path: &str, value: &str, line: u32, column: u32) -> (String, String, u32, u32) {
    (path.to_owned(), value.to_owned(), line, column)
}

#[test]
fn every_key_has_its_place() {
    let cases = [
        ("a = 1", vec![row("a", "1", 1, 1)]),
        (
            "a.b : \"x # y\" # note",
            vec![row("a/b", "\"x # y\"", 1, 1)],
        ),
        (
            "a {\n  b = 10MB // note\n}\nc=2",
            vec![
                row("a", "{", 1, 1),
                row("a/b", "10MB", 2, 3),
                row("c", "2", 4, 1),
            ],
        ),
        (
            "a.b { c { d = 1 }\n e = 2 }\nf = 3",
            vec![
                row("a/b", "{", 1, 1),
                row("a/b/c", "{", 1, 7),
                row("a/b/c/d", "1", 1, 11),
                row("a/b/e", "2", 2, 2),
                row("f", "3", 3, 1),
            ],
        ),
        (
            "a = [1, {b = \"]\"}, # ]\n 2]\nc = 3",
            vec![
                row("a", "[1, {b = \"]\"}, # ]\n 2]", 1, 1),
                row("c", "3", 3, 1),
            ],
        ),
        (
            "\"x.y\" = 1, b = 2",
            vec![row("x.y", "1", 1, 1), row("b", "2", 1, 12)],
        ),
        (
            "a = {include \"/etc/p.conf\"}\nb = 1",
            vec![
                row("a", "{", 1, 1),
                row("a", "include /etc/p.conf", 1, 6),
                row("b", "1", 2, 1),
            ],
        ),
        (
            "include required(file(\"p.conf\"))\nb = 1",
            vec![row("", "include p.conf", 1, 1), row("b", "1", 2, 1)],
        ),
        ("included = 1", vec![row("included", "1", 1, 1)]),
        (
            "a = ${x.y} tail\nb = 1",
            vec![row("a", "${x.y} tail", 1, 1), row("b", "1", 2, 1)],
        ),
        (
            "a = \"\"\"x\ny\"\"\"\nb = 1",
            vec![row("a", "\"\"\"x\ny\"\"\"", 1, 1), row("b", "1", 3, 1)],
        ),
        ("}}a=1", vec![row("a", "1", 1, 3)]),
        (
            "a = 1\r\nb = 2\r\n",
            vec![row("a", "1", 1, 1), row("b", "2", 2, 1)],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(found(text), expected, "{text:?}");
    }
}

#[test]
fn appending_is_seen() {
    let items = scan("a += 1");
    assert!(
        matches!(&items[..], [Item::Value(Span { appends: true, .. })]),
        "{items:?}"
    );
}

proptest! {
    #[test]
    fn any_text_is_scanned_to_its_end(text in "[a-z{}\\[\\]=:.,\"#/$+\\\\ \n\u{e9}]{0,80}") {
        for item in scan(&text) {
            if let Item::Value(span) = item {
                prop_assert!(text.get(span.value).is_some());
            }
        }
    }
}

#[test]
fn the_elements_of_an_array_have_their_places() {
    for (text, expected) in [
        ("a = []", &[][..]),
        ("a = [x, \"y,]\", {b = [1, 2]}]", &[(1, 6), (1, 9), (1, 16)]),
        (
            "a = [ # none, here\n  {b = 1,\n c = 2}\n\n  {b = 2} // or, here\n  , { }, ]",
            &[(2, 3), (5, 3), (6, 5)],
        ),
    ] {
        let items = scan(text);
        let [Item::Value(span)] = &items[..] else {
            panic!("{items:?}");
        };
        assert_eq!(span.elements, expected, "{text}");
    }
}
