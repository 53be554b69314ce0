//! The language of the scripts: lines of words, `name=value` options and quoted texts.

use durastack_durable::{
    Action, CallbackOptions, ChainedOptions, ErrorObject, OperationKind, Target, TargetKind, Update,
};
use durastack_engine::{Payload, Stash};
use durastack_names::{FunctionArn, Version};
use std::{collections::BTreeMap, time::Duration};

/// A line, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) words: Vec<String>,
    pub(crate) options: BTreeMap<String, String>,
    /// A quoted text, or one of `size=` bytes.
    pub(crate) text: Option<String>,
}

impl Line {
    pub(crate) fn parse(line: &str) -> Self {
        let mut parsed = Self::default();
        let mut rest = line.trim();
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix('"') {
                let (text, after) = quoted.split_once('"').expect("a closing quote");
                parsed.text = Some(text.to_owned());
                rest = after.trim_start();
                continue;
            }
            let end = rest.find(' ').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match word.split_once('=') {
                Some(("size", value)) => parsed.text = Some("x".repeat(number(value))),
                Some((name, value)) => {
                    parsed.options.insert(name.to_owned(), value.to_owned());
                }
                None => parsed.words.push(word.to_owned()),
            }
            rest = after.trim_start();
        }
        parsed
    }

    pub(crate) fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    fn seconds(&self, name: &str) -> Option<u64> {
        self.option(name).map(|value| value.parse().expect("a number of seconds"))
    }

    /// The text as an error: `error=Type:message_with_underscores`, `error={}` for one without members, or one that
    /// is `error_size=` bytes long as JSON.
    pub(crate) fn error(&self) -> Option<ErrorObject> {
        if let Some(size) = self.option("error_size") {
            let frame = ErrorObject::message("").json().len();
            return Some(ErrorObject::message("x".repeat(number(size) - frame)));
        }
        Some(match self.option("error")? {
            "{}" => ErrorObject::default(),
            text => match text.split_once(':') {
                Some((error_type, message)) => {
                    ErrorObject::typed(error_type, message.replace('_', " "))
                }
                None => ErrorObject::message(text.replace('_', " ")),
            },
        })
    }

    pub(crate) fn payload(&self, stash: &mut Stash) -> Option<Payload> {
        self.text.clone().map(|text| stash.put(text))
    }

    /// `TYPE ACTION id …`, perhaps with `times=N`: then the id gets the number of the repetition behind it.
    pub(crate) fn updates(&self, stash: &mut Stash) -> Vec<Update> {
        let times = self.option("times").map_or(1, number);
        (1..=times)
            .map(|time| {
                let suffix = if times > 1 { time.to_string() } else { String::new() };
                self.update(&suffix, stash)
            })
            .collect()
    }

    fn update(&self, suffix: &str, stash: &mut Stash) -> Update {
        let words = self.words();
        let [kind, action, id] = words[..] else { panic!("not an update: {self:?}") };
        let find_kind = |kind: &OperationKind| kind.word() == words[0];
        let find_action = |action: &Action| action.word() == words[1];
        let own = |name: &str| self.option(name).map(str::to_owned);
        Update {
            id: format!("{id}{suffix}"),
            kind: OperationKind::ALL
                .into_iter()
                .find(find_kind)
                .unwrap_or_else(|| panic!("{kind}")),
            action: Action::ALL.into_iter().find(find_action).unwrap_or_else(|| panic!("{action}")),
            parent: own("parent"),
            name: own("name"),
            sub_type: own("sub"),
            payload: self.payload(stash),
            error: self.error().map(|error| error.stash(stash)),
            replay_children: self.option("replay") == Some("children"),
            next_attempt_delay_s: self.seconds("delay"),
            wait_s: self.seconds("for"),
            callback: CallbackOptions {
                timeout_s: self.seconds("timeout").unwrap_or(0),
                heartbeat_s: self.seconds("heartbeat").unwrap_or(0),
            },
            chained: self.option("target").map(|target| self.chained(target)),
        }
    }

    fn chained(&self, target: &str) -> ChainedOptions {
        let kind = match target {
            "durable" => Some(TargetKind::Durable {
                execution_timeout_s: 60,
                retention_days: 3,
                kms_key_arn: None,
            }),
            "plain" => Some(TargetKind::Plain),
            "unknown" => None,
            other => panic!("no kind of target: {other}"),
        };
        let target = kind.map(|kind| Target {
            function: function("target"),
            scope: "target-scope".to_owned(),
            version: Version::Number(3),
            kind,
        });
        ChainedOptions {
            function_name: self.option("function").unwrap_or("target:3").to_owned(),
            tenant_id: self.option("tenant").map(str::to_owned),
            trace_header: self.option("trace").map(str::to_owned),
            target: target.ok_or_else(|| {
                ErrorObject::typed("ResourceNotFoundException", "Function not found: target")
            }),
        }
    }
}

pub(crate) fn function(name: &str) -> FunctionArn {
    format!("arn:aws:lambda:eu-west-1:000000000000:function:{name}").parse().expect("an ARN")
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

/// `90s`, `5m`, `2h`, `3d`, `250ms`.
pub(crate) fn duration(text: &str) -> Duration {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(split);
    let count = number(count) as u64;
    match unit {
        "ms" => Duration::from_millis(count),
        "s" => Duration::from_secs(count),
        "m" => Duration::from_secs(60 * count),
        "h" => Duration::from_secs(3_600 * count),
        "d" => Duration::from_secs(86_400 * count),
        other => panic!("no unit of time: {other}"),
    }
}
