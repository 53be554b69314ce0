//! Every error that the service can answer with, pinned: status, code and text; and the error table of StopExecution.

use super::*;
use crate::{BadRecord, CatalogError, FnfError, check_media_type};
use durastack_flow::Definition;
use durastack_store::{Conflict, StoreError};
use durastack_wire::{
    IntoWire,
    rpc::{BadParameter, Frame},
};
use http::header::CONTENT_TYPE;
use serde_json::json;

fn all() -> Vec<FnfError> {
    let (flow, execution) = ("order".to_owned(), "one".to_owned());
    let definition = Definition::parse("order", "version: v1\ntype: flow\nsteps: 1").unwrap_err();
    let catalog = [
        CatalogError::FlowNotExists(flow.clone()),
        CatalogError::FlowAlreadyExists(flow.clone()),
        CatalogError::ConcurrentUpdate,
        CatalogError::Store(StoreError::Closed),
        CatalogError::BadRecord(BadRecord::Newer { key: "secret cause".into(), found: 2 }),
    ];
    [
        FnfError::BadParameter(BadParameter::Missing("FlowName")),
        FnfError::BadParameter(BadParameter::invalid("Limit", "x", "it must be a number")),
        FnfError::Definition(definition),
        FnfError::ExecutionNotExists { flow: flow.clone(), execution: execution.clone() },
        FnfError::ExecutionAlreadyExists { flow: flow.clone(), execution: execution.clone() },
        FnfError::ExecutionAlreadyCompleted { flow, execution },
        FnfError::TaskAlreadyCompleted("AA==".to_owned()),
        FnfError::TaskInvalidState,
        FnfError::AccessDenied,
        FnfError::UnsupportedMediaType,
        FnfError::ConcurrentUpdate,
        FnfError::Store(StoreError::Closed),
        FnfError::Journal(durastack_engine::BadRecord::Headless),
    ]
    .into_iter()
    .chain(catalog.into_iter().map(FnfError::from))
    .collect()
}

fn rendered(error: &FnfError) -> Answer {
    let frame = Frame { request_id: "id", host: "localhost:4566" };
    Answer::of(&frame.failure(&error.wire()).expect("an answer"))
}

#[test]
fn errors_are_as_they_were() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/errors/fnf.json");
    let rendered: Vec<Value> = all()
        .iter()
        .map(|error| {
            let answer = rendered(error);
            json!({"status": answer.status, "body": answer.body})
        })
        .collect();
    let actual = serde_json::to_string_pretty(&rendered).unwrap() + "\n";
    if std::env::var_os("GOLDEN_UPDATE").is_some() {
        std::fs::write(&path, &actual).unwrap();
    }
    assert_eq!(actual, std::fs::read_to_string(&path).unwrap());
    assert!(!actual.contains("secret cause"));
}

/// Nobody who has gone is told a made-up answer.
#[test]
fn a_client_that_is_gone_hears_nothing() {
    let frame = Frame { request_id: "id", host: "" };
    assert!(frame.failure(&FnfError::Gone.wire()).is_none());
}

#[test]
fn media_types() {
    let check = |content_type: &str| {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
        check_media_type(&headers).is_ok()
    };
    assert!(check_media_type(&HeaderMap::new()).is_ok());
    for known in [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-Urlencoded; charset=utf-8",
        "application/json",
        "application/json;charset=UTF-8",
        "",
    ] {
        assert!(check(known), "{known}");
    }
    for unknown in ["text/plain", "multipart/form-data; boundary=x", "application/jsonp", "json"] {
        assert!(!check(unknown), "{unknown}");
    }
}

/// The published error table of StopExecution, row by row. What the gate answers before the service is asked (key,
/// signature, time, header, size, quota) is shown by the gate's tests and from outside; what needs a fault or a second process
/// is rendered here.
#[tokio::test]
async fn the_error_table_of_stop_execution() {
    let service = Service::with_order().await;
    let both = [("FlowName", "order"), ("ExecutionName", "one")];
    let stop = |parameters: Vec<(&'static str, &'static str)>| {
        let service = &service;
        async move { service.call("StopExecution", &parameters).await }
    };
    stop(vec![both[0]]).await.fails(400, "MissingRequiredParams");
    stop(vec![both[1]]).await.fails(400, "MissingRequiredParams");
    stop(vec![("FlowName", "1st"), both[1]]).await.fails(400, "InvalidArgument");
    stop(vec![("FlowName", "nowhere"), both[1]]).await.fails(404, "FlowNotExists");
    stop(vec![both[0], ("ExecutionName", "two")]).await.fails(404, "ExecutionNotExists");
    stop(both.to_vec()).await.fails(400, "ExecutionAlreadyCompleted");
    let unknown = service.call("StopExecutions", &both).await;
    unknown.fails(400, "ActionNotSupported");
    let version = service.request(
        "Action=StopExecution&Version=2016-01-01&FlowName=order&ExecutionName=one",
        &HeaderMap::new(),
        b"",
    );
    Answer::of(&service.send(version).await).fails(400, "APIVersionNotSupported");

    let sequence = Conflict::Sequence { execution: [0; 16], expected: 1, found: 2 };
    let faults = [
        (FnfError::from(StoreError::Conflict(sequence)), 409, "ConcurrentUpdateError"),
        (FnfError::from(StoreError::Closed), 500, "InternalServerError"),
        (FnfError::UnsupportedMediaType, 415, "UnsupportedMediaType"),
        (FnfError::AccessDenied, 403, "AccessDenied"),
    ];
    for (error, status, code) in faults {
        rendered(&error).fails(status, code);
    }
}
