//! Outputs, and the forms that rest-json gives to instants and bytes.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use durastack_clock::Timestamp;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
pub(crate) const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// An operation's output that knows how it looks on the wire.
pub trait Respond {
    /// The response; `success` is the status that the operation's table states.
    fn respond(self, success: StatusCode) -> Response<Bytes>;
}

/// An output that is a JSON body and nothing else.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

impl<T: Serialize> Respond for Json<T> {
    fn respond(self, success: StatusCode) -> Response<Bytes> {
        let body =
            serde_json::to_vec(&self.0).expect("outputs have string keys and no failing parts");
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = success;
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        response
    }
}

/// An output without members: `{}`, or no body where the status is 204.
#[derive(Debug, Clone, Copy)]
pub struct Empty;

impl Respond for Empty {
    fn respond(self, success: StatusCode) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = success;
        if success != StatusCode::NO_CONTENT {
            *response.body_mut() = Bytes::from_static(b"{}");
            response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        }
        response
    }
}

/// An output that is more than a body makes its own response.
impl Respond for Response<Bytes> {
    fn respond(self, _: StatusCode) -> Response<Bytes> {
        self
    }
}

/// An instant in a rest-json body: a number of seconds since 1970, with milliseconds as fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochSeconds(pub Timestamp);

impl Serialize for EpochSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.millis() {
            ms if ms % 1000 == 0 => serializer.serialize_i64(ms / 1000),
            _ => serializer.serialize_f64(self.0.epoch_seconds()),
        }
    }
}

impl<'de> Deserialize<'de> for EpochSeconds {
    /// Also takes whole numbers. Fractions finer than milliseconds are rounded.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        // The largest instant that can be written as a date, in seconds.
        if !(-62_135_596_800.0..=253_402_300_799.0).contains(&seconds) {
            return Err(D::Error::custom("a timestamp out of range"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
        let ms = (seconds * 1000.0).round() as i64;
        Ok(Self(Timestamp::from_millis(ms)))
    }
}

/// Bytes in a JSON member: base64 with the standard alphabet and padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob(pub Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Blob;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes in base64")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
                STANDARD
                    .decode(text)
                    .map(|bytes| Blob(bytes.into()))
                    .map_err(|_| E::custom("not base64"))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}
