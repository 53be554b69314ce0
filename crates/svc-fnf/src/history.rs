//! GetExecutionHistory: what has happened in an execution, event for event.

use crate::{
    error::FnfError,
    fnf::Fnf,
    parameters::{self, limit},
};
use durastack_engine::{Event, LifeEvent, Payload, Record};
use durastack_flow::{Flow as Language, HistoryView, public_event};
use durastack_wire::{
    Call,
    rpc::{BadParameter, FromParameters, Parameters},
};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// A page of history.
pub(crate) struct HistoryInput {
    flow: String,
    execution: String,
    /// The event behind which the page begins.
    after: u64,
    limit: usize,
}

impl FromParameters for HistoryInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        let (flow, execution) = parameters::execution(parameters)?;
        // The page says less than 1000; tools send 1000.
        let limit = limit(parameters, 1..=1000)?;
        let after = match parameters.text("NextToken") {
            None => 0,
            Some(text) => text.parse().map_err(|_| {
                BadParameter::invalid("NextToken", text, "it must be the number of an event")
            })?,
        };
        Ok(Self { flow, execution, after, limit })
    }
}

/// A page of events, oldest first.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Page {
    events: Vec<Value>,
    /// The number of the page's last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(crate) async fn history(
    fnf: Arc<Fnf>,
    input: HistoryInput,
    call: Call,
) -> Result<Page, FnfError> {
    let HistoryInput { flow, execution, after, limit } = input;
    let id = fnf.execution(&call.caller, &flow, &execution).await?;
    let failed = |error| FnfError::of_driver(error, &flow, &execution);
    let definition = fnf.driver.read(id, |execution| execution.work.definition.clone()).await;
    let definition = definition.map_err(failed)?;
    let from = after.saturating_add(1);
    let records = fnf.driver.events(id, Some(from), false, limit + 1).await.map_err(failed)?;
    let (page, rest) = records.split_at(records.len().min(limit));
    let payloads: Vec<Payload> = page.iter().filter_map(payload).cloned().collect();
    let texts = fnf.driver.texts(id, &payloads).await.map_err(failed)?;
    let text = |payload: &Payload| texts.of(payload);
    let view = HistoryView { definition: &definition, tokens: fnf.tokens_of(id), text: &text };
    let last = page.last().and_then(|record| record.event_id);
    Ok(Page {
        events: page.iter().filter_map(|record| public_event(&view, record)).collect(),
        next_token: last.filter(|_| !rest.is_empty()).map(|last| last.to_string()),
    })
}

/// The text beside the journal that an event needs: the input of a start, or what an execution ended with.
fn payload(record: &Record<Language>) -> Option<&Payload> {
    match &record.event {
        Event::Life(LifeEvent::Started { input, .. }) => Some(input),
        Event::Life(LifeEvent::Ended { outcome, .. } | LifeEvent::EndShown { outcome }) => {
            outcome.payload()
        }
        Event::Life(LifeEvent::ParentTold) | Event::Work(_) => None,
    }
}
