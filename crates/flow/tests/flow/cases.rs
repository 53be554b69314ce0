//! The golden cases: a definition, an input and a script, and what they come to, event for event.

use crate::{harness::World, script::Script};
use durastack_flow::Definition;
use serde_json::Value;
use std::{fs, path::PathBuf};

pub(crate) struct Case {
    pub(crate) name: String,
    folder: PathBuf,
    pub(crate) flow: String,
    pub(crate) input: String,
    pub(crate) script: Script,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/flow")
}

/// All cases, in the order of their names.
pub(crate) fn all() -> Vec<Case> {
    let mut folders: Vec<_> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.into_iter().map(Case::read).collect()
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let file = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let functions = fs::read_to_string(folder.join("functions.json")).unwrap_or("{}".into());
        let functions: Value = serde_json::from_str(&functions).unwrap();
        Self {
            name: folder.file_name().unwrap().to_str().unwrap().to_owned(),
            flow: file("flow.yaml"),
            input: file("input.json").trim_end().to_owned(),
            script: Script::read(&functions, file),
            folder,
        }
    }

    pub(crate) fn definition(&self) -> Definition {
        Definition::parse("flow", self.flow.as_str())
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    /// The case run to its end, undisturbed.
    pub(crate) fn run(&self) -> World {
        let mut world = World::new(self.script.clone());
        world.start_case(self.definition(), self.input.clone());
        world.run();
        world
    }
}

/// `UPDATE_FIXTURES=1` writes what the cases come to now; what changed is then to be read and judged.
#[test]
fn cases_come_to_what_is_expected() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut wrong = Vec::new();
    for case in all() {
        let world = case.run();
        world.check_replay();
        let outcome = world.outcome();
        let path = case.folder.join("expected.json");
        if update {
            let mut text = serde_json::to_string_pretty(&outcome).unwrap();
            text.push('\n');
            fs::write(&path, text).unwrap();
            continue;
        }
        let expected: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap_or_default())
            .unwrap_or_default();
        if outcome != expected {
            wrong.push(format!("{}: {outcome:#}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
