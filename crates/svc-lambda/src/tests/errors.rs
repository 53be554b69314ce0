//! Every error that the service can answer with, pinned: status, code and body.

use super::*;
use crate::{BadRecord, CatalogError, LambdaError, PackageError, function::State};
use durastack_names::FunctionArn;
use durastack_store::StoreError;
use durastack_wire::{BadShape, Constraints, IntoWire};

fn all() -> Vec<LambdaError> {
    let arn: FunctionArn = ARN.parse().unwrap();
    let mut constraints = Constraints::default();
    constraints.range("Timeout", Some(0), 1..);
    let wrong =
        BadShape::WrongType { member: "Timeout".to_owned(), problem: "no number".to_owned() };
    let io = || std::io::Error::other("secret cause");
    let package_file = PackageError::File { doing: "open", path: "/x".into(), source: io() };
    let catalog = [
        CatalogError::FunctionNotFound(arn.clone()),
        CatalogError::AliasNotFound(arn.clone()),
        CatalogError::OtherRegion {
            there: "eu-west-1".parse().unwrap(),
            here: "us-east-1".parse().unwrap(),
        },
        CatalogError::OtherAccount { caller: ACCOUNT.parse().unwrap(), arn: arn.clone() },
        CatalogError::TwoQualifiers,
        CatalogError::OnlyLatest,
        CatalogError::FunctionExists("order".parse().unwrap()),
        CatalogError::AliasExists(arn.clone()),
        CatalogError::NotReady(State::Pending),
        CatalogError::Updating(arn),
        CatalogError::OtherRevision,
        CatalogError::OtherCode { given: "a".to_owned(), current: "b".to_owned() },
        CatalogError::LatestStays,
        CatalogError::AliasByDeleteFunction,
        CatalogError::VersionInUse(vec!["dev".to_owned(), "live".to_owned()]),
        CatalogError::NotDurable,
        CatalogError::Package(PackageError::NotZip(None)),
        CatalogError::Package(PackageError::Empty),
        CatalogError::Package(PackageError::TooLarge),
        CatalogError::Package(package_file),
        CatalogError::Package(PackageError::CutOff),
        CatalogError::Store(StoreError::Closed),
        CatalogError::BadRecord(BadRecord::Newer { key: "k".to_owned(), found: 2 }),
    ];
    [
        LambdaError::BadShape(BadShape::Malformed("why".to_owned())),
        LambdaError::BadShape(wrong),
        LambdaError::BadShape(constraints.finish().unwrap_err()),
        LambdaError::BadValue("A value.".to_owned()),
    ]
    .into_iter()
    .chain(catalog.into_iter().map(LambdaError::Catalog))
    .collect()
}

#[test]
fn errors_are_as_they_were() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/errors/lambda.json");
    let rendered: Vec<Value> = all()
        .iter()
        .map(|error| {
            let answer = Answer::of(&error.wire().render("id").unwrap());
            json!({"status": answer.status, "code": answer.code, "body": answer.body})
        })
        .collect();
    let actual = serde_json::to_string_pretty(&rendered).unwrap() + "\n";
    if std::env::var_os("GOLDEN_UPDATE").is_some() {
        std::fs::write(&path, &actual).unwrap();
    }
    assert_eq!(actual, std::fs::read_to_string(&path).unwrap());
    assert!(!actual.contains("secret cause"));
}
