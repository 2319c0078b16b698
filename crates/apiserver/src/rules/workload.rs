//! PodTemplates. The kinds that run pods from templates are not served.

use podspec::{FieldError, FieldErrorKind, FieldPath};
use serde_json::{Value, json};

use super::edit::{first_generation, next_generation, remove};
use crate::kinds::Rules;

pub static POD_TEMPLATES: PodTemplates = PodTemplates;

#[derive(Debug)]
pub struct PodTemplates;

impl Rules for PodTemplates {
    fn default(&self, object: &mut Value) {
        let Some(template) = object.get_mut("template").filter(|template| template.is_object()) else {
            return;
        };
        let metadata = template.get("metadata").cloned();
        podspec::fill_in_defaults(template);
        // A template has no namespace of its own.
        match metadata {
            Some(metadata) => template["metadata"] = metadata,
            None => remove(template, "metadata"),
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        first_generation(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _: Option<&str>) {
        next_generation(new, old, &["template"]);
    }

    /// The template as a pod. What this engine does not do yet is not said: nothing runs it.
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut pod = json!({"metadata": object["template"]["metadata"], "spec": object["template"]["spec"]});
        if !pod["metadata"].is_object() {
            pod["metadata"] = json!({});
        }
        pod["metadata"]["name"] = "template".into();
        let mut errors = podspec::errors_of(&pod);
        errors.retain(|error| !matches!(error.kind, FieldErrorKind::NotYet | FieldErrorKind::Refused));
        for error in &mut errors {
            error.path = below_template(&error.path);
        }
        errors
    }
}

fn below_template(path: &FieldPath) -> FieldPath {
    use podspec::field::Segment;
    path.segments().iter().fold(FieldPath::root().child("template"), |path, segment| match segment {
        Segment::Field(name) => path.child(name),
        Segment::Index(index) => path.index(*index),
        Segment::Key(key) => path.key(key),
    })
}
