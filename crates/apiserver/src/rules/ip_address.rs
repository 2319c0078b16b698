//! IPAddresses: who has which address of the ranges of Services.

use podspec::json::text;
use podspec::{FieldError, format};
use serde_json::Value;

use super::edit::{IMMUTABLE, first_generation, invalid, next_generation, path};
use crate::kinds::Rules;

pub static IP_ADDRESSES: IpAddresses = IpAddresses;

#[derive(Debug)]
pub struct IpAddresses;

impl Rules for IpAddresses {
    fn prepare_create(&self, address: &mut Value) {
        first_generation(address);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _: Option<&str>) {
        next_generation(new, old, &["spec"]);
    }

    fn validate(&self, address: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let name = text(&address["metadata"], "name");
        invalid(&mut errors, &path(&["metadata", "name"]), name, format::canonical_ip_address(name));
        let (parent, at) = (&address["spec"]["parentRef"], path(&["spec", "parentRef"]));
        if !parent.is_object() {
            errors.push(FieldError::required(at, ""));
            return errors;
        }
        let group = text(parent, "group");
        if !group.is_empty() {
            invalid(&mut errors, &at.child("group"), group, format::dns_subdomain(group));
        }
        for (field, is_needed) in [("resource", true), ("name", true), ("namespace", false)] {
            let value = text(parent, field);
            if value.is_empty() && is_needed {
                errors.push(FieldError::required(at.child(field), ""));
            } else if !value.is_empty() {
                invalid(&mut errors, &at.child(field), value, format::path_segment(value));
            }
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let (is, was) = (&new["spec"]["parentRef"], &old["spec"]["parentRef"]);
        let changed = || FieldError::invalid(path(&["spec", "parentRef"]), is.clone(), IMMUTABLE);
        (is != was).then(changed).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn address(name: &str, parent: Value) -> Value {
        let mut address = json!({"metadata": {"name": name}, "spec": {}});
        address["spec"]["parentRef"] = parent;
        address
    }

    fn errors(name: &str, parent: Value) -> Vec<String> {
        IP_ADDRESSES.validate(&address(name, parent)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_address_is_called_as_it_is_and_is_somebodys() {
        let parent = || json!({"resource": "services", "namespace": "a", "name": "web"});
        for good in ["10.0.0.1", "255.255.255.255", "fe80::42:1dff:fe84:f9e2"] {
            assert_eq!(errors(good, parent()), [""; 0], "{good}");
        }
        assert_eq!(
            errors("2001:0db8::1", parent()),
            ["metadata.name: Invalid value: \"2001:0db8::1\": must be in canonical form (\"2001:db8::1\")"]
        );
        assert_eq!(errors("web", parent()).len(), 1);
        assert_eq!(errors("10.0.0.1", Value::Null), ["spec.parentRef: Required value"]);
        assert_eq!(
            errors("10.0.0.1", json!({"namespace": "a"})),
            ["spec.parentRef.resource: Required value", "spec.parentRef.name: Required value"]
        );
        let (old, new) =
            (address("10.0.0.1", parent()), address("10.0.0.1", json!({"resource": "x", "name": "y"})));
        assert_eq!(IP_ADDRESSES.validate_update(&old, &old, None), []);
        assert_eq!(IP_ADDRESSES.validate_update(&new, &old, None).len(), 1);
    }
}
