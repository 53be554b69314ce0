//! Aliases.

use crate::{
    Lambda, LambdaError,
    catalog::{AliasChange, CatalogError},
    configure::not_built_text,
    describe::scope,
    function::Function,
    members::{self, Page, bad_marker},
};
use durastack_names::{AliasName, FunctionArn, FunctionRef, Qualifier, Version};
use durastack_wire::{BadShape, Call, Constraints, Empty, FromRequest, Json, Request};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Bound, sync::Arc};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AliasBody {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<RoutingConfig>,
    revision_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RoutingConfig {
    additional_version_weights: Option<BTreeMap<String, f64>>,
}

impl AliasBody {
    /// Tells the constraints what the members break, and reads the version.
    fn check(&self, c: &mut Constraints) -> Option<Version> {
        c.length("Description", self.description.as_deref(), ..=256);
        let version = self.function_version.as_deref();
        version.and_then(|text| c.take(members::read("FunctionVersion", text)))
    }

    /// An alias that sends a part of its invokes to another version is refused: to take it and send all of them to
    /// one would be worse.
    fn check_values(&self) -> Result<(), LambdaError> {
        let weights =
            self.routing_config.as_ref().and_then(|r| r.additional_version_weights.as_ref());
        match weights {
            Some(weights) if !weights.is_empty() => {
                Err(LambdaError::BadValue(not_built_text("aliases with AdditionalVersionWeights")))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AliasConfiguration {
    alias_arn: FunctionArn,
    name: AliasName,
    function_version: Version,
    description: String,
    revision_id: String,
}

/// The alias as it is shown; absent if there is none.
fn describe(function: &Function, name: &AliasName) -> Option<AliasConfiguration> {
    let alias = function.aliases.get(name)?;
    Some(AliasConfiguration {
        alias_arn: function.arn.qualified(Some(Qualifier::Alias(name.clone()))),
        name: name.clone(),
        function_version: alias.version,
        description: alias.description.clone(),
        revision_id: alias.revision_id.clone(),
    })
}

fn shown(function: &Function, name: &AliasName) -> Result<Json<AliasConfiguration>, LambdaError> {
    let missing = || {
        CatalogError::AliasNotFound(function.arn.qualified(Some(Qualifier::Alias(name.clone()))))
    };
    Ok(Json(describe(function, name).ok_or_else(missing)?))
}

#[derive(Debug)]
pub(crate) struct CreateAlias {
    function: FunctionRef,
    name: AliasName,
    version: Version,
    body: AliasBody,
}

impl FromRequest for CreateAlias {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let function = members::function(&mut c, r);
        let body: AliasBody = r.json()?;
        let name = c
            .required("Name", body.name.as_deref())
            .and_then(|text| c.take(members::read("Name", text)));
        c.required("FunctionVersion", body.function_version.as_deref());
        let version = body.check(&mut c);
        c.finish()?;
        Ok(Self {
            function: function.expect("checked by finish"),
            name: name.expect("checked by finish"),
            version: version.expect("checked by finish"),
            body,
        })
    }
}

pub(crate) async fn create(
    lambda: Arc<Lambda>,
    input: CreateAlias,
    call: Call,
) -> Result<Json<AliasConfiguration>, LambdaError> {
    input.body.check_values()?;
    let CreateAlias { function, name, version, body } = input;
    let description = body.description.unwrap_or_default();
    let function = lambda
        .catalog
        .create_alias(&scope(&call), &function, name.clone(), version, description)
        .await?;
    shown(&function, &name)
}

/// An alias, by labels.
#[derive(Debug)]
pub(crate) struct NamedAlias {
    function: FunctionRef,
    name: AliasName,
}

impl FromRequest for NamedAlias {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let function = members::function(&mut c, r);
        let name = c.take(r.label("Name"));
        c.finish()?;
        Ok(Self {
            function: function.expect("checked by finish"),
            name: name.expect("checked by finish"),
        })
    }
}

pub(crate) async fn get(
    lambda: Arc<Lambda>,
    input: NamedAlias,
    call: Call,
) -> Result<Json<AliasConfiguration>, LambdaError> {
    let function = lambda.catalog.get(&scope(&call), &input.function)?;
    shown(&function, &input.name)
}

pub(crate) async fn delete(
    lambda: Arc<Lambda>,
    input: NamedAlias,
    call: Call,
) -> Result<Empty, LambdaError> {
    lambda.catalog.delete_alias(&scope(&call), &input.function, &input.name).await?;
    Ok(Empty)
}

#[derive(Debug)]
pub(crate) struct UpdateAlias {
    alias: NamedAlias,
    version: Option<Version>,
    body: AliasBody,
}

impl FromRequest for UpdateAlias {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let alias = c.take(NamedAlias::from_request(r));
        let body: AliasBody = r.json_or_empty()?;
        let version = body.check(&mut c);
        c.finish()?;
        Ok(Self { alias: alias.expect("checked by finish"), version, body })
    }
}

pub(crate) async fn update(
    lambda: Arc<Lambda>,
    input: UpdateAlias,
    call: Call,
) -> Result<Json<AliasConfiguration>, LambdaError> {
    input.body.check_values()?;
    let UpdateAlias { alias: NamedAlias { function, name }, version, body } = input;
    let AliasBody { description, revision_id, .. } = body;
    let change = AliasChange { version, description, revision_id };
    let function = lambda.catalog.update_alias(&scope(&call), &function, &name, change).await?;
    shown(&function, &name)
}

#[derive(Debug)]
pub(crate) struct ListAliases {
    function: FunctionRef,
    version: Option<Version>,
    page: Page,
}

impl FromRequest for ListAliases {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let function = members::function(&mut c, r);
        let version = c.take(r.query("FunctionVersion"));
        let page = Page::read(&mut c, r);
        c.finish()?;
        Ok(Self {
            function: function.expect("checked by finish"),
            version: version.expect("checked by finish"),
            page: page.expect("checked by finish"),
        })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AliasList {
    aliases: Vec<AliasConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

pub(crate) async fn list(
    lambda: Arc<Lambda>,
    input: ListAliases,
    call: Call,
) -> Result<Json<AliasList>, LambdaError> {
    let function = lambda.catalog.get(&scope(&call), &input.function)?;
    let start: Bound<AliasName> = match &input.page.marker {
        None => Bound::Unbounded,
        Some(marker) => Bound::Excluded(marker.position().parse().map_err(|_| bad_marker())?),
    };
    let mut aliases: Vec<_> = function
        .aliases
        .range((start, Bound::Unbounded))
        .filter(|(_, alias)| input.version.is_none_or(|version| alias.version == version))
        .filter_map(|(name, _)| describe(&function, name))
        .take(input.page.limit + 1)
        .collect();
    let marker = input.page.cut(&mut aliases, |last| last.name.to_string());
    Ok(Json(AliasList { aliases, next_marker: marker.map(|m| m.to_string()) }))
}
