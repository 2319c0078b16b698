//! What every kind of a Kubernetes API server has in common, as pure functions: errors, selectors, patches,
//! server-side apply, tables, metadata. Objects are JSON values; what a field is comes from [`api_schema`].

pub mod apply;
pub mod duration;
mod json;
pub mod meta;
pub mod patch;
pub mod selector;
pub mod status;
pub mod table;

pub use selector::{FieldSelector, LabelSelector, SelectorError};
pub use status::{Cause, Details, Status};
