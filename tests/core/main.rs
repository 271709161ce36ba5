//! The tests of the core that need more than one module.

mod decision_table;
mod imports;
mod laws;
mod tree;
mod world;
