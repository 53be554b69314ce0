//! A dialect of a few lines: the second user of the trait, and proof of what the engine does for any dialect.

use durastack_clock::{Entropy, Moment, Timestamp};
use durastack_engine::{
    BadRecord, ChildEnd, Command, Dialect, Draft, Event, Execution, LifeEvent, Outcome, Owed,
    OwedKey, Parent, Payload, Record, Start, Status, TakenName, Timers, Token, TokenKey, TokenKind,
};
use durastack_names::ExecutionId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A bell: it can be set, it rings, and somebody may be sent to look at it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Bell {
    rings: Vec<i64>,
    errands: u64,
    returned: Vec<u64>,
    recovered: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Happened {
    Set { due: Timestamp },
    Rang,
    SentOut,
    CameBack { number: u64 },
    Recovered,
}

#[derive(Debug)]
enum Wish {
    Set(u64),
    SendOut,
    End { hidden: bool },
    Show,
    Impossible,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("impossible")]
struct Refused;

impl Dialect for Bell {
    const NAME: &'static str = "bell";
    const TAKEN_NAME: TakenName = TakenName::Conflict;
    type Definition = String;
    type Event = Happened;
    type Command = Wish;
    type Timer = ();
    type Call = u64;
    type Rejection = Refused;

    fn begin(_: String) -> Self {
        Self::default()
    }

    fn decide(
        execution: &Execution<Self>,
        draft: &mut Draft<Self>,
        wish: Wish,
    ) -> Result<(), Refused> {
        let result = || Outcome::Succeeded(Some(Payload::Inline("done".to_owned())));
        match wish {
            Wish::Set(seconds) => {
                draft.push(Happened::Set { due: draft.now.plus(Duration::from_secs(seconds)) });
            }
            Wish::SendOut => draft.push(Happened::SentOut),
            Wish::End { hidden: true } => draft.end_hidden(result()),
            Wish::End { hidden: false } => draft.end(result()),
            Wish::Show => {
                if execution.life.end_hidden {
                    draft.show_end(result());
                }
            }
            Wish::Impossible => {
                draft.push(Happened::SentOut);
                return Err(Refused);
            }
        }
        Ok(())
    }

    fn fire(_: &Execution<Self>, draft: &mut Draft<Self>, (): &()) {
        draft.push(Happened::Rang);
    }

    fn describe(_: &Execution<Self>, (): &()) -> String {
        "next ring".to_owned()
    }

    fn child_ended(_: &Execution<Self>, draft: &mut Draft<Self>, end: ChildEnd) {
        draft.push(Happened::CameBack { number: end.operation });
    }

    fn recover(execution: &Execution<Self>, draft: &mut Draft<Self>) {
        draft.push(Happened::Recovered);
        if let (Some((_, outcome)), true) = (&execution.life.end, execution.life.end_hidden) {
            draft.show_end(outcome.clone());
        }
    }

    /// The third ring is the end.
    fn settle(execution: &Execution<Self>, draft: &mut Draft<Self>) {
        let rings = draft.work().filter(|event| **event == Happened::Rang).count();
        if execution.work.rings.len() + rings >= 3 {
            draft.end(Outcome::Succeeded(None));
        }
    }

    fn timed_out(_: &Execution<Self>) -> Option<Payload> {
        Some(Payload::Inline("too late".to_owned()))
    }

    fn stopped() -> Option<Payload> {
        Some(Payload::Inline("stopped".to_owned()))
    }

    fn apply(&mut self, at: Timestamp, event: &Happened, timers: &mut Timers<()>) {
        match event {
            Happened::Set { due } => timers.arm((), *due),
            Happened::Rang => {
                timers.disarm(&());
                self.rings.push(at.millis());
            }
            Happened::SentOut => self.errands += 1,
            Happened::CameBack { number } => self.returned.push(*number),
            Happened::Recovered => self.recovered += 1,
        }
    }

    fn is_public(event: &Happened) -> bool {
        !matches!(event, Happened::Recovered)
    }

    fn owed(execution: &Execution<Self>) -> Vec<Owed<Self>> {
        let missing = execution.work.returned.len() as u64 + 1..=execution.work.errands;
        missing
            .map(|number| Owed::Call { key: OwedKey { kind: 0, number }, call: number })
            .collect()
    }
}

/// An execution with its journal and a hand on the clock.
struct Story {
    execution: Execution<Bell>,
    journal: Vec<Record<Bell>>,
    now: Timestamp,
}

fn start(timeout_s: Option<u64>, parent: Option<Parent>) -> Start<Bell> {
    Start {
        id: ExecutionId::from_bytes([7; 16]),
        name: "n".to_owned(),
        scope: "s".to_owned(),
        version: "1".to_owned(),
        timeout: timeout_s.map(Duration::from_secs),
        retention: Some(Duration::from_secs(60)),
        parent,
        input: Payload::Inline("in".to_owned()),
        definition: "brass".to_owned(),
    }
}

impl Story {
    fn begin(start: Start<Bell>) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let (execution, journal) = Execution::start(moment(now), start);
        Self { execution, journal, now }
    }

    fn of(timeout_s: Option<u64>) -> Self {
        Self::begin(start(timeout_s, None))
    }

    fn child() -> Self {
        let parent = Parent { execution: ExecutionId::from_bytes([8; 16]), operation: 4 };
        Self::begin(start(None, Some(parent)))
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self
    }

    /// Does it, and answers with what the journal says of it: `number:event`, the number only if it is public.
    fn tell(&mut self, command: Command<Bell>) -> Vec<String> {
        let records = self.execution.decide(moment(self.now), command).expect("an allowed command");
        for record in &records {
            self.execution.apply(record);
        }
        let told = records.iter().map(print).collect();
        self.journal.extend(records);
        self.check();
        told
    }

    fn wish(&mut self, wish: Wish) -> Vec<String> {
        self.tell(Command::Work(wish))
    }

    /// What holds always: the journal's numbers have no gaps, its times do not fall, and its fold is the live state.
    fn check(&self) {
        let sequences: Vec<_> = self.journal.iter().map(|record| record.sequence).collect();
        assert_eq!(sequences, (1..=self.journal.len() as u64).collect::<Vec<_>>());
        let shown: Vec<_> = self.journal.iter().filter_map(|record| record.event_id).collect();
        assert_eq!(shown, (1..=shown.len() as u64).collect::<Vec<_>>());
        assert!(self.journal.iter().map(|record| record.at).is_sorted());
        assert_eq!(project(&self.replayed()), project(&self.execution));
    }

    fn replayed(&self) -> Execution<Bell> {
        let stored = self.journal.iter().map(|record| {
            Record::decode(record.sequence, &record.encode()).expect("a record that we wrote")
        });
        Execution::replay(stored).expect("a journal that we wrote")
    }

    fn owed(&self) -> Vec<u64> {
        self.execution.owed().iter().map(|owed| owed.key().number).collect()
    }
}

