//! What holds for any flow and for any text.

use crate::{
    cases::all,
    harness::{World, Written},
    script::Script,
};
use durastack_clock::Stopwatch;
use durastack_engine::Status;
use durastack_flow::{Condition, Definition};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A step before it has a name; what points to siblings does so by number.
#[derive(Debug, Clone)]
enum Sketch {
    Plain(Value),
    Choice {
        condition: &'static str,
        way: Vec<Self>,
        goto: Option<usize>,
        default: Option<usize>,
        end: bool,
    },
    Parallel(Vec<Vec<Self>>),
    Foreach(Vec<Self>),
    Task {
        fields: Value,
        catch: Option<usize>,
    },
}

fn sources() -> impl Strategy<Value = Value> {
    select(vec![
        json!(1),
        json!("text"),
        json!([1, 2]),
        json!({"deep": [{"a": 1}]}),
        json!("$input"),
        json!("$local"),
        json!("$input.a"),
        json!("$input.list"),
        json!("$local[*].a"),
        json!("$local[0]"),
        json!("$context"),
        json!("$context.flow.name"),
        json!("$input.none"),
        json!(true),
    ])
}

fn mappings() -> impl Strategy<Value = Option<Value>> {
    let mapping = (select(vec!["a", "b", "list"]), sources())
        .prop_map(|(target, source)| json!({ "target": target, "source": source }));
    // Most steps map nothing or constants, or few flows would get beyond their first step.
    prop_oneof![3 => Just(None), 1 => vec(mapping, 0..3).prop_map(|list| Some(json!(list)))]
}

fn plain() -> impl Strategy<Value = Sketch> {
    let kind = prop_oneof![
        6 => Just(json!({ "type": "pass" })),
        2 => select(vec![0, 1, 30]).prop_map(|s| json!({ "type": "wait", "duration": s })),
        1 => Just(json!({ "type": "wait", "timestamp": "2026-01-01T00:01:00Z" })),
        1 => Just(json!({ "type": "succeed" })),
        1 => Just(json!({ "type": "fail", "error": "Mine", "cause": "so" })),
        1 => Just(json!({ "type": "pass", "end": true })),
    ];
    let constant = Just(Some(
        json!([{ "target": "a", "source": true }, { "target": "list", "source": [1, 2] }]),
    ));
    (kind, mappings(), prop_oneof![mappings(), constant]).prop_map(|(mut step, input, output)| {
        for (name, mappings) in [("inputMappings", input), ("outputMappings", output)] {
            if let Some(mappings) = mappings {
                step[name] = mappings;
            }
        }
        Sketch::Plain(step)
    })
}

fn task() -> impl Strategy<Value = Sketch> {
    let target = select(vec![
        json!({ "resourceArn": "acs:fc:::functions/f" }),
        json!({ "resourceArn": "acs:fc:::functions/f", "timeoutSeconds": 3 }),
        json!({ "resourceArn": "acs:fc:::functions/f", "pattern": "waitForCallback", "timeoutSeconds": 9 }),
        json!({ "resourceArn": "acs:fnf:::flow/child", "pattern": "sync" }),
        json!({ "resourceArn": "acs:fnf:::flow/child" }),
    ]);
    let retry = select(vec![
        None,
        Some(json!([{ "errors": ["FnF.ALL"], "maxAttempts": 1 }])),
        Some(json!([{ "errors": ["E"], "intervalSeconds": 2 }, { "errors": ["FC.Unknown"] }])),
    ]);
    (target, retry, proptest::option::of(0..4_usize)).prop_map(|(mut fields, retry, catch)| {
        fields["type"] = json!("task");
        if let Some(retry) = retry {
            fields["retry"] = retry;
        }
        Sketch::Task { fields, catch }
    })
}

