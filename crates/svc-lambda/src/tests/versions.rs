//! Versions: F5, F6.

use super::*;

const ONLY_LATEST: &str = "Current operation does not support versions other than $LATEST. Please set the version to $LATEST or do not set a version in your request.";

#[tokio::test]
async fn a_version_keeps_what_it_was_published_with() {
    let service = Service::with_order().await;
    let first = service.post("/order/versions", json!({"Description": "One"})).await.is(201);
    assert_eq!((first.text("Version"), first.text("Description")), ("1", "One"));
    let again = service.post("/order/versions", json!({"Description": "Again"})).await.is(201);
    assert_eq!(again.body, first.body);
    service.put("/order/code", json!({"ZipFile": ZIP_2})).await.is(200);
    service.settle();
    let second = service.post("/order/versions", json!({})).await.is(201);
    assert_eq!((second.text("Version"), second.text("Description")), ("2", ""));
    assert_ne!(second.text("CodeSha256"), first.text("CodeSha256"));
    for (name, version, sha) in [
        ("order:1", "1", first.text("CodeSha256")),
        ("order?Qualifier=1", "1", first.text("CodeSha256")),
        ("order:2", "2", second.text("CodeSha256")),
        ("000000000000:function:order:2", "2", second.text("CodeSha256")),
        ("order:$LATEST", "$LATEST", second.text("CodeSha256")),
    ] {
        let got = service.get(&format!("/{name}")).await.is(200).body["Configuration"].clone();
        assert_eq!((&got["Version"], &got["CodeSha256"]), (&json!(version), &json!(sha)), "{name}");
        assert_eq!(got["FunctionArn"], format!("{ARN}:{version}"), "{name}");
    }
    service.get("/order:99").await.fails(
        404,
        "ResourceNotFoundException",
        &format!("Function not found: {ARN}:99"),
    );
}

#[tokio::test]
async fn only_latest_changes() {
    let service = Service::with_order().await;
    service.post("/order/versions", json!({})).await.is(201);
    for (path, method) in [
        ("/order:1/code", Method::PUT),
        ("/order:1/configuration", Method::PUT),
        ("/order:1/versions", Method::POST),
    ] {
        let refused = service.call(method, path, json!({"ZipFile": ZIP_2})).await;
        refused.fails(400, "InvalidParameterValueException", ONLY_LATEST);
    }
    service.put("/order:$LATEST/code", json!({"ZipFile": ZIP_2})).await.is(200);
}

#[tokio::test]
async fn numbers_are_never_used_again() {
    let service = Service::with_order().await;
    service.post("/order/versions", json!({})).await.is(201);
    service.delete("/order:1").await.is(204);
    service.delete("/order?Qualifier=1").await.fails(
        404,
        "ResourceNotFoundException",
        &format!("Function not found: {ARN}:1"),
    );
    let service = service.restart().await;
    let next = service.post("/order/versions", json!({})).await.is(201);
    assert_eq!(next.text("Version"), "2");
    service.delete("/order:$LATEST").await.fails(
        400,
        "InvalidParameterValueException",
        "$LATEST version cannot be deleted without deleting the function.",
    );
}

#[tokio::test]
async fn the_publisher_may_name_the_code() {
    let service = Service::with_order().await;
    let wrong = service.post("/order/versions", json!({"CodeSha256": "x"})).await;
    let current = service.get("/order/configuration").await.text("CodeSha256").to_owned();
    wrong.fails(
        400,
        "InvalidParameterValueException",
        &format!("CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ({current}). Please try again with the CodeSHA256 in $LATEST."),
    );
    service.post("/order/versions", json!({"CodeSha256": current})).await.is(201);
}

#[tokio::test]
async fn versions_have_pages() {
    let service = Service::with_order().await;
    for timeout in 4..=6 {
        service.put("/order/configuration", json!({"Timeout": timeout})).await.is(200);
        service.settle();
        service.post("/order/versions", json!({})).await.is(201);
    }
    let page = service.get("/order/versions?MaxItems=3").await.is(200);
    let versions: Vec<_> =
        page.body["Versions"].as_array().unwrap().iter().map(|v| v["Version"].clone()).collect();
    assert_eq!(versions, ["$LATEST", "1", "2"]);
    let marker = page.text("NextMarker").replace('=', "%3D");
    let page = service.get(&format!("/order/versions?Marker={marker}")).await.is(200);
    assert_eq!(page.body["Versions"][0]["FunctionArn"], format!("{ARN}:3"));
    assert_eq!(page.body["NextMarker"], Value::Null);
}
