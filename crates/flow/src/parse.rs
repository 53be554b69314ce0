//! From a document to a definition: every rule of the old language that can be checked without running it.
//!
//! Members that the language does not know are passed over: what the service does with them is not published.

use crate::{
    condition::Condition,
    definition::{
        Action, BRANCHES_MAX, Catch, DefinitionError, FlowDefinition, Foreach, Pattern, Place,
        RETRY_SECONDS_MAX, Retry, Sequence, Step, Task, WAIT_SECONDS_MAX, Wait, Way, is_name,
    },
    fields::{Age, Fields, Refused, list, path_error, text},
    mapping::{Bare, Mapping, Mappings, Source},
    resource,
    yaml::{self, Node, Position},
};
use durastack_clock::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// Reads a definition. One of an earlier durastack may hold what is refused today.
pub(crate) fn parse(document: &str, age: Age) -> Refused<FlowDefinition> {
    let root = yaml::read(document).map_err(|unreadable| DefinitionError {
        position: unreadable.position,
        step: None,
        reason: unreadable.reason,
    })?;
    let fields = Fields::of(&root, age)?;
    for word in ["Type", "SpecVersion", "StartAt", "States"] {
        if let Some(node) = fields.get(word) {
            return Err(fields.bad(
                node.position,
                "this is a definition of the newer language (StateMachine), which is not built; \
                 'version: v1' with 'type: flow' is",
            ));
        }
    }
    let version = fields.required_text("version")?;
    if !matches!(version.as_str(), "v1" | "v1beta1") {
        let reason = format!("version '{version}' is neither 'v1' nor 'v1beta1'");
        return Err(fields.bad(fields.position_of("version"), reason));
    }
    let kind = fields.required_text("type")?;
    if kind != "flow" {
        return Err(fields.bad(fields.position_of("type"), format!("type '{kind}' is not 'flow'")));
    }
    let mut reader = Reader { sequences: Vec::new(), places: BTreeMap::new() };
    reader.steps(&fields)?;
    Ok(FlowDefinition {
        timeout_s: timeout(&fields)?,
        input_mappings: mappings(&fields, "inputMappings")?,
        output_mappings: mappings(&fields, "outputMappings")?,
        sequences: reader.sequences,
        places: reader.places,
    })
}

struct Reader {
    sequences: Vec<Vec<Step>>,
    places: BTreeMap<String, Place>,
}

/// A step that a step of the same list goes to.
struct Goto {
    from: String,
    to: String,
    position: Position,
}

impl Reader {
    /// Reads the member `steps`. The list takes its number before the lists within it do.
    fn steps(&mut self, fields: &Fields<'_>) -> Refused<Sequence> {
        let nodes = list(fields, "steps")?
            .ok_or_else(|| fields.bad(fields.position, "'steps' is missing"))?;
        if nodes.is_empty() {
            return Err(fields.bad(fields.position_of("steps"), "'steps' has no step"));
        }
        let sequence = Sequence(self.sequences.len());
        self.sequences.push(Vec::new());
        let mut gotos = Vec::new();
        let mut steps = Vec::with_capacity(nodes.len());
        for (position, node) in nodes.iter().enumerate() {
            let outer = fields.within(node)?;
            let name = outer.required_text("name")?;
            let at = outer.position_of("name");
            if !is_name(&name) {
                let reason = format!("'{name}' is no step name: [A-Za-z_][A-Za-z0-9_-]{{0,127}}");
                return Err(outer.bad(at, reason));
            }
            if self.places.insert(name.clone(), Place { sequence, position }).is_some() {
                return Err(outer.bad(at, format!("the flow has more than one step '{name}'")));
            }
            let fields = outer.of_step(&name);
            steps.push(self.step(&fields, name, &mut gotos)?);
        }
        for goto in gotos {
            self.check(sequence, goto)?;
        }
        self.sequences[sequence.0] = steps;
        Ok(sequence)
    }

    fn check(&self, sequence: Sequence, goto: Goto) -> Refused<()> {
        let reason = match self.places.get(&goto.to) {
            Some(place) if place.sequence == sequence => return Ok(()),
            Some(_) => format!("goto '{}': not a step of the same list", goto.to),
            None => format!("goto '{}': no step has this name", goto.to),
        };
        Err(DefinitionError { position: goto.position, step: Some(goto.from), reason })
    }