fn steps() -> impl Strategy<Value = Vec<Sketch>> {
    let leaf = prop_oneof![3 => plain(), 2 => task()];
    let conditions = vec!["$.a", "$.a == 1", "$.none != 1", "!$.a || $.b == true", "$.a > 1"];
    let step = leaf.prop_recursive(3, 24, 4, move |inner| {
        let list = || vec(inner.clone(), 1..4);
        let sibling = || proptest::option::of(0..4_usize);
        prop_oneof![
            (
                select(conditions.clone()),
                vec(inner.clone(), 0..3),
                sibling(),
                sibling(),
                any::<bool>()
            )
                .prop_map(|(condition, way, goto, default, end)| {
                    Sketch::Choice { condition, way, goto, default, end }
                }),
            vec(list(), 1..4).prop_map(Sketch::Parallel),
            list().prop_map(Sketch::Foreach),
        ]
    });
    vec(step, 1..5)
}

/// The sketches with names: `s1`, `s2`, … in the order of the document.
fn named(sketches: &[Sketch], names: &mut usize) -> Value {
    let first: Vec<String> = sketches
        .iter()
        .map(|_| {
            *names += 1;
            format!("s{names}")
        })
        .collect();
    // Mostly ahead: a flow that only goes in circles until its events are used up shows little.
    let sibling = |from: usize, number: usize| {
        let ahead = (from + 1 + number).min(first.len() - 1);
        json!(first[if number == 3 { number % first.len() } else { ahead }])
    };
    let steps = sketches.iter().zip(&first).enumerate().map(|(number, (sketch, name))| {
        let mut step = match sketch {
            Sketch::Plain(step) => step.clone(),
            Sketch::Task { fields, catch } => {
                let mut step = fields.clone();
                if let Some(goto) = catch {
                    step["catch"] =
                        json!([{ "errors": ["FnF.ALL"], "goto": sibling(number, *goto) }]);
                }
                step
            }
            Sketch::Choice { condition, way, goto, default, end } => {
                let mut choice = Map::from_iter([("condition".to_owned(), json!(condition))]);
                if !way.is_empty() {
                    choice.insert("steps".into(), named(way, names));
                }
                if let Some(goto) = goto {
                    choice.insert("goto".into(), sibling(number, *goto));
                }
                let mut step = json!({ "type": "choice", "choices": [choice], "end": end });
                if let Some(goto) = default {
                    step["default"] = json!({ "goto": sibling(number, *goto) });
                }
                step
            }
            Sketch::Parallel(branches) => {
                let branches: Vec<_> = branches
                    .iter()
                    .map(|branch| json!({ "steps": named(branch, names) }))
                    .collect();
                let mapping = json!([{ "target": "list", "source": "$local" }]);
                json!({ "type": "parallel", "branches": branches, "outputMappings": mapping })
            }
            Sketch::Foreach(steps) => json!({
                "type": "foreach",
                "iterationMapping": { "collection": "$.list", "item": "a" },
                "steps": named(steps, names),
            }),
        };
        step["name"] = json!(name);
        step
    });
    steps.collect()
}

fn answers() -> impl Strategy<Value = Value> {
    let answer = select(vec![
        json!({ "result": { "a": true, "list": [1] } }),
        json!({ "result": { "a": 2 }, "after_s": 2 }),
        json!({ "result": 5 }),
        json!({ "text": "{" }),
        json!({ "error": { "errorType": "E", "errorMessage": "m" } }),
        json!({ "lost": "gone", "after_s": 5 }),
    ]);
    vec(answer, 1..5).prop_map(|answers| json!(answers))
}