fn moment(now: Timestamp) -> Moment {
    Moment { now, entropy: Entropy::seeded(5) }
}

fn project(execution: &Execution<Bell>) -> String {
    let (life, next) = (&execution.life, execution.next_deadline());
    let owed: Vec<_> = execution.owed().iter().map(Owed::key).collect();
    format!("{life:?} {:?} {next:?} {owed:?} {}", execution.work, execution.sequence())
}

fn print(record: &Record<Bell>) -> String {
    let what = match &record.event {
        Event::Life(LifeEvent::Started { .. }) => "Started".to_owned(),
        Event::Life(LifeEvent::Ended { outcome, .. }) => format!("{:?}", outcome.status()),
        Event::Life(LifeEvent::EndShown { .. }) => "EndShown".to_owned(),
        Event::Life(LifeEvent::ParentTold) => "ParentTold".to_owned(),
        Event::Work(event) => format!("{event:?}").chars().take_while(|c| *c != ' ').collect(),
    };
    record.event_id.map_or_else(|| format!("-:{what}"), |id| format!("{id}:{what}"))
}

#[test]
fn a_life_has_a_beginning_timers_and_an_end() {
    let mut story = Story::of(None);
    assert_eq!(story.journal.iter().map(print).collect::<Vec<_>>(), ["1:Started"]);
    assert_eq!(story.execution.life.status(), Status::Running);
    assert_eq!(story.tell(Command::FireTimers), [""; 0], "nothing is due");
    for (ring, events) in
        [vec!["3:Rang"], vec!["5:Rang"], vec!["7:Rang", "8:Succeeded"]].into_iter().enumerate()
    {
        assert_eq!(story.wish(Wish::Set(5)), [format!("{}:Set", 2 * ring + 2)]);
        let due = story.execution.next_deadline().map(|(due, _)| due);
        assert_eq!(due, Some(story.now.plus(Duration::from_secs(5))));
        assert_eq!(story.after(4).tell(Command::FireTimers), [""; 0], "too early");
        assert_eq!(story.after(1).tell(Command::FireTimers), events);
    }
    let life = &story.execution.life;
    assert_eq!((life.status(), life.is_open()), (Status::Succeeded, false));
    assert_eq!(life.expires(), Some(story.now.plus(Duration::from_secs(60))));
    assert_eq!(story.execution.next_deadline(), None);
}

