//! The durastack binary.
fn main() {}
