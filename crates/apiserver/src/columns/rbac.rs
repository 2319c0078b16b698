//! Bindings of roles.

use podspec::json::{list, text};
use serde_json::Value;

use super::{AGE, NAME, Printed, age, column, name, wide};

/// Of RoleBindings and ClusterRoleBindings.
pub static BINDINGS: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("Role", "What is granted"),
            AGE,
            wide("Users", "To whom"),
            wide("Groups", "To which groups"),
            wide("ServiceAccounts", "To which accounts"),
        ]
    },
    cells: |binding, now| {
        let role = &binding["roleRef"];
        vec![
            name(binding),
            format!("{}/{}", text(role, "kind"), text(role, "name")).into(),
            age(binding, now),
            subjects(binding, "User", |subject| text(subject, "name").to_owned()).into(),
            subjects(binding, "Group", |subject| text(subject, "name").to_owned()).into(),
            subjects(binding, "ServiceAccount", |subject| {
                format!("{}/{}", text(subject, "namespace"), text(subject, "name"))
            })
            .into(),
        ]
    },
};

fn subjects(binding: &Value, kind: &str, shown: impl Fn(&Value) -> String) -> String {
    let subjects = list(binding, "subjects").iter().filter(|subject| text(subject, "kind") == kind);
    subjects.map(shown).collect::<Vec<_>>().join(", ")
}
