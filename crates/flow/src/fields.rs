//! The members of a map in a document, read one by one with errors that say where.

use crate::{
    definition::DefinitionError,
    path::BadPath,
    yaml::{Node, Position, Shape},
};
use serde_json::Value;
use std::ops::RangeInclusive;

pub(crate) type Refused<T> = Result<T, DefinitionError>;

/// Whether a definition is asked for now or was accepted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// All rules hold.
    New,
    /// Rules that came later do not.
    Stored,
}

/// The members of one map, and the step that they belong to.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    pub(crate) position: Position,
    pub(crate) step: Option<String>,
    pub(crate) age: Age,
    members: &'a [(String, Node)],
}

impl<'a> Fields<'a> {
    /// Of the whole document.
    pub(crate) fn of(node: &'a Node, age: Age) -> Refused<Self> {
        Self { position: node.position, step: None, age, members: &[] }.within(node)
    }

    /// Of a map within this one.
    pub(crate) fn within<'n>(&self, node: &'n Node) -> Refused<Fields<'n>> {
        let (position, step, age) = (node.position, self.step.clone(), self.age);
        match &node.shape {
            Shape::Map(members) => Ok(Fields { position, step, age, members }),
            Shape::Scalar { .. } | Shape::List(_) => {
                Err(self.bad(position, "a map is expected here"))
            }
        }
    }

    /// The same members, which belong to a step.
    pub(crate) fn of_step(&self, step: &str) -> Self {
        Self { step: Some(step.to_owned()), ..self.clone() }
    }

    pub(crate) fn bad(&self, position: Position, reason: impl Into<String>) -> DefinitionError {
        DefinitionError { position, step: self.step.clone(), reason: reason.into() }
    }

    /// The member, even if it is null.
    pub(crate) fn member(&self, name: &str) -> Option<&'a Node> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }

    /// The member; null is the same as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Node> {
        self.member(name).filter(|node| !node.is_null())
    }

    /// Where the member's value stands; where the map stands, if there is none.
    pub(crate) fn position_of(&self, name: &str) -> Position {
        self.member(name).map_or(self.position, |node| node.position)
    }

    /// A text, whatever else a scalar of its form could be.
    pub(crate) fn text(&self, name: &str) -> Refused<Option<String>> {
        self.get(name).map(|node| text(self, node, name)).transpose()
    }

    pub(crate) fn required_text(&self, name: &str) -> Refused<String> {
        self.text(name)?.ok_or_else(|| self.bad(self.position, format!("'{name}' is missing")))
    }

    pub(crate) fn boolean(&self, name: &str) -> Refused<Option<bool>> {
        let Some(node) = self.get(name) else { return Ok(None) };
        let truth = node.to_json().as_bool();
        truth
            .map(Some)
            .ok_or_else(|| self.bad(node.position, format!("'{name}' must be true or false")))
    }

    pub(crate) fn integer(&self, name: &str, range: RangeInclusive<u64>) -> Refused<Option<u64>> {
        let Some(node) = self.get(name) else { return Ok(None) };
        let number = node.to_json().as_u64().filter(|number| range.contains(number));
        let (least, most) = range.into_inner();
        number.map(Some).ok_or_else(|| {
            let reason = format!("'{name}' must be a whole number from {least} to {most}");
            self.bad(node.position, reason)
        })
    }

    pub(crate) fn number(&self, name: &str) -> Refused<Option<f64>> {
        let Some(node) = self.get(name) else { return Ok(None) };
        let number = node.to_json().as_f64();
        number
            .map(Some)
            .ok_or_else(|| self.bad(node.position, format!("'{name}' must be a number")))
    }
}

/// The text of a scalar.
pub(crate) fn text(fields: &Fields<'_>, node: &Node, name: &str) -> Refused<String> {
    match &node.shape {
        Shape::Scalar { text, .. } => Ok(text.clone()),
        Shape::List(_) | Shape::Map(_) => {
            Err(fields.bad(node.position, format!("'{name}' must be a text")))
        }
    }
}

/// The items of a member that is a list.
pub(crate) fn list<'a>(fields: &Fields<'a>, name: &str) -> Refused<Option<&'a [Node]>> {
    match fields.get(name) {
        None => Ok(None),
        Some(Node { shape: Shape::List(items), .. }) => Ok(Some(items)),
        Some(node) => Err(fields.bad(node.position, format!("'{name}' must be a list"))),
    }
}

pub(crate) fn path_error(
    fields: &Fields<'_>,
    node: &Node,
    text: &str,
    bad: BadPath,
) -> DefinitionError {
    let shown = Value::String(text.to_owned());
    let character = text[..bad.offset.min(text.len())].chars().count() + 1;
    fields.bad(node.position, format!("{shown}, character {character}: {}", bad.reason))
}
