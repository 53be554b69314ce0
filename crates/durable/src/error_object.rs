//! Errors as Lambda's API writes them.

use durastack_engine::{Payload, Stash};
use serde::{Deserialize, Serialize};

/// An error of user code, or of the service in the same form. All members are optional, absent ones stay absent.
///
/// Source: API model, shape `ErrorObject`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ErrorObject {
    /// What went wrong, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// What went wrong, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// Anything more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_data: Option<String>,
    /// Where it went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_trace: Option<Vec<String>>,
}

impl ErrorObject {
    /// An error with a message alone.
    #[must_use]
    pub fn message(message: impl Into<String>) -> Self {
        Self { error_message: Some(message.into()), ..Self::default() }
    }

    /// An error with a type and a message.
    #[must_use]
    pub fn typed(error_type: impl Into<String>, message: impl Into<String>) -> Self {
        Self { error_type: Some(error_type.into()), ..Self::message(message) }
    }

    /// The error as JSON text, as the journal keeps it.
    ///
    /// # Panics
    ///
    /// Never: strings serialize to JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("strings serialize to JSON")
    }

    /// The error as a payload, stashed if it is long.
    pub fn stash(&self, stash: &mut Stash) -> Payload {
        stash.put(self.json())
    }

    /// The error as a payload in the journal itself: for errors that durastack makes, which are short.
    #[must_use]
    pub fn inline(&self) -> Payload {
        Payload::Inline(self.json())
    }

    /// Reads what [`ErrorObject::json`] wrote.
    #[must_use]
    pub fn parse(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|_| Self::message(json))
    }

    /// Reads the document that a function's runtime posts when the function fails: members `errorMessage`,
    /// `errorType`, `errorData` and `stackTrace` (or `trace`, as Node.js writes it). Whatever is not such a document
    /// becomes the message.
    #[must_use]
    pub fn from_function_error(document: &str) -> Self {
        let Ok(serde_json::Value::Object(members)) = serde_json::from_str(document) else {
            return Self::message(document);
        };
        let text = |name: &str| match members.get(name) {
            Some(serde_json::Value::String(text)) => Some(text.clone()),
            Some(serde_json::Value::Null) | None => None,
            Some(other) => Some(other.to_string()),
        };
        let trace = members
            .get("stackTrace")
            .or_else(|| members.get("trace"))
            .and_then(serde_json::Value::as_array);
        let line = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        Self {
            error_message: text("errorMessage"),
            error_type: text("errorType"),
            error_data: text("errorData"),
            stack_trace: trace.map(|lines| lines.iter().map(line).collect()),
        }
    }

    /// The document that a caller of Invoke receives for this error.
    #[must_use]
    pub fn function_error_document(&self) -> serde_json::Value {
        let mut document = serde_json::Map::new();
        let mut put = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                document.insert(name.to_owned(), value);
            }
        };
        put("errorMessage", self.error_message.clone().map(Into::into));
        put("errorType", self.error_type.clone().map(Into::into));
        put("errorData", self.error_data.clone().map(Into::into));
        put("stackTrace", self.stack_trace.clone().map(Into::into));
        serde_json::Value::Object(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_members_stay_absent() {
        assert_eq!(ErrorObject::default().json(), "{}");
        assert_eq!(ErrorObject::parse("{}"), ErrorObject::default());
        assert_eq!(ErrorObject::message("m").json(), r#"{"ErrorMessage":"m"}"#);
    }

    #[test]
    fn function_errors_of_both_runtimes_are_read() {
        let python =
            r#"{"errorMessage":"m","errorType":"E","requestId":"r","stackTrace":["a","b"]}"#;
        let node = r#"{"errorType":"E","errorMessage":"m","trace":["a","b"]}"#;
        for document in [python, node] {
            let error = ErrorObject::from_function_error(document);
            assert_eq!(error.error_type.as_deref(), Some("E"));
            assert_eq!(error.stack_trace.map(|t| t.len()), Some(2));
        }
        assert_eq!(ErrorObject::from_function_error("boom"), ErrorObject::message("boom"));
    }
}
