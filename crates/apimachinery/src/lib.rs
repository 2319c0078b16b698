//! Pure parts of a Kubernetes API server: errors, selectors, patches, apply, tables.
