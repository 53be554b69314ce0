//! Documents as trees with positions: YAML events made into nodes, within bounds.
//!
//! The scalars keep their text, since whether `no` or `2020-01-01` is a text depends on who asks. JSON is read as YAML;
//! what only JSON can say (escaped surrogate pairs) is read by a JSON parser, then without positions.

use crate::token::foreign_text;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The longest document in bytes. Source: the API's limit of a request, 1,024 KiB.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// The deepest nesting of lists and maps; a limit of ours.
pub const DEPTH_MAX: usize = 100;
/// The most nodes after aliases are replaced by what they stand for; a limit of ours against small documents that
/// unfold into huge ones.
pub const NODES_MAX: usize = 100_000;
/// The most bytes of text after aliases are replaced; a limit of ours.
pub const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where something stands in a document. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// Where a document without positions has everything.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A value in a document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) position: Position,
    pub(crate) shape: Shape,
}

#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// A scalar; `plain` if its form may make it something other than a text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the document; keys are unique.
    Map(Vec<(String, Node)>),
}

/// A document that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) position: Position,
    pub(crate) reason: String,
}

impl Node {
    /// The value by YAML's core schema, as JSON.
    ///
    /// Infinity and "not a number" have no JSON form and stay texts.
    pub(crate) fn to_json(&self) -> Value {
        match &self.shape {
            Shape::Scalar { text, plain: false } => Value::String(text.clone()),
            Shape::Scalar { text, plain: true } => plain_value(text),
            Shape::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Shape::Map(members) => {
                let members = members.iter().map(|(key, node)| (key.clone(), node.to_json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.shape, Shape::Scalar { text, plain: true } if is_null(text))
    }

    /// Nodes and bytes of text in the tree.
    fn weight(&self) -> (usize, usize) {
        match &self.shape {
            Shape::Scalar { text, .. } => (1, text.len()),
            Shape::List(items) => items.iter().map(Self::weight).fold((1, 0), add),
            Shape::Map(members) => {
                let weigh = |(key, node): &(String, Self)| add(node.weight(), (1, key.len()));
                members.iter().map(weigh).fold((1, 0), add)
            }
        }
    }

    fn depth(&self) -> usize {
        match &self.shape {
            Shape::Scalar { .. } => 0,
            Shape::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Shape::Map(members) => {
                1 + members.iter().map(|(_, node)| node.depth()).max().unwrap_or(0)
            }
        }
    }
}

fn add(a: (usize, usize), b: (usize, usize)) -> (usize, usize) {
    (a.0 + b.0, a.1 + b.1)
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn plain_value(text: &str) -> Value {
    match text {
        _ if is_null(text) => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

/// A number by YAML's core schema; nothing else that Rust would read as one.
fn number(text: &str) -> Option<Number> {
    let radix = |prefix: &str, radix| {
        text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok())
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(number.into());
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_is_sound = (whole.is_empty() || digits(whole))
        && (fraction.is_empty() || digits(fraction))
        && !(whole.is_empty() && fraction.is_empty());
    let exponent_is_sound =
        exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
    if !mantissa_is_sound || !exponent_is_sound {
        return None;
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    Number::from_f64(text.parse().ok()?)
}

/// Reads one document.
pub(crate) fn read(text: &str) -> Result<Node, Unreadable> {
    let whole = |reason: &str| Unreadable { position: Position::START, reason: reason.to_owned() };
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(whole(&format!("the document is longer than {DOCUMENT_BYTES_MAX} bytes")));
    }
    let as_yaml = Builder::new().build(text);
    if as_yaml.is_err() && text.trim_start().starts_with('{') {
        // Bounded by the JSON parser's own depth limit and, without aliases, by the document's length.
        if let Ok(node) = serde_json::from_str::<Node>(text)
            && node.depth() <= DEPTH_MAX
            && node.weight().0 <= NODES_MAX
        {
            return Ok(node);
        }
    }
    as_yaml
}

/// A list or map that is being read.
enum Open {
    List { position: Position, anchor: usize, items: Vec<Node> },
    Map { position: Position, anchor: usize, members: Members, key: Option<String> },
}

/// The members of a map that is being read.
#[derive(Default)]
struct Members {
    list: Vec<(String, Node)>,
    keys: BTreeSet<String>,
}

struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    text_bytes: usize,
}

impl Builder {
    fn new() -> Self {
        Self { open: Vec::new(), root: None, anchors: BTreeMap::new(), nodes: 0, text_bytes: 0 }
    }

    fn build(mut self, text: &str) -> Result<Node, Unreadable> {
        let mut parser = Parser::<StrInput<'_>>::new_from_str(text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| Unreadable {
                position: position(&Span::empty(*error.marker())),
                reason: error.info().to_owned(),
            })?;
            let at = position(&span);
            match event {
                Event::DocumentStart(_) => documents += 1,
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => continue,
                _ => {}
            }
            if documents > 1 {
                return Err(bad(at, "there is more than one document"));
            }
            self.take(event, at)?;
        }
        self.root.ok_or_else(|| bad(Position::START, "the document is empty"))
    }

    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Unreadable> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                check_tag(tag.as_ref(), "str", at)?;
                let text = foreign_text(text.into());
                let node = Node { position: at, shape: Shape::Scalar { text, plain } };
                self.place(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_ref(), "seq", at)?;
                self.deeper(at)?;
                self.open.push(Open::List { position: at, anchor, items: Vec::new() });
                Ok(())
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_ref(), "map", at)?;
                self.deeper(at)?;
                let members = Members::default();
                let open = Open::Map { position: at, anchor, members, key: None };
                self.open.push(open);
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { position, anchor, items }) => {
                    self.put(Node { position, shape: Shape::List(items) }, anchor)
                }
                Some(Open::Map { position, anchor, members, .. }) => {
                    self.put(Node { position, shape: Shape::Map(members.list) }, anchor)
                }
                None => Err(bad(at, "a list or map ends that did not begin")),
            },
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(bad(at, "an alias stands inside what it stands for"));
                };
                if self.open.len() + node.depth() > DEPTH_MAX {
                    return Err(bad(at, &format!("nesting is deeper than {DEPTH_MAX}")));
                }
                let (nodes, text_bytes) = node.weight();
                self.count(nodes, text_bytes, at)?;
                self.put(node, 0)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn deeper(&mut self, at: Position) -> Result<(), Unreadable> {
        if self.open.len() >= DEPTH_MAX {
            return Err(bad(at, &format!("nesting is deeper than {DEPTH_MAX}")));
        }
        self.count(1, 0, at)
    }

    fn count(&mut self, nodes: usize, text_bytes: usize, at: Position) -> Result<(), Unreadable> {
        self.nodes += nodes;
        self.text_bytes += text_bytes;
        if self.nodes > NODES_MAX || self.text_bytes > TEXT_BYTES_MAX {
            return Err(bad(at, "the document unfolds into too many values"));
        }
        Ok(())
    }

    /// Counts a scalar and puts it where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Unreadable> {
        let (nodes, text_bytes) = node.weight();
        self.count(nodes, text_bytes, node.position)?;
        self.put(node, anchor)
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Unreadable> {
        if anchor > 0 {
            // The kept copy counts too: a document may be little more than anchors within anchors.
            let (nodes, text_bytes) = node.weight();
            self.count(nodes, text_bytes, node.position)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { members, key, .. }) => match key.take() {
                Some(key) => members.list.push((key, node)),
                None => *key = Some(new_key(&mut members.keys, node)?),
            },
        }
        Ok(())
    }
}

