//! Every kind that is served, in one table: to add a kind is to add an entry.

mod plain;
mod table;

use std::fmt::Debug;

use apimachinery::meta::NameRule;
use podspec::{FieldError, WallTime};
use serde_json::Value;

/// A kind of object, as discovery shows it and as the handlers treat it.
#[derive(Debug)]
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    /// Its name in the store: the two forms of events are the same objects.
    pub resource: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub namespaced: bool,
    pub verbs: &'static [Verb],
    pub subresources: &'static [Subresource],
    pub names: NameRule,
    pub rules: &'static dyn Rules,
    pub columns: &'static dyn Columns,
}

impl Kind {
    /// All of them, in the order of discovery.
    #[must_use]
    pub fn all() -> &'static [Self] {
        table::KINDS
    }

    #[must_use]
    pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        Self::all().iter().find(|k| k.group == group && k.version == version && k.plural == plural)
    }

    /// `pods`, `leases.coordination.k8s.io`: what RBAC, events and messages call it.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    #[must_use]
    pub fn stored(&self) -> store::Resource {
        store::Resource::new(self.resource)
    }

    /// `v1`, `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Whether objects of it are kept. Reviews are answered and forgotten, usage is measured when it is asked for.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.verbs.contains(&Verb::Watch)
    }

    /// Whether the node is asked for what of it there is.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.verbs.contains(&Verb::Get) && !self.is_stored()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// As discovery and RBAC write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// As in `pods/log`: its name, the kind that it speaks of, and what may be done with it.
#[derive(Debug)]
pub struct Subresource {
    pub name: &'static str,
    /// Group and version of `kind` when they are not the parent's: `policy/v1` of an Eviction.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub verbs: &'static [Verb],
}

/// What is a kind's own. All of it is pure; what needs other objects is admission.
pub trait Rules: Sync + Debug {
    /// Why an object of this kind cannot be created, and what to do instead.
    fn refusal(&self) -> Option<&'static str> {
        None
    }

    /// Fills in what a client left out.
    fn default(&self, object: &mut Value) {
        let _ = object;
    }

    /// Drops what only the server sets, and sets what it does on create (status, generation, ...).
    fn prepare_create(&self, object: &mut Value) {
        let _ = object;
    }

    /// A defaulted object; metadata has been checked before.
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let _ = object;
        Vec::new()
    }

    /// Keeps what an update by way of this `subresource` (`None`: the object itself) may not touch.
    fn prepare_update(&self, new: &mut Value, old: &Value, subresource: Option<&str>) {
        let _ = (new, old, subresource);
    }

    /// A defaulted, prepared update; immutable metadata has been checked before.
    fn validate_update(&self, new: &Value, old: &Value, subresource: Option<&str>) -> Vec<FieldError> {
        let _ = (old, subresource);
        self.validate(new)
    }

    /// One line each, for `Warning:` headers.
    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let _ = (new, old);
        Vec::new()
    }

    /// What field selectors may ask for beside `metadata.name` and `metadata.namespace`.
    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        let _ = object;
        Vec::new()
    }
}

/// The Table that `kubectl get` prints.
pub trait Columns: Sync + Debug {
    fn columns(&self) -> &'static [Column];
    /// One value for each column: text, or a whole number.
    fn cells(&self, object: &Value, now: WallTime) -> Vec<Value>;
}

#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `date`.
    pub ty: &'static str,
    /// `name` for the name, else empty.
    pub format: &'static str,
    /// 0: always shown; 1: with `-o wide`.
    pub priority: u8,
    pub description: &'static str,
}
