//! What tests of several crates share; never part of the product.

pub mod failing;
pub mod golden;
