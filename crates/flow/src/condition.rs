//! The conditions of a choice: a small grammar with its own reader.
//!
//! ```text
//! condition = all { "||" all }
//! all       = one { "&&" one }
//! one       = "!" one | "(" condition ")" | operand [ comparison operand ]
//! operand   = "$" path | "text" | `text` | number | true | false
//! ```
//!
//! A path that leads nowhere reads as null. Values of different types are unequal, except that a boolean equals its own
//! text (vendor samples compare the two); only numbers and texts have an order.

use crate::path::{Path, is_condition_key};
use serde_json::{Number, Value};
use std::cmp::Ordering;

/// The deepest nesting of parentheses and negations; a limit of ours.
const DEPTH_MAX: usize = 50;

/// A condition, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(Term);

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    Truth(Operand),
    Compare(Operand, Comparison, Operand),
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Path { path: Path, text: String },
    Constant(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Order { than: Ordering, or_equal: bool },
}

/// A condition that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {character} of the condition: {reason}")]
pub struct BadCondition {
    /// Which character, from 1.
    pub character: usize,
    /// Why.
    pub reason: String,
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    ///
    /// [`BadCondition`], with the character where reading stopped.
    pub fn parse(text: &str) -> Result<Self, BadCondition> {
        let mut reader = Reader { text, offset: 0, depth: 0 };
        let term = reader.any()?;
        reader.skip_space();
        if reader.offset < text.len() {
            return Err(reader.bad("an operator or the end is expected here"));
        }
        Ok(Self(term))
    }

    /// Whether the condition holds for a step's input.
    ///
    /// # Errors
    ///
    /// A sentence, when values are compared that have no order, or something other than a boolean stands alone.
    pub fn holds(&self, input: &Value) -> Result<bool, String> {
        self.0.holds(input)
    }
}

