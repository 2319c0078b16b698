//! The Kubernetes API for Pods over HTTP: authentication, admission, kinds, discovery, handlers.

pub mod backend;
pub mod kinds;
