//! Flows made, changed and deleted; what becomes of their executions.

use super::*;
use crate::records;
use durastack_store::{Batch, Change, Expect, ListQuery, RecordsQuery, Store};

async fn rows(service: &Service, flow: &str) -> usize {
    let query = ListQuery { scope: flow.to_owned(), limit: 100, ..ListQuery::default() };
    service.store.list(query).await.unwrap().len()
}

async fn deleted(service: &Service) -> usize {
    let query = RecordsQuery {
        namespace: records::DELETED,
        prefix: String::new(),
        after: None,
        limit: 100,
    };
    service.store.records(query).await.unwrap().len()
}

/// Waits for the deletions in the background, by ending the service.
async fn settled(service: Service) -> Service {
    // The tasks run on this thread alone: whatever is ready runs before this one is asked again.
    for _ in 0..10_000 {
        if deleted(&service).await == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    service.restart().await
}

#[tokio::test]
async fn a_deleted_flow_takes_its_executions_along() {
    let service = Service::with_order().await;
    let id = service.call("DescribeFlow", &[("Name", "wait")]).await.text("Id").to_owned();
    assert_eq!(rows(&service, &id).await, 1);
    service.call("DeleteFlow", &[("Name", "wait")]).await.succeeds();
    for action in ["DescribeExecution", "GetExecutionHistory", "StopExecution", "StartExecution"] {
        service.about(action, "wait", "one").await.fails(404, "FlowNotExists");
    }
    let made = service.create("wait", GREET).await;
    assert_ne!(made.text("Id"), id);
    service.about("DescribeExecution", "wait", "one").await.fails(404, "ExecutionNotExists");
    service.begin("wait", "one", r#"{"who":"Ada"}"#).await;

    let service = settled(service).await;
    assert_eq!((rows(&service, &id).await, deleted(&service).await), (0, 0));
    let found = service.about("DescribeExecution", "wait", "one").await.succeeds();
    assert_eq!(found.text("Status"), "Succeeded");
    service.about("DescribeExecution", "order", "one").await.succeeds();
}

#[tokio::test]
async fn a_deletion_goes_on_after_a_restart() {
    let service = Service::with_order().await;
    let id = service.call("DescribeFlow", &[("Name", "wait")]).await.text("Id").to_owned();
    // As if durastack had ended right after the deletion's commit.
    service.fnf.catalog.delete(&service.caller, "wait").await.unwrap();
    assert_eq!((rows(&service, &id).await, deleted(&service).await), (1, 1));
    let service = settled(service.restart().await).await;
    assert_eq!((rows(&service, &id).await, deleted(&service).await), (0, 0));
}

#[tokio::test]
async fn flows_are_as_they_were_after_a_restart() {
    let service = Service::with_order().await;
    service.call("UpdateFlow", &[("Name", "order"), ("Description", "said")]).await.succeeds();
    let before = service.call("ListFlows", &[]).await.succeeds().body;
    let service = service.restart().await;
    assert_eq!(service.call("ListFlows", &[]).await.succeeds().body, before);
}

#[tokio::test]
async fn a_change_between_look_and_write_is_a_conflict() {
    let service = Service::with_order().await;
    let key = records::key(&service.caller.account, &service.caller.region, "order");
    // Another process has deleted the record that this one remembers.
    let change = Change { namespace: records::FLOWS, key, value: None, expect: Expect::Anything };
    service.store.commit(Batch { records: vec![change], ..Batch::default() }).await.unwrap();
    let update = service.call("UpdateFlow", &[("Name", "order"), ("Description", "x")]).await;
    update.fails(409, "ConcurrentUpdateError");
    let delete = service.call("DeleteFlow", &[("Name", "order")]).await;
    delete.fails(409, "ConcurrentUpdateError");
}

#[tokio::test]
async fn accounts_and_regions_are_apart() {
    let mut service = Service::with_order().await;
    service.caller.region = "cn-beijing".parse().unwrap();
    service.call("DescribeFlow", &[("Name", "order")]).await.fails(404, "FlowNotExists");
    service.create("order", WAIT).await;
    let page = service.call("ListFlows", &[]).await.succeeds();
    assert_eq!(page.body["Flows"].as_array().unwrap().len(), 1);
    service.caller.region = "cn-hangzhou".parse().unwrap();
    let found = service.call("DescribeFlow", &[("Name", "order")]).await;
    assert_eq!(found.text("Definition"), GREET);
}