const CHILD: &str = r#"{"version":"v1","type":"flow","steps":[
    {"type":"wait","name":"nap","duration":1},
    {"type":"choice","name":"pick","choices":[{"condition":"$.a == 2","goto":"bad"}]},
    {"type":"succeed","name":"good","outputMappings":[{"target":"a","source":true}]},
    {"type":"fail","name":"bad","error":"E"}]}"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// The year that an execution has at most makes "waits for ever" an end too.
    #[test]
    fn any_flow_ends_and_its_journal_gives_its_state(
        sketches in steps(),
        answers in answers(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let definition = json!({ "version": "v1", "type": "flow", "steps": named(&sketches, &mut 0) });
        let definition = Definition::parse("flow", definition.to_string())
            .map_err(|e| TestCaseError::fail(format!("{e}: {definition}")))?;
        let script = json!({ "functions": { "f": answers }, "flows": { "child": "child" } });
        let script = Script::read(&script, |_| CHILD.to_owned());
        let mut world = World::new(script.clone());
        world.start_case(definition, r#"{"a":1,"list":[1,2,{"a":3}]}"#.to_owned());
        world.run();
        world.check_replay();
        prop_assert_ne!(world.main().life.status(), Status::Running);
        let written: Vec<Written> = world.journal[..=cut.index(world.journal.len())].to_vec();
        let mut again = World::recover(script, written);
        again.run();
        again.check_replay();
        prop_assert_ne!(again.main().life.status(), Status::Running);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_definition_or_an_error(bytes in vec(any::<u8>(), 0..2000)) {
        let _ = Definition::parse("flow", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_damaged_definition_is_read_or_refused(
        case in any::<proptest::sample::Index>(),
        damage in vec((any::<proptest::sample::Index>(), "[ -~\n]|\\PC", any::<bool>()), 1..6),
    ) {
        let cases = all();
        let mut text: Vec<char> = cases[case.index(cases.len())].flow.chars().collect();
        for (at, with, insert) in damage {
            let at = at.index(text.len());
            let with = with.chars().next().unwrap();
            if insert { text.insert(at, with) } else { text[at] = with }
        }
        let _ = Definition::parse("flow", text.into_iter().collect::<String>());
    }

    #[test]
    fn any_text_is_a_condition_or_an_error(text in "[$.a\\[\\]0-9()!&|=<>\"` -]{0,80}|\\PC{0,80}") {
        if let Ok(condition) = Condition::parse(&text) {
            let _ = condition.holds(&json!({ "a": [1, { "a": "x" }], "0": true }));
        }
    }

    #[test]
    fn any_source_is_read_or_refused(source in "\\$(input|local|context)?[$.a\\[\\]*0-9]{0,30}|\\PC{0,30}") {
        let steps = json!([{ "type": "pass", "name": "one", "outputMappings": [{ "target": "a", "source": source }] }]);
        let definition = json!({ "version": "v1", "type": "flow", "steps": steps }).to_string();
        if let Ok(definition) = Definition::parse("flow", definition) {
            let mut world = World::new(Script::default());
            world.start_case(definition, r#"{"a":[{"a":[1]},2],"0":1}"#.to_owned());
            world.run();
            prop_assert_ne!(world.main().life.status(), Status::Running);
        }
    }
}

/// As long as a request may be, and made to be slow.
#[test]
fn hostile_documents_are_answered_in_time() {
    const LENGTH: usize = 1024 * 1024;
    let fill = |unit: &str| unit.repeat(LENGTH / unit.len());
    let pieces = [
        "[",
        "{",
        "- ",
        "? ",
        "a: ",
        "{a: ",
        "[a, ",
        "\"",
        "'",
        "|",
        ">",
        "&a ",
        "*a ",
        "!x ",
        "%",
        "---\n",
        "# ",
        "\t",
        "\n",
        " ",
        "a\n",
        "a: b\n",
        "- a\n",
        "- - a\n",
        "\\",
        ",",
        "a: |\n b\n",
        "&a [*a, ",
        "(",
        "\u{feff}",
        "\"a\" ",
        "x ",
    ];
    for piece in pieces {
        let text = fill(piece);
        let watch = Stopwatch::start();
        let _ = Definition::parse("flow", text.as_str());
        let _ = Definition::parse("flow", format!("a: {text}").split_off(3));
        assert!(watch.elapsed() < Duration::from_secs(20), "{piece:?} took {:?}", watch.elapsed());
    }
    for piece in ["(", "!", "$.a && ", "$.a.a", "1", "\"", "$[1]"] {
        let watch = Stopwatch::start();
        let _ = Condition::parse(&fill(piece));
        assert!(watch.elapsed() < Duration::from_secs(20), "{piece:?} took {:?}", watch.elapsed());
    }
}
