//! Definitions that are refused: where, for which step, and why.

use durastack_flow::Definition;

const HEAD: &str = "version: v1\ntype: flow\n";

#[track_caller]
fn refused(text: &str, line: usize, column: usize, step: Option<&str>, reason: &str) {
    let error = Definition::parse("flow", text).expect_err("it breaks a rule");
    let found = (error.position.line, error.position.column, error.step.as_deref());
    assert_eq!(found, (line, column, step), "{error}");
    assert!(error.reason.contains(reason), "{error}");
}

/// The text after the two lines that every definition begins with.
#[track_caller]
fn refused_steps(steps: &str, line: usize, column: usize, step: Option<&str>, reason: &str) {
    refused(&format!("{HEAD}{steps}"), line, column, step, reason);
}

/// A definition with one step, given by its members after `name: a`.
#[track_caller]
fn refused_step(members: &str, column: usize, reason: &str) {
    refused_steps(&format!("steps:\n- {{name: a, {members}}}\n"), 4, column, Some("a"), reason);
}

#[test]
fn the_top_level_is_checked() {
    refused("type: flow\nsteps: []\n", 1, 1, None, "'version' is missing");
    refused("version: v2\ntype: flow\n", 1, 10, None, "neither 'v1' nor 'v1beta1'");
    refused("version: v1\ntype: state\n", 2, 7, None, "is not 'flow'");
    refused("version: v1\n", 1, 1, None, "'type' is missing");
    refused("- a\n", 1, 1, None, "a map is expected");
    refused("Type: StateMachine\nSpecVersion: v1\n", 1, 7, None, "StateMachine");
    refused("{\"SpecVersion\": \"v1\"}", 1, 17, None, "not built");
    refused("a: [\n", 2, 1, None, "");
    refused_steps("", 1, 1, None, "'steps' is missing");
    refused_steps("steps: []\n", 3, 8, None, "no step");
    refused_steps("steps: {a: b}\n", 3, 8, None, "must be a list");
    refused_steps(
        "timeoutSeconds: soon\nsteps: [{type: pass, name: a}]\n",
        3,
        17,
        None,
        "whole number",
    );
    refused_steps(
        "timeoutSeconds: -1\nsteps: [{type: pass, name: a}]\n",
        3,
        17,
        None,
        "whole number",
    );
    refused_steps(
        "inputMappings: [{target: a}]\nsteps: [{type: pass, name: a}]\n",
        3,
        17,
        None,
        "'source' is missing",
    );
}

#[test]
fn names_are_unique_words() {
    refused_steps("steps:\n- type: pass\n", 4, 3, None, "'name' is missing");
    refused_steps("steps:\n- type: pass\n  name: a b\n", 5, 9, None, "no step name");
    refused_steps("steps: [{type: pass, name: 1}]\n", 3, 28, None, "no step name");
    refused_steps(
        "steps:\n- {type: pass, name: a}\n- {type: pass, name: a}\n",
        5,
        22,
        None,
        "more than one step 'a'",
    );
    let nested = "steps:\n- {type: pass, name: a}\n- type: parallel\n  name: p\n  branches: [{steps: [{type: pass, name: a}]}]\n";
    refused_steps(nested, 7, 42, Some("p"), "more than one step 'a'");
    Definition::parse(
        "flow",
        format!("{HEAD}steps: [{{type: pass, name: no}}, {{type: pass, name: on}}]\n"),
    )
    .expect("words that YAML once took for booleans are names");
}

#[test]
fn a_goto_leads_to_a_step_of_the_same_list() {
    let choice = |goto: &str| {
        format!(
            "steps:\n- type: choice\n  name: c\n  choices:\n  - condition: $.x\n    steps: [{{type: pass, name: inner}}]\n    goto: {goto}\n- {{type: pass, name: next}}\n"
        )
    };
    Definition::parse("flow", format!("{HEAD}{}", choice("c"))).expect("backwards, even to itself");
    refused_steps(&choice("none"), 9, 11, Some("c"), "no step has this name");
    refused_steps(&choice("inner"), 9, 11, Some("c"), "not a step of the same list");
    let task = "steps:\n- type: task\n  name: t\n  resourceArn: acs:fc:::functions/f\n  catch: [{errors: [A], goto: x}]\n";
    refused_steps(task, 7, 31, Some("t"), "goto 'x'");
}

