//! Event invokes of plain functions: when they are tried again.

use super::*;
use crate::Scope;
use durastack_driver::{Clockwork, Next};
use durastack_runner::Invocation;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_event_is_retried_from_deadline_to_deadline() {
    let service = Service::with_order().await;
    // Without its code every attempt fails, and none starts a process.
    std::fs::remove_dir_all(service.folder.path().join("code")).unwrap();
    let accepted = service.clock.now();
    let scope = Scope { account: ACCOUNT.parse().unwrap(), region: "us-east-1".parse().unwrap() };
    let order = service.lambda.catalog.resolve(&scope, &"order".parse().unwrap(), None).unwrap();
    let invocation = Invocation {
        request_id: durastack_testkit::golden::REQUEST_ID.to_owned(),
        event: Bytes::from_static(b"{}"),
        invoked_arn: ARN.to_owned(),
        client_context: None,
        tenant_id: None,
        trace_id: None,
        execution_arn: None,
        nested: false,
    };
    service.lambda.queue(&order, invocation).await.unwrap();
    let (clock, store) = (service.clock.clone(), service.store.clone());
    let clockwork = Clockwork::new(clock, store, vec![service.lambda.clone()]);

    let seen = |next: Option<Next>| next.map(|next| (next.at, next.purpose));
    let words = |attempt| format!("event invoke of 'order', attempt {attempt} of 3");
    assert_eq!(clockwork.advance(Duration::ZERO).await.unwrap().delivered, 0);
    assert_eq!(seen(clockwork.next().await.unwrap()), Some((accepted.plus(MINUTE), words(2))));
    // Late for the second attempt: the third one is not put off by that.
    assert_eq!(clockwork.advance(MINUTE * 2).await.unwrap().delivered, 1);
    assert_eq!(seen(clockwork.next().await.unwrap()), Some((accepted.plus(MINUTE * 3), words(3))));
    assert_eq!(clockwork.advance(MINUTE).await.unwrap().delivered, 1);
    assert_eq!(seen(clockwork.next().await.unwrap()), None);
}
