//! The Lambda API: its table of operations, and what each does.
//!
//! [`Catalog`] is the part that other services and the engine's driver ask; it knows no HTTP.

mod account;
mod aliases;
mod asynchronous;
mod callbacks;
mod catalog;
mod checkpoint;
mod configure;
mod describe;
mod durable_error;
mod environment;
mod error;
mod executions;
mod function;
mod functions;
mod invoke;
mod lambda;
mod members;
mod operations;
mod packages;
mod records;
mod shapes;
mod tags;
mod versions;
mod world;

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
pub use functions::package;
pub use lambda::{FunctionCredentials, Lambda, Parts};
pub use packages::{PackageError, UNPACKED_BYTES_MAX};
pub use records::BadRecord;

use durastack_wire::{Op, Routes};
use functions::{CODE_BODY_BYTES_MAX, CONFIGURATION_BODY_BYTES_MAX};
use http::StatusCode;

/// The table of all operations.
#[must_use]
pub fn routes() -> Routes<Lambda> {
    let routes = Routes::new()
        .op(
            Op::post("CreateFunction", "/2015-03-31/functions")
                .answers(StatusCode::CREATED)
                .body_bytes_max(CODE_BODY_BYTES_MAX)
                .partial("code from S3 and images, layers, file systems, managed instances; runtimes beyond python3.*, nodejs* and provided.al2* cannot be invoked; VpcConfig, TracingConfig, DeadLetterConfig and SnapStart are kept without effect"),
            functions::create,
        )
        .op(Op::get("GetFunction", "/2015-03-31/functions/{FunctionName}"), functions::get)
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
            .partial("layers, file systems, managed instances; what CreateFunction keeps without effect"),
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
    operations::UNBUILT.iter().cloned().fold(durable(routes), Routes::unbuilt)
}

/// Invoke, and what is about durable executions.
fn durable(routes: Routes<Lambda>) -> Routes<Lambda> {
    routes
        .op(
            Op::post("Invoke", "/2015-03-31/functions/{FunctionName}/invocations")
                .body_bytes_max(invoke::SYNCHRONOUS_BYTES_MAX)
                .partial("destinations, dead-letter queues, tenant isolation"),
            invoke::invoke,
        )
        .op(
            Op::post(
                "CheckpointDurableExecution",
                "/2025-12-01/durable-executions/{DurableExecutionArn+}/checkpoint",
            )
            .body_bytes_max(checkpoint::BODY_BYTES_MAX),
            checkpoint::checkpoint,
        )
        .op(
            Op::get(
                "GetDurableExecutionState",
                "/2025-12-01/durable-executions/{DurableExecutionArn+}/state",
            ),
            checkpoint::state,
        )
        .op(
            Op::get("GetDurableExecution", "/2025-12-01/durable-executions/{DurableExecutionArn+}"),
            executions::get,
        )
        .op(
            Op::get(
                "GetDurableExecutionHistory",
                "/2025-12-01/durable-executions/{DurableExecutionArn+}/history",
            ),
            executions::history,
        )
        .op(
            Op::get(
                "ListDurableExecutionsByFunction",
                "/2025-12-01/functions/{FunctionName}/durable-executions",
            ),
            executions::list,
        )
        .op(
            Op::post(
                "StopDurableExecution",
                "/2025-12-01/durable-executions/{DurableExecutionArn+}/stop",
            ),
            executions::stop,
        )
        .op(
            Op::post(
                "SendDurableExecutionCallbackSuccess",
                "/2025-12-01/durable-execution-callbacks/{CallbackId+}/succeed",
            )
            .body_bytes_max(callbacks::BODY_BYTES_MAX),
            callbacks::succeed,
        )
        .op(
            Op::post(
                "SendDurableExecutionCallbackFailure",
                "/2025-12-01/durable-execution-callbacks/{CallbackId+}/fail",
            )
            .body_bytes_max(callbacks::BODY_BYTES_MAX),
            callbacks::fail,
        )
        .op(
            Op::post(
                "SendDurableExecutionCallbackHeartbeat",
                "/2025-12-01/durable-execution-callbacks/{CallbackId+}/heartbeat",
            ),
            callbacks::heartbeat,
        )
}
