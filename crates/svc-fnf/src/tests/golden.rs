//! Golden pairs, each against a service of its own with the flows `order` and `wait` and an execution `one` of each, and
//! records as they were written once.

use super::*;
use durastack_testkit::golden;

#[tokio::test]
async fn pairs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/wire/fnf");
    let pairs = golden::pairs(&folder);
    assert!(!pairs.is_empty());
    for pair in pairs {
        let service = Service::with_order().await;
        let request = pair.request();
        let query = request.uri().query().unwrap_or_default();
        let request = service.request(query, request.headers(), request.body());
        pair.check(&service.send(request).await);
    }
}

/// What was written once is read for ever.
#[test]
fn records_of_the_first_format_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/records/fnf/v1");
    let written = std::fs::read(folder.join("flow.json")).unwrap();
    let flow = crate::records::read("k", &written).unwrap();
    assert_eq!((flow.name(), &*flow.role_arn), ("order", "acs:ram::000000000000:role/r"));
    assert_eq!(flow.environment.as_ref().map(Vec::len), Some(1));
    // What is read is written again byte for byte.
    assert_eq!(crate::records::write(&flow), written.trim_ascii_end());

    let read = |text: &str| crate::records::read("k", text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        read(r#"{"format":2,"strange":true}"#),
        "the record 'k' has format 2, but this version knows formats up to 1"
    );
    assert_eq!(read(r#"{"format":1}"#), "the record 'k' cannot be read");
}
