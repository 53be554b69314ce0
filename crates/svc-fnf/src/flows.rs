//! Flows: create, update, describe, delete, list.

use crate::{
    error::FnfError,
    flow::{Flow, Variable},
    fnf::Fnf,
    parameters::{limit, name, not_built, one_of},
};
use durastack_flow::Definition;
use durastack_wire::{
    Call,
    rpc::{BadParameter, FromParameters, Parameters},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a flow's type may be. Source: API reference; terraform's provider also takes `DEFAULT`.
const TYPES: [&str; 2] = ["FDL", "DEFAULT"];

/// The only mode that flows of the old language have.
const STANDARD: &str = "Standard";

/// A flow as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Shown {
    id: String,
    name: String,
    r#type: String,
    definition: String,
    description: String,
    role_arn: String,
    external_storage_location: String,
    execution_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Environment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_group_id: Option<String>,
    created_time: String,
    last_modified_time: String,
}

/// The variables of a flow, in requests a JSON text, in answers a member.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    #[serde(default)]
    variables: Vec<EnvironmentVariable>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EnvironmentVariable {
    name: String,
    #[serde(default)]
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl From<Environment> for Vec<Variable> {
    fn from(environment: Environment) -> Self {
        let variable = |v: EnvironmentVariable| Variable {
            name: v.name,
            value: v.value,
            description: v.description,
        };
        environment.variables.into_iter().map(variable).collect()
    }
}

impl Environment {
    fn of(variables: &[Variable]) -> Self {
        let variable = |v: &Variable| EnvironmentVariable {
            name: v.name.clone(),
            value: v.value.clone(),
            description: v.description.clone(),
        };
        Self { variables: variables.iter().map(variable).collect() }
    }
}

impl Shown {
    fn of(flow: &Flow) -> Self {
        Self {
            id: flow.id.clone(),
            name: flow.name().to_owned(),
            r#type: flow.kind.clone(),
            definition: flow.definition.text().to_owned(),
            description: flow.description.clone(),
            role_arn: flow.role_arn.clone(),
            external_storage_location: flow.external_storage_location.clone(),
            execution_mode: STANDARD,
            environment: flow.environment.as_deref().map(Environment::of),
            resource_group_id: flow.resource_group_id.clone(),
            created_time: flow.created.iso(),
            last_modified_time: flow.modified.iso(),
        }
    }
}

/// A flow to be made.
pub(crate) struct CreateInput {
    name: String,
    definition: String,
    kind: &'static str,
    description: String,
    role_arn: String,
    external_storage_location: String,
    environment: Option<Vec<Variable>>,
    resource_group_id: Option<String>,
}

impl FromParameters for CreateInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        parameters.required("Name")?;
        let definition = parameters.required("Definition")?.to_owned();
        // An empty one is a description; one that is not there is missing. Source: API reference, CreateFlow.
        let description =
            parameters.get("Description").ok_or(BadParameter::Missing("Description"))?.to_owned();
        let kind = parameters.required("Type")?;
        let text = |member| parameters.get(member).unwrap_or_default().to_owned();
        if let Some(mode) = parameters.text("ExecutionMode")
            && one_of("ExecutionMode", mode, &[STANDARD, "Express"])? != STANDARD
        {
            let problem = "Express flows are written in the newer language, which durastack does not build yet";
            return Err(BadParameter::invalid("ExecutionMode", mode, problem));
        }
        Ok(Self {
            name: name(parameters, "Name")?,
            definition,
            kind: one_of("Type", kind, &TYPES)?,
            description,
            role_arn: text("RoleArn"),
            external_storage_location: text("ExternalStorageLocation"),
            environment: parameters.json::<Environment>("Environment")?.map(Into::into),
            resource_group_id: parameters.text("ResourceGroupId").map(str::to_owned),
        })
    }
}

