//! The Kubernetes API as data: fields, wire numbers, merge rules; checks, protobuf, OpenAPI.
//!
//! The tables in `schema/` say for every kind that is served which fields it has, of what type, under what
//! number in protobuf, and how patches merge them. [`Schema::get`] is all of it; [`check`] brings a JSON value
//! into the form Go's decoder would give it and says what is wrong; [`read_json`] reads a body and finds keys
//! that are there twice; [`protobuf`] decodes bodies in that form; [`openapi`] publishes the schema.

mod check;
mod model;
pub mod openapi;
pub mod protobuf;
mod read;
mod table;
mod time;
mod wire;

pub use check::{ISSUES_MAX, Issue, Trouble, check, check_shape};
pub use model::{Field, ListKind, Package, Patch, Schema, Shape, Type, TypeRef};
pub use read::{DEPTH_MAX, DUPLICATES_MAX, ReadError, read_json};
