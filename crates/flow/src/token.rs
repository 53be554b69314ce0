//! Task tokens inside values: marked while the interpreter has them, sealed on their way out.
//!
//! A token is sealed under the data folder's key, which a pure decision does not have. Values therefore carry a mark that
//! says which token belongs there, as long as the token itself, and whoever hands a text out has it [revealed](Tokens).
//! Texts from outside cannot hold a mark: [`foreign`] takes the marking character from them.

use durastack_engine::{BadToken, Parent, Token, TokenKey, TokenKind};
use durastack_names::ExecutionId;
use serde_json::Value;

/// A noncharacter of Unicode: no text that is meant for anybody holds it.
const MARK: char = '\u{FDD0}';
/// The length of a sealed token, and so of a mark, in bytes.
const TOKEN_BYTES: usize = 68;

/// What a task's token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskToken {
    /// The EventId of the task's StepEntered.
    pub entered: u64,
    /// The EventId of the attempt's TaskScheduled: a token belongs to one attempt.
    pub scheduled: u64,
}

impl TaskToken {
    /// What stands in values until the token is revealed.
    pub(crate) fn mark(self) -> String {
        format!("{MARK}{:020}.{:020}.....................{MARK}", self.entered, self.scheduled)
    }

    /// Reads a token that a worker brings back: which execution it belongs to, and what it names there.
    ///
    /// # Errors
    ///
    /// [`BadToken`] for anything that this key did not make.
    pub fn open(key: &TokenKey, text: &str) -> Result<(ExecutionId, Self), BadToken> {
        let token = key.open(TokenKind::Callback, text)?;
        Ok((token.execution, Self { entered: token.number, scheduled: token.counter }))
    }

    /// The parent of an execution that is started with this token of `execution`: its end is reported to the task.
    /// Source: API reference of StartExecution, `CallbackFnFTaskToken`.
    #[must_use]
    pub fn parent(self, execution: ExecutionId) -> Parent {
        Parent { execution, operation: self.scheduled }
    }

    fn unmark(text: &str) -> Option<Self> {
        let inner = text.strip_prefix(MARK)?.strip_suffix(MARK)?;
        let mut parts = inner.split('.');
        let mut number = || parts.next()?.parse().ok();
        Some(Self { entered: number()?, scheduled: number()? })
    }
}

/// Seals and opens the task tokens of one execution.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// The data folder's key.
    pub key: &'a TokenKey,
    /// The execution.
    pub execution: ExecutionId,
}

impl Tokens<'_> {
    /// The token as a worker gets it.
    #[must_use]
    pub fn seal(&self, token: TaskToken) -> String {
        self.key.seal(&Token {
            kind: TokenKind::Callback,
            execution: self.execution,
            number: token.entered,
            counter: token.scheduled,
        })
    }

    /// A text with its tokens in place of the marks. Every text of an execution that leaves durastack comes through here:
    /// outputs, details of the history, and inputs of functions and other flows.
    #[must_use]
    pub fn reveal(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(MARK) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let mark = rest.get(..TOKEN_BYTES);
            match mark.and_then(TaskToken::unmark) {
                Some(token) => {
                    out.push_str(&self.seal(token));
                    rest = &rest[TOKEN_BYTES..];
                }
                // Half a mark, which nothing here writes.
                None => {
                    out.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[MARK.len_utf8()..];
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// Makes a value from outside safe to mix with marks.
pub(crate) fn foreign(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(foreign_text(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(foreign).collect()),
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(key, value)| (foreign_text(key), foreign(value))).collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// Makes a text from outside safe to mix with marks.
pub(crate) fn foreign_text(text: String) -> String {
    if text.contains(MARK) { text.replace(MARK, "\u{FFFD}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mark_is_revealed_as_the_token_it_stands_for() {
        let key = TokenKey::new(&[3; 32]);
        let execution = ExecutionId::from_bytes([5; 16]);
        let tokens = Tokens { key: &key, execution };
        let token = TaskToken { entered: 2, scheduled: u64::MAX };
        let mark = token.mark();
        assert_eq!(mark.len(), TOKEN_BYTES);
        let text = json!({"a": mark, "b": [mark]}).to_string();
        let revealed: Value = serde_json::from_str(&tokens.reveal(&text)).unwrap();
        assert_eq!(revealed, json!({"a": tokens.seal(token), "b": [tokens.seal(token)]}));
        let opened = TaskToken::open(&key, revealed["a"].as_str().unwrap());
        assert_eq!(opened, Ok((execution, token)));
        assert_eq!(TaskToken::open(&key, "none"), Err(BadToken));
    }

    #[test]
    fn texts_from_outside_hold_no_marks() {
        let mark = TaskToken { entered: 2, scheduled: 3 }.mark();
        let value = foreign(json!({ mark.clone(): [mark] }));
        assert!(!value.to_string().contains(MARK));
        let tokens =
            Tokens { key: &TokenKey::new(&[3; 32]), execution: ExecutionId::from_bytes([5; 16]) };
        assert_eq!(tokens.reveal("a\u{FDD0}b"), "a\u{FFFD}b");
    }
}
