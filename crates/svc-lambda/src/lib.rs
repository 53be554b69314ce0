//! The Lambda API: its table of operations, and what each does.
//!
//! [`Catalog`] is the part that other services and the engine's driver ask; it knows no HTTP.

mod account;
mod aliases;
mod catalog;
mod configure;
mod describe;
mod environment;
mod error;
mod function;
mod functions;
mod members;
mod operations;
mod packages;
mod records;
mod tags;
mod versions;

#[cfg(test)]
mod tests;

pub use catalog::{
    AliasChange, Catalog, CatalogError, NewCode, NewFunction, Publication, Resolved, Scope,
};
pub use environment::RESERVED as RESERVED_VARIABLES;
pub use error::LambdaError;
pub use function::{
    Alias, Change, Code, Configuration, Durable, Function, Logging, Readiness, Settings, State, Vpc,
};
pub use packages::{PackageError, UNPACKED_BYTES_MAX};
pub use records::BadRecord;

use durastack_wire::{Op, Routes};
use functions::{CODE_BODY_BYTES_MAX, CONFIGURATION_BODY_BYTES_MAX};
use http::StatusCode;
use std::sync::Arc;

/// The service.
#[derive(Debug)]
pub struct Lambda {
    pub(crate) catalog: Arc<Catalog>,
}

impl Lambda {
    /// A service over these functions.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }
}

/// The table of all operations.
#[must_use]
pub fn routes(lambda: Arc<Lambda>) -> Routes<Lambda> {
    let routes = Routes::new(lambda)
        .op(
            Op::post("CreateFunction", "/2015-03-31/functions")
                .answers(StatusCode::CREATED)
                .body_bytes_max(CODE_BODY_BYTES_MAX)
                .partial("code from S3 and images, layers, file systems, managed instances"),
            functions::create,
        )
        .op(
            Op::get("GetFunction", "/2015-03-31/functions/{FunctionName}")
                .partial("the location of the code"),
            functions::get,
        )
        .op(
            Op::get(
                "GetFunctionConfiguration",
                "/2015-03-31/functions/{FunctionName}/configuration",
            ),
            functions::get_configuration,
        )
        .op(
            Op::get("ListFunctions", "/2015-03-31/functions").partial("MasterRegion"),
            functions::list,
        )
        .op(
            Op::put("UpdateFunctionCode", "/2015-03-31/functions/{FunctionName}/code")
                .body_bytes_max(CODE_BODY_BYTES_MAX)
                .partial("code from S3 and images"),
            functions::update_code,
        )
        .op(
            Op::put(
                "UpdateFunctionConfiguration",
                "/2015-03-31/functions/{FunctionName}/configuration",
            )
            .body_bytes_max(CONFIGURATION_BODY_BYTES_MAX)
            .partial("layers, file systems, managed instances"),
            functions::update_configuration,
        )
        .op(
            Op::delete("DeleteFunction", "/2015-03-31/functions/{FunctionName}")
                .answers(StatusCode::NO_CONTENT),
            functions::delete,
        )
        .op(
            Op::post("PublishVersion", "/2015-03-31/functions/{FunctionName}/versions")
                .answers(StatusCode::CREATED)
                .partial("PublishTo"),
            versions::publish,
        )
        .op(
            Op::get("ListVersionsByFunction", "/2015-03-31/functions/{FunctionName}/versions"),
            versions::list,
        )
        .op(
            Op::post("CreateAlias", "/2015-03-31/functions/{FunctionName}/aliases")
                .answers(StatusCode::CREATED)
                .partial("weights"),
            aliases::create,
        )
        .op(
            Op::get("GetAlias", "/2015-03-31/functions/{FunctionName}/aliases/{Name}"),
            aliases::get,
        )
        .op(
            Op::put("UpdateAlias", "/2015-03-31/functions/{FunctionName}/aliases/{Name}")
                .partial("weights"),
            aliases::update,
        )
        .op(
            Op::delete("DeleteAlias", "/2015-03-31/functions/{FunctionName}/aliases/{Name}")
                .answers(StatusCode::NO_CONTENT),
            aliases::delete,
        )
        .op(Op::get("ListAliases", "/2015-03-31/functions/{FunctionName}/aliases"), aliases::list)
        .op(
            Op::get("ListTags", "/2017-03-31/tags/{Resource}").partial("functions alone"),
            tags::list,
        )
        .op(
            Op::post("TagResource", "/2017-03-31/tags/{Resource}")
                .answers(StatusCode::NO_CONTENT)
                .partial("functions alone"),
            tags::tag,
        )
        .op(
            Op::delete("UntagResource", "/2017-03-31/tags/{Resource}")
                .answers(StatusCode::NO_CONTENT)
                .partial("functions alone"),
            tags::untag,
        )
        .op(Op::get("GetAccountSettings", "/2016-08-19/account-settings"), account::settings);
    operations::UNBUILT.iter().cloned().fold(routes, Routes::unbuilt)
}
