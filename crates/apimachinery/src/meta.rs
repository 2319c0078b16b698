//! `metadata` of every object
//! (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/>).

mod read;
mod validate;
mod write;

pub use read::{
    Owner, annotation, deletion_time, finalizers, generate_name, is_being_deleted, labels, name, namespace,
    owners, resource_version, uid,
};
pub use validate::{NameRule, validate, validate_field_manager, validate_update};
pub use write::{prepare_creation, prepare_update, set_generated_name, set_namespace, set_resource_version};

#[cfg(test)]
mod tests;
