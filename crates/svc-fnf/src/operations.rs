//! The operations that the API has and that are not built.

/// By name. Source: OpenAPI metadata of the product, as the SDKs of October 2025 have it.
pub(crate) const UNBUILT: [&str; 17] = [
    "CreateFlowAlias",
    "CreateSchedule",
    "DeleteFlowAlias",
    "DeleteFlowVersion",
    "DeleteSchedule",
    "DescribeFlowAlias",
    "DescribeMapRun",
    "DescribeRegions",
    "DescribeSchedule",
    "ListFlowAliases",
    "ListFlowVersions",
    "ListSchedules",
    "PublishFlowVersion",
    "StartSyncExecution",
    "UpdateFlowAlias",
    "UpdateMapRun",
    "UpdateSchedule",
];