impl Term {
    fn holds(&self, input: &Value) -> Result<bool, String> {
        match self {
            Self::Any(terms) => {
                for term in terms {
                    if term.holds(input)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::All(terms) => {
                for term in terms {
                    if !term.holds(input)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Not(term) => term.holds(input).map(|holds| !holds),
            Self::Truth(operand) => match operand.value(input) {
                Value::Bool(truth) => Ok(truth),
                Value::Null => Ok(false),
                other => Err(format!("{} is {}, not a boolean", operand.shown(), kind(&other))),
            },
            Self::Compare(left, comparison, right) => {
                let (a, b) = (left.value(input), right.value(input));
                match comparison {
                    Comparison::Equal => Ok(equal(&a, &b)),
                    Comparison::Unequal => Ok(!equal(&a, &b)),
                    Comparison::Order { than, or_equal } => {
                        let order = order(&a, &b).ok_or_else(|| {
                            format!(
                                "{} and {} have no order: {} and {}",
                                left.shown(),
                                right.shown(),
                                kind(&a),
                                kind(&b)
                            )
                        })?;
                        Ok(order == *than || (*or_equal && order == Ordering::Equal))
                    }
                }
            }
        }
    }
}

impl Operand {
    fn value(&self, input: &Value) -> Value {
        match self {
            Self::Path { path, .. } => path.find(input).unwrap_or(Value::Null),
            Self::Constant(value) => value.clone(),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Path { text, .. } => text.clone(),
            Self::Constant(value) => value.to_string(),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => numbers(a, b) == Some(Ordering::Equal),
        (Value::Bool(truth), Value::String(text)) | (Value::String(text), Value::Bool(truth)) => {
            *text == truth.to_string()
        }
        _ => a == b,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => numbers(a, b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Whole numbers compare exactly; a double would confuse large ones.
fn numbers(a: &Number, b: &Number) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (a.as_i128(), b.as_i128()) {
        return Some(a.cmp(&b));
    }
    a.as_f64()?.partial_cmp(&b.as_f64()?)
}

struct Reader<'a> {
    text: &'a str,
    offset: usize,
    depth: usize,
}

impl Reader<'_> {
    fn any(&mut self) -> Result<Term, BadCondition> {
        self.chain("||", Self::all, Term::Any)
    }

    fn all(&mut self) -> Result<Term, BadCondition> {
        self.chain("&&", Self::one, Term::All)
    }

    fn chain(
        &mut self,
        between: &str,
        read: fn(&mut Self) -> Result<Term, BadCondition>,
        join: fn(Vec<Term>) -> Term,
    ) -> Result<Term, BadCondition> {
        let first = read(self)?;
        if !self.take(between) {
            return Ok(first);
        }
        let mut terms = vec![first, read(self)?];
        while self.take(between) {
            terms.push(read(self)?);
        }
        Ok(join(terms))
    }

    fn one(&mut self) -> Result<Term, BadCondition> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.bad("the condition is nested too deeply"));
        }
        let term = if self.take("(") {
            let inner = self.any()?;
            if !self.take(")") {
                return Err(self.bad("')' is expected here"));
            }
            inner
        } else if self.take("!") {
            Term::Not(Box::new(self.one()?))
        } else {
            let left = self.operand()?;
            match self.comparison()? {
                Some(comparison) => Term::Compare(left, comparison, self.operand()?),
                None => Term::Truth(left),
            }
        };
        self.depth -= 1;
        Ok(term)
    }

    fn comparison(&mut self) -> Result<Option<Comparison>, BadCondition> {
        const COMPARISONS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            (">=", Comparison::Order { than: Ordering::Greater, or_equal: true }),
            ("<=", Comparison::Order { than: Ordering::Less, or_equal: true }),
            (">", Comparison::Order { than: Ordering::Greater, or_equal: false }),
            ("<", Comparison::Order { than: Ordering::Less, or_equal: false }),
        ];
        for (sign, comparison) in COMPARISONS {
            if self.take(sign) {
                return Ok(Some(comparison));
            }
        }
        match self.rest().chars().next() {
            Some('=') => Err(self.bad("'==' compares; '=' is no operator")),
            _ => Ok(None),
        }
    }

    fn operand(&mut self) -> Result<Operand, BadCondition> {
        self.skip_space();
        match self.rest().chars().next() {
            Some('$') => self.path(),
            Some('"') => self.quoted(),
            Some('`') => {
                let rest = &self.rest()[1..];
                let Some((text, _)) = rest.split_once('`') else {
                    return Err(self.bad("the text does not end"));
                };
                let constant = Operand::Constant(Value::String(text.to_owned()));
                self.offset += text.len() + 2;
                Ok(constant)
            }
            Some(c) if c.is_ascii_digit() || c == '-' => self.number(),
            Some(c) if c.is_alphabetic() => self.word(),
            Some(_) => {
                Err(self.bad("a path, a text, a number, 'true' or 'false' is expected here"))
            }
            None => Err(self.bad("the condition ends too early")),
        }
    }

    fn path(&mut self) -> Result<Operand, BadCondition> {
        let start = self.offset;
        self.offset += 1;
        let (path, length) = Path::read(self.rest(), is_condition_key).map_err(|bad| {
            self.offset += bad.offset;
            self.bad(bad.reason)
        })?;
        if path.projects() {
            return Err(self.bad("'[*]' cannot stand in a condition"));
        }
        self.offset += length;
        if self.rest().chars().next().is_some_and(is_condition_key) {
            return Err(self.bad("'.' or '[' is expected here"));
        }
        Ok(Operand::Path { path, text: self.text[start..self.offset].to_owned() })
    }

    fn quoted(&mut self) -> Result<Operand, BadCondition> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.offset += at + 1;
                    return Ok(Operand::Constant(Value::String(text)));
                }
                '\\' => match chars.next() {
                    Some((_, c @ ('"' | '\\'))) => text.push(c),
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    _ => {
                        self.offset += at;
                        return Err(self.bad("'\\' must be followed by '\"', '\\', 'n' or 't'"));
                    }
                },
                c => text.push(c),
            }
        }
        Err(self.bad("the text does not end"))
    }

    fn number(&mut self) -> Result<Operand, BadCondition> {
        let length = self
            .rest()
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')))
            .unwrap_or(self.rest().len());
        match serde_json::from_str::<Number>(&self.rest()[..length]) {
            Ok(number) => {
                self.offset += length;
                Ok(Operand::Constant(Value::Number(number)))
            }
            Err(_) => Err(self.bad("this is not a number")),
        }
    }

    fn word(&mut self) -> Result<Operand, BadCondition> {
        let length = self.rest().find(|c: char| !is_condition_key(c)).unwrap_or(self.rest().len());
        let truth = match &self.rest()[..length] {
            "true" => true,
            "false" => false,
            _ => return Err(self.bad("texts stand in quotes, and paths begin with '$'")),
        };
        self.offset += length;
        Ok(Operand::Constant(Value::Bool(truth)))
    }

    fn rest(&self) -> &str {
        &self.text[self.offset..]
    }

    fn skip_space(&mut self) {
        self.offset = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, sign: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(sign);
        self.offset += if found { sign.len() } else { 0 };
        found
    }

    fn bad(&self, reason: &str) -> BadCondition {
        let before = &self.text[..self.offset.min(self.text.len())];
        BadCondition { character: before.chars().count() + 1, reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(condition: &str, input: Value, expected: Result<bool, &str>) {
        let holds = Condition::parse(condition).unwrap().holds(&input);
        match (holds, expected) {
            (Ok(holds), Ok(expected)) => assert_eq!(holds, expected, "{condition} on {input}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (holds, expected) => panic!("{condition} on {input}: {holds:?}, not {expected:?}"),
        }
    }

    #[test]
    fn comparisons_hold_or_not() {
        check("$.a > 5", json!({"a": 6}), Ok(true));
        check("$.a>=5&&$.a<=5", json!({"a": 5.0}), Ok(true));
        check("$.a < -1.5e1", json!({"a": -16}), Ok(true));
        check("$.a.b[1] == $.c", json!({"a": {"b": [0, "x"]}, "c": "x"}), Ok(true));
        check("$.s < \"b\"", json!({"s": "a"}), Ok(true));
        check("$.s == `a\"b`", json!({"s": "a\"b"}), Ok(true));
        check("$.s == \"a\\\"b\"", json!({"s": "a\"b"}), Ok(true));
        check("9007199254740993 > $.n", json!({"n": 9_007_199_254_740_992_u64}), Ok(true));
        check("true == $.t", json!({"t": true}), Ok(true));
        check("$.a-b != 1", json!({"a-b": 1}), Ok(false));
        check("$.l == $.m", json!({"l": [1], "m": [1]}), Ok(true));
    }

    #[test]
    fn or_binds_weaker_than_and() {
        let input = json!({"t": true, "f": false});
        check("$.t || $.f && $.f", input.clone(), Ok(true));
        check("($.t || $.f) && $.f", input.clone(), Ok(false));
        check("!$.f && !($.f || !$.t)", input.clone(), Ok(true));
        check("$.f && $.t > 1", input, Ok(false));
    }

    #[test]
    fn what_is_missing_reads_as_null() {
        check("$.x", json!({}), Ok(false));
        check("$.x == 1", json!({}), Ok(false));
        check("$.x != 1", json!({}), Ok(true));
        check("$.x == $.y", json!({}), Ok(true));
        check("$.x > 1", json!({}), Err("no order"));
    }

    #[test]
    fn types_do_not_mix_except_a_boolean_with_its_text() {
        check("$.x == \"1\"", json!({"x": 1}), Ok(false));
        check("$.x != \"1\"", json!({"x": 1}), Ok(true));
        check("$.x == \"true\"", json!({"x": true}), Ok(true));
        check("$.x == true", json!({"x": "false"}), Ok(false));
        check("$.x > \"1\"", json!({"x": 2}), Err("a number and a text"));
        check("$.x", json!({"x": 1}), Err("not a boolean"));
    }

    #[test]
    fn malformed_conditions_say_where() {
        let check = |text: &str, character: usize| {
            let bad = Condition::parse(text).unwrap_err();
            assert_eq!(bad.character, character, "{text}: {bad}");
        };
        check("", 1);
        check("$.a = 1", 5);
        check("$.a ==", 7);
        check("$.a == x", 8);
        check("($.a", 5);
        check("$.a $.b", 5);
        check("$.é == \"unended", 8);
        check("$.a[*] == 1", 2);
        check("1.2.3 == 1", 1);
        check("$.", 3);
        check("$x", 2);
        check(&"(".repeat(60), 51);
        check(&"!".repeat(60), 51);
        check("a == b == c", 1);
        check("1 == 1 == 1", 8);
    }
}
