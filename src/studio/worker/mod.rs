//! The process that makes pictures. It owns the device and the models, so that whatever happens to it, a panic in a kernel,
//! a driver, the system short of memory, costs one batch of pictures and never the page.

pub mod child;
pub mod link;
pub mod measure;
pub mod talk;
