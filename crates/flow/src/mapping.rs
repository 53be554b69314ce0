//! Mappings: new objects made of constants and of parts of other values.

use crate::{path::BadPath, path::Path, token::TaskToken};
use serde_json::{Map, Value, json};
use std::io;

/// The most bytes that the input, output and local of one step may have together, and the most in one event, as JSON.
/// Source: the vendor's page on limits of the old language.
pub const DATA_BYTES_MAX: usize = 32 * 1024;

/// A list of mappings: each makes one member of a new object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mappings(pub(crate) Vec<Mapping>);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mapping {
    pub(crate) target: String,
    pub(crate) source: Source,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// It is this one.
    Constant(Value),
    /// It is looked up.
    Reference(Reference),
}

/// A way to a part of the data at hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    base: Base,
    path: Path,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Input,
    Local,
    Context,
}

/// The data at hand.
#[derive(Clone, Copy)]
pub(crate) struct Data<'a> {
    pub(crate) input: &'a Value,
    pub(crate) local: &'a Value,
    pub(crate) context: Context<'a>,
}

/// What `$context` shows.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) flow: &'a str,
    pub(crate) execution: &'a str,
    pub(crate) token: Option<TaskToken>,
}

impl Context<'_> {
    fn to_json(self) -> Value {
        let mut context =
            json!({ "flow": { "name": self.flow }, "execution": { "name": self.execution } });
        if let Some(token) = self.token {
            context["task"] = json!({ "token": token.mark() });
        }
        context
    }
}

/// The members of `$context`. Source: the vendor's pages on the language, and its sample flows.
const CONTEXT: [[&str; 2]; 3] = [["flow", "name"], ["execution", "name"], ["task", "token"]];

