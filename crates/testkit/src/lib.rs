//! What tests of several crates share; never part of the product.

mod failing_store;
pub mod golden;

pub use failing_store::{FailingStore, Remains};
