pub mod error;
pub mod limits;
pub mod render;
pub mod table;
