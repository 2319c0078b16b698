//! The kinds that the API serves, and the words for them.

use podspec::json::{list, text};
use serde_json::Value;

use crate::client::context::{Context, encode};
use crate::client::failure::{Failure, Result};

/// The same fields in both versions; a server of Kubernetes 1.27 or newer has one of them.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) plural: String,
    singular: String,
    short_names: Vec<String>,
    categories: Vec<String>,
    pub(super) namespaced: bool,
    can_list: bool,
}

#[derive(Debug)]
pub(super) struct Discovery(Vec<Kind>);

impl Discovery {
    /// Kinds of the core group come first, and a word means the first that is called so: the other groups are asked for
    /// only when those of the core are not enough.
    pub(super) async fn ask(context: &Context, is_enough: impl Fn(&Self) -> bool) -> Result<Self> {
        let mut known = Self(list_of(context, "/api").await?);
        if !is_enough(&known) {
            known.0.extend(list_of(context, "/apis").await?);
        }
        Ok(known)
    }

    /// The kind of a word as people type it: `pods`, `pod`, `po`, `Pod`, `roles.rbac.authorization.k8s.io`,
    /// `roles.v1.rbac.authorization.k8s.io`.
    pub(super) fn by_word(&self, word: &str) -> Result<&Kind> {
        let word = word.to_lowercase();
        let (name, rest) = word.split_once('.').unwrap_or((&word, ""));
        let found = self.0.iter().find(|kind| {
            let with_version = format!("{}.{}", kind.version, kind.group);
            let is_group = rest.is_empty() || rest == kind.group || rest == with_version;
            is_group && kind.is_called(name)
        });
        found.ok_or_else(|| Failure::said(format!("the server doesn't have a resource type {word:?}")))
    }

    /// Kinds of a category, such as `all`.
    pub(super) fn of_category(&self, category: &str) -> Vec<&Kind> {
        let is_in = |kind: &&Kind| kind.can_list && kind.categories.iter().any(|known| known == category);
        self.0.iter().filter(is_in).collect()
    }

    pub(super) fn by_kind(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.0.iter().find(|known| known.kind == kind && known.api_version() == api_version)
    }
}

async fn list_of(context: &Context, path: &str) -> Result<Vec<Kind>> {
    let answer = context.get_as(path, ACCEPT).await?;
    if answer["kind"] != "APIGroupDiscoveryList" {
        return Err(Failure::said(format!(
            "{path} lists no kinds as Kubernetes 1.27 and newer do: use the kubectl of that server"
        )));
    }
    Ok(read(&answer))
}

impl Kind {
    fn is_called(&self, name: &str) -> bool {
        name == self.plural
            || name == self.singular
            || name == self.kind.to_lowercase()
            || self.short_names.iter().any(|short| short == name)
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods`, `roles.rbac.authorization.k8s.io`.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `pod`, `role.rbac.authorization.k8s.io`.
    pub(super) fn singular(&self) -> String {
        let kind = self.kind.to_lowercase();
        if self.group.is_empty() { kind } else { format!("{kind}.{}", self.group) }
    }

    /// Of the collection, in a namespace or, without one, in all of them.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let base = if self.group.is_empty() { "/api" } else { "/apis" };
        let namespace = namespace
            .filter(|_| self.namespaced)
            .map(|namespace| format!("/namespaces/{}", encode(namespace)))
            .unwrap_or_default();
        format!("{base}/{}{namespace}/{}", self.api_version(), self.plural)
    }

    pub(super) fn object_path(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.path(Some(namespace)), encode(name))
    }
}

fn read(answer: &Value) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for group in list(answer, "items") {
        // The first is the one that the server prefers.
        let Some(version) = list(group, "versions").first() else { continue };
        for resource in list(version, "resources") {
            kinds.push(kind(text(&group["metadata"], "name"), text(version, "version"), resource));
        }
    }
    kinds
}

fn kind(group: &str, version: &str, resource: &Value) -> Kind {
    let texts = |name| podspec::json::texts(resource, name).unwrap_or_default();
    let named = &resource["responseKind"];
    Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: text(named, "kind").to_owned(),
        plural: text(resource, "resource").to_owned(),
        singular: text(resource, "singularResource").to_owned(),
        short_names: texts("shortNames"),
        categories: texts("categories"),
        namespaced: text(resource, "scope") == "Namespaced",
        can_list: texts("verbs").iter().any(|verb| verb == "list"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::{Discovery, read};

    pub(in crate::client) fn discovery() -> Discovery {
        let resource =
            |plural: &str, singular: &str, kind: &str, scope: &str, short: &[&str], of: &[&str]| {
                json!({"resource": plural, "singularResource": singular, "scope": scope, "shortNames": short,
                "categories": of, "verbs": ["get", "list"], "responseKind": {"kind": kind}})
            };
        let answer = json!({"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {}, "versions": [{"version": "v1", "resources": [
                resource("pods", "pod", "Pod", "Namespaced", &["po"], &["all"]),
                resource("nodes", "node", "Node", "Cluster", &["no"], &[]),
                resource("services", "service", "Service", "Namespaced", &["svc"], &["all"]),
                resource("events", "event", "Event", "Namespaced", &["ev"], &[]),
            ]}]},
            {"metadata": {"name": "events.k8s.io"}, "versions": [{"version": "v1", "resources": [
                resource("events", "event", "Event", "Namespaced", &["ev"], &[]),
            ]}]},
        ]});
        Discovery(read(&answer))
    }

    #[test]
    fn kinds_have_many_names() {
        let discovery = discovery();
        for word in ["pods", "pod", "po", "Pod", "PODS", "pods.v1."] {
            assert_eq!(discovery.by_word(word).unwrap().plural, "pods", "{word}");
        }
        assert_eq!(discovery.by_word("events").unwrap().group, "");
        for word in ["events.events.k8s.io", "ev.v1.events.k8s.io"] {
            assert_eq!(discovery.by_word(word).unwrap().group, "events.k8s.io", "{word}");
        }
        assert!(discovery.by_word("poods").is_err());
        let all: Vec<_> = discovery.of_category("all").iter().map(|kind| &*kind.plural).collect();
        assert_eq!(all, ["pods", "services"]);
    }

    #[test]
    fn paths() {
        let discovery = discovery();
        let pods = discovery.by_word("pods").unwrap();
        assert_eq!(pods.path(None), "/api/v1/pods");
        assert_eq!(pods.object_path("a b", "x"), "/api/v1/namespaces/a%20b/pods/x");
        let events = discovery.by_word("events.events.k8s.io").unwrap();
        assert_eq!(events.path(Some("n")), "/apis/events.k8s.io/v1/namespaces/n/events");
        assert_eq!(discovery.by_word("no").unwrap().object_path("n", "x"), "/api/v1/nodes/x");
    }
}