pub(crate) async fn create(
    fnf: Arc<Fnf>,
    input: CreateInput,
    call: Call,
) -> Result<Shown, FnfError> {
    let now = fnf.clock.now();
    let flow = Flow {
        id: fnf.uuid(),
        account: call.caller.account,
        region: call.caller.region,
        definition: Definition::parse(input.name, input.definition)?,
        kind: input.kind.to_owned(),
        description: input.description,
        role_arn: input.role_arn,
        external_storage_location: input.external_storage_location,
        environment: input.environment,
        resource_group_id: input.resource_group_id,
        created: now,
        modified: now,
    };
    Ok(Shown::of(&*fnf.catalog.create(flow).await?))
}

/// A change of a flow: what is absent stays. An empty description or role is a value.
pub(crate) struct UpdateInput {
    name: String,
    definition: Option<String>,
    kind: Option<&'static str>,
    description: Option<String>,
    role_arn: Option<String>,
    environment: Option<Vec<Variable>>,
}

impl FromParameters for UpdateInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        let text = |member| parameters.get(member).map(str::to_owned);
        let kind = parameters.text("Type").map(|kind| one_of("Type", kind, &TYPES));
        Ok(Self {
            name: name(parameters, "Name")?,
            definition: parameters.text("Definition").map(str::to_owned),
            kind: kind.transpose()?,
            description: text("Description"),
            role_arn: text("RoleArn"),
            environment: parameters.json::<Environment>("Environment")?.map(Into::into),
        })
    }
}

pub(crate) async fn update(
    fnf: Arc<Fnf>,
    input: UpdateInput,
    call: Call,
) -> Result<Shown, FnfError> {
    let now = fnf.clock.now();
    let name = input.name.clone();
    let change = |flow: &mut Flow| {
        if let Some(text) = input.definition {
            flow.definition = Definition::parse(input.name, text)?;
        }
        if let Some(kind) = input.kind {
            kind.clone_into(&mut flow.kind);
        }
        flow.description = input.description.unwrap_or_else(|| flow.description.clone());
        flow.role_arn = input.role_arn.unwrap_or_else(|| flow.role_arn.clone());
        flow.environment = input.environment.or_else(|| flow.environment.clone());
        flow.modified = now;
        Ok::<(), FnfError>(())
    };
    Ok(Shown::of(&*fnf.catalog.update(&call.caller, &name, change).await?))
}

/// One flow.
pub(crate) struct NameInput {
    name: String,
}

impl FromParameters for NameInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        let name = name(parameters, "Name")?;
        not_built(parameters, "FlowVersion")?;
        Ok(Self { name })
    }
}

pub(crate) async fn describe(
    fnf: Arc<Fnf>,
    input: NameInput,
    call: Call,
) -> Result<Shown, FnfError> {
    Ok(Shown::of(&*fnf.catalog.get(&call.caller, &input.name)?))
}

pub(crate) async fn delete(fnf: Arc<Fnf>, input: NameInput, call: Call) -> Result<(), FnfError> {
    fnf.delete(&call.caller, &input.name).await
}

/// A page of flows.
pub(crate) struct ListInput {
    from: String,
    limit: usize,
    resource_group_id: Option<String>,
}

impl FromParameters for ListInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        Ok(Self {
            from: parameters.text("NextToken").unwrap_or_default().to_owned(),
            // The page says less than 1000; tools send 1000.
            limit: limit(parameters, 1..=1000)?,
            resource_group_id: parameters.text("ResourceGroupId").map(str::to_owned),
        })
    }
}

/// A page of flows, by name.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Page {
    flows: Vec<Shown>,
    /// The name of the next flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(crate) async fn list(fnf: Arc<Fnf>, input: ListInput, call: Call) -> Result<Page, FnfError> {
    let group = input.resource_group_id.as_deref();
    let found = fnf.catalog.list(&call.caller, &input.from, group, input.limit + 1);
    Ok(Page {
        flows: found.iter().take(input.limit).map(|flow| Shown::of(flow)).collect(),
        next_token: found.get(input.limit).map(|flow| flow.name().to_owned()),
    })
}
