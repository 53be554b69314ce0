//! Task tokens: who may report what, and when.

use crate::{harness::World, script::Script};
use durastack_engine::{Command, Status};
use durastack_flow::{CallEnd, Command as FlowCommand, Definition, Failure, Rejection, TaskToken};
use durastack_names::ExecutionId;

const ASK: &str = "version: v1\ntype: flow\nsteps:\n- type: task\n  name: ask\n  resourceArn: acs:fc:::functions/ask\n  pattern: waitForCallback\n";
const ID: ExecutionId = ExecutionId::from_bytes([1; 16]);
/// The StepEntered and the TaskScheduled of a first step.
const TOKEN: TaskToken = TaskToken { entered: 2, scheduled: 3 };

fn asked() -> World {
    let mut world = World::new(Script::default());
    world.start_case(Definition::parse("flow", ASK).unwrap(), "{}".into());
    world
}

fn work(world: &mut World, command: FlowCommand) -> Result<Option<u64>, Rejection> {
    world.command(ID, Command::Work(command))
}

fn succeeded(token: TaskToken, output: &str) -> FlowCommand {
    FlowCommand::ReportSucceeded { token, output: output.into() }
}

#[test]
fn the_first_report_wins_and_says_which_event_it_wrote() {
    let mut world = asked();
    assert!(world.main().work.awaits_report());
    let submitted = FlowCommand::CallEnded { key: 3, end: CallEnd::Answered("{}".into()) };
    assert_eq!(work(&mut world, submitted), Ok(Some(5)));
    assert_eq!(work(&mut world, succeeded(TOKEN, "{}")), Ok(Some(6)));
    assert_eq!(work(&mut world, succeeded(TOKEN, "{}")), Err(Rejection::TaskCompleted));
    assert!(!world.main().work.awaits_report());
    assert_eq!(world.main().life.status(), Status::Succeeded);
}

#[test]
fn unfit_reports_are_refused() {
    let mut world = asked();
    let unknown = TaskToken { scheduled: 99, ..TOKEN };
    assert_eq!(work(&mut world, succeeded(unknown, "{}")), Err(Rejection::TokenUnknown));
    let other = TaskToken { entered: 1, ..TOKEN };
    assert_eq!(work(&mut world, succeeded(other, "{}")), Err(Rejection::TaskCompleted));
    assert_eq!(work(&mut world, succeeded(TOKEN, "[]")), Err(Rejection::OutputNotAnObject));
    assert_eq!(work(&mut world, succeeded(TOKEN, "{")), Err(Rejection::OutputNotAnObject));
    world.command(ID, Command::Stop(None)).unwrap();
    assert_eq!(work(&mut world, succeeded(TOKEN, "{}")), Err(Rejection::TaskCompleted));
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut world = asked();
    let lost = || CallEnd::Failed(Failure::new("FC.Unknown", ""));
    assert_eq!(work(&mut world, FlowCommand::CallEnded { key: 9, end: lost() }), Ok(None));
    assert_eq!(work(&mut world, succeeded(TOKEN, "{\"a\":1}")), Ok(Some(5)));
    assert_eq!(work(&mut world, FlowCommand::CallEnded { key: 3, end: lost() }), Ok(None));
    assert_eq!(world.outcome()["output"], serde_json::json!({ "a": 1 }));
}

/// An execution that was started with somebody's task token reports its own end.
#[test]
fn an_execution_can_hold_the_token_of_a_task() {
    let child = |text: &str| {
        let mut world = asked();
        let definition = format!("version: v1\ntype: flow\nsteps:\n- {text}\n");
        world.start_child(Definition::parse("other", definition).unwrap(), TOKEN.parent(ID));
        world.script = Script::default();
        world.run();
        world.outcome()
    };
    let well = child("{type: pass, name: a, outputMappings: [{target: b, source: 1}]}");
    assert_eq!(well["output"], serde_json::json!({ "b": 1 }));
    let badly = child("{type: fail, name: a, error: Mine, cause: so}");
    assert_eq!((&badly["error"], &badly["cause"]), (&"Mine".into(), &"so".into()));
}
