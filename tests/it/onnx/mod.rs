//! The ONNX importer against the files of the shared folder: every network, operator, encoding and damaged file.

mod command;
mod damage;
mod engine;
mod evaluator;
mod files;
mod fusions;
mod made;
mod page;
pub mod writer;
