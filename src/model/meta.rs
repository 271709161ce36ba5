//! The version 3 metadata file as a value.
