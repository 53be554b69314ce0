//! The operations of the Lambda API that are not built. The built ones stand in `lib.rs`; together they are the table.
//!
//! Source: botocore 1.44.8, lambda 2015-03-31.

use durastack_wire::Op;
use http::StatusCode;

const CREATED: StatusCode = StatusCode::CREATED;
const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
const NO_CONTENT: StatusCode = StatusCode::NO_CONTENT;

pub(crate) static UNBUILT: &[Op] = &[
    Op::post(
        "AddLayerVersionPermission",
        "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy",
    )
    .answers(CREATED),
    Op::post("AddPermission", "/2015-03-31/functions/{FunctionName}/policy").answers(CREATED),
    Op::post("CreateCapacityProvider", "/2025-11-30/capacity-providers").answers(ACCEPTED),
    Op::post("CreateCodeSigningConfig", "/2020-04-22/code-signing-configs").answers(CREATED),
    Op::post("CreateEventSourceMapping", "/2015-03-31/event-source-mappings").answers(ACCEPTED),
    Op::post("CreateFunctionUrlConfig", "/2021-10-31/functions/{FunctionName}/url")
        .answers(CREATED),
    Op::delete("DeleteCapacityProvider", "/2025-11-30/capacity-providers/{CapacityProviderName}")
        .answers(ACCEPTED),
    Op::delete(
        "DeleteCodeSigningConfig",
        "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}",
    )
    .answers(NO_CONTENT),
    Op::delete("DeleteDurableExecution", "/2025-12-01/durable-executions/{DurableExecutionArn+}")
        .answers(ACCEPTED),
    Op::delete("DeleteEventSourceMapping", "/2015-03-31/event-source-mappings/{UUID}")
        .answers(ACCEPTED),
    Op::delete(
        "DeleteFunctionCodeSigningConfig",
        "/2020-06-30/functions/{FunctionName}/code-signing-config",
    )
    .answers(NO_CONTENT),
    Op::delete("DeleteFunctionConcurrency", "/2017-10-31/functions/{FunctionName}/concurrency")
        .answers(NO_CONTENT),
    Op::delete(
        "DeleteFunctionEventInvokeConfig",
        "/2019-09-25/functions/{FunctionName}/event-invoke-config",
    )
    .answers(NO_CONTENT),
    Op::delete("DeleteFunctionUrlConfig", "/2021-10-31/functions/{FunctionName}/url")
        .answers(NO_CONTENT),
    Op::delete("DeleteLayerVersion", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}")
        .answers(NO_CONTENT),
    Op::delete(
        "DeleteProvisionedConcurrencyConfig",
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency",
    )
    .answers(NO_CONTENT),
    Op::delete("DeleteResourcePolicy", "/2026-07-09/resource-policy/{ResourceArn}")
        .answers(NO_CONTENT),
    Op::get("GetCapacityProvider", "/2025-11-30/capacity-providers/{CapacityProviderName}"),
    Op::get("GetCodeSigningConfig", "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}"),
    Op::get("GetEventSourceMapping", "/2015-03-31/event-source-mappings/{UUID}"),
    Op::get(
        "GetFunctionCodeSigningConfig",
        "/2020-06-30/functions/{FunctionName}/code-signing-config",
    ),
    Op::get("GetFunctionConcurrency", "/2019-09-30/functions/{FunctionName}/concurrency"),
    Op::get(
        "GetFunctionEventInvokeConfig",
        "/2019-09-25/functions/{FunctionName}/event-invoke-config",
    ),
    Op::get("GetFunctionRecursionConfig", "/2024-08-31/functions/{FunctionName}/recursion-config"),
    Op::get(
        "GetFunctionScalingConfig",
        "/2025-11-30/functions/{FunctionName}/function-scaling-config",
    ),
    Op::get("GetFunctionUrlConfig", "/2021-10-31/functions/{FunctionName}/url"),
    Op::get("GetLayerVersion", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}"),
    Op::get("GetLayerVersionByArn", "/2018-10-31/layers?find=LayerVersion"),
    Op::get(
        "GetLayerVersionPolicy",
        "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy",
    ),
    Op::get("GetPolicy", "/2015-03-31/functions/{FunctionName}/policy"),
    Op::get(
        "GetProvisionedConcurrencyConfig",
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency",
    ),
    Op::get("GetResourcePolicy", "/2026-07-09/resource-policy/{ResourceArn}"),
    Op::get(
        "GetRuntimeManagementConfig",
        "/2021-07-20/functions/{FunctionName}/runtime-management-config",
    ),
    Op::post("InvokeAsync", "/2014-11-13/functions/{FunctionName}/invoke-async").answers(ACCEPTED),
    Op::post(
        "InvokeWithResponseStream",
        "/2021-11-15/functions/{FunctionName}/response-streaming-invocations",
    ),
    Op::get("ListCapacityProviders", "/2025-11-30/capacity-providers"),
    Op::get("ListCodeSigningConfigs", "/2020-04-22/code-signing-configs"),
    Op::get("ListEventSourceMappings", "/2015-03-31/event-source-mappings"),
    Op::get(
        "ListFunctionEventInvokeConfigs",
        "/2019-09-25/functions/{FunctionName}/event-invoke-config/list",
    ),
    Op::get("ListFunctionUrlConfigs", "/2021-10-31/functions/{FunctionName}/urls"),
    Op::get(
        "ListFunctionVersionsByCapacityProvider",
        "/2025-11-30/capacity-providers/{CapacityProviderName}/function-versions",
    ),
    Op::get(
        "ListFunctionsByCodeSigningConfig",
        "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}/functions",
    ),
    Op::get("ListLayerVersions", "/2018-10-31/layers/{LayerName}/versions"),
    Op::get("ListLayers", "/2018-10-31/layers"),
    Op::get(
        "ListProvisionedConcurrencyConfigs",
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency?List=ALL",
    ),
    Op::post(
        "PauseDurableExecution",
        "/2025-12-01/durable-executions/{DurableExecutionArn+}/pause",
    )
    .answers(ACCEPTED),
    Op::post("PublishLayerVersion", "/2018-10-31/layers/{LayerName}/versions").answers(CREATED),
    Op::put(
        "PutFunctionCodeSigningConfig",
        "/2020-06-30/functions/{FunctionName}/code-signing-config",
    ),
    Op::put("PutFunctionConcurrency", "/2017-10-31/functions/{FunctionName}/concurrency"),
    Op::put(
        "PutFunctionEventInvokeConfig",
        "/2019-09-25/functions/{FunctionName}/event-invoke-config",
    ),
    Op::put("PutFunctionRecursionConfig", "/2024-08-31/functions/{FunctionName}/recursion-config"),
    Op::put(
        "PutFunctionScalingConfig",
        "/2025-11-30/functions/{FunctionName}/function-scaling-config",
    )
    .answers(ACCEPTED),
    Op::put(
        "PutProvisionedConcurrencyConfig",
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency",
    )
    .answers(ACCEPTED),
    Op::put("PutResourcePolicy", "/2026-07-09/resource-policy/{ResourceArn}"),
    Op::put(
        "PutRuntimeManagementConfig",
        "/2021-07-20/functions/{FunctionName}/runtime-management-config",
    ),
    Op::delete(
        "RemoveLayerVersionPermission",
        "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy/{StatementId}",
    )
    .answers(NO_CONTENT),
    Op::delete("RemovePermission", "/2015-03-31/functions/{FunctionName}/policy/{StatementId}")
        .answers(NO_CONTENT),
    Op::post(
        "ResumeDurableExecution",
        "/2025-12-01/durable-executions/{DurableExecutionArn+}/resume",
    )
    .answers(ACCEPTED),
    Op::put("UpdateCapacityProvider", "/2025-11-30/capacity-providers/{CapacityProviderName}")
        .answers(ACCEPTED),
    Op::put("UpdateCodeSigningConfig", "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}"),
    Op::put("UpdateEventSourceMapping", "/2015-03-31/event-source-mappings/{UUID}")
        .answers(ACCEPTED),
    Op::post(
        "UpdateFunctionEventInvokeConfig",
        "/2019-09-25/functions/{FunctionName}/event-invoke-config",
    ),
    Op::put("UpdateFunctionUrlConfig", "/2021-10-31/functions/{FunctionName}/url"),
];
