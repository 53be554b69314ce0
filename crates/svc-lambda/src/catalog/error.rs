//! Why the catalog refuses.

use crate::{function::State, packages::PackageError, records::BadRecord};
use durastack_names::{AccountId, FunctionArn, FunctionName, Region};
use durastack_store::StoreError;

/// Why the catalog refuses or fails. Texts that callers see are the real service's.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No such function, or no such version of it.
    #[error("Function not found: {0}")]
    FunctionNotFound(FunctionArn),
    /// No such alias.
    #[error("Cannot find alias arn: {0}")]
    AliasNotFound(FunctionArn),
    /// An ARN of another region.
    #[error("Functions from '{there}' are not reachable in this region ('{here}')")]
    OtherRegion {
        /// The ARN's region.
        there: Region,
        /// The region that was asked.
        here: Region,
    },
    /// An ARN of another account.
    #[error(
        "User: arn:aws:iam::{caller}:root is not authorized to access resource: {arn} because no resource-based policy allows it"
    )]
    OtherAccount {
        /// Who asked.
        caller: AccountId,
        /// For what.
        arn: FunctionArn,
    },
    /// The name has one qualifier, the request another.
    #[error("The derived qualifier from the function name does not match the specified qualifier.")]
    TwoQualifiers,
    /// The operation works on `$LATEST` alone.
    #[error(
        "Current operation does not support versions other than $LATEST. Please set the version to $LATEST or do not set a version in your request."
    )]
    OnlyLatest,
    /// The name is taken.
    #[error("Function already exist: {0}")]
    FunctionExists(FunctionName),
    /// The alias is there already.
    #[error("Alias already exists: {0}")]
    AliasExists(FunctionArn),
    /// The function is not ready for a change or an invoke.
    #[error(
        "The operation cannot be performed at this time. The function is currently in the following state: {0}"
    )]
    NotReady(State),
    /// A change is under way.
    #[error(
        "The operation cannot be performed at this time. An update is in progress for resource: {0}"
    )]
    Updating(FunctionArn),
    /// The caller knows another revision.
    #[error(
        "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to retrieve the latest RevisionId"
    )]
    OtherRevision,
    /// The caller believes the code to be another.
    #[error(
        "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({current}). Please try again with the CodeSHA256 in $LATEST."
    )]
    OtherCode {
        /// What the caller believes.
        given: String,
        /// What it is.
        current: String,
    },
    /// `$LATEST` goes with its function only.
    #[error("$LATEST version cannot be deleted without deleting the function.")]
    LatestStays,
    /// DeleteFunction deletes no aliases.
    #[error("Deletion of aliases is not currently supported.")]
    AliasByDeleteFunction,
    /// Aliases point at the version.
    #[error("Unable to delete version because the following aliases reference it: [{}]", .0.join(", "))]
    VersionInUse(Vec<String>),
    /// Only a function that was created as a durable one has a durable configuration.
    #[error("You cannot add a durable configuration to a function that was created without one")]
    NotDurable,
    /// The package is refused, or could not be kept.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A record cannot be read.
    #[error(transparent)]
    BadRecord(#[from] BadRecord),
}
