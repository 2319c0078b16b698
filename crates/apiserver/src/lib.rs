//! The Kubernetes API for Pods over HTTP: authentication, admission, kinds, discovery, handlers.

pub mod admission;
pub mod backend;
pub mod change;
pub mod columns;
mod entropy;
pub mod kinds;
pub mod negotiate;
pub mod objects;
pub mod request;
pub mod route;
pub mod rules;
