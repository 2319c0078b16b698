//! What a rule finds.

use std::collections::BTreeSet;

use podspec::FieldPath;
use serde_json::Value;

use crate::rule::Rule;

/// What surrounds the pod, as far as it is known.
#[derive(Clone, Default, Debug)]
pub struct Context {
    /// Names of Services in the pod's namespace, which are host names in the pod.
    pub services: BTreeSet<String>,
    /// Nobody else can be in the namespace: false in a cluster, where a name may be that of a Service that is not in the manifests.
    pub complete: bool,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    pub rule: &'static Rule,
    /// From the root of the pod: `spec.containers[0].image`. Of a field that is missing, the object that lacks it.
    pub path: FieldPath,
    pub at: At,
    /// What is wrong, in one line that stands by itself; without the path and without a full stop.
    pub message: String,
    /// Other places that have to do with it, each with a few words.
    pub related: Vec<(FieldPath, String)>,
    /// What to do, in one line.
    pub help: String,
    pub fix: Option<Fix>,
}

impl Finding {
    pub(crate) fn new(
        rule: &'static Rule,
        path: FieldPath,
        message: String,
        help: impl Into<String>,
    ) -> Self {
        let help = help.into();
        Self { rule, path, at: At::Value, message, related: Vec::new(), help, fix: None }
    }

    pub(crate) fn at_key(mut self) -> Self {
        self.at = At::Key;
        self
    }

    pub(crate) fn related(mut self, path: FieldPath, words: impl Into<String>) -> Self {
        self.related.push((path, words.into()));
        self
    }

    pub(crate) fn fix(mut self, title: impl Into<String>, edits: Vec<Edit>) -> Self {
        self.fix = Some(Fix { title: title.into(), edits });
        self
    }
}

/// Which part of a field is pointed at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    Key,
    Value,
}

/// A change that mends it: all of its edits or none.
#[derive(Clone, PartialEq, Debug)]
pub struct Fix {
    /// `define the volume shared-logs`
    pub title: String,
    pub edits: Vec<Edit>,
}

/// One change of a manifest. What is in its way, or not there any more, makes the whole fix fall away.
#[derive(Clone, PartialEq, Debug)]
pub enum Edit {
    /// Puts `value` there, in place of what is there; the object around it is there already.
    Set { path: FieldPath, value: Value },
    /// Adds an entry to a list, which is made when it is missing.
    Append { path: FieldPath, value: Value },
    /// Takes a field or an entry away.
    Remove { path: FieldPath },
    /// Takes an entry of a list, with its comments, to the end of another list, which is made when it is missing.
    Move { from: FieldPath, to: FieldPath },
}
