//! Flows as written in the old language, in types that cannot be wrong.

use crate::{
    condition::Condition,
    fields::Age,
    mapping::{Mappings, Source},
    parse,
    yaml::Position,
};
use durastack_clock::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeStruct,
};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// The longest that an execution may take. Source: the vendor's page on limits, Standard mode: one year.
const EXECUTION_SECONDS_MAX: u64 = 365 * 24 * 60 * 60;
/// The most branches of a parallel step, and the most iterations of a foreach that run at a time.
/// Source: the same page, old language.
pub const BRANCHES_MAX: usize = 100;
/// The longest wait in seconds: two days. Source: the same page, old language.
pub const WAIT_SECONDS_MAX: u64 = 2 * 24 * 60 * 60;
/// The longest pause between attempts in seconds. Source: the vendor's page on task steps.
pub const RETRY_SECONDS_MAX: u64 = 86_400;

/// What an execution pins at its start: the flow's name and its definition, byte for byte and read.
///
/// Cheap to clone. In the journal only name and text stand: the text is a format for ever, what it is read into is not.
#[derive(Clone)]
pub struct Definition {
    inner: Arc<Inner>,
}

struct Inner {
    flow: String,
    text: String,
    steps: FlowDefinition,
}

impl Definition {
    /// Reads and checks a definition.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`]: the first rule that it breaks, and where.
    pub fn parse(
        flow: impl Into<String>,
        text: impl Into<String>,
    ) -> Result<Self, DefinitionError> {
        Self::read(flow.into(), text.into(), Age::New)
    }

    /// Reads a definition that was accepted before: rules that came later do not hold for it.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`], as for a new one.
    pub fn stored(
        flow: impl Into<String>,
        text: impl Into<String>,
    ) -> Result<Self, DefinitionError> {
        Self::read(flow.into(), text.into(), Age::Stored)
    }

    fn read(flow: String, text: String, age: Age) -> Result<Self, DefinitionError> {
        let steps = parse::parse(&text, age)?;
        Ok(Self { inner: Arc::new(Inner { flow, text, steps }) })
    }

    /// The flow's name.
    #[must_use]
    pub fn flow(&self) -> &str {
        &self.inner.flow
    }

    /// The definition as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// What it says.
    #[must_use]
    pub fn steps(&self) -> &FlowDefinition {
        &self.inner.steps
    }

    /// After how long an execution times out: what the definition says, but at most a year.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        let seconds = self.steps().timeout_s.unwrap_or(EXECUTION_SECONDS_MAX);
        Duration::from_secs(seconds.min(EXECUTION_SECONDS_MAX))
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition").field("flow", &self.inner.flow).finish_non_exhaustive()
    }
}

impl Serialize for Definition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("Definition", 2)?;
        members.serialize_field("flow", &self.inner.flow)?;
        members.serialize_field("text", &self.inner.text)?;
        members.end()
    }
}

impl<'de> Deserialize<'de> for Definition {
    /// Checks again, but not by rules that came after the definition was accepted.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            flow: String,
            text: String,
        }
        let Written { flow, text } = Written::deserialize(deserializer)?;
        Self::stored(flow, text).map_err(D::Error::custom)
    }
}

/// A definition that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DefinitionError {
    /// Where; the start of the document if the place is not known.
    pub position: Position,
    /// The step, if it is about one.
    pub step: Option<String>,
    /// Why.
    pub reason: String,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.position)?;
        if let Some(step) = &self.step {
            write!(f, "step '{step}': ")?;
        }
        f.write_str(&self.reason)
    }
}

/// A flow, read.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowDefinition {
    /// After how many seconds an execution times out.
    pub timeout_s: Option<u64>,
    /// Makes the flow's input of the execution's.
    pub input_mappings: Option<Mappings>,
    /// Makes the execution's output.
    pub output_mappings: Option<Mappings>,
    /// All lists of steps, the flow's own first; steps that contain others name theirs.
    pub sequences: Vec<Vec<Step>>,
    /// Where each step stands.
    pub(crate) places: BTreeMap<String, Place>,
}

