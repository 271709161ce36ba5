//! The extension module `ftpsync._core`: the only place that names pyo3. Nothing imports it.
