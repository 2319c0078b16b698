//! Of a method and a URL: what is asked for.

mod query;
#[cfg(test)]
mod tests;

use http::Method;

pub use query::{Query, QueryError};

/// What a request is about, before anybody has looked whether there is such a thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    Resource(Resource),
    /// `/version`, `/api`, `/openapi/v3/api/v1`: without a slash at the end.
    Path(String),
}

/// As RBAC sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resource {
    pub group: String,
    pub version: String,
    /// Empty: of the cluster, or of all namespaces.
    pub namespace: String,
    pub plural: String,
    pub subresource: String,
    /// Empty: the collection.
    pub name: String,
    /// What follows the subresource, without a slash in front: the path of a proxy.
    pub rest: String,
}

/// The part of the URL that names what it is about was no text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RouteError {
    #[error("the path is not percent-encoded UTF-8: write % as %25")]
    Encoding,
    #[error("the path has an empty, . or .. segment: leave it out")]
    Segment,
}

/// The most segments in front of a proxy's path: `/apis/G/V/namespaces/NS/PLURAL/NAME/SUB`.
const SEGMENTS_MAX: usize = 8;

impl Target {
    /// # Errors
    /// What is wrong with the path; nothing exists at such a path.
    pub fn of(path: &str) -> Result<Self, RouteError> {
        let trimmed = path.trim_matches('/');
        let mut segments: Vec<&str> = trimmed.splitn(SEGMENTS_MAX + 1, '/').collect();
        let skip = match segments.first() {
            Some(&"api") => 2,
            Some(&"apis") => 3,
            _ => return Ok(Self::Path(format!("/{trimmed}"))),
        };
        if segments.len() <= skip {
            return Ok(Self::Path(format!("/{trimmed}")));
        }
        // A proxy's path is the other side's to judge, slashes at its end included.
        let tail = path.trim_start_matches('/');
        let rest_of = |count: usize| tail.splitn(count + 1, '/').nth(count).unwrap_or_default().to_owned();
        let (group, version) = if skip == 2 {
            (String::new(), segments[1])
        } else {
            (decode_segment(segments[1])?, segments[2])
        };
        let version = decode_segment(version)?;
        let names = segments.split_off(skip);
        let mut resource = Resource { group, version, ..Resource::default() };
        let used = resource.take_names(&names)?;
        if names.len() > used {
            if resource.subresource != "proxy" {
                return Ok(Self::Path(format!("/{trimmed}")));
            }
            resource.rest = rest_of(skip + used);
        } else if resource.subresource == "proxy" && path.ends_with('/') {
            resource.rest = String::new();
        }
        Ok(Self::Resource(resource))
    }
}

impl Resource {
    /// Reads `namespaces/NS/PLURAL/NAME/SUB` or `PLURAL/NAME/SUB`; returns how many of `names` that were.
    fn take_names(&mut self, names: &[&str]) -> Result<usize, RouteError> {
        let mut at = 0;
        // `namespaces/NS` and its subresources are about the namespace itself.
        let is_of_namespace = |third: &str| third != "status" && third != "finalize";
        if names[0] == "namespaces" && names.len() > 1 {
            self.namespace = decode_segment(names[1])?;
            if names.len() > 2 && is_of_namespace(names[2]) {
                at = 2;
            }
        }
        let fields = [&mut self.plural, &mut self.name, &mut self.subresource];
        for (field, name) in fields.into_iter().zip(&names[at..]) {
            *field = decode_segment(name)?;
            at += 1;
        }
        Ok(at)
    }

    /// What RBAC calls what `method` does here; `is_watch`: the query has `watch=true`.
    #[must_use]
    pub fn verb(&self, method: &Method, is_watch: bool) -> &'static str {
        match (method, self.name.is_empty()) {
            (&Method::GET | &Method::HEAD, true) if is_watch => "watch",
            (&Method::GET | &Method::HEAD, true) => "list",
            (&Method::GET | &Method::HEAD, false) => "get",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, true) => "deletecollection",
            (&Method::DELETE, false) => "delete",
            _ => "",
        }
    }
}

/// One segment of a path: names are never empty and never lead elsewhere.
fn decode_segment(segment: &str) -> Result<String, RouteError> {
    let text = query::percent_decode(segment, false).ok_or(RouteError::Encoding)?;
    match text.as_str() {
        "" | "." | ".." => Err(RouteError::Segment),
        _ => Ok(text),
    }
}