    fn step(&mut self, fields: &Fields<'_>, name: String, gotos: &mut Vec<Goto>) -> Refused<Step> {
        let kind = fields.required_text("type")?;
        let action = match kind.as_str() {
            "pass" => Action::Pass,
            "succeed" => Action::Succeed,
            "fail" => Action::Fail {
                error: fields.text("error")?.unwrap_or_default(),
                cause: fields.text("cause")?.unwrap_or_default(),
            },
            "wait" => Action::Wait(wait(fields)?),
            "task" => Action::Task(Box::new(task(fields, &name, gotos)?)),
            "choice" => self.choice(fields, &name, gotos)?,
            "parallel" => self.parallel(fields)?,
            "foreach" => self.foreach(fields)?,
            other => {
                let reason = format!("a step of type '{other}' is not supported");
                return Err(fields.bad(fields.position_of("type"), reason));
            }
        };
        Ok(Step {
            name,
            input_mappings: mappings(fields, "inputMappings")?,
            output_mappings: mappings(fields, "outputMappings")?,
            end: fields.boolean("end")?.unwrap_or(false),
            action,
        })
    }

    fn choice(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        gotos: &mut Vec<Goto>,
    ) -> Refused<Action> {
        let nodes = list(fields, "choices")?
            .ok_or_else(|| fields.bad(fields.position, "'choices' is missing"))?;
        if nodes.is_empty() {
            return Err(fields.bad(fields.position_of("choices"), "'choices' has no choice"));
        }
        let mut choices = Vec::with_capacity(nodes.len());
        for node in nodes {
            let choice = fields.within(node)?;
            let condition = Condition::parse(&choice.required_text("condition")?)
                .map_err(|bad| choice.bad(choice.position_of("condition"), bad.to_string()))?;
            choices.push((condition, self.way(&choice, name, gotos)?));
        }
        let default = match fields.get("default") {
            Some(node) => Some(self.way(&fields.within(node)?, name, gotos)?),
            None => None,
        };
        Ok(Action::Choice { choices, default })
    }

    fn way(&mut self, fields: &Fields<'_>, name: &str, gotos: &mut Vec<Goto>) -> Refused<Way> {
        let steps = match fields.get("steps") {
            Some(_) => Some(self.steps(fields)?),
            None => None,
        };
        let goto = fields.text("goto")?;
        if let Some(to) = &goto {
            gotos.push(goto_of(fields, name, to));
        }
        Ok(Way { steps, goto })
    }

    fn parallel(&mut self, fields: &Fields<'_>) -> Refused<Action> {
        let nodes = list(fields, "branches")?
            .ok_or_else(|| fields.bad(fields.position, "'branches' is missing"))?;
        if nodes.is_empty() || nodes.len() > BRANCHES_MAX {
            let reason = format!("{} branches: 1 to {BRANCHES_MAX} are possible", nodes.len());
            return Err(fields.bad(fields.position_of("branches"), reason));
        }
        let branch = |node| self.steps(&fields.within(node)?);
        Ok(Action::Parallel { branches: nodes.iter().map(branch).collect::<Refused<_>>()? })
    }

    fn foreach(&mut self, fields: &Fields<'_>) -> Refused<Action> {
        let node = fields
            .get("iterationMapping")
            .ok_or_else(|| fields.bad(fields.position, "'iterationMapping' is missing"))?;
        let mapping = fields.within(node)?;
        let collection = source(&mapping, "collection")?
            .ok_or_else(|| mapping.bad(mapping.position, "'collection' is missing"))?;
        if matches!(collection, Source::Constant(_)) {
            let reason = "'collection' must be a path such as '$.items'";
            return Err(mapping.bad(mapping.position_of("collection"), reason));
        }
        Ok(Action::Foreach(Foreach {
            collection,
            item: variable(&mapping, "item")?
                .ok_or_else(|| mapping.bad(mapping.position, "'item' is missing"))?,
            index: variable(&mapping, "index")?,
            steps: self.steps(fields)?,
        }))
    }
}

fn goto_of(fields: &Fields<'_>, name: &str, to: &str) -> Goto {
    Goto { from: name.to_owned(), to: to.to_owned(), position: fields.position_of("goto") }
}

fn variable(fields: &Fields<'_>, member: &str) -> Refused<Option<String>> {
    let name = fields.text(member)?;
    if name.as_deref() == Some("") {
        return Err(fields.bad(fields.position_of(member), format!("'{member}' is empty")));
    }
    Ok(name)
}

fn timeout(fields: &Fields<'_>) -> Refused<Option<u64>> {
    // Nothing is published about 0; it is taken as no timeout, as in the newer language.
    Ok(fields.integer("timeoutSeconds", 0..=u64::from(u32::MAX))?.filter(|seconds| *seconds > 0))
}

pub(crate) fn mappings(fields: &Fields<'_>, member: &str) -> Refused<Option<Mappings>> {
    let Some(nodes) = list(fields, member)? else { return Ok(None) };
    let mut mappings = Vec::with_capacity(nodes.len());
    for node in nodes {
        let mapping = fields.within(node)?;
        let target = mapping.required_text("target")?;
        if target.is_empty() {
            return Err(mapping.bad(mapping.position_of("target"), "'target' is empty"));
        }
        let source = mapping
            .member("source")
            .ok_or_else(|| mapping.bad(mapping.position, "'source' is missing"))?;
        mappings.push(Mapping {
            target,
            source: constant_or_reference(&mapping, source, Bare::IsText)?,
        });
    }
    Ok(Some(Mappings(mappings)))
}