impl FlowDefinition {
    pub(crate) fn place(&self, name: &str) -> Option<Place> {
        self.places.get(name).copied()
    }

    /// The step at a place.
    pub(crate) fn step(&self, place: Place) -> &Step {
        &self.sequences[place.sequence.0][place.position]
    }

    /// The place after this one in its list.
    pub(crate) fn after(&self, place: Place) -> Option<Place> {
        let next = Place { position: place.position + 1, ..place };
        (next.position < self.sequences[place.sequence.0].len()).then_some(next)
    }
}

/// One list of steps within a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(pub(crate) usize);

impl Sequence {
    /// The flow's own list.
    pub(crate) const FLOW: Self = Self(0);

    pub(crate) fn first(self) -> Place {
        Place { sequence: self, position: 0 }
    }
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) sequence: Sequence,
    pub(crate) position: usize,
}

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name, unique in the flow.
    pub name: String,
    /// Makes its input.
    pub input_mappings: Option<Mappings>,
    /// Makes its output.
    pub output_mappings: Option<Mappings>,
    /// Whether its list ends with it.
    pub end: bool,
    /// What it does.
    pub action: Action,
}

impl Step {
    /// A way of a choice: one of its choices, or after them the default.
    pub(crate) fn way(&self, way: u64) -> Option<&Way> {
        let Action::Choice { choices, default } = &self.action else { return None };
        let way = usize::try_from(way).ok()?;
        match choices.get(way) {
            Some((_, way)) => Some(way),
            None => default.as_ref().filter(|_| way == choices.len()),
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Nothing beyond its mappings.
    Pass,
    /// Calls somebody.
    Task(Box<Task>),
    /// Goes one of several ways: the first whose condition holds.
    Choice {
        /// The ways, with their conditions.
        choices: Vec<(Condition, Way)>,
        /// The way if none holds.
        default: Option<Way>,
    },
    /// Runs lists of steps side by side.
    Parallel {
        /// The lists.
        branches: Vec<Sequence>,
    },
    /// Runs a list of steps for each item of an array.
    Foreach(Foreach),
    /// Lets time pass.
    Wait(Wait),
    /// Ends the surrounding flow, branch or iteration well.
    Succeed,
    /// Ends the execution badly.
    Fail {
        /// The error's name; may be empty.
        error: String,
        /// The cause; may be empty.
        cause: String,
    },
}

/// One way of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Run first.
    pub steps: Option<Sequence>,
    /// The step to go on with; the one after the choice if absent.
    pub goto: Option<String>,
}

/// A list of steps for each item.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreach {
    /// Where the items are.
    pub collection: Source,
    /// The name under which an iteration has its item.
    pub item: String,
    /// The name under which it has its number, from 0.
    pub index: Option<String>,
    /// The steps.
    pub steps: Sequence,
}

/// How long to wait.
#[derive(Debug, Clone, PartialEq)]
pub enum Wait {
    /// So many seconds: a constant or a path to a number.
    Seconds(Source),
    /// Until this instant.
    Until(Timestamp),
    /// Until an instant that stands in the input.
    UntilFound(Source),
}

/// A call to somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The resource as the definition writes it.
    pub resource: String,
    /// Whom it calls.
    pub target: Target,
    /// What it waits for.
    pub pattern: Pattern,
    /// How long an attempt may take, in seconds.
    pub timeout_s: Option<u64>,
    /// Makes the output when an error is caught.
    pub error_mappings: Option<Mappings>,
    /// When to try again.
    pub retry: Vec<Retry>,
    /// Where to go on after an error.
    pub catch: Vec<Catch>,
}

/// Whom a task calls.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A function of Function Compute; its event is the step's input.
    Function(FunctionTarget),
    /// Another flow, by its ARN.
    Flow(StartParameters),
    /// Another flow, by the action `fnf:StartExecution`.
    StartExecution(StartParameters),
}

