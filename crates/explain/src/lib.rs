//! Why a pod is as it is, and what happened to it when.
//!
//! Both are read from a [`journal::Record`]: the decisions of the plan, with what they were made from. Nothing is guessed that is
//! known.

pub mod redact;
pub mod replay;
pub mod timeline;
pub mod why;

pub use why::why;
