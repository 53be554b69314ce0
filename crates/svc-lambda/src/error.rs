//! What the Lambda API answers when it refuses.

use crate::{CatalogError, packages::PackageError};
use durastack_wire::{BadShape, Fault, IntoWire, WireError};
use http::StatusCode;

/// Why an operation of the Lambda API has no success.
#[derive(Debug, thiserror::Error)]
pub enum LambdaError {
    /// The request has not the shape of the operation's input.
    #[error(transparent)]
    BadShape(#[from] BadShape),
    /// A value of the right shape that the service does not take. The text is for the caller.
    #[error("{0}")]
    BadValue(String),
    /// The catalog refuses or fails.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl IntoWire for LambdaError {
    fn wire(&self) -> WireError {
        match self {
            Self::BadShape(bad) => bad.wire(),
            Self::BadValue(_) => bad_value(self),
            Self::Catalog(error) => catalog(error),
        }
    }
}

/// Source: botocore's lambda model for statuses and the spelling of `message`.
pub(crate) fn catalog(error: &CatalogError) -> WireError {
    match error {
        CatalogError::FunctionNotFound(_)
        | CatalogError::AliasNotFound(_)
        | CatalogError::OtherRegion { .. } => {
            WireError::client(StatusCode::NOT_FOUND, "ResourceNotFoundException", error).capital()
        }
        // Differs: the real text also names the action.
        CatalogError::OtherAccount { .. } => {
            WireError::client(StatusCode::FORBIDDEN, "AccessDeniedException", error)
                .capital()
                .fault(Fault::Unsaid)
        }
        CatalogError::TwoQualifiers
        | CatalogError::OnlyLatest
        | CatalogError::OtherCode { .. }
        | CatalogError::LatestStays
        | CatalogError::AliasByDeleteFunction
        | CatalogError::NotDurable => bad_value(error),
        CatalogError::FunctionExists(_)
        | CatalogError::AliasExists(_)
        | CatalogError::NotReady(_)
        | CatalogError::Updating(_)
        | CatalogError::VersionInUse(_) => {
            WireError::client(StatusCode::CONFLICT, "ResourceConflictException", error)
        }
        CatalogError::OtherRevision => {
            WireError::client(StatusCode::PRECONDITION_FAILED, "PreconditionFailedException", error)
        }
        CatalogError::Package(package) => match package {
            PackageError::NotZip(_) | PackageError::Empty | PackageError::TooLarge => {
                bad_value(error)
            }
            PackageError::File { .. } | PackageError::CutOff => {
                WireError::internal("ServiceException")
            }
        },
        CatalogError::Store(_) | CatalogError::BadRecord(_) => {
            WireError::internal("ServiceException")
        }
    }
}

fn bad_value(error: &dyn std::error::Error) -> WireError {
    WireError::client(StatusCode::BAD_REQUEST, "InvalidParameterValueException", error.to_string())
}