#[test]
fn steps_are_checked() {
    refused_step("type: loop", 19, "'loop' is not supported");
    refused_step("x: 1", 3, "'type' is missing");
    refused_step("type: pass, end: maybe", 30, "true or false");
    refused_step("type: pass, inputMappings: [{target: '', source: 1}]", 50, "'target' is empty");
    refused_step("type: pass, outputMappings: [{target: a, source: $input..b}]", 62, "character 8");
    refused_step("type: wait", 3, "exactly one of");
    refused_step("type: wait, duration: 1, timestamp: 2026-01-01T00:00:00Z", 3, "exactly one of");
    refused_step("type: wait, duration: 1.5", 35, "whole number");
    refused_step("type: wait, duration: 172801", 35, "172800");
    refused_step("type: wait, duration: soon", 35, "or a path");
    refused_step("type: wait, timestamp: tomorrow", 36, "RFC 3339");
    refused_step("type: choice", 3, "'choices' is missing");
    refused_step("type: choice, choices: []", 36, "no choice");
    refused_step("type: choice, choices: [{goto: a}]", 37, "'condition' is missing");
    refused_step("type: choice, choices: [{condition: $.a = 1}]", 49, "at character 5");
    refused_step("type: parallel, branches: []", 39, "1 to 100");
    refused_step("type: foreach, steps: []", 3, "'iterationMapping' is missing");
    refused_step(
        "type: foreach, iterationMapping: {collection: [1], item: x}",
        59,
        "must be a path",
    );
    refused_step("type: foreach, iterationMapping: {collection: $.a}", 46, "'item' is missing");
    let branches = vec!["{steps: [{type: pass, name: x}]}"; 101].join(", ");
    refused_step(&format!("type: parallel, branches: [{branches}]"), 39, "101 branches");
}

#[test]
fn tasks_are_checked() {
    let task =
        |members: &str| format!("type: task, resourceArn: 'acs:fc:::functions/f', {members}");
    refused_step("type: task", 3, "exactly one of 'resourceArn' and 'action'");
    refused_step("type: task, resourceArn: 'acs:mns:::/topics/t/messages'", 38, "MNS");
    refused_step("type: task, resourceArn: 'acs:fc:::services/f'", 38, "no ARN of a function");
    refused_step("type: task, resourceArn: 'acs:fnf:::flow/'", 38, "no ARN of a flow");
    refused_step("type: task, resourceArn: 'arn:aws:x'", 38, "not built");
    refused_step("type: task, action: 'ecs:DescribeInstances'", 33, "not built");
    refused_step("type: task, action: 'fnf:StartExecution'", 33, "'serviceParams' is missing");
    refused_step(
        "type: task, action: 'fnf:StartExecution', serviceParams: {Input: $}",
        70,
        "'FlowName' is missing",
    );
    refused_step(
        "type: task, action: 'fnf:StartExecution', serviceParams: {FlowName: f}, pattern: sync",
        94,
        "cannot be used",
    );
    refused_step(&task("pattern: sync"), 71, "cannot be used");
    refused_step(&task("pattern: async"), 71, "none of");
    refused_step(&task("retry: [{intervalSeconds: 1}]"), 70, "'errors' is missing");
    refused_step(&task("retry: [{errors: []}]"), 79, "names no error");
    refused_step(&task("retry: [{errors: [A], intervalSeconds: 86401}]"), 101, "86400");
    refused_step(&task("retry: [{errors: [A], multiplier: 0}]"), 96, "above 0");
    refused_step(&task("retry: [{errors: [A], maxAttempts: -1}]"), 97, "'maxAttempts'");
    refused_step(&task("catch: [{errors: [A]}]"), 70, "'goto' is missing");
    refused_step(&task("timeoutSeconds: 1h"), 78, "whole number");
}

#[test]
fn an_error_reads_as_a_sentence() {
    let error = Definition::parse("flow", format!("{HEAD}steps:\n- {{name: a, type: loop}}\n"));
    assert_eq!(
        error.unwrap_err().to_string(),
        "line 4, column 19: step 'a': a step of type 'loop' is not supported"
    );
}

#[test]
fn the_text_is_kept_byte_for_byte() {
    let text = format!("# order\n{HEAD}steps: [ {{type: pass, name: a}} ]  \n\n");
    let definition = Definition::parse("shop", text.as_str()).unwrap();
    assert_eq!((definition.flow(), definition.text()), ("shop", text.as_str()));
    let stored = serde_json::to_string(&definition).unwrap();
    let read: Definition = serde_json::from_str(&stored).unwrap();
    assert_eq!((read.flow(), read.text()), ("shop", text.as_str()));
}
