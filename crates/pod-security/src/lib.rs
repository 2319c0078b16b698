//! Pod Security Standards: what a level forbids a pod, and how the labels of a namespace say which level
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>,
//! <https://kubernetes.io/docs/concepts/security/pod-security-admission/>).
//!
//! Pure. Pods are JSON as an API server holds them, so that fields which this engine refuses are judged too. Reasons and
//! details are Kubernetes' own texts, which clients match on.

mod change;
mod checks;
mod evaluate;
mod existing;
mod labels;
mod level;

pub use change::is_judged_again;
pub use evaluate::{Violation, denial, details, evaluate, reasons, warning};
pub use existing::{EXISTING_PODS_MAX, warnings_about_existing};
pub use labels::{Policies, are_there};
pub use level::{Level, Policy, Version};
