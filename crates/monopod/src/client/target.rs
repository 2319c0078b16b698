//! Which objects a command line means: `TYPE`, `TYPE NAME...`, `TYPE/NAME...`, `TYPE,TYPE`.

use clap::Args;

use crate::client::context::{Context, with_query};
use crate::client::discovery::{Discovery, Kind};
use crate::client::failure::{Failure, Result};

/// One object, or all of a kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target<'a> {
    pub(super) kind: &'a Kind,
    pub(super) name: Option<String>,
}

/// Which of all.
#[derive(Debug, Default, Args)]
pub(super) struct Selector {
    /// Only objects with these labels: a=b, a!=b, a, !a, a in (b,c)
    #[arg(
        short = 'l',
        long = "selector",
        value_name = "LABELS",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) labels: String,
    /// Only objects with these fields: metadata.name=x, status.phase=Running
    #[arg(long = "field-selector", value_name = "FIELDS", default_value = "", hide_default_value = true)]
    pub(super) fields: String,
    /// In all namespaces
    #[arg(short = 'A', long)]
    pub(super) all_namespaces: bool,
}

impl Selector {
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The namespace that is looked in; `None` for all.
    pub(super) fn namespace<'a>(&self, context: &'a Context) -> Option<&'a str> {
        (!self.all_namespaces).then_some(context.namespace.as_str())
    }

    /// The path of a list, with further parameters.
    pub(super) fn path(&self, context: &Context, kind: &Kind, more: &[(&str, &str)]) -> String {
        let mut query =
            vec![("labelSelector", self.labels.as_str()), ("fieldSelector", self.fields.as_str())];
        query.extend(more);
        with_query(&kind.path(self.namespace(context)), &query)
    }
}

/// Reads the arguments as kubectl does.
pub(super) fn targets<'a>(discovery: &'a Discovery, arguments: &[String]) -> Result<Vec<Target<'a>>> {
    let Some((first, names)) = arguments.split_first() else {
        return Err(Failure::refused("name a type of objects, such as pods, and maybe names of some"));
    };
    if first.contains('/') {
        return arguments.iter().map(|argument| one(discovery, argument)).collect();
    }
    if let Some(mixed) = names.iter().find(|name| name.contains('/')) {
        return Err(Failure::refused(format!(
            "{mixed:?} has a type, but {first:?} before it is one already: write TYPE/NAME for each, or TYPE NAME..."
        )));
    }
    let mut out = Vec::new();
    for word in first.split(',').filter(|word| !word.is_empty()) {
        let kinds = match discovery.by_word(word) {
            Ok(kind) => vec![kind],
            Err(unknown) => match discovery.of_category(word) {
                kinds if kinds.is_empty() => return Err(unknown),
                kinds => kinds,
            },
        };
        for kind in kinds {
            match names {
                [] => out.push(Target { kind, name: None }),
                names => {
                    out.extend(names.iter().map(|name| Target { kind, name: Some(name.clone()) }));
                }
            }
        }
    }
    Ok(out)
}

/// Whether every type among the arguments is the word for one kind; a category, whose kinds may be of any group, is not.
pub(super) fn are_known(discovery: &Discovery, arguments: &[String]) -> bool {
    let is_known = |word: &str| discovery.by_word(word).is_ok();
    match arguments {
        [first, ..] if first.contains('/') => {
            arguments.iter().all(|argument| argument.split_once('/').is_some_and(|(word, _)| is_known(word)))
        }
        [first, ..] => first.split(',').filter(|word| !word.is_empty()).all(is_known),
        [] => true,
    }
}

/// `TYPE/NAME`.
pub(super) fn one<'a>(discovery: &'a Discovery, argument: &str) -> Result<Target<'a>> {
    match argument.split_once('/') {
        Some((word, name)) if !word.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Target { kind: discovery.by_word(word)?, name: Some(name.to_owned()) })
        }
        _ => Err(Failure::refused(format!("{argument:?} is not TYPE/NAME"))),
    }
}

/// The pod of `NAME` or `pod/NAME`, for verbs that are about pods alone.
pub(super) fn pod_name(argument: &str) -> Result<&str> {
    match argument.split_once('/') {
        None if !argument.is_empty() => Ok(argument),
        Some(("pod" | "pods" | "po", name)) if !name.is_empty() && !name.contains('/') => Ok(name),
        _ => Err(Failure::refused(format!("{argument:?} is no pod: write NAME or pod/NAME"))),
    }
}

/// The service of `service/NAME`.
pub(super) fn service_name(argument: &str) -> Option<&str> {
    match argument.split_once('/') {
        Some(("service" | "services" | "svc", name)) if !name.is_empty() && !name.contains('/') => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{are_known, pod_name, service_name, targets};
    use crate::client::discovery::tests::discovery;

    #[test]
    fn arguments_name_objects() {
        let discovery = discovery();
        let read = |line: &str| -> Option<Vec<String>> {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let shown = |target: super::Target<'_>| match target.name {
                Some(name) => format!("{}/{name}", target.kind.plural),
                None => target.kind.plural.clone(),
            };
            Some(targets(&discovery, &arguments).ok()?.into_iter().map(shown).collect())
        };
        for (line, expected) in [
            ("pods", vec!["pods"]),
            ("po a b", vec!["pods/a", "pods/b"]),
            ("pod/a svc/b", vec!["pods/a", "services/b"]),
            ("pods,svc", vec!["pods", "services"]),
            ("pod,svc x", vec!["pods/x", "services/x"]),
            ("all", vec!["pods", "services"]),
        ] {
            assert_eq!(read(line).unwrap(), expected, "{line}");
        }
        for wrong in ["", "nonsense", "pod/", "/x", "pod/a b", "pods pod/a", "pod/a/b"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_category_is_known_when_all_groups_are() {
        let discovery = discovery();
        let known = |line: &str| {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            are_known(&discovery, &arguments)
        };
        for line in ["pods", "po a b", "pod/a svc/b", "pods,svc", ""] {
            assert!(known(line), "{line}");
        }
        for line in ["all", "pods,all", "pod/a deployment/b", "deployments", "pods/a b"] {
            assert!(!known(line), "{line}");
        }
    }

    #[test]
    fn pods_by_name() {
        assert_eq!(pod_name("web").unwrap(), "web");
        assert_eq!(pod_name("pod/web").unwrap(), "web");
        for wrong in ["", "deployment/web", "pod/", "pod/a/b"] {
            assert!(pod_name(wrong).is_err(), "{wrong}");
        }
        assert_eq!(service_name("svc/web"), Some("web"));
        for other in ["web", "pod/web", "svc/", "svc/a/b"] {
            assert_eq!(service_name(other), None, "{other}");
        }
    }
}