/// Whether a text is `$` or a path that begins with it.
fn is_bare(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl Source {
    /// Reads a text: a reference if it begins like one, and then nothing else, so that a misspelt one is no constant.
    /// `$.x` is one only where a bare path is asked for.
    pub(crate) fn parse(text: &str, bare: Bare) -> Result<Self, BadPath> {
        const WORDS: [(&str, Base); 3] =
            [("$input", Base::Input), ("$local", Base::Local), ("$context", Base::Context)];
        let word = WORDS.into_iter().find(|(word, _)| text.starts_with(word));
        let (word, base) = match word {
            Some(found) => found,
            None if bare == Bare::IsInput && is_bare(text) => ("$", Base::Input),
            None => return Ok(Self::Constant(Value::String(text.to_owned()))),
        };
        let path = Path::read_whole(&text[word.len()..])
            .map_err(|bad| BadPath { offset: bad.offset + word.len(), ..bad })?;
        if base == Base::Context && !CONTEXT.iter().any(|known| path.leads_along(known)) {
            let reason = "$context has 'flow.name', 'execution.name' and 'task.token' alone";
            return Err(BadPath { offset: word.len(), reason });
        }
        Ok(Self::Reference(Reference { base, path, text: text.to_owned() }))
    }

    /// The whole input.
    pub(crate) fn whole_input() -> Self {
        Self::Reference(Reference {
            base: Base::Input,
            path: Path::default(),
            text: "$".to_owned(),
        })
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// A sentence, when a reference leads nowhere.
    pub(crate) fn evaluate(&self, data: Data<'_>) -> Result<Value, String> {
        let reference = match self {
            Self::Constant(value) => return Ok(value.clone()),
            Self::Reference(reference) => reference,
        };
        let found = match reference.base {
            Base::Input => reference.path.find(data.input),
            Base::Local => reference.path.find(data.local),
            Base::Context => reference.path.find(&data.context.to_json()),
        };
        found.ok_or_else(|| format!("'{}' leads to nothing", reference.text))
    }
}

/// What a text that begins with `$.` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    /// A text like any other.
    IsText,
    /// A path into the step's input.
    IsInput,
}

impl Mappings {
    /// The new object.
    ///
    /// # Errors
    ///
    /// A sentence, when a reference leads nowhere or the object grows beyond what a step may have.
    pub(crate) fn evaluate(&self, data: Data<'_>) -> Result<Value, String> {
        let mut object = Map::new();
        let mut bytes = 0;
        for Mapping { target, source } in &self.0 {
            let value = source.evaluate(data)?;
            // Counted as it grows: a thousand mappings of one large value would otherwise exist before they are refused.
            bytes += target.len() + json_bytes(&value);
            if bytes > 2 * DATA_BYTES_MAX {
                return Err(too_large("mapped data"));
            }
            object.insert(target.clone(), value);
        }
        Ok(Value::Object(object))
    }
}

/// Why data is refused that is too large.
pub(crate) fn too_large(what: &str) -> String {
    format!("the {what} exceeds the limit of {DATA_BYTES_MAX} bytes")
}

/// Both objects in one; top level only, the second wins.
pub(crate) fn merge(first: &Value, second: &Value) -> Value {
    let mut merged = first.as_object().cloned().unwrap_or_default();
    for (key, value) in second.as_object().into_iter().flatten() {
        merged.insert(key.clone(), value.clone());
    }
    Value::Object(merged)
}

/// The length of a value as JSON text.
pub(crate) fn json_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("counting bytes does not fail");
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: TaskToken = TaskToken { entered: 2, scheduled: 3 };

    fn check(source: &str, expected: Result<Value, &str>) {
        let input = json!({"a": {"b": 1}, "": 0});
        let local = json!([{"r": 1}, {"r": 2}, {}]);
        let token = Some(TOKEN);
        let context = Context { flow: "f", execution: "e", token };
        let data = Data { input: &input, local: &local, context };
        let value = Source::parse(source, Bare::IsText).unwrap().evaluate(data);
        assert_eq!(value, expected.map_err(|_| format!("'{source}' leads to nothing")), "{source}");
    }

    #[test]
    fn references_are_looked_up_and_the_rest_is_constant() {
        check("$input", Ok(json!({"a": {"b": 1}, "": 0})));
        check("$input.a.b", Ok(json!(1)));
        check("$local[*].r", Ok(json!([1, 2])));
        check("$local[2]", Ok(json!({})));
        check("$local.r", Err(""));
        check("$context.flow.name", Ok(json!("f")));
        check("$context.execution.name", Ok(json!("e")));
        check("$context.task.token", Ok(json!(TOKEN.mark())));
        check("$context.task", Ok(json!({"token": TOKEN.mark()})));
        check("$.a", Ok(json!("$.a")));
        check("$", Ok(json!("$")));
        check("", Ok(json!("")));
    }

    #[test]
    fn a_bare_path_is_a_reference_where_asked_for() {
        let is_reference =
            |text: &str| matches!(Source::parse(text, Bare::IsInput), Ok(Source::Reference(_)));
        assert!(is_reference("$") && is_reference("$.a") && is_reference("$[0]"));
        assert!(!is_reference("$a") && !is_reference("a"));
    }

    #[test]
    fn a_reference_that_is_misspelt_is_no_constant() {
        let check = |text: &str, offset| {
            for bare in [Bare::IsText, Bare::IsInput] {
                let bad = Source::parse(text, bare).map_err(|bad| bad.offset);
                assert_eq!(bad, Err(offset), "{text}");
            }
        };
        check("$input..a", 7);
        check("$inputx", 6);
        check("$inputs.a", 6);
        check("$local a", 6);
        check("$contexts", 8);
        check("$context.other", 8);
        check("$context.flow.id", 8);
        check("$context.flow.name.x", 8);
        check("$context[0]", 8);
    }

    #[test]
    fn merging_is_shallow_and_the_second_wins() {
        let merged = merge(&json!({"a": {"x": 1}, "b": 1}), &json!({"a": {"y": 2}}));
        assert_eq!(merged, json!({"a": {"y": 2}, "b": 1}));
    }
}
