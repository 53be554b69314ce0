//! The account: its limits, and what it uses of them.

use crate::{Lambda, LambdaError, describe::scope, packages::UNPACKED_BYTES_MAX};
use durastack_wire::{Call, Json};
use serde::Serialize;
use std::{collections::BTreeSet, ops::Bound, sync::Arc};

/// Source: Lambda quotas, as GetAccountSettings shows them for a new account.
const TOTAL_CODE_BYTES_MAX: u64 = 80_530_636_800;
const ZIPPED_BYTES_MAX: u64 = 52_428_800;
const CONCURRENT_EXECUTIONS: u32 = 1000;

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AccountSettings {
    account_limit: AccountLimit,
    account_usage: AccountUsage,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountLimit {
    total_code_size: u64,
    code_size_unzipped: u64,
    code_size_zipped: u64,
    concurrent_executions: u32,
    unreserved_concurrent_executions: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountUsage {
    total_code_size: u64,
    function_count: usize,
}

pub(crate) async fn settings(
    lambda: Arc<Lambda>,
    (): (),
    call: Call,
) -> Result<Json<AccountSettings>, LambdaError> {
    let functions = lambda.catalog.list(&scope(&call), Bound::Unbounded, usize::MAX);
    let codes: BTreeSet<_> = functions
        .iter()
        .flat_map(|f| std::iter::once(&f.latest).chain(f.versions.values()))
        .map(|c| c.code)
        .collect();
    Ok(Json(AccountSettings {
        account_limit: AccountLimit {
            total_code_size: TOTAL_CODE_BYTES_MAX,
            code_size_unzipped: UNPACKED_BYTES_MAX,
            code_size_zipped: ZIPPED_BYTES_MAX,
            concurrent_executions: CONCURRENT_EXECUTIONS,
            unreserved_concurrent_executions: CONCURRENT_EXECUTIONS,
        },
        account_usage: AccountUsage {
            total_code_size: codes.iter().map(|code| code.bytes).sum(),
            function_count: functions.len(),
        },
    }))
}
