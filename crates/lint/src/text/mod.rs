//! Findings in the text of manifests, where it says so, and mended there.
//!
//! [`examine`] reads texts with podspec's loader, finds the pods in them (those of templates too), and says what podspec and the
//! rules find, each with its place. [`mend`] carries fixes out on a text and leaves all else of it as it is.

mod allow;
mod diff;
mod edit;
mod examine;
mod lines;
mod mend;
mod object;
mod rules;

pub use diff::{Change, changes, patch};
pub use edit::CannotEdit;
pub use examine::{Examined, Located, Options, Related, Text, examine};
pub use lines::{Lines, Position};
pub use mend::{Mended, Replacement, mend, replacements};
pub use object::Object;
pub use rules::RULES;

use crate::rule::Rule;

/// Every rule there is, those about texts too, by id.
#[must_use]
pub fn all_rules() -> Vec<&'static Rule> {
    let mut rules: Vec<_> = crate::RULES.iter().chain(RULES).copied().collect();
    rules.sort_by_key(|rule| rule.id);
    rules
}

/// The rule of that id.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    all_rules().into_iter().find(|rule| rule.id == id)
}

/// What a rule is about, as its page in `docs/lint` says; `None` where there is no such rule.
#[must_use]
pub fn page(id: &str) -> Option<&'static str> {
    rule(id)?;
    PAGES.iter().find(|(name, _)| *name == id).map(|(_, page)| *page)
}

static PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

#[cfg(test)]
mod tests {
    use super::{all_rules, page};

    #[test]
    fn every_rule_can_be_explained() {
        for rule in all_rules() {
            assert!(
                page(rule.id).is_some_and(|page| page.starts_with(&format!("# {}\n", rule.id))),
                "{}",
                rule.id
            );
        }
        assert_eq!(page("README"), None);
    }
}
