//! Content negotiation: which form of an answer a client takes, and in which form it sends.

#[cfg(test)]
mod tests;

/// An answer about objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Json,
    Table(MetaVersion),
    /// Metadata of one object or of a list of them.
    Partial(MetaVersion),
}

/// Of `meta.k8s.io`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetaVersion {
    V1,
    V1Beta1,
}

impl MetaVersion {
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// An answer about what is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiscoveryForm {
    Legacy,
    V2,
    V2Beta1,
}

/// How a request's body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyForm {
    Json,
    Yaml,
    Protobuf,
    JsonPatch,
    MergePatch,
    StrategicMergePatch,
    ApplyYaml,
}

/// What is offered to who accepts none of it.
pub const OFFERED: &str = "application/json";

/// One entry of an Accept header: the media type and the parameters that matter.
#[derive(Clone, PartialEq, Debug)]
struct Accepted<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Accepted<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    fn takes_json(&self) -> bool {
        matches!(self.media, "application/json" | "application/*" | "*/*")
    }
}

/// The entries of an Accept header, best first; equal ones in their order.
fn accepted(header: &str) -> Vec<Accepted<'_>> {
    let mut entries: Vec<Accepted<'_>> = header
        .split(',')
        .map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let quality = parameters.iter().find(|(name, _)| *name == "q");
            let quality = quality.and_then(|(_, value)| value.parse().ok()).unwrap_or(1.0);
            Accepted { media, parameters, quality }
        })
        .filter(|entry| !entry.media.is_empty() && entry.quality > 0.0)
        .collect();
    entries.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    entries
}

/// The first form of `accept` that there is; `None` when there is none (406).
#[must_use]
pub fn form(accept: Option<&str>) -> Option<Form> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else { return Some(Form::Json) };
    accepted(accept).iter().find_map(|entry| {
        if !entry.takes_json() {
            return None;
        }
        let Some(kind) = entry.parameter("as") else { return Some(Form::Json) };
        let version = match (entry.parameter("g"), entry.parameter("v")) {
            (Some("meta.k8s.io"), Some("v1")) => MetaVersion::V1,
            (Some("meta.k8s.io"), Some("v1beta1")) => MetaVersion::V1Beta1,
            _ => return None,
        };
        match kind {
            "Table" => Some(Form::Table(version)),
            "PartialObjectMetadata" | "PartialObjectMetadataList" => Some(Form::Partial(version)),
            _ => None,
        }
    })
}

/// [`form`] of `/api` and `/apis`.
#[must_use]
pub fn discovery_form(accept: Option<&str>) -> Option<DiscoveryForm> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return Some(DiscoveryForm::Legacy);
    };
    accepted(accept).iter().find_map(|entry| {
        if !entry.takes_json() {
            return None;
        }
        match (entry.parameter("as"), entry.parameter("g"), entry.parameter("v")) {
            (None, ..) => Some(DiscoveryForm::Legacy),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
                Some(DiscoveryForm::V2)
            }
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => {
                Some(DiscoveryForm::V2Beta1)
            }
            _ => None,
        }
    })
}

/// Whether plain JSON is taken: what has no other form is judged by this.
#[must_use]
pub fn takes_json(accept: Option<&str>) -> bool {
    accept.is_none_or(|accept| accept.trim().is_empty() || accepted(accept).iter().any(Accepted::takes_json))
}

/// Of a Content-Type header; JSON when there is none. `None`: 415.
#[must_use]
pub fn body_form(content_type: Option<&str>) -> Option<BodyForm> {
    let media = content_type.unwrap_or("application/json").split(';').next().unwrap_or_default().trim();
    Some(match media {
        "application/json" | "" => BodyForm::Json,
        "application/yaml" => BodyForm::Yaml,
        "application/vnd.kubernetes.protobuf" => BodyForm::Protobuf,
        "application/json-patch+json" => BodyForm::JsonPatch,
        "application/merge-patch+json" => BodyForm::MergePatch,
        "application/strategic-merge-patch+json" => BodyForm::StrategicMergePatch,
        "application/apply-patch+yaml" => BodyForm::ApplyYaml,
        _ => return None,
    })
}

/// Whether an Accept-Encoding header takes gzip.
#[must_use]
pub fn takes_gzip(accept_encoding: Option<&str>) -> bool {
    accept_encoding
        .is_some_and(|header| accepted(header).iter().any(|entry| matches!(entry.media, "gzip" | "*")))
}