/// Which function. Empty regions and accounts mean the flow's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionTarget {
    /// The ARN as the definition writes it.
    pub arn: String,
    /// The region; may be empty.
    pub region: String,
    /// The account; may be empty.
    pub account: String,
    /// The service of FC 2; FC 3 has none.
    pub service: Option<String>,
    /// The function.
    pub function: String,
    /// A version or alias.
    pub qualifier: Option<String>,
}

/// What another flow is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct StartParameters {
    /// Its name.
    pub flow: Source,
    /// The execution's name; made up if absent.
    pub execution: Option<Source>,
    /// The execution's input; an empty object if absent.
    pub input: Option<Source>,
}

/// What a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// The answer.
    RequestResponse,
    /// The end of what was started.
    Sync,
    /// Somebody who reports the task's token.
    WaitForCallback,
}

impl Pattern {
    /// As definitions and histories write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestResponse => "requestResponse",
            Self::Sync => "sync",
            Self::WaitForCallback => "waitForCallback",
        }
    }
}

/// When to try again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// For these errors.
    pub errors: Vec<String>,
    /// The pause before the first retry, in seconds.
    pub interval_s: u64,
    /// How many retries.
    pub attempts: u64,
    /// What each further pause is multiplied by.
    pub multiplier: f64,
    /// The longest pause, in seconds.
    pub interval_s_max: u64,
}

impl Retry {
    /// The pause before retry `number`, from 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the pause is cut to a day before it becomes whole milliseconds"
    )]
    pub fn pause(&self, number: u64) -> Duration {
        let exponent = i32::try_from(number.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.interval_s as f64 * self.multiplier.powi(exponent);
        // 0 seconds times an infinite factor is no number, and means no pause.
        let seconds = if seconds.is_nan() { 0.0 } else { seconds };
        Duration::from_millis((seconds.clamp(0.0, self.interval_s_max as f64) * 1000.0) as u64)
    }
}

/// Where to go on after an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catch {
    /// For these errors.
    pub errors: Vec<String>,
    /// A step of the same list.
    pub goto: String,
}

/// Whether a text can name a flow, an execution, a schedule or a step: `[A-Za-z_][A-Za-z0-9_-]{0,127}`.
/// Source: the API reference, parameter `Name` of CreateFlow.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..=128).contains(&text.len())
        && text.bytes().all(word)
        && !text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_was_accepted_once_is_read_for_ever() {
        let text = "version: v1\ntype: flow\nsteps:\n  - type: pass\n    name: p\n    outputMappings:\n      \
                    - {target: a, source: $inputx}\n";
        let error = Definition::parse("f", text).unwrap_err();
        assert!(error.reason.contains("$inputx"), "{error}");
        let stored = Definition::stored("f", text).unwrap();
        let journal = serde_json::to_string(&stored).unwrap();
        assert!(serde_json::from_str::<Definition>(&journal).is_ok());
    }

    #[test]
    fn pauses_grow_up_to_their_limit() {
        let retry = |interval_s, multiplier, interval_s_max| Retry {
            errors: Vec::new(),
            interval_s,
            attempts: 3,
            multiplier,
            interval_s_max,
        };
        let check = |retry: Retry, number, ms| {
            assert_eq!(retry.pause(number), Duration::from_millis(ms), "{retry:?} {number}");
        };
        check(retry(1, 2.0, 86_400), 1, 1000);
        check(retry(1, 2.0, 86_400), 3, 4000);
        check(retry(3, 1.5, 86_400), 2, 4500);
        check(retry(3, 10.0, 60), 9, 60_000);
        check(retry(3, 2.0, 86_400), u64::MAX, 86_400_000);
        check(retry(0, 2.0, 86_400), u64::MAX, 0);
        check(retry(8, 0.5, 86_400), 3, 2000);
    }

    #[test]
    fn names_follow_the_rule() {
        assert!(is_name("_a-1") && is_name("Z") && is_name(&"x".repeat(128)));
        assert!(!is_name("") && !is_name("1a") && !is_name("-a") && !is_name("a.b"));
        assert!(!is_name("é") && !is_name(&"x".repeat(129)));
    }
}
