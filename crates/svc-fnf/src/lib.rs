//! The API of Alibaba Cloud's Serverless Workflow (`fnf`, version 2019-03-15): its table of operations, and what each
//! does.
//!
//! Source, unless a place says otherwise: the vendor's API reference and OpenAPI metadata of the product.

mod catalog;
mod error;
mod executions;
mod flow;
mod flows;
mod fnf;
mod folders;
mod functions;
mod history;
mod operations;
mod parameters;
mod records;
mod reports;
mod stop;
mod world;

#[cfg(test)]
mod tests;

pub use catalog::CatalogError;
pub use error::{FnfError, check_media_type};
pub use fnf::{Fnf, FunctionCredentials, Parts};
pub use functions::{Code, LocalFunction, Made, Reply};
pub use records::BadRecord;

use durastack_wire::rpc::{Op, Routes};

/// The API's only version.
pub const VERSION: &str = "2019-03-15";

/// The table of all operations.
#[must_use]
pub fn routes() -> Routes<Fnf> {
    let routes = Routes::new(VERSION)
        .op(
            Op::new("CreateFlow").partial(
                "the newer language (StateMachine), Express mode, queues and topics as resources",
            ),
            flows::create,
        )
        .op(
            Op::new("UpdateFlow")
                .partial("the newer language (StateMachine), queues and topics as resources"),
            flows::update,
        )
        .op(Op::new("DescribeFlow").partial("FlowVersion"), flows::describe)
        .op(Op::new("DeleteFlow"), flows::delete)
        .op(Op::new("ListFlows"), flows::list)
        .op(Op::new("StartExecution").partial("Qualifier"), executions::start)
        .op(Op::new("StopExecution"), stop::stop)
        .op(Op::new("DescribeExecution").partial("Environment"), executions::describe)
        .op(Op::new("ListExecutions").partial("Qualifier, MapRunName"), executions::list)
        .op(Op::new("GetExecutionHistory"), history::history)
        .op(Op::new("ReportTaskSucceeded"), reports::succeeded)
        .op(Op::new("ReportTaskFailed"), reports::failed);
    operations::UNBUILT.iter().fold(routes, |routes, name| routes.unbuilt(Op::new(name)))
}
