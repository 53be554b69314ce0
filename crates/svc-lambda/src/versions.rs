//! Published versions.

use crate::{
    Lambda, LambdaError,
    catalog::Publication,
    configure::not_built_text,
    describe::{Description, scope},
    members::{self, Page, bad_marker},
};
use durastack_names::{FunctionRef, Version};
use durastack_wire::{BadShape, Call, Constraints, FromRequest, Json, Request};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PublishBody {
    #[serde(rename = "CodeSha256")]
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
    publish_to: Option<String>,
}

#[derive(Debug)]
pub(crate) struct PublishVersion {
    function: FunctionRef,
    body: PublishBody,
}

impl FromRequest for PublishVersion {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let function = members::function(&mut c, r);
        let body: PublishBody = r.json_or_empty()?;
        c.length("Description", body.description.as_deref(), ..=256);
        c.finish()?;
        Ok(Self { function: function.expect("checked by finish"), body })
    }
}

pub(crate) async fn publish(
    lambda: Arc<Lambda>,
    input: PublishVersion,
    call: Call,
) -> Result<Json<Description>, LambdaError> {
    let PublishBody { code_sha256, description, revision_id, publish_to } = input.body;
    if publish_to.is_some() {
        return Err(LambdaError::BadValue(not_built_text("PublishTo")));
    }
    let publication = Publication {
        // An empty text is what some tools send for none.
        code_sha256: code_sha256.filter(|s| !s.is_empty()),
        description: description.filter(|d| !d.is_empty()),
        revision_id,
    };
    let version = lambda.catalog.publish(&scope(&call), &input.function, publication).await?;
    Ok(Json(Description::of(version, lambda.catalog.wall())))
}

#[derive(Debug)]
pub(crate) struct ListVersions {
    function: FunctionRef,
    page: Page,
}

impl FromRequest for ListVersions {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let function = members::function(&mut c, r);
        let page = Page::read(&mut c, r);
        c.finish()?;
        Ok(Self {
            function: function.expect("checked by finish"),
            page: page.expect("checked by finish"),
        })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VersionList {
    versions: Vec<Description>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

pub(crate) async fn list(
    lambda: Arc<Lambda>,
    input: ListVersions,
    call: Call,
) -> Result<Json<VersionList>, LambdaError> {
    let function = lambda.catalog.get(&scope(&call), &input.function)?;
    let after: Option<Version> = match &input.page.marker {
        None => None,
        Some(marker) => Some(marker.position().parse().map_err(|_| bad_marker())?),
    };
    let mut versions: Vec<_> = std::iter::once(&function.latest)
        .chain(function.versions.values())
        .filter(|c| after.is_none_or(|after| c.version > after))
        .take(input.page.limit + 1)
        .map(|c| Description::listed(&function, c))
        .collect();
    let marker = input.page.cut(&mut versions, |last| last.configuration.version.to_string());
    Ok(Json(VersionList { versions, next_marker: marker.map(|m| m.to_string()) }))
}
