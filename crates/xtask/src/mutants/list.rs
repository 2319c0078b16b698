//! `crates/sim/mutations.txt`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

pub(crate) const LIST: &str = "crates/sim/mutations.txt";
/// The files that are named in it are in here.
pub(crate) const RULES: &str = "crates/lifecycle/src";

/// One rule of the lifecycle, and how it is broken.
#[derive(Debug)]
pub(crate) struct Mutation {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) rule: String,
    /// Lines without their indentation.
    old: String,
    new: String,
}

pub(crate) fn load(root: &Path) -> Result<Vec<Mutation>> {
    let text = fs::read_to_string(root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Mutation>> {
    let entries = text.split("\n## ").skip(1);
    let mutations = entries.map(entry).collect::<Result<Vec<_>>>()?;
    for (index, mutation) in mutations.iter().enumerate() {
        let twin = mutations[..index].iter().any(|other| other.name == mutation.name);
        ensure!(!twin, "{LIST}: {} is there twice", mutation.name);
    }
    Ok(mutations)
}

fn entry(text: &str) -> Result<Mutation> {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let (name, file) = head.split_once(' ').with_context(|| format!("{LIST}: `## {head}` names no file"))?;
    let rule = lines.next().filter(|rule| !rule.starts_with(['-', '+'])).unwrap_or_default();
    ensure!(!rule.is_empty(), "{LIST}: {name} says no rule");
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for line in lines.filter(|line| !line.is_empty()) {
        match (line.split_at(1), new.is_empty()) {
            (("-", text), true) => old.push(text.trim()),
            (("+", text), _) => new.push(text.trim()),
            _ => bail!("{LIST}: {name}: `{line}` is neither an old line (-) nor a new one after them (+)"),
        }
    }
    ensure!(!old.is_empty() && !new.is_empty(), "{LIST}: {name} changes nothing");
    let (name, file, rule) = (name.to_owned(), file.to_owned(), rule.to_owned());
    Ok(Mutation { name, file, rule, old: old.join("\n"), new: new.join("\n") })
}

impl Mutation {
    /// The file's text with the rule broken.
    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        let flat: Vec<&str> = text.lines().map(str::trim).collect();
        let flat = flat.join("\n");
        let found = flat.matches(&self.old).count();
        ensure!(found == 1, "{LIST}: the old text of {} is {found} times in {}", self.name, self.file);
        Ok(flat.replace(&self.old, &self.new))
    }
}

#[cfg(test)]
mod tests {
    use super::{RULES, load, parse};
    use crate::shell::workspace_root;

    #[test]
    fn every_mutation_can_be_applied() {
        let root = workspace_root();
        let mutations = load(&root).expect("the list can be read");
        assert!(!mutations.is_empty());
        let fails = |mutation: &super::Mutation| {
            let text = std::fs::read_to_string(root.join(RULES).join(&mutation.file)).unwrap_or_default();
            mutation.apply(&text).err().map(|e| e.to_string())
        };
        let errors: Vec<String> = mutations.iter().filter_map(fails).collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
    }

    #[test]
    fn entries_say_what_is_wrong_with_them() {
        for (entry, complaint) in [
            ("\n## a\nrule\n- x\n+ y", "names no file"),
            ("\n## a f.rs\n- x\n+ y", "says no rule"),
            ("\n## a f.rs\nrule\n- x", "changes nothing"),
            ("\n## a f.rs\nrule\n+ y\n- x", "neither an old line"),
            ("\n## a f.rs\nrule\n- x\n+ y\n\n## a f.rs\nrule\n- x\n+ y", "is there twice"),
        ] {
            let error = parse(entry).expect_err(entry).to_string();
            assert!(error.contains(complaint), "{entry}: {error}");
        }
    }

    #[test]
    fn indentation_does_not_matter_but_being_found_once_does() {
        let mutations = parse("\n## a f.rs\nrule\n- x {\n- y\n+ z").expect("one entry");
        assert_eq!(mutations[0].apply("if x {\n    y\n}").expect("found once"), "if z\n}");
        for text in ["y", "x {\ny\nx {\ny"] {
            assert!(mutations[0].apply(text).is_err(), "{text}");
        }
    }
}
