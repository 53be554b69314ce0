//! Alibaba Cloud's older flow language (FDL, `version: v1`) as a dialect of the engine.
mod condition;
mod definition;
mod failure;
mod fields;
mod mapping;
mod parse;
mod path;
mod resource;
mod token;
mod yaml;
pub use definition::{Definition, DefinitionError};