#[test]
fn a_refused_command_leaves_nothing() {
    let mut story = Story::of(None);
    let before = project(&story.execution);
    let refused = story.execution.decide(moment(story.now), Command::Work(Wish::Impossible));
    assert_eq!(refused.map(|records| records.len()), Err(Refused));
    assert_eq!(project(&story.execution), before);
    assert_eq!(story.wish(Wish::SendOut), ["2:SentOut"], "no number was used up");
}

#[test]
fn the_first_end_stands() {
    let mut story = Story::of(Some(100));
    story.wish(Wish::Set(10));
    assert_eq!(story.tell(Command::Stop(None)), ["3:Stopped"]);
    let outcome = story.execution.life.end.clone().map(|(_, outcome)| outcome);
    assert_eq!(outcome, Some(Outcome::Stopped(Bell::stopped())));
    assert_eq!(story.execution.next_deadline(), None, "timers die with the execution");
    let again = Some(Payload::Inline("again".to_owned()));
    assert_eq!(story.tell(Command::Stop(again)), [""; 0]);
    assert_eq!(story.after(200).tell(Command::FireTimers), [""; 0]);
    let end = ChildEnd { operation: 1, outcome: Outcome::Succeeded(None), timeout: None };
    assert_eq!(story.tell(Command::ChildEnded(end)), [""; 0]);
    assert_eq!(story.execution.life.end.clone().map(|(_, outcome)| outcome), outcome);
}

#[test]
fn a_stop_may_bring_its_own_error() {
    let mut story = Story::of(None);
    let error = Some(Payload::Inline("mine".to_owned()));
    story.tell(Command::Stop(error.clone()));
    assert_eq!(story.execution.life.end.map(|(_, o)| o), Some(Outcome::Stopped(error)));
}

#[test]
fn what_is_due_with_the_timeout_still_happens() {
    let mut story = Story::of(Some(5));
    story.wish(Wish::Set(5));
    assert_eq!(story.after(5).tell(Command::FireTimers), ["3:Rang", "4:TimedOut"]);
}

#[test]
fn what_is_due_after_the_timeout_does_not_happen() {
    let mut story = Story::of(Some(5));
    story.wish(Wish::Set(6));
    assert_eq!(story.after(60).tell(Command::FireTimers), ["3:TimedOut"]);
    assert_eq!(
        story.execution.life.end.as_ref().and_then(|(_, o)| o.payload()).and_then(Payload::inline),
        Some("too late")
    );
}

#[test]
fn a_hidden_end_is_an_end_and_is_shown_later() {
    let mut story = Story::of(Some(5));
    assert_eq!(story.wish(Wish::End { hidden: true }), ["-:Succeeded"]);
    assert_eq!(story.execution.life.status(), Status::Succeeded);
    assert!(story.execution.life.end_hidden);
    assert_eq!(story.execution.next_deadline(), None);
    let ended = story.execution.life.end.as_ref().map(|(at, _)| *at);
    assert_eq!(story.after(3).wish(Wish::Show), ["2:EndShown"]);
    assert_eq!(story.wish(Wish::Show), [""; 0]);
    assert_eq!(story.execution.life.end.as_ref().map(|(at, _)| *at), ended, "it ended before");
}

#[test]
fn recovery_shows_a_hidden_end() {
    let mut story = Story::of(None);
    story.wish(Wish::End { hidden: true });
    story.execution = story.replayed();
    assert_eq!(story.tell(Command::Recover), ["-:Recovered", "2:EndShown"]);
}

#[test]
fn the_parent_is_told_once() {
    let mut story = Story::child();
    assert_eq!(story.tell(Command::ParentTold), [""; 0], "there is nothing to tell yet");
    assert_eq!(story.owed(), [0_u64; 0]);
    story.wish(Wish::End { hidden: false });
    assert!(matches!(story.execution.owed()[..], [Owed::Parent]));
    assert!(matches!(story.replayed().owed()[..], [Owed::Parent]), "still after a restart");
    assert_eq!(story.tell(Command::ParentTold), ["-:ParentTold"]);
    assert_eq!(story.tell(Command::ParentTold), [""; 0]);
    assert!(story.execution.owed().is_empty());
}

