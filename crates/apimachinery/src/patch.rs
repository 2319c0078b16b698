//! The three kinds of patches that carry no ownership. Each takes an object and a patch that a client sent,
//! and gives the object after it; what the object may be is not checked here.

mod json;
mod merge;
mod order;
mod strategic;

pub use json::{JSON_PATCH_COPY_BYTES_MAX, JSON_PATCH_OPERATIONS_MAX, json_patch};
pub use merge::merge_patch;
pub use strategic::strategic_merge;

#[cfg(test)]
mod tests;