fn new_key(keys: &mut BTreeSet<String>, node: Node) -> Result<String, Unreadable> {
    let position = node.position;
    let Shape::Scalar { text, plain } = node.shape else {
        return Err(bad(position, "a key must be a text"));
    };
    if plain && text == "<<" {
        return Err(bad(position, "merge keys ('<<') are not supported"));
    }
    if !keys.insert(text.clone()) {
        return Err(bad(position, &format!("the key '{text}' stands twice in one map")));
    }
    Ok(text)
}

fn check_tag(tag: Option<&Cow<'_, Tag>>, own: &str, at: Position) -> Result<(), Unreadable> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == own) => {
            let reason = format!(
                "the tag '{}{}' is not supported; deploy tools resolve tags before they create a flow",
                tag.handle, tag.suffix
            );
            Err(bad(at, &reason))
        }
        _ => Ok(()),
    }
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn bad(position: Position, reason: &str) -> Unreadable {
    Unreadable { position, reason: reason.to_owned() }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonNode)
    }
}

/// Reads JSON into nodes, which unlike `Value` notice a key that stands twice.
struct JsonNode;

fn json_node(shape: Shape) -> Node {
    Node { position: Position::START, shape }
}

fn json_plain(value: impl fmt::Display) -> Node {
    json_node(Shape::Scalar { text: value.to_string(), plain: true })
}

