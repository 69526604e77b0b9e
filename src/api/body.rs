//! The JSON body of a request: read with a bound, then taken apart with errors that name the member.

use std::{fmt, ops::RangeInclusive, time::Duration};

use actix_web::{FromRequest, HttpRequest, dev::Payload, error::PayloadError, web::Bytes};
use futures::future::LocalBoxFuture;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::ApiError;
use crate::mqtt::QoS;

/// How long a body may take. The server itself looks at the head only.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a request, parsed. Its Content-Type is not looked at.
///
/// Read up to `http_server.max_body` bytes; nested up to 128 levels deep.
#[derive(Debug)]
pub struct Body(Value);

impl FromRequest for Body {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = Bytes::from_request(request, payload);
        Box::pin(async move {
            let bytes = read(bytes, TIMEOUT).await?;
            serde_json::from_slice(&bytes)
                .map(Self)
                .map_err(|error| ApiError::NotJson(error.to_string()))
        })
    }
}

/// The body of a request as it is, read up to `http_server.max_body` bytes.
#[derive(Debug)]
pub struct RawBody(pub Bytes);

impl FromRequest for RawBody {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = Bytes::from_request(request, payload);
        Box::pin(async move { read(bytes, TIMEOUT).await.map(Self) })
    }
}

impl RawBody {
    /// The body, parsed.
    ///
    /// # Errors
    /// [`ApiError::NotJson`] when it is not JSON.
    pub fn json(&self) -> Result<Body, ApiError> {
        serde_json::from_slice(&self.0)
            .map(Body)
            .map_err(|error| ApiError::NotJson(error.to_string()))
    }
}

async fn read(
    bytes: impl Future<Output = Result<Bytes, actix_web::Error>>,
    time: Duration,
) -> Result<Bytes, ApiError> {
    match timeout(time, bytes).await {
        Ok(read) => read.map_err(|error| unreadable(&error)),
        Err(_) => Err(ApiError::SlowBody),
    }
}

fn unreadable(error: &actix_web::Error) -> ApiError {
    match error.as_error() {
        Some(PayloadError::Overflow) => ApiError::BodyTooLarge,
        _ => ApiError::NotJson("it ends too early".to_owned()),
    }
}

impl Body {
    /// The members of the object that the body is.
    ///
    /// # Errors
    /// [`ApiError::NotJson`] when it is none.
    pub fn object(self) -> Result<Fields, ApiError> {
        Fields::new(self.0)
    }

    /// The entries of the array that the body is.
    ///
    /// # Errors
    /// [`ApiError::NotJson`] when it is none, [`ApiError::TooManyEntries`] when there are more than `most`.
    pub fn array(self, most: usize) -> Result<Vec<Value>, ApiError> {
        match self.0 {
            Value::Array(entries) if entries.len() > most => Err(ApiError::TooManyEntries(most)),
            Value::Array(entries) => Ok(entries),
            other => Err(ApiError::NotJson(format!(
                "expected an array instead of {}",
                kind(&other)
            ))),
        }
    }
}

/// The members of a JSON object. A handler takes those it knows out; `null` counts as not given, and what it does
/// not know is left alone.
#[derive(Debug)]
pub struct Fields {
    /// Where the object is, with a dot behind it; empty for the body itself.
    at: String,
    members: Map<String, Value>,
}

