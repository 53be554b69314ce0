//! Functions: F1, F2, settings, names, lists, restarts.

use super::*;
use crate::Scope;
use durastack_names::FunctionRef;

#[tokio::test]
async fn a_function_is_pending_and_then_active() {
    let service = Service::start().await;
    let made = service.create("order", json!({"Publish": true})).await.is(201);
    assert_eq!((made.text("Version"), made.text("State")), ("1", "Pending"));
    assert_eq!(made.text("FunctionArn"), format!("{ARN}:1"));
    assert_eq!(made.text("StateReasonCode"), "Creating");
    assert_eq!(made.body["LastUpdateStatus"], Value::Null);

    let pending = "The operation cannot be performed at this time. The function is currently in the following state: Pending";
    let update = service.put("/order/configuration", json!({"Timeout": 5})).await;
    update.fails(409, "ResourceConflictException", pending);
    let scope = Scope { account: ACCOUNT.parse().unwrap(), region: "us-east-1".parse().unwrap() };
    let order: FunctionRef = "order".parse().unwrap();
    let resolved = service.lambda.catalog.resolve(&scope, &order, None).unwrap();
    let refused = service.lambda.catalog.invocable(&resolved.configuration).unwrap_err();
    assert_eq!(refused.to_string(), pending);
    service.settle();
    let got = service.get("/order").await.is(200).body["Configuration"].clone();
    assert_eq!((&got["State"], &got["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
    assert_eq!(got["Version"], "$LATEST");
    assert_eq!(got["LastModified"], "2026-01-02T03:04:05.678+0000");
    assert_eq!(got["CodeSize"], 156);
}

#[tokio::test]
async fn an_update_is_in_progress_for_a_while() {
    let service = Service::with_order().await;
    let busy = format!(
        "The operation cannot be performed at this time. An update is in progress for resource: {ARN}"
    );
    let changed = service.put("/order/configuration", json!({"Timeout": 5})).await.is(200);
    assert_eq!(changed.text("LastUpdateStatus"), "InProgress");
    assert_eq!((changed.text("State"), changed.body["Timeout"].as_u64()), ("Active", Some(5)));
    for path in ["/order/code", "/order/configuration"] {
        let again = service.put(path, json!({"ZipFile": ZIP_2})).await;
        again.fails(409, "ResourceConflictException", &busy);
    }
    let publish = service.post("/order/versions", json!({})).await;
    publish.fails(409, "ResourceConflictException", &busy);

    let service = service.restart().await;
    let publish = service.post("/order/versions", json!({})).await;
    publish.fails(409, "ResourceConflictException", &busy);
    service.settle();
    service.post("/order/versions", json!({})).await.is(201);
    let got = service.get("/order/configuration").await.is(200);
    assert_eq!(got.text("LastUpdateStatus"), "Successful");
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let service = Service::start().await;
    let members = json!({
        "Description": "Orders",
        "Timeout": 30,
        "MemorySize": 256,
        "EphemeralStorage": {"Size": 1024},
        "Architectures": ["arm64"],
        "Environment": {"Variables": {"STAGE": "test", "EMPTY": ""}},
        "TracingConfig": {"Mode": "Active"},
        "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "LogGroup": "/my/group"},
        "DurableConfig": {"ExecutionTimeout": 3600},
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
        "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"},
        "SnapStart": {"ApplyOn": "PublishedVersions"},
        "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"},
        "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        "Tags": {"team": "checkout"},
    });
    service.create("order", members).await.is(201);
    service.settle();
    service.post("/order/versions", json!({"Description": "First"})).await.is(201);
    service.post("/order/aliases", json!({"Name": "live", "FunctionVersion": "1"})).await.is(201);
    let all = ["/order", "/order:1", "/order:live", "/order/versions", "/order/aliases", "/"];
    let mut before = Vec::new();
    for path in all {
        before.push(service.get(path).await.is(200).body);
    }
    let scope = Scope { account: ACCOUNT.parse().unwrap(), region: "us-east-1".parse().unwrap() };
    let reference: FunctionRef = "order:live".parse().unwrap();
    let resolved = service.lambda.catalog.resolve(&scope, &reference, None).unwrap();
    let incarnation = resolved.function.incarnation.clone();

    let service = service.restart().await;
    for (path, before) in all.iter().zip(before) {
        assert_eq!(service.get(path).await.body, before, "{path}");
    }
    let resolved = service.lambda.catalog.resolve(&scope, &reference, None).unwrap();
    assert_eq!(resolved.function.incarnation, incarnation);
    assert!(service.lambda.catalog.incarnated(&resolved.function.arn, &incarnation).is_some());
    assert!(service.lambda.catalog.incarnated(&resolved.function.arn, "other").is_none());
    let folder = service.lambda.catalog.unpacked(resolved.configuration.code).await.unwrap();
    let text = std::fs::read_to_string(folder.join("index.py")).unwrap();
    assert_eq!(text, "def handler(event, context):\n    return 1\n");
}

#[tokio::test]
async fn a_durable_configuration_has_its_rules() {
    let service = Service::start().await;
    let made =
        service.create("order", json!({"DurableConfig": {"RetentionPeriodInDays": 3}})).await;
    made.fails(
        400,
        "InvalidParameterValueException",
        "You cannot create a function with a durable configuration without an executionTimeout",
    );
    let kms = "arn:aws:kms:us-east-1:000000000000:key/k";
    let durable = json!({"DurableConfig": {"ExecutionTimeout": 60, "KMSKeyArn": kms}});
    let made = service.create("order", durable).await.is(201);
    let expected = json!({"ExecutionTimeout": 60, "RetentionPeriodInDays": 14, "KMSKeyArn": kms});
    assert_eq!(made.body["DurableConfig"], expected);
    service.create("plain", Value::Null).await.is(201);
    service.settle();
    let retention = json!({"DurableConfig": {"RetentionPeriodInDays": 3}});
    let changed = service.put("/order/configuration", retention.clone()).await.is(200);
    let expected = json!({"ExecutionTimeout": 60, "RetentionPeriodInDays": 3});
    assert_eq!(changed.body["DurableConfig"], expected);
    let refused = service.put("/plain/configuration", retention).await;
    assert_eq!((refused.status, &*refused.code), (400, "InvalidParameterValueException"));
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let service = Service::start().await;
    let environment = |variables: Value| json!({"Environment": {"Variables": variables}});
    service.create("order", environment(json!({"AA": "1", "BB": "2"}))).await.is(201);
    service.settle();
    let changed =
        service.put("/order/configuration", environment(json!({"CC": "3"}))).await.is(200);
    assert_eq!(changed.body["Environment"]["Variables"], json!({"CC": "3"}));
    assert_eq!(changed.body["Handler"], "index.handler");
    service.settle();
    let json_logs = json!({"LoggingConfig": {"LogFormat": "JSON"}});
    let changed = service.put("/order/configuration", json_logs).await.is(200);
    assert_eq!(
        changed.body["LoggingConfig"],
        json!({"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "/aws/lambda/order"})
    );
    assert_eq!(changed.body["Environment"]["Variables"], json!({"CC": "3"}));
    service.settle();
    let text_level = json!({"LoggingConfig": {"LogFormat": "Text", "SystemLogLevel": "INFO"}});
    let refused = service.put("/order/configuration", text_level).await;
    assert_eq!((refused.status, &*refused.code), (400, "InvalidParameterValueException"));
}

#[tokio::test]
async fn revisions_are_checked() {
    let service = Service::with_order().await;
    let first = service.get("/order/configuration").await.text("RevisionId").to_owned();
    let changed = json!({"Timeout": 4, "RevisionId": first});
    let second = service.put("/order/configuration", changed.clone()).await.is(200);
    assert_ne!(second.text("RevisionId"), first);
    service.settle();
    for (path, method) in [
        ("/order/configuration", Method::PUT),
        ("/order/code", Method::PUT),
        ("/order/versions", Method::POST),
    ] {
        let body = json!({"RevisionId": first, "ZipFile": ZIP_2});
        let stale = service.call(method, path, body).await;
        assert_eq!((stale.status, &*stale.code), (412, "PreconditionFailedException"), "{path}");
    }
}

#[tokio::test]
async fn code_is_changed_or_only_tried() {
    let service = Service::with_order().await;
    let before = service.get("/order/configuration").await;
    let tried = service.put("/order/code", json!({"ZipFile": ZIP_2, "DryRun": true})).await.is(200);
    assert_ne!(tried.text("CodeSha256"), before.text("CodeSha256"));
    let after = service.get("/order/configuration").await;
    assert_eq!(after.body, before.body);
    let rubbish = service.put("/order/code", json!({"ZipFile": "aGVsbG8="})).await;
    rubbish.fails(
        400,
        "InvalidParameterValueException",
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    );
    let changed =
        service.put("/order/code", json!({"ZipFile": ZIP_2, "Publish": true})).await.is(200);
    assert_eq!(changed.text("Version"), "1");
    assert_eq!(changed.text("CodeSha256"), tried.text("CodeSha256"));
    service.settle();
    let none = service.put("/order/code", json!({})).await;
    none.fails(400, "InvalidParameterValueException", "Please provide a source for function code.");
    for source in [json!({"S3Bucket": "b", "S3Key": "k"}), json!({"ImageUri": "i"})] {
        let refused = service.put("/order/code", source).await;
        assert_eq!((refused.status, &*refused.code), (400, "InvalidParameterValueException"));
    }
}

#[tokio::test]
async fn a_function_has_many_names() {
    let service = Service::with_order().await;
    for name in [
        "order",
        "order:$LATEST",
        "order:%24LATEST",
        "function:order",
        "000000000000:function:order",
        "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aorder",
        "arn:aws:lambda:us-east-1:000000000000:function:order:$LATEST?Qualifier=$LATEST",
    ] {
        let got = service.get(&format!("/{name}")).await.is(200);
        assert_eq!(got.body["Configuration"]["FunctionName"], "order", "{name}");
    }
    service.create("order", Value::Null).await.fails(
        409,
        "ResourceConflictException",
        "Function already exist: order",
    );
    service.create(ARN, Value::Null).await.fails(
        409,
        "ResourceConflictException",
        "Function already exist: order",
    );
    service.get("/none").await.fails(
        404,
        "ResourceNotFoundException",
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:none",
    );
    service.get("/order:1?Qualifier=2").await.fails(
        400,
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
    );
    service.get("/arn:aws:lambda:eu-west-1:000000000000:function:order").await.fails(
        404,
        "ResourceNotFoundException",
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    );
    let foreign = service.get("/arn:aws:lambda:us-east-1:111111111111:function:order").await;
    assert_eq!((foreign.status, &*foreign.code), (403, "AccessDeniedException"));
}

#[tokio::test]
async fn accounts_and_regions_are_apart() {
    let mut service = Service::with_order().await;
    service.caller.region = "eu-west-1".parse().unwrap();
    service.get("/order").await.is(404);
    assert_eq!(service.get("").await.is(200).body, json!({"Functions": []}));
    service.create("order", Value::Null).await.is(201);
    service.caller.account = "111111111111".parse().unwrap();
    service.get("/order").await.is(404);
}

#[tokio::test]
async fn lists_have_pages() {
    let service = Service::start().await;
    for name in ["c", "a", "b"] {
        service.create(name, Value::Null).await.is(201);
    }
    service.settle();
    service.post("/a/versions", json!({})).await.is(201);
    let mut seen = Vec::new();
    for base in ["?MaxItems=2", "?FunctionVersion=ALL&MaxItems=1"] {
        let mut marker = String::new();
        loop {
            let page = service.get(&format!("{base}{marker}")).await.is(200);
            for function in page.body["Functions"].as_array().unwrap() {
                assert_eq!(function["State"], Value::Null);
                seen.push(
                    function["FunctionArn"]
                        .as_str()
                        .unwrap()
                        .rsplit("function:")
                        .next()
                        .unwrap()
                        .to_owned(),
                );
            }
            match page.body["NextMarker"].as_str() {
                Some(next) => marker = format!("&Marker={}", next.replace('=', "%3D")),
                None => break,
            }
        }
    }
    assert_eq!(seen, ["a", "b", "c", "a:$LATEST", "a:1", "b:$LATEST", "c:$LATEST"]);
    let wrong = service.get("?MaxItems=0&FunctionVersion=SOME").await;
    wrong.fails(
        400,
        "ValidationException",
        "2 validation errors detected: Value 'SOME' at 'functionVersion' failed to satisfy constraint: Member must satisfy enum value set: [ALL]; Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1",
    );
    service.get("?Marker=MTpub25zZW5zZQ==").await.is(400);
}

/// What CreateFunction answers to these members.
async fn check_refusal(members: Value, code: &str, message: &str) {
    let service = Service::start().await;
    service.create("order", members).await.fails(400, code, message);
}

#[tokio::test]
async fn constraints_are_told() {
    let validation = |text: &str| format!("1 validation error detected: Value {text}");
    check_refusal(
        json!({"Timeout": 0}),
        "ValidationException",
        &validation("'0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"),
    )
    .await;
    check_refusal(
        json!({"Role": null}),
        "ValidationException",
        &validation("null at 'role' failed to satisfy constraint: Member must not be null"),
    )
    .await;
    check_refusal(
        json!({"Role": "admin"}),
        "ValidationException",
        &validation(r"'admin' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"),
    )
    .await;
    let long = "f".repeat(65);
    check_refusal(
        json!({"FunctionName": long}),
        "ValidationException",
        &validation(&format!("'{long}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64")),
    )
    .await;
    check_refusal(
        json!({"Environment": {"Variables": {"_HANDLER": "x"}}}),
        "ValidationException",
        &validation("at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"),
    )
    .await;
    check_refusal(
        json!({"Runtime": null}),
        "InvalidParameterValueException",
        "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
    )
    .await;
    check_refusal(
        json!({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]}),
        "InvalidParameterValueException",
        "durastack does not build Layers yet",
    )
    .await;
    let service = Service::start().await;
    let wrong = service.create("order", json!({"Timeout": "3"})).await;
    assert_eq!((wrong.status, &*wrong.code), (400, "SerializationException"));
    assert!(wrong.message().starts_with("Timeout: invalid type"), "{}", wrong.message());
}

#[tokio::test]
async fn some_variables_are_not_the_owners() {
    let start = "Lambda was unable to configure your environment variables because the environment variables you have provided";
    let variables = |variables: Value| json!({"Environment": {"Variables": variables}});
    check_refusal(
        variables(json!({"AWS_REGION": "x", "FINE": "y", "AWS_ACCESS_KEY": "z"})),
        "InvalidParameterValueException",
        &format!("{start} contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_ACCESS_KEY, AWS_REGION"),
    )
    .await;
    // {"AA":"…"} is nine bytes around the value.
    let large = variables(json!({"AA": "x".repeat(4096 - 8)}));
    let text = large["Environment"]["Variables"].to_string();
    let message = format!("{start} exceeded the 4KB limit. String measured: {text}");
    check_refusal(large, "InvalidParameterValueException", &message).await;
    let service = Service::start().await;
    let just = variables(json!({"AA": "x".repeat(4096 - 9)}));
    service.create("order", just).await.is(201);
}

#[tokio::test]
async fn a_deleted_function_is_gone_and_its_name_free() {
    let service = Service::with_order().await;
    service.post("/order/versions", json!({})).await.is(201);
    service.post("/order/aliases", json!({"Name": "live", "FunctionVersion": "1"})).await.is(201);
    service.delete("/order").await.is(204);
    service.get("/order").await.is(404);
    service.delete("/order").await.is(404);
    service.create("order", Value::Null).await.is(201);
    let service = service.restart().await;
    service.settle();
    service.get("/order:1").await.is(404);
    let published = service.post("/order/versions", json!({})).await.is(201);
    assert_eq!(published.text("Version"), "1");
}

#[tokio::test]
async fn tags_belong_to_functions() {
    let service = Service::with_order().await;
    let arn = ARN.replace(':', "%3A");
    let tags = async |method: Method, query: &str, body: Value| {
        let request =
            Request::builder().method(method).uri(format!("/2017-03-31/tags/{arn}{query}"));
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        Answer::of(&service.send(request.body(body).unwrap()).await)
    };
    tags(Method::POST, "", json!({"Tags": {"a": "1", "b": "2", "c": ""}})).await.is(204);
    tags(Method::DELETE, "?tagKeys=a&tagKeys=none", Value::Null).await.is(204);
    let listed = tags(Method::GET, "", Value::Null).await.is(200);
    assert_eq!(listed.body, json!({"Tags": {"b": "2", "c": ""}}));
    assert_eq!(service.get("/order").await.body["Tags"], json!({"b": "2", "c": ""}));
    tags(Method::GET, "%3A1", Value::Null).await.fails(
        400,
        "InvalidParameterValueException",
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    );
    tags(Method::DELETE, "", Value::Null).await.is(400);
}

#[tokio::test]
async fn the_account_counts_code_once() {
    let service = Service::with_order().await;
    service.create("other", Value::Null).await.is(201);
    let request =
        Request::builder().uri("/2016-08-19/account-settings").body(Bytes::new()).unwrap();
    let settings = Answer::of(&service.send(request).await).is(200);
    assert_eq!(settings.body["AccountUsage"], json!({"TotalCodeSize": 156, "FunctionCount": 2}));
    assert_eq!(settings.body["AccountLimit"]["ConcurrentExecutions"], 1000);
}
