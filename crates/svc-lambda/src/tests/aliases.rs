//! Aliases: F8.

use super::*;

#[tokio::test]
async fn an_alias_points_at_a_version() {
    let service = Service::with_order().await;
    service.post("/order/versions", json!({})).await.is(201);
    let latest = json!({"Name": "dev", "FunctionVersion": "$LATEST", "Description": "Newest"});
    let made = service.post("/order/aliases", latest.clone()).await.is(201);
    assert_eq!(made.text("AliasArn"), format!("{ARN}:dev"));
    assert_eq!((made.text("FunctionVersion"), made.text("Description")), ("$LATEST", "Newest"));
    service.post("/order/aliases", latest).await.fails(
        409,
        "ResourceConflictException",
        &format!("Alias already exists: {ARN}:dev"),
    );
    let missing = json!({"Name": "live", "FunctionVersion": "9"});
    service.post("/order/aliases", missing).await.fails(
        404,
        "ResourceNotFoundException",
        &format!("Function not found: {ARN}:9"),
    );

    let revision = made.text("RevisionId").to_owned();
    let change = json!({"FunctionVersion": "1", "RevisionId": revision});
    let moved = service.put("/order/aliases/dev", change.clone()).await.is(200);
    assert_eq!((moved.text("FunctionVersion"), moved.text("Description")), ("1", "Newest"));
    let stale = service.put("/order/aliases/dev", change).await;
    assert_eq!((stale.status, &*stale.code), (412, "PreconditionFailedException"));
    let got = service.get("/order:dev").await.is(200).body["Configuration"].clone();
    assert_eq!((&got["FunctionArn"], &got["Version"]), (&json!(format!("{ARN}:dev")), &json!("1")));
    service.delete("/order:1").await.fails(
        409,
        "ResourceConflictException",
        "Unable to delete version because the following aliases reference it: [dev]",
    );
    service.delete("/order:dev").await.fails(
        400,
        "InvalidParameterValueException",
        "Deletion of aliases is not currently supported.",
    );
    service.delete("/order/aliases/dev").await.is(204);
    service.delete("/order/aliases/dev").await.is(204);
    for path in ["/order/aliases/dev", "/order:dev"] {
        service.get(path).await.fails(
            404,
            "ResourceNotFoundException",
            &format!("Cannot find alias arn: {ARN}:dev"),
        );
    }
}

#[tokio::test]
async fn weights_are_refused_rather_than_forgotten() {
    let service = Service::with_order().await;
    let weights = |weights: Value| json!({"Name": "live", "FunctionVersion": "$LATEST", "RoutingConfig": {"AdditionalVersionWeights": weights}});
    let refused = service.post("/order/aliases", weights(json!({"1": 0.5}))).await;
    assert_eq!((refused.status, &*refused.code), (400, "InvalidParameterValueException"));
    service.post("/order/aliases", weights(json!({}))).await.is(201);
}

#[tokio::test]
async fn aliases_have_pages() {
    let service = Service::with_order().await;
    service.post("/order/versions", json!({})).await.is(201);
    for (name, version) in [("b", "1"), ("a", "$LATEST"), ("c", "1")] {
        let body = json!({"Name": name, "FunctionVersion": version});
        service.post("/order/aliases", body).await.is(201);
    }
    let names = |page: &Answer| -> Vec<String> {
        let aliases = page.body["Aliases"].as_array().unwrap();
        aliases.iter().map(|a| a["Name"].as_str().unwrap().to_owned()).collect()
    };
    let page = service.get("/order/aliases?MaxItems=2").await.is(200);
    assert_eq!(names(&page), ["a", "b"]);
    let marker = page.text("NextMarker").replace('=', "%3D");
    let page = service.get(&format!("/order/aliases?Marker={marker}")).await.is(200);
    assert_eq!(names(&page), ["c"]);
    let page = service.get("/order/aliases?FunctionVersion=1").await.is(200);
    assert_eq!(names(&page), ["b", "c"]);
    let number = json!({"Name": "12", "FunctionVersion": "1"});
    let refused = service.post("/order/aliases", number).await;
    assert_eq!((refused.status, &*refused.code), (400, "ValidationException"));
}
