//! Time of the local geometry, to be filled.

fn main() {}
