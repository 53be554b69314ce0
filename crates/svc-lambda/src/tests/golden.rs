//! Golden pairs, each against a service of its own that has the function `order` (durable, version 1, alias `live`),
//! and records as they were written once.

use super::*;
use durastack_testkit::golden;

#[tokio::test]
async fn pairs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/wire/lambda");
    let pairs = golden::pairs(&folder);
    assert!(!pairs.is_empty());
    for pair in pairs {
        let service = Service::start().await;
        let members = json!({
            "Publish": true,
            "DurableConfig": {"ExecutionTimeout": 3600, "RetentionPeriodInDays": 7},
            "Environment": {"Variables": {"STAGE": "test"}},
            "Tags": {"team": "checkout"},
        });
        service.create("order", members).await.is(201);
        service.settle();
        let live = json!({"Name": "live", "FunctionVersion": "1"});
        service.post("/order/aliases", live).await.is(201);
        pair.check(&service.send(pair.request()).await);
    }
}

/// What was written once is read for ever.
#[test]
fn records_of_the_first_format_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/records/lambda/v1");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let function = crate::records::read_function("k", &read("function.json")).unwrap();
    assert_eq!(function.arn.to_string(), ARN);
    assert_eq!(function.next_version, 2);
    assert_eq!(function.aliases.len(), 1);
    let durable = function.latest.settings.durable.clone().unwrap();
    assert_eq!((durable.execution_timeout_s, durable.retention_days), (3600, 7));
    let version = crate::records::read_version("k", &read("version.json")).unwrap();
    assert_eq!(version.version.to_string(), "1");
    assert_eq!(version.code, function.latest.code);
    // What is read is written again byte for byte.
    assert_eq!(crate::records::write_function(&function), trimmed(&read("function.json")));
    assert_eq!(crate::records::write_version(&version), trimmed(&read("version.json")));

    let newer = br#"{"format":2,"strange":true}"#;
    let error = crate::records::read_version("k", newer).unwrap_err().to_string();
    assert_eq!(error, "the record 'k' has format 2, but this version knows formats up to 1");
}

fn trimmed(bytes: &[u8]) -> Vec<u8> {
    bytes.trim_ascii_end().to_vec()
}
