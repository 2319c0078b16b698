//! The Kubernetes API for Pods over HTTP: authentication, admission, kinds, discovery, handlers.

mod access;
pub mod admission;
pub mod api;
pub mod auth;
pub mod backend;
mod body;
pub mod change;
pub mod columns;
pub mod controllers;
mod decode;
pub mod discovery;
mod entropy;
mod file;
mod handlers;
pub mod kinds;
pub mod metrics;
pub mod negotiate;
pub mod network;
pub mod objects;
mod pages;
pub mod request;
mod respond;
mod reviews;
pub mod route;
pub mod rules;
pub mod server;
mod span;
mod subresources;
#[cfg(test)]
mod testing;
mod watch;
