//! The tests of the core that need more than one module.