impl<'de> Visitor<'de> for JsonNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(json_plain("null"))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(json_plain(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(json_plain(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(json_plain(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(json_plain(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(json_node(Shape::Scalar { text: foreign_text(text.to_owned()), plain: false }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(json_node(Shape::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Members::default();
        while let Some((text, node)) = map.next_entry::<String, Node>()? {
            let text = foreign_text(text);
            if !members.keys.insert(text.clone()) {
                return Err(A::Error::custom(format!("the key '{text}' stands twice in one map")));
            }
            members.list.push((text, node));
        }
        Ok(json_node(Shape::Map(members.list)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(text: &str, expected: Value) {
        assert_eq!(read(text).unwrap().to_json(), expected, "{text}");
    }

    fn refused(text: &str, line: usize, column: usize, reason: &str) {
        let error = read(text).unwrap_err();
        assert_eq!((error.position.line, error.position.column), (line, column), "{error:?}");
        assert!(error.reason.contains(reason), "{error:?}");
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        check("[no, yes, on, off, y, n]", json!(["no", "yes", "on", "off", "y", "n"]));
        check("[2020-01-01, 2019-05-02T15:04:05Z]", json!(["2020-01-01", "2019-05-02T15:04:05Z"]));
        check("[true, False, null, ~, ]", json!([true, false, null, null]));
        check("[1, -2, +3, 1.5, 2e3, .5, 0x1F, 0o17]", json!([1, -2, 3, 1.5, 2000.0, 0.5, 31, 15]));
        check(
            "[1_000, 1:30, 0b1, .inf, .nan, e3, .]",
            json!(["1_000", "1:30", "0b1", ".inf", ".nan", "e3", "."]),
        );
        check("['1', \"true\", !!str 12]", json!(["1", "true", "12"]));
        check("no: 1\n1: 2\n", json!({"no": 1, "1": 2}));
    }

    #[test]
    fn json_is_yaml() {
        check(
            r#"{"a": ["x\/y", "\u00e9"], "b": {"c": null}}"#,
            json!({"a": ["x/y", "é"], "b": {"c": null}}),
        );
        check(r#"{"a": "\ud83d\ude00"}"#, json!({"a": "😀"}));
        assert!(read(r#"{"a": "\ud83d\ude00", "a": 1}"#).is_err());
    }

    #[test]
    fn aliases_stand_for_their_anchors() {
        check("a: &x [1, {b: 2}]\nc: *x\n", json!({"a": [1, {"b": 2}], "c": [1, {"b": 2}]}));
        refused("a: &x [1, *x]\n", 1, 11, "inside what it stands for");
    }

    #[test]
    fn what_is_unsound_is_refused_where_it_stands() {
        refused("a: 1\nb: 2\na: 3\n", 3, 1, "'a' stands twice");
        refused("a: !Ref x/y\n", 1, 4, "!Ref");
        refused("<<: {a: 1}\n", 1, 1, "merge keys");
        refused("a: 1\n---\nb: 2\n", 2, 1, "more than one document");
        refused("", 1, 1, "empty");
        refused("? [a]\n: 1\n", 1, 3, "must be a text");
    }

    #[test]
    fn growth_is_bounded() {
        let deep = "[".repeat(5000);
        assert!(read(&deep).is_err());
        let block = "- ".repeat(5000);
        assert!(read(&block).is_err());
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..20 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            laughs.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        assert!(read(&laughs).unwrap_err().reason.contains("too many values"));
        assert!(read(&" ".repeat(DOCUMENT_BYTES_MAX + 1)).is_err());
    }
}
