//! Role-based access control: which rules allow a request, and the stock roles
//! (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/>).
//!
//! Pure: [`Policy`] holds what roles and bindings say, and answers. Messages that clients match on are Kubernetes' own.

mod aggregation;
mod escalation;
mod policy;
mod request;
mod review;
mod rule;
mod stock;

pub use aggregation::aggregated_rules;
pub use escalation::{Missing, missing};
pub use policy::{Decision, Policy, PolicyKind, RoleRef};
pub use request::{Request, User, forbidden_message};
pub use review::{access_request, rules_review, subject_of};
pub use rule::Rule;
pub use stock::{Stock, stock};
