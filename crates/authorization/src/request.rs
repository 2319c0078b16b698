//! Who asks for what.

use podspec::field::quote;

/// May do everything, whatever the bindings say.
pub(crate) const MASTERS: &str = "system:masters";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct User<'a> {
    pub name: &'a str,
    pub groups: &'a [String],
}

impl User<'_> {
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    /// Namespace and name of a service account.
    pub(crate) fn account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request<'a> {
    Resource {
        verb: &'a str,
        /// Empty for the core group.
        group: &'a str,
        /// The plural.
        resource: &'a str,
        /// Empty for the object itself.
        subresource: &'a str,
        /// Empty for the whole cluster.
        namespace: &'a str,
        /// Empty when the request is about no one object.
        name: &'a str,
    },
    Url {
        verb: &'a str,
        path: &'a str,
    },
}

/// What a client that may not do this is told.
#[must_use]
pub fn forbidden_message(user: &User<'_>, request: &Request<'_>) -> String {
    let message = match request {
        Request::Url { verb, path } => {
            format!("User {} cannot {verb} path {}", quote(user.name), quote(path))
        }
        Request::Resource { verb, group, resource, subresource, namespace, .. } => {
            let separator = if subresource.is_empty() { "" } else { "/" };
            let whole = format!("{resource}{separator}{subresource}");
            let scope = if namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace {}", quote(namespace))
            };
            let user = quote(user.name);
            format!(
                "User {user} cannot {verb} resource {} in API group {} {scope}",
                quote(&whole),
                quote(group)
            )
        }
    };
    // A browser that shows it must not find tags in it.
    message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
