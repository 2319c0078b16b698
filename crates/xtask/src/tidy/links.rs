//! Links between the Markdown files lead somewhere.

use std::path::Path;

use crate::tidy::Source;

pub(super) fn check(sources: &[Source], root: &Path) -> Vec<String> {
    let mut complaints = vec![];
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        for target in targets(&source.text) {
            if let Some(problem) = problem(sources, source, target, root) {
                complaints.push(format!("{}: the link to {target} leads nowhere: {problem}", source.path));
            }
        }
    }
    complaints
}

/// What stands between `](` and `)` outside code blocks, but for other sites' pages.
fn targets(text: &str) -> Vec<&str> {
    let prose = text.lines().filter(|line| !line.starts_with("    ") && !line.starts_with("```"));
    prose
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

fn problem(sources: &[Source], from: &Source, target: &str, root: &Path) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { from.path.clone() } else { resolve(&from.path, file)? };
    if !root.join(&path).exists() {
        return Some(format!("there is no {path}"));
    }
    if anchor.is_empty() {
        return None;
    }
    let text = &sources.iter().find(|source| source.path == path)?.text;
    let mut headings = text.lines().filter(|line| line.starts_with('#')).map(slug);
    (!headings.any(|heading| heading == anchor)).then(|| format!("{path} has no heading for #{anchor}"))
}

/// A link's file from the workspace's root; `None` when it leads out of it.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// A heading's anchor: lower case, words joined by hyphens, punctuation dropped.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|character| character.is_alphanumeric() || "-_".contains(*character)).collect()
}

#[cfg(test)]
mod tests {
    use super::{resolve, slug, targets};

    #[test]
    fn links_are_found_and_resolved() {
        let text = "See [a](docs/a.md#one), [b](https://example.com).\n    [code](x.md)\n";
        assert_eq!(targets(text), ["docs/a.md#one"]);
        assert_eq!(resolve("docs/adr/1.md", "../../README.md").as_deref(), Some("README.md"));
        assert_eq!(resolve("README.md", "../x"), None);
        assert_eq!(slug("## On disk: `run`"), "on-disk-run");
    }
}
