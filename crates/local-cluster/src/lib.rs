//! The object store as source and status sink of this machine's pods.