/// A member that is a constant, or a path that may begin with `$.`.
pub(crate) fn source(fields: &Fields<'_>, member: &str) -> Refused<Option<Source>> {
    fields.get(member).map(|node| constant_or_reference(fields, node, Bare::IsInput)).transpose()
}

fn constant_or_reference(fields: &Fields<'_>, node: &Node, bare: Bare) -> Refused<Source> {
    match node.to_json() {
        Value::String(text) => match Source::parse(&text, bare) {
            // A misspelt reference was a constant once.
            Err(_) if fields.age == Age::Stored => Ok(Source::Constant(Value::String(text))),
            read => read.map_err(|bad| path_error(fields, node, &text, bad)),
        },
        constant => Ok(Source::Constant(constant)),
    }
}

fn wait(fields: &Fields<'_>) -> Refused<Wait> {
    match (fields.get("duration"), fields.get("timestamp")) {
        (Some(node), None) => {
            let seconds = constant_or_reference(fields, node, Bare::IsInput)?;
            if let Source::Constant(constant) = &seconds
                && constant.as_u64().is_none_or(|seconds| seconds > WAIT_SECONDS_MAX)
            {
                let reason = format!(
                    "'duration' must be a whole number of seconds from 0 to {WAIT_SECONDS_MAX}, or a path"
                );
                return Err(fields.bad(node.position, reason));
            }
            Ok(Wait::Seconds(seconds))
        }
        (None, Some(node)) => {
            let text = text(fields, node, "timestamp")?;
            let source = Source::parse(&text, Bare::IsInput)
                .map_err(|bad| path_error(fields, node, &text, bad))?;
            if matches!(source, Source::Reference(_)) {
                return Ok(Wait::UntilFound(source));
            }
            Timestamp::parse_iso(&text).map(Wait::Until).map_err(|_| {
                let reason =
                    format!("'timestamp' must be an RFC 3339 time or a path, not '{text}'");
                fields.bad(node.position, reason)
            })
        }
        _ => {
            Err(fields.bad(fields.position, "exactly one of 'duration' and 'timestamp' is needed"))
        }
    }
}

fn task(fields: &Fields<'_>, name: &str, gotos: &mut Vec<Goto>) -> Refused<Task> {
    let pattern = match fields.text("pattern")?.as_deref() {
        None | Some("requestResponse") => Pattern::RequestResponse,
        Some("sync") => Pattern::Sync,
        Some("waitForCallback") => Pattern::WaitForCallback,
        Some(other) => {
            let reason = format!(
                "pattern '{other}' is none of 'requestResponse', 'sync' and 'waitForCallback'"
            );
            return Err(fields.bad(fields.position_of("pattern"), reason));
        }
    };
    let (resource, target) = resource::target(fields, pattern)?;
    let retry = list(fields, "retry")?.unwrap_or_default();
    let retry = retry.iter().map(|node| read_retry(fields, node)).collect::<Refused<_>>()?;
    let mut catch = Vec::new();
    for node in list(fields, "catch")?.unwrap_or_default() {
        let fields = fields.within(node)?;
        let goto = fields.required_text("goto")?;
        gotos.push(goto_of(&fields, name, &goto));
        catch.push(Catch { errors: errors(&fields)?, goto });
    }
    Ok(Task {
        resource,
        target,
        pattern,
        timeout_s: timeout(fields)?,
        error_mappings: mappings(fields, "errorMappings")?,
        retry,
        catch,
    })
}

fn read_retry(fields: &Fields<'_>, node: &Node) -> Refused<Retry> {
    let fields = fields.within(node)?;
    let seconds = 0..=RETRY_SECONDS_MAX;
    let multiplier = fields.number("multiplier")?.unwrap_or(2.0);
    if !(multiplier.is_finite() && multiplier > 0.0) {
        let reason = "'multiplier' must be a number above 0";
        return Err(fields.bad(fields.position_of("multiplier"), reason));
    }
    Ok(Retry {
        errors: errors(&fields)?,
        interval_s: fields.integer("intervalSeconds", seconds.clone())?.unwrap_or(1),
        attempts: fields.integer("maxAttempts", 0..=u64::from(u32::MAX))?.unwrap_or(3),
        multiplier,
        interval_s_max: fields.integer("maxIntervalSeconds", seconds)?.unwrap_or(RETRY_SECONDS_MAX),
    })
}

fn errors(fields: &Fields<'_>) -> Refused<Vec<String>> {
    let nodes = list(fields, "errors")?
        .ok_or_else(|| fields.bad(fields.position, "'errors' is missing"))?;
    if nodes.is_empty() {
        return Err(fields.bad(fields.position_of("errors"), "'errors' names no error"));
    }
    nodes.iter().map(|node| text(fields, node, "errors")).collect()
}