#[test]
fn what_is_owed_survives_recovery() {
    let mut story = Story::of(None);
    story.wish(Wish::SendOut);
    story.wish(Wish::SendOut);
    assert_eq!(story.owed(), [1, 2]);
    story.execution = story.replayed();
    story.tell(Command::Recover);
    assert_eq!(story.owed(), [1, 2], "the same keys: a repeat is known as one");
    let end = ChildEnd { operation: 1, outcome: Outcome::Failed(None), timeout: None };
    assert_eq!(story.tell(Command::ChildEnded(end)), ["4:CameBack"]);
    assert_eq!(story.owed(), [2]);
    story.tell(Command::Stop(None));
    assert!(story.owed().is_empty(), "nothing is owed to the dead");
}

#[test]
fn time_never_falls_within_a_journal() {
    let mut story = Story::of(None);
    story.after(10).wish(Wish::SendOut);
    story.now = Timestamp::from_millis(5);
    story.wish(Wish::Set(5));
    let due = story.execution.next_deadline().map(|(due, _)| due);
    assert_eq!(due, Some(Timestamp::from_millis(1_015_000)), "reckoned from the last record");
}

#[test]
fn a_token_changed_anywhere_opens_nothing() {
    let key = TokenKey::new(&[1; 32]);
    let token = Token {
        kind: TokenKind::Callback,
        execution: ExecutionId::from_bytes([7; 16]),
        number: 12,
        counter: 0,
    };
    let text = key.seal(&token);
    assert_eq!(key.open(TokenKind::Callback, &text), Ok(token));
    for place in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert!(key.open(TokenKind::Callback, &changed).is_err(), "{place}");
    }
    assert!(key.open(TokenKind::Callback, &text[..64]).is_err());
    assert!(key.open(TokenKind::Callback, &format!("{text}AAAA")).is_err());
}

fn decode(text: &str) -> Result<Record<Bell>, BadRecord> {
    Record::decode(3, text.as_bytes())
}

#[test]
fn a_record_reads_back() {
    let text = r#"{"v":1,"dialect":"bell","at":9,"event_id":4,"event":{"Work":"Rang"}}"#;
    let record = decode(text).expect("a good record");
    assert_eq!((record.sequence, record.at.millis(), record.event_id), (3, 9, Some(4)));
    assert_eq!(record.event, Event::Work(Happened::Rang));
    assert_eq!(String::from_utf8(record.encode()).expect("text"), text);
}

#[test]
fn records_that_are_not_ours_are_refused() {
    let unknown = decode(r#"{"v":1,"dialect":"bell","at":9,"event":{"Work":"Exploded"}}"#);
    assert!(matches!(unknown, Err(BadRecord::Unreadable { sequence: 3, .. })), "{unknown:?}");
    let damaged = decode(r#"{"v":1,"dialect":"bell","at""#);
    assert!(matches!(damaged, Err(BadRecord::Unreadable { sequence: 3, .. })), "{damaged:?}");
    // Also when the event looks like one of ours: it may mean something else.
    for event in ["Rang", "Exploded"] {
        let newer =
            decode(&format!(r#"{{"v":2,"dialect":"bell","at":9,"event":{{"Work":"{event}"}}}}"#));
        assert!(matches!(newer, Err(BadRecord::Newer { sequence: 3, format: 2 })), "{newer:?}");
        let foreign =
            decode(&format!(r#"{{"v":1,"dialect":"gong","at":9,"event":{{"Work":"{event}"}}}}"#));
        assert!(
            matches!(&foreign, Err(BadRecord::Foreign { sequence: 3, dialect }) if dialect == "gong"),
            "{foreign:?}"
        );
    }
}

#[test]
fn a_journal_begins_with_a_start() {
    assert!(matches!(Execution::<Bell>::replay([]), Err(BadRecord::Headless)));
    let headless = decode(r#"{"v":1,"dialect":"bell","at":9,"event":{"Work":"Rang"}}"#);
    let replayed = Execution::replay(headless);
    assert!(matches!(replayed, Err(BadRecord::Headless)));
}

#[test]
fn recovery_does_what_fell_due_meanwhile() {
    let mut story = Story::of(Some(60));
    story.wish(Wish::Set(5));
    story.execution = story.replayed();
    assert_eq!(story.after(10).tell(Command::Recover), ["-:Recovered", "3:Rang"]);
    assert_eq!(story.after(60).tell(Command::Recover), ["-:Recovered", "4:TimedOut"]);
}
