//! Functions: made, shown, listed, changed, deleted.

use crate::{
    Lambda, LambdaError,
    catalog::{NewCode, NewFunction},
    configure::{Change, SettingsBody, not_built_text},
    describe::{Description, scope},
    members::{self, Page, bad_marker},
    packages::{from_hex, hex},
    tags,
};
use bytes::Bytes;
use durastack_names::{FunctionName, FunctionRef, Marker, Qualifier, Version};
use durastack_wire::{BadShape, Blob, Call, Constraints, Empty, FromRequest, Json, Request};
use http::header::HOST;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Bound, sync::Arc};

/// How many bytes of body the operations that carry code may have: 50 MB in base64.
/// Source: the text of the service's own refusal.
pub(crate) const CODE_BODY_BYTES_MAX: usize = 69_905_067;

/// How many bytes of body UpdateFunctionConfiguration may have. Source: Lambda quotas.
pub(crate) const CONFIGURATION_BODY_BYTES_MAX: usize = 5120;

/// Where code comes from: the members that CreateFunction has under `Code`, and UpdateFunctionCode at the top.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CodeBody {
    zip_file: Option<Blob>,
    #[serde(rename = "S3Bucket")]
    s3_bucket: Option<String>,
    image_uri: Option<String>,
}

impl CodeBody {
    fn zip(self) -> Result<Bytes, LambdaError> {
        let bad = |text: String| Err(LambdaError::BadValue(text));
        match self {
            Self { s3_bucket: Some(_), .. } => {
                bad(not_built_text("code from S3 (S3Bucket)") + "; send it as ZipFile")
            }
            Self { image_uri: Some(_), .. } => bad(not_built_text("container images (ImageUri)")),
            Self { zip_file: Some(zip), .. } => Ok(zip.0),
            Self { .. } => bad("Please provide a source for function code.".to_owned()),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CreateBody {
    function_name: Option<String>,
    role: Option<String>,
    code: Option<CodeBody>,
    publish: Option<bool>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Debug)]
pub(crate) struct CreateFunction {
    function: FunctionRef,
    code: CodeBody,
    settings: Change,
    publish: bool,
    tags: BTreeMap<String, String>,
}

impl FromRequest for CreateFunction {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let body: CreateBody = r.json()?;
        let settings = r.json::<SettingsBody>()?.check(&mut c);
        let name = c.required("FunctionName", body.function_name);
        let function = name.and_then(|name| members::function_text(&mut c, &name));
        c.required("Role", body.role);
        let code = c.required("Code", body.code);
        let tags = body.tags.unwrap_or_default();
        tags::check(&mut c, &tags);
        c.finish()?;
        Ok(Self {
            function: function.expect("checked by finish"),
            code: code.expect("checked by finish"),
            settings,
            publish: body.publish.unwrap_or_default(),
            tags,
        })
    }
}

pub(crate) async fn create(
    lambda: Arc<Lambda>,
    input: CreateFunction,
    call: Call,
) -> Result<Json<Description>, LambdaError> {
    let settings = input.settings.create(&input.function.name)?;
    let zip = input.code.zip()?;
    let new = NewFunction { settings, zip, tags: input.tags, publish: input.publish };
    let made = lambda.catalog.create(&scope(&call), &input.function, new).await?;
    Ok(Json(Description::of(made, lambda.catalog.wall())))
}

/// A function, and perhaps which version of it.
#[derive(Debug)]
pub(crate) struct QualifiedFunction {
    function: FunctionRef,
    qualifier: Option<Qualifier>,
}

impl FromRequest for QualifiedFunction {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let function = members::function(&mut c, r);
        let qualifier = c.take(r.query("Qualifier"));
        c.finish()?;
        Ok(Self {
            function: function.expect("checked by finish"),
            qualifier: qualifier.expect("checked by finish"),
        })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GotFunction {
    configuration: Description,
    code: CodeLocation,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CodeLocation {
    repository_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

/// A function, and under which name the caller reached this server: the code is to be had there too.
#[derive(Debug)]
pub(crate) struct GetFunction {
    which: QualifiedFunction,
    host: Option<String>,
}

impl FromRequest for GetFunction {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let host = r.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.map(|host| host.strip_prefix("http://").unwrap_or(host).to_owned());
        Ok(Self { which: QualifiedFunction::from_request(r)?, host })
    }
}

/// Differs: the real location is a URL of S3 that is good for ten minutes; this one is good as long as the code is.
pub(crate) async fn get(
    lambda: Arc<Lambda>,
    GetFunction { which, host }: GetFunction,
    call: Call,
) -> Result<Json<GotFunction>, LambdaError> {
    let found = lambda.catalog.resolve(&scope(&call), &which.function, which.qualifier.as_ref())?;
    let name = hex(&found.configuration.code.sha256);
    Ok(Json(GotFunction {
        tags: found.function.tags.clone(),
        configuration: Description::of(found, lambda.catalog.wall()),
        code: CodeLocation {
            repository_type: "S3",
            location: host.map(|host| format!("http://{host}{CODE_PATH}{name}.zip")),
        },
    }))
}

/// Where the admin API serves code packages, by their hash.
const CODE_PATH: &str = "/_durastack/code/";

/// The code package that a path of the admin API means, if there is one.
pub async fn package(lambda: &Lambda, path: &str) -> Option<Bytes> {
    let sha256 = from_hex(path.strip_prefix(CODE_PATH)?.strip_suffix(".zip")?)?;
    lambda.catalog.package(sha256).await
}

pub(crate) async fn get_configuration(
    lambda: Arc<Lambda>,
    input: QualifiedFunction,
    call: Call,
) -> Result<Json<Description>, LambdaError> {
    let found = lambda.catalog.resolve(&scope(&call), &input.function, input.qualifier.as_ref())?;
    Ok(Json(Description::of(found, lambda.catalog.wall())))
}

pub(crate) async fn delete(
    lambda: Arc<Lambda>,
    input: QualifiedFunction,
    call: Call,
) -> Result<Empty, LambdaError> {
    lambda.catalog.delete(&scope(&call), &input.function, input.qualifier.as_ref()).await?;
    Ok(Empty)
}

#[derive(Debug)]
pub(crate) struct ListFunctions {
    all_versions: bool,
    page: Page,
}

impl FromRequest for ListFunctions {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let version: Option<String> = c.take(r.query("FunctionVersion")).flatten();
        c.one_of("FunctionVersion", version.as_deref(), &["ALL"]);
        let page = Page::read(&mut c, r);
        c.finish()?;
        Ok(Self { all_versions: version.is_some(), page: page.expect("checked by finish") })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FunctionList {
    functions: Vec<Description>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

pub(crate) async fn list(
    lambda: Arc<Lambda>,
    input: ListFunctions,
    call: Call,
) -> Result<Json<FunctionList>, LambdaError> {
    let page = &input.page;
    let from = page.marker.as_ref().map(position).transpose()?;
    // A page that ended within a function's versions goes on with the same function.
    let start = match &from {
        None => Bound::Unbounded,
        Some((name, _)) if input.all_versions => Bound::Included(name.clone()),
        Some((name, _)) => Bound::Excluded(name.clone()),
    };
    // One more than the page tells whether there is another; the first may have been shown in full already.
    let found = lambda.catalog.list(&scope(&call), start, page.limit + 2);
    let is_behind = |name: &FunctionName, version: Version| {
        from.as_ref().is_none_or(|(n, v)| name != n || version > *v)
    };
    let mut functions: Vec<Description> = match input.all_versions {
        false => found
            .iter()
            .take(page.limit + 1)
            .map(|f| Description {
                arn: f.arn.clone(),
                configuration: Arc::clone(&f.latest),
                at: None,
            })
            .collect(),
        true => found
            .iter()
            .flat_map(|f| {
                std::iter::once(&f.latest).chain(f.versions.values()).map(move |c| (f, c))
            })
            .filter(|(f, c)| is_behind(&f.arn.name, c.version))
            .take(page.limit + 1)
            .map(|(f, c)| Description::listed(f, c))
            .collect(),
    };
    let marker = page
        .cut(&mut functions, |last| format!("{}:{}", last.arn.name, last.configuration.version));
    Ok(Json(FunctionList { functions, next_marker: marker.map(|m| m.to_string()) }))
}

/// The function and version that a marker stands for.
fn position(marker: &Marker) -> Result<(FunctionName, Version), BadShape> {
    let read = || {
        let (name, version) = marker.position().split_once(':')?;
        Some((name.parse().ok()?, version.parse().ok()?))
    };
    read().ok_or_else(bad_marker)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct UpdateCodeBody {
    architectures: Option<Vec<String>>,
    publish: Option<bool>,
    dry_run: Option<bool>,
    revision_id: Option<String>,
    publish_to: Option<String>,
}

#[derive(Debug)]
pub(crate) struct UpdateFunctionCode {
    function: FunctionRef,
    code: CodeBody,
    body: UpdateCodeBody,
}

impl FromRequest for UpdateFunctionCode {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let function = members::function(&mut c, r);
        let code = r.json()?;
        let body: UpdateCodeBody = r.json()?;
        c.items("Architectures", body.architectures.as_deref(), 1..=1);
        for architecture in body.architectures.iter().flatten() {
            c.one_of("Architectures", Some(architecture), &["x86_64", "arm64"]);
        }
        c.finish()?;
        Ok(Self { function: function.expect("checked by finish"), code, body })
    }
}

pub(crate) async fn update_code(
    lambda: Arc<Lambda>,
    input: UpdateFunctionCode,
    call: Call,
) -> Result<Json<Description>, LambdaError> {
    if input.body.publish_to.is_some() {
        return Err(LambdaError::BadValue(not_built_text("PublishTo")));
    }
    let new = NewCode {
        zip: input.code.zip()?,
        architecture: input.body.architectures.and_then(|a| a.into_iter().next()),
        publish: input.body.publish.unwrap_or_default(),
        dry_run: input.body.dry_run.unwrap_or_default(),
        revision_id: input.body.revision_id,
    };
    let changed = lambda.catalog.update_code(&scope(&call), &input.function, new).await?;
    Ok(Json(Description::of(changed, lambda.catalog.wall())))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RevisionBody {
    revision_id: Option<String>,
}

#[derive(Debug)]
pub(crate) struct UpdateFunctionConfiguration {
    function: FunctionRef,
    change: Change,
    revision_id: Option<String>,
}

impl FromRequest for UpdateFunctionConfiguration {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let function = members::function(&mut c, r);
        let change = r.json_or_empty::<SettingsBody>()?.check(&mut c);
        let RevisionBody { revision_id } = r.json_or_empty()?;
        c.finish()?;
        Ok(Self { function: function.expect("checked by finish"), change, revision_id })
    }
}

pub(crate) async fn update_configuration(
    lambda: Arc<Lambda>,
    input: UpdateFunctionConfiguration,
    call: Call,
) -> Result<Json<Description>, LambdaError> {
    let UpdateFunctionConfiguration { function, mut change, revision_id } = input;
    change.check_values()?;
    let (scope, logging) = (scope(&call), change.take_logging());
    let apply = |settings: &mut crate::function::Settings| {
        logging.apply(&mut settings.logging)?;
        change.apply(settings);
        Ok::<_, LambdaError>(())
    };
    let changed =
        lambda.catalog.update_settings(&scope, &function, revision_id.as_deref(), apply).await?;
    Ok(Json(Description::of(changed, lambda.catalog.wall())))
}
