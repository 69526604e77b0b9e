//! One value on its way from a source (file, environment, command line) into the model, and how values are read.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::model_listeners::ListenerKind;
use super::problem::Place;
use super::units;
use super::values::{BindAddr, LogLevel, Secret};

/// The longest duration a key takes. Adding it to a clock never overflows.
const MAX_DURATION: Duration = Duration::from_secs(3650 * 86_400);

/// Which table names the keys of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// The HOCON keys; the command line uses them too.
    Hocon,
    /// The keys of the flat form.
    Flat,
    /// The environment variables, without `NANOMQ_`.
    Env,
}

/// A value and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key, one element a name.
    pub(crate) path: Vec<String>,
    /// The key as its author wrote it.
    pub(crate) label: String,
    /// The value.
    pub(crate) value: Value,
    /// Where it stands.
    pub(crate) place: Place,
    /// Where the objects around it stand, from the outermost; empty if nobody knows.
    pub(crate) around: Vec<Place>,
    /// The table its key is looked up in.
    pub(crate) names: Names,
}

impl Entry {
    /// Where the first `names` names of the path begin, as near as it is known.
    pub(crate) fn place_of(&self, names: usize) -> &Place {
        names
            .checked_sub(1)
            .and_then(|at| self.around.get(at))
            .unwrap_or(&self.place)
    }
}

/// A value as text, before it has a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// One text, number or boolean.
    Text(String),
    /// A list of them.
    List(Vec<String>),
    /// A list with objects in it, all single values in which are texts; and where its elements stand, if that is known.
    Tree(serde_json::Value, Vec<Place>),
    /// An object without keys.
    Empty,
}

/// What kept a value from being taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is not what the key expects.
    Unexpected,
    /// It is not what the key expects, for this reason.
    Wrong(String),
    /// A part of it that stands elsewhere than its key is not what it has to be, for this reason.
    WrongAt(Place, String),
    /// It was taken, but changed or with a remark.
    Note(String),
}

/// What storing a value came to.
pub(crate) type Stored = Result<(), Trouble>;

/// A text in a message.
fn short(text: &str) -> String {
    match text.chars().count() <= 60 {
        true => format!("{text:?}"),
        false => format!("{:?}..", text.chars().take(60).collect::<String>()),
    }
}

impl Value {
    /// The value in a message.
    pub(crate) fn shown(&self) -> String {
        match self {
            Value::Text(text) => short(text),
            Value::List(items) if !items.is_empty() && items.len() <= 8 => {
                let texts = items.iter().map(|item| short(item));
                format!("[{}]", texts.collect::<Vec<_>>().join(", "))
            }
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Tree(..) => "a list of objects".to_owned(),
            Value::Empty => "an empty object".to_owned(),
        }
    }

    pub(crate) fn text(&self) -> Result<&str, Trouble> {
        match self {
            Value::Text(text) => Ok(text.trim()),
            _ => Err(Trouble::Unexpected),
        }
    }

    /// The items of a list; a text is split at its commas, as the flat form and the environment have no lists.
    pub(crate) fn items(&self) -> Result<Vec<&str>, Trouble> {
        match self {
            Value::Text(text) => Ok(text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .collect()),
            Value::List(items) => Ok(items.iter().map(|item| item.trim()).collect()),
            Value::Tree(..) | Value::Empty => Err(Trouble::Unexpected),
        }
    }

    fn store<T>(&self, field: &mut T, read: impl FnOnce(&str) -> Option<T>) -> Stored {
        *field = read(self.text()?).ok_or(Trouble::Unexpected)?;
        Ok(())
    }

    pub(crate) fn int<T: TryFrom<u64>>(&self, field: &mut T, range: RangeInclusive<u64>) -> Stored {
        self.store(field, |text| {
            let number = text.parse().ok().filter(|number| range.contains(number))?;
            T::try_from(number).ok()
        })
    }

    pub(crate) fn size<T: TryFrom<u64>>(
        &self,
        field: &mut T,
        range: RangeInclusive<u64>,
    ) -> Stored {
        self.store(field, |text| {
            let bytes = units::parse_size(text).filter(|bytes| range.contains(bytes))?;
            T::try_from(bytes).ok()
        })
    }

