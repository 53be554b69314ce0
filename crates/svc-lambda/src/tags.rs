//! Tags of functions.

use crate::{Lambda, LambdaError, describe::scope};
use durastack_names::{FunctionArn, FunctionRef};
use durastack_wire::{BadShape, Call, Constraints, Empty, FromRequest, Json, Request};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Source: Lambda developer guide, "Tag requirements".
const TAGS_MAX: usize = 50;

const PATTERN: &str = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)";

/// Tells the constraints what the tags break.
pub(crate) fn check(c: &mut Constraints, tags: &BTreeMap<String, String>) {
    for (key, value) in tags {
        c.length("Tags.Key", Some(key), 1..=128);
        c.pattern("Tags.Key", Some(key), PATTERN, is_tag);
        c.length("Tags.Value", Some(value), ..=256);
        c.pattern("Tags.Value", Some(value), PATTERN, is_tag);
    }
    if tags.len() > TAGS_MAX {
        let text = format!("Member must have length less than or equal to {TAGS_MAX}");
        c.broken("Tags", &format!("{} tags", tags.len()), text);
    }
}

fn is_tag(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c))
}

/// The label `Resource`. Only functions can be tagged here.
fn resource(c: &mut Constraints, r: &Request) -> Option<FunctionArn> {
    c.take(r.label("Resource"))
}

/// Tags belong to the function as a whole. Source: the service's refusal.
fn whole(arn: FunctionArn) -> Result<FunctionRef, LambdaError> {
    match arn.qualifier {
        Some(_) => Err(LambdaError::BadValue(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
                .to_owned(),
        )),
        None => Ok(FunctionRef {
            region: Some(arn.region),
            account: Some(arn.account),
            name: arn.name,
            qualifier: None,
        }),
    }
}

#[derive(Debug)]
pub(crate) struct ListTags(FunctionArn);

impl FromRequest for ListTags {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let arn = resource(&mut c, r);
        c.finish()?;
        Ok(Self(arn.expect("checked by finish")))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tags {
    tags: BTreeMap<String, String>,
}

pub(crate) async fn list(
    lambda: Arc<Lambda>,
    ListTags(arn): ListTags,
    call: Call,
) -> Result<Json<Tags>, LambdaError> {
    let function = lambda.catalog.get(&scope(&call), &whole(arn)?)?;
    Ok(Json(Tags { tags: function.tags.clone() }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TagBody {
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Debug)]
pub(crate) struct TagResource {
    arn: FunctionArn,
    tags: BTreeMap<String, String>,
}

impl FromRequest for TagResource {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let arn = resource(&mut c, r);
        let TagBody { tags } = r.json()?;
        let tags = c.required("Tags", tags).unwrap_or_default();
        check(&mut c, &tags);
        c.finish()?;
        Ok(Self { arn: arn.expect("checked by finish"), tags })
    }
}

pub(crate) async fn tag(
    lambda: Arc<Lambda>,
    input: TagResource,
    call: Call,
) -> Result<Empty, LambdaError> {
    let add = |tags: &mut BTreeMap<String, String>| {
        tags.extend(input.tags);
        match tags.len() {
            n if n > TAGS_MAX => Err(LambdaError::BadValue(format!(
                "A function can have at most {TAGS_MAX} tags; this one would have {n}"
            ))),
            _ => Ok(()),
        }
    };
    lambda.catalog.change_tags(&scope(&call), &whole(input.arn)?, add).await?;
    Ok(Empty)
}

#[derive(Debug)]
pub(crate) struct UntagResource {
    arn: FunctionArn,
    keys: Vec<String>,
}

impl FromRequest for UntagResource {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let arn = resource(&mut c, r);
        let keys: Vec<String> = c.take(r.query_list("tagKeys")).unwrap_or_default();
        c.required("TagKeys", keys.first());
        c.finish()?;
        Ok(Self { arn: arn.expect("checked by finish"), keys })
    }
}

pub(crate) async fn untag(
    lambda: Arc<Lambda>,
    input: UntagResource,
    call: Call,
) -> Result<Empty, LambdaError> {
    let remove = |tags: &mut BTreeMap<String, String>| {
        for key in &input.keys {
            tags.remove(key);
        }
        Ok::<_, LambdaError>(())
    };
    lambda.catalog.change_tags(&scope(&call), &whole(input.arn)?, remove).await?;
    Ok(Empty)
}
