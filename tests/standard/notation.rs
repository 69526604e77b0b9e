//! Packets as text: `32 ['t' 0001 [] "hello"]` is a PUBLISH.
//!
//! | text | bytes |
//! |---|---|
//! | `3F 0001` | as they stand, in hexadecimal |
//! | `'t'` | a UTF-8 Encoded String: two bytes of length and the text `[1.5.4]` |
//! | `"hello"` | the text alone |
//! | `[ .. ]` | a Variable Byte Integer with the length of what is inside, and that: a Remaining Length or a Property Length |

/// The bytes of a text.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut rest = text;
    let bytes = sequence(&mut rest);
    assert!(rest.is_empty(), "{text}: what is {rest:?}");
    bytes
}

fn sequence(rest: &mut &str) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        *rest = rest.trim_start();
        match rest.chars().next() {
            None | Some(']') => return out,
            Some('[') => {
                *rest = &rest[1..];
                let inside = sequence(rest);
                *rest = rest.strip_prefix(']').expect("a closing bracket");
                out.extend(variable_byte_integer(inside.len()));
                out.extend(inside);
            }
            Some(quote @ ('\'' | '"')) => {
                let (text, behind) = rest[1..].split_once(quote).expect("a closing quote");
                if quote == '\'' {
                    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
                }
                out.extend(text.as_bytes());
                *rest = behind;
            }
            Some(_) => {
                let digits = rest
                    .get(..2)
                    .unwrap_or_else(|| panic!("half a byte: {rest}"));
                let byte = u8::from_str_radix(digits, 16);
                out.push(byte.unwrap_or_else(|_| panic!("not hexadecimal: {rest}")));
                *rest = &rest[2..];
            }
        }
    }
}

pub fn variable_byte_integer(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let digit = u8::try_from(value % 128).unwrap();
        value /= 128;
        if value == 0 {
            out.push(digit);
            return out;
        }
        out.push(digit | 0x80);
    }
}

#[test]
fn texts_become_bytes() {
    for (text, expected) in [
        ("", &[][..]),
        ("C0 00", &[0xc0, 0]),
        ("30 ['t' [] \"hi\"]", &[0x30, 6, 0, 1, b't', 0, b'h', b'i']),
        ("0001 [23 0001]", &[0, 1, 3, 0x23, 0, 1]),
    ] {
        assert_eq!(bytes(text), expected, "{text}");
    }
    let long = format!("30 [\"{}\"]", "x".repeat(200));
    assert_eq!(bytes(&long)[..3], [0x30, 0xc8, 1]);
}