    /// A size that is cut to what the standard allows, because NanoMQ's own files go beyond it.
    pub(crate) fn packet_size(&self, field: &mut u32, least: u64) -> Stored {
        let bytes = units::parse_size(self.text()?)
            .filter(|bytes| *bytes >= least)
            .ok_or(Trouble::Unexpected)?;
        let most = super::MAX_PACKET_SIZE;
        match u32::try_from(bytes) {
            Ok(bytes) if bytes <= most => {
                *field = bytes;
                Ok(())
            }
            _ => {
                *field = most;
                Err(Trouble::Note(format!(
                    "an MQTT packet has at most {most} bytes, which is used instead of {}",
                    self.shown()
                )))
            }
        }
    }

    pub(crate) fn number(&self, field: &mut f64, range: RangeInclusive<f64>) -> Stored {
        self.store(field, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    pub(crate) fn flag(&self, field: &mut bool) -> Stored {
        self.store(field, read_flag)
    }

    pub(crate) fn duration(&self, field: &mut Duration, least: Duration) -> Stored {
        self.store(field, |text| {
            units::parse_duration(text).filter(|duration| (least..=MAX_DURATION).contains(duration))
        })
    }

    pub(crate) fn seconds(&self, field: &mut u16) -> Stored {
        self.store(field, |text| {
            u16::try_from(units::parse_seconds(text)?).ok()
        })
    }

    pub(crate) fn expiry(&self, field: &mut u32) -> Stored {
        self.store(field, units::parse_expiry)
    }

    pub(crate) fn word<T: FromStr>(&self, field: &mut T) -> Stored {
        self.store(field, |text| text.to_ascii_lowercase().parse().ok())
    }

    pub(crate) fn string(&self, field: &mut String) -> Stored {
        self.store(field, |text| Some(text.to_owned()))
    }

    pub(crate) fn path(&self, field: &mut PathBuf) -> Stored {
        self.store(field, |text| Some(PathBuf::from(text)))
    }

    pub(crate) fn secret(&self, field: &mut Secret) -> Stored {
        match self {
            // Not trimmed: space may be part of a password.
            Value::Text(text) => *field = Secret::new(text.as_str()),
            _ => return Err(Trouble::Unexpected),
        }
        Ok(())
    }

    pub(crate) fn host(&self, field: &mut String) -> Stored {
        self.store(field, |text| {
            BindAddr::new(text, 0)
                .ok()
                .map(|addr| addr.host().to_owned())
        })
    }

    /// An address, also with NanoMQ's scheme of the kind before it, such as `nmq-tcp://`.
    pub(crate) fn bind(&self, field: &mut BindAddr, kind: ListenerKind) -> Stored {
        let address = self.text()?;
        let address = match address.split_once("://") {
            None => address,
            Some((scheme, rest)) if ListenerKind::of_scheme(scheme) == Some(kind) => rest,
            Some(_) => return Err(Trouble::Unexpected),
        };
        let address = address.trim_end_matches('/');
        *field = address.parse().map_err(|_| Trouble::Unexpected)?;
        Ok(())
    }

    /// As [`bind`](Self::bind), with a path behind it or without.
    pub(crate) fn bind_with_path(
        &self,
        field: &mut BindAddr,
        path: &mut String,
        kind: ListenerKind,
    ) -> Stored {
        let text = self.text()?;
        let begin = text.find("://").map_or(0, |at| at + 3);
        let slash = text
            .get(begin..)
            .and_then(|address| address.find('/'))
            .map_or(text.len(), |at| begin + at);
        let (address, rest) = text.split_at_checked(slash).unwrap_or((text, ""));
        Self::Text(address.to_owned()).bind(field, kind)?;
        match rest {
            "" => Ok(()),
            rest => Self::Text(rest.to_owned()).url_path(path),
        }
    }

    /// The path of a URL.
    pub(crate) fn url_path(&self, field: &mut String) -> Stored {
        self.store(field, |text| {
            let is_path = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic());
            (is_path && !text.contains(['?', '#'])).then(|| text.to_owned())
        })
    }

    /// A log level; `fatal` is NanoMQ's word for what is `error` here.
    pub(crate) fn level(&self, field: &mut LogLevel) -> Stored {
        if self.text()?.eq_ignore_ascii_case("fatal") {
            *field = LogLevel::Error;
            return Ok(());
        }
        self.word(field)
    }

    /// Whether the value switches something on.
    pub(crate) fn is_on(&self) -> bool {
        self.text().ok().and_then(read_flag) == Some(true)
    }

    /// Whether the value switches something off.
    pub(crate) fn is_off(&self) -> bool {
        self.text().ok().and_then(read_flag) == Some(false)
    }
}

fn read_flag(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(["true", "yes", "on"]) {
        Some(true)
    } else if is_one_of(["false", "no", "off"]) {
        Some(false)
    } else {
        None
    }
}