impl Fields {
    /// The members of `value`.
    ///
    /// # Errors
    /// [`ApiError::NotJson`] when it is not an object.
    pub fn new(value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(members) => Ok(Self {
                at: String::new(),
                members,
            }),
            other => Err(ApiError::NotJson(format!(
                "expected an object instead of {}",
                kind(&other)
            ))),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// [`ApiError::WrongMember`] when it is something else.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    /// A text that has to be there.
    ///
    /// # Errors
    /// [`ApiError::MissingMember`], or [`ApiError::WrongMember`] when it is something else.
    pub fn required_text(&mut self, name: &str) -> Result<String, ApiError> {
        let text = self.text(name)?;
        text.ok_or_else(|| ApiError::MissingMember(self.name(name)))
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`ApiError::WrongMember`] when it is something else or not in `range`.
    pub fn number(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match whole(&value).filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let (from, to) = range.into_inner();
                Err(self.wrong(name, format_args!("a number from {from} to {to}")))
            }
        }
    }

    /// A truth value.
    ///
    /// # Errors
    /// [`ApiError::WrongMember`] when it is something else.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// The member `qos`; 0 when it is not there.
    ///
    /// # Errors
    /// [`ApiError::WrongMember`] when it is not 0, 1 or 2.
    pub fn qos(&mut self) -> Result<QoS, ApiError> {
        let bits = self.number("qos", 0..=2)?.unwrap_or(0);
        let qos = u8::try_from(bits).ok().and_then(QoS::from_bits);
        Ok(qos.unwrap_or_default())
    }

    /// An object.
    ///
    /// # Errors
    /// [`ApiError::WrongMember`] when it is something else.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self {
                at: format!("{}.", self.name(name)),
                members,
            })),
            Some(_) => Err(self.wrong(name, "an object")),
        }
    }

    /// Topics or filters: the member `topic`, or else `topics`, a text of several between commas. Each with the
    /// name by which an error is to tell of it.
    ///
    /// # Errors
    /// [`ApiError::MissingMember`] when there is neither, [`ApiError::WrongMember`] when it is no text or has more
    /// than `most` topics.
    pub fn topics(&mut self, most: usize) -> Result<Vec<(String, String)>, ApiError> {
        let (topic, topics) = (self.text("topic")?, self.text("topics")?);
        if let Some(topic) = topic {
            return Ok(vec![(self.name("topic"), topic)]);
        }
        let Some(topics) = topics else {
            return Err(ApiError::MissingMember(self.name("topic")));
        };
        if topics.split(',').count() > most {
            return Err(self.wrong("topics", format_args!("at most {most} topics")));
        }
        let named = topics.split(',').enumerate();
        Ok(named
            .map(|(index, topic)| (format!("{}[{index}]", self.name("topics")), topic.into()))
            .collect())
    }

    /// A member as it is.
    pub fn any(&mut self, name: &str) -> Option<Value> {
        self.take(name)
    }

    /// What is left, as names and values; `null` is left out.
    pub fn rest(&mut self) -> impl Iterator<Item = (String, Value)> + use<> {
        let members = std::mem::take(&mut self.members);
        members.into_iter().filter(|(_, value)| !value.is_null())
    }

    /// True when a member is there.
    pub fn has(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|value| !value.is_null())
    }

    /// The error that a member is not as `expected`.
    pub fn wrong(&self, name: &str, expected: impl fmt::Display) -> ApiError {
        ApiError::WrongMember {
            name: self.name(name),
            expected: expected.to_string(),
        }
    }

    /// The whole name of a member, for errors.
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.at)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }
}

/// A whole number, which JSON may also write with a fraction of zero.
fn whole(value: &Value) -> Option<u64> {
    let of_float = || {
        let number = value.as_f64()?;
        // Up to here every whole number is exact.
        let exact = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
        exact.then_some(number as u64)
    };
    value.as_u64().or_else(of_float)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_that_does_not_come_in_time_is_given_up() {
        actix_web::rt::System::new().block_on(async {
            let slow = read(std::future::pending(), Duration::ZERO).await;
            assert_eq!(slow, Err(ApiError::SlowBody));
            let here = read(std::future::ready(Ok(Bytes::new())), Duration::ZERO).await;
            assert_eq!(here, Ok(Bytes::new()));
        });
    }

    #[test]
    fn members_are_taken_with_their_types() {
        let body = json!({"t": "x", "n": 2.0, "f": true, "o": {"n": 70_000}, "null": null});
        let mut fields = Fields::new(body).unwrap();
        assert_eq!(fields.required_text("t").unwrap(), "x");
        assert_eq!(fields.number("n", 0..=2).unwrap(), Some(2));
        assert_eq!(fields.flag("f").unwrap(), Some(true));
        assert_eq!(fields.text("null").unwrap(), None);
        assert_eq!(
            fields.required_text("null"),
            Err(ApiError::MissingMember("null".to_owned()))
        );
        let mut inner = fields.object("o").unwrap().unwrap();
        let error = inner.number("n", 0..=65_535).unwrap_err();
        assert_eq!(error.to_string(), "o.n: expected a number from 0 to 65535");
        for value in [json!(-1), json!(3), json!(1.5), json!("1"), json!([1])] {
            let mut fields = Fields::new(json!({ "n": value })).unwrap();
            assert!(fields.number("n", 0..=2).is_err(), "{value}");
        }
        for body in [json!([]), json!(null), json!("x"), json!(1), json!(true)] {
            assert!(matches!(Fields::new(body), Err(ApiError::NotJson(_))));
        }
    }

    #[test]
    fn one_topic_wins_over_several() {
        for (body, expected) in [
            (
                json!({"topic": "a,b", "topics": "c"}),
                vec![("topic", "a,b")],
            ),
            (
                json!({"topics": "a,b ,"}),
                vec![("topics[0]", "a"), ("topics[1]", "b "), ("topics[2]", "")],
            ),
            (
                json!({"topic": null, "topics": ""}),
                vec![("topics[0]", "")],
            ),
        ] {
            let topics = Fields::new(body).unwrap().topics(3).unwrap();
            let topics: Vec<_> = topics.iter().map(|(n, t)| (&**n, &**t)).collect();
            assert_eq!(topics, expected);
        }
        for (body, code) in [
            (json!({}), 107),
            (json!({"topic": 1, "topics": "a"}), 108),
            (json!({"topics": ["a"]}), 108),
            (json!({"topics": "a,b,c,d"}), 108),
        ] {
            let error = Fields::new(body.clone()).unwrap().topics(3).unwrap_err();
            assert_eq!(error.code(), code, "{body}");
        }
    }
}
