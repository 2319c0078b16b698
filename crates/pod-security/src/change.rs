//! Which changes of a pod make it worth another look.

use podspec::json::{list, text};
use serde_json::Value;

/// Whether a changed pod is judged again: it has another image, or other containers. Everything else that a client can change
/// of a pod is nothing that a level is about.
#[must_use]
pub fn is_judged_again(new_spec: &Value, old_spec: &Value) -> bool {
    let differ = |section: &str| {
        let (new, old) = (list(new_spec, section), list(old_spec, section));
        new.len() != old.len() || new.iter().zip(old).any(|(new, old)| has_other_image(new, old))
    };
    let old = list(old_spec, "ephemeralContainers");
    let is_new = |container: &Value| {
        let same_name = |other: &&Value| text(other, "name") == text(container, "name");
        old.iter().find(same_name).is_none_or(|old| has_other_image(container, old))
    };
    differ("containers")
        || differ("initContainers")
        || list(new_spec, "ephemeralContainers").iter().any(is_new)
}

fn has_other_image(new: &Value, old: &Value) -> bool {
    text(new, "image") != text(old, "image")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn other_images_and_other_containers_count() {
        let old = json!({
            "containers": [{"name": "a", "image": "i:1"}],
            "initContainers": [{"name": "b", "image": "i:1"}],
            "ephemeralContainers": [{"name": "c", "image": "i:1"}],
        });
        let one = |name: &str, image: &str| json!([{"name": name, "image": image}]);
        for (section, containers, again) in [
            ("containers", one("a", "i:1"), false),
            ("containers", one("a", "i:2"), true),
            ("containers", json!([]), true),
            ("initContainers", one("b", "i:2"), true),
            ("initContainers", json!([{"image": "i:1"}, {"image": "i:1"}]), true),
            ("ephemeralContainers", one("c", "i:2"), true),
            ("ephemeralContainers", json!([{"name": "c", "image": "i:1"}, {"name": "d"}]), true),
            ("ephemeralContainers", json!([]), false),
            ("tolerations", json!([{"operator": "Exists"}]), false),
        ] {
            let mut new = old.clone();
            new[section] = containers;
            assert_eq!(is_judged_again(&new, &old), again, "{section}: {}", new[section]);
        }
    }
}
