//! What the API answers when it refuses.

use crate::catalog::CatalogError;
use durastack_driver::DriveError;
use durastack_engine::BadRecord as BadJournal;
use durastack_flow::{DefinitionError, Rejection};
use durastack_store::StoreError;
use durastack_wire::{IntoWire, WireError, rpc::BadParameter};
use http::{HeaderMap, StatusCode, header};

/// Why an operation has no success. The texts for callers are those of the API's error table, with names in single
/// quotes, as real answers have them.
#[derive(Debug, thiserror::Error)]
pub enum FnfError {
    /// A parameter is missing, or cannot be.
    #[error(transparent)]
    BadParameter(#[from] BadParameter),
    /// The definition breaks a rule.
    ///
    /// Differs: the service's text is not published; this one says where and why.
    #[error("The parameter 'Definition' is invalid: {0}.")]
    Definition(#[from] DefinitionError),
    /// Of a flow.
    #[error(transparent)]
    Catalog(Box<CatalogError>),
    /// No execution of this name.
    #[error("Execution '{execution}' for flow '{flow}' does not exist.")]
    ExecutionNotExists {
        /// The flow's name.
        flow: String,
        /// The execution's name.
        execution: String,
    },
    /// The name belongs to an execution that has ended.
    #[error("Execution '{execution}' for flow '{flow}' already exists.")]
    ExecutionAlreadyExists {
        /// The flow's name.
        flow: String,
        /// The execution's name.
        execution: String,
    },
    /// The execution has ended.
    #[error("Execution '{execution}' for flow '{flow}' has already completed.")]
    ExecutionAlreadyCompleted {
        /// The flow's name.
        flow: String,
        /// The execution's name.
        execution: String,
    },
    /// The task was reported, or has ended without a report.
    #[error("Task '{0}' has already completed.")]
    TaskAlreadyCompleted(String),
    /// The task waits for no report.
    #[error("Task is in an invalid state, please retry.")]
    TaskInvalidState,
    /// The token is another account's.
    #[error("The resources doesn't belong to you.")]
    AccessDenied,
    /// The body is of a kind that the API does not read.
    #[error("The content type must be \"application/json\".")]
    UnsupportedMediaType,
    /// Somebody else changed the execution at the same time.
    #[error("Update conflict, please retry.")]
    ConcurrentUpdate,
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// A journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[from] BadJournal),
    /// The client is gone, or durastack stops: nobody is told a made-up answer.
    #[error("nobody waits for the answer")]
    Gone,
}

impl From<CatalogError> for FnfError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(Box::new(error))
    }
}

impl From<StoreError> for FnfError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => Self::ConcurrentUpdate,
            error => Self::Store(error),
        }
    }
}

impl FnfError {
    pub(crate) fn no_execution(flow: &str, execution: &str) -> Self {
        Self::ExecutionNotExists { flow: flow.to_owned(), execution: execution.to_owned() }
    }

    /// What the driver says of an execution that is known by these names.
    pub(crate) fn of_driver(error: DriveError<Rejection>, flow: &str, execution: &str) -> Self {
        match error {
            // Its flow has just been deleted.
            DriveError::Unknown => Self::no_execution(flow, execution),
            DriveError::NameTaken(_) => Self::ExecutionAlreadyExists {
                flow: flow.to_owned(),
                execution: execution.to_owned(),
            },
            // Nothing is asked of an execution by its name that the dialect could refuse.
            DriveError::Rejected(_) => Self::ConcurrentUpdate,
            DriveError::Store(error) => error.into(),
            DriveError::Journal(error) => Self::Journal(error),
            DriveError::GivenUp => Self::Gone,
        }
    }
}

impl IntoWire for FnfError {
    fn wire(&self) -> WireError {
        let (status, code) = match self {
            Self::BadParameter(bad) => return bad.wire(),
            Self::Definition(_) => (StatusCode::BAD_REQUEST, "InvalidArgument"),
            Self::Catalog(error) => match &**error {
                CatalogError::FlowNotExists(_) => (StatusCode::NOT_FOUND, "FlowNotExists"),
                CatalogError::FlowAlreadyExists(_) => (StatusCode::CONFLICT, "FlowAlreadyExists"),
                CatalogError::ConcurrentUpdate => (StatusCode::CONFLICT, "ConcurrentUpdateError"),
                CatalogError::Store(_) | CatalogError::BadRecord(_) => return internal(),
            },
            Self::ExecutionNotExists { .. } => (StatusCode::NOT_FOUND, "ExecutionNotExists"),
            Self::ExecutionAlreadyExists { .. } => {
                (StatusCode::BAD_REQUEST, "ExecutionAlreadyExists")
            }
            Self::ExecutionAlreadyCompleted { .. } => {
                (StatusCode::BAD_REQUEST, "ExecutionAlreadyCompleted")
            }
            Self::TaskAlreadyCompleted(_) => (StatusCode::BAD_REQUEST, "TaskAlreadyCompleted"),
            Self::TaskInvalidState => (StatusCode::CONFLICT, "TaskInvalidState"),
            Self::AccessDenied => (StatusCode::FORBIDDEN, "AccessDenied"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType")
            }
            Self::ConcurrentUpdate => (StatusCode::CONFLICT, "ConcurrentUpdateError"),
            Self::Store(_) | Self::Journal(_) => return internal(),
            Self::Gone => return WireError::hang_up(),
        };
        WireError::client(status, code, self)
    }
}

/// Source: error table of the API.
fn internal() -> WireError {
    let text = "An internal error has occurred. Please retry.";
    WireError::service(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", text)
}

/// Refuses a body that is neither a form, which the SDKs send, nor JSON, which the API's own text asks for.
///
/// # Errors
///
/// [`FnfError::UnsupportedMediaType`].
pub fn check_media_type(headers: &HeaderMap) -> Result<(), FnfError> {
    const KNOWN: [&str; 2] = ["application/x-www-form-urlencoded", "application/json"];
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii();
    let known = |kind: &str| essence.eq_ignore_ascii_case(kind.as_bytes());
    if essence.is_empty() || KNOWN.into_iter().any(known) {
        Ok(())
    } else {
        Err(FnfError::UnsupportedMediaType)
    }
}
