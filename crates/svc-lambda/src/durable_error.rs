//! Errors of the durable operations.

use crate::{catalog::CatalogError, packages::PackageError};
use durastack_driver::DriveError;
use durastack_durable::Rejection;
use durastack_engine::BadRecord;
use durastack_names::{BadMarker, ExecutionArn};
use durastack_store::StoreError;
use durastack_wire::{IntoWire, WireError};
use http::StatusCode;

/// Why a durable operation had no success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DurableError {
    /// A value that the API's rules exclude.
    #[error("{0}")]
    Invalid(String),
    /// The engine refused.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It has vanished meanwhile.
    #[error("Durable execution not found")]
    ExecutionUnknown,
    /// No such execution; its retention is over; or it is somebody else's.
    #[error("Durable execution not found: {0}")]
    ExecutionNotFound(Box<ExecutionArn>),
    /// The name is in use with another input.
    #[error("A durable execution with the name '{0}' already exists with a different payload.")]
    AlreadyStarted(String),
    /// Of the function itself.
    #[error(transparent)]
    Function(Box<CatalogError>),
    /// The function's code cannot be unpacked.
    #[error("the function's code cannot be unpacked")]
    Package(#[from] PackageError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[from] BadRecord),
    /// durastack is stopping.
    #[error("durastack is stopping")]
    Stopping,
}

impl DurableError {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

impl From<BadMarker> for DurableError {
    fn from(bad: BadMarker) -> Self {
        Self::Invalid(bad.to_string())
    }
}

impl From<CatalogError> for DurableError {
    fn from(error: CatalogError) -> Self {
        Self::Function(Box::new(error))
    }
}

impl From<DriveError<Rejection>> for DurableError {
    fn from(error: DriveError<Rejection>) -> Self {
        match error {
            DriveError::Unknown => Self::ExecutionUnknown,
            DriveError::Rejected(rejection) => Self::Rejected(rejection),
            DriveError::NameTaken(owner) => Self::AlreadyStarted(owner.to_string()),
            DriveError::Store(error) => Self::Store(error),
            DriveError::Journal(error) => Self::Journal(error),
            DriveError::GivenUp => Self::Stopping,
        }
    }
}

impl IntoWire for DurableError {
    fn wire(&self) -> WireError {
        let bad_request = StatusCode::BAD_REQUEST;
        match self {
            Self::Invalid(_) | Self::Rejected(Rejection::InvalidToken | Rejection::Invalid(_)) => {
                WireError::client(bad_request, "InvalidParameterValueException", self)
            }
            Self::Rejected(Rejection::CallbackClosed) => {
                WireError::client(bad_request, "CallbackTimeoutException", self).capital()
            }
            Self::Rejected(Rejection::CallbackUnknown)
            | Self::ExecutionUnknown
            | Self::ExecutionNotFound(_) => {
                WireError::client(StatusCode::NOT_FOUND, "ResourceNotFoundException", self)
                    .capital()
            }
            Self::AlreadyStarted(_) => WireError::client(
                StatusCode::CONFLICT,
                "DurableExecutionAlreadyStartedException",
                self,
            )
            .capital(),
            Self::Function(error) => crate::error::catalog(error),
            Self::Package(_) => WireError::internal("ServiceException"),
            Self::Store(_) | Self::Journal(_) => WireError::internal("ServiceException"),
            Self::Stopping => WireError::hang_up(),
        }
    }
}
