//! A list as it is sent: made piece by piece as the client takes it, so that one that stops reading holds a piece and
//! not the list. Objects are as they were when the list was begun.

use std::io;
use std::sync::Arc;

use apimachinery::Status;
use serde_json::{Value, json};
use store::Object;

use super::form::{Shaper, present_bytes};
use crate::negotiate::{Form, MetaVersion};
use crate::{change, span};

/// A piece ends with the object that fills it: it is at most as much longer as an object may be.
const PIECE_BYTES: usize = 64 * 1024;

/// The bytes of a list.
pub(super) struct Pieces {
    shaper: Shaper,
    objects: std::vec::IntoIter<Arc<Object>>,
    /// What is to be sent before the next object.
    before: Vec<u8>,
    ended: bool,
}

impl Pieces {
    pub(super) fn new(shaper: Shaper, objects: Vec<Arc<Object>>, metadata: &Value) -> Self {
        Self { before: head(&shaper, metadata), shaper, objects: objects.into_iter(), ended: false }
    }

    fn item(&self, object: &Object, out: &mut Vec<u8>) -> Result<(), Status> {
        // Most of what takes time is to read what nobody asked for.
        let metadata = span::metadata(&object.json).filter(|_| !self.shaper.is_converted());
        let value = match (self.shaper.form, metadata) {
            (Form::Json, _) => {
                out.extend_from_slice(&present_bytes(self.shaper.kind, object)?);
                return Ok(());
            }
            (Form::Table(version), Some(metadata)) if self.shaper.includes_metadata() => {
                let read = span::without_managed_fields(&object.json);
                let cells = self.shaper.cells(&read.map_err(|error| change::damaged(object, &error))?);
                out.extend_from_slice(b"{\"cells\":");
                out.extend_from_slice(cells.to_string().as_bytes());
                out.extend_from_slice(b",\"object\":");
                partial(version, metadata, out);
                out.push(b'}');
                return Ok(());
            }
            (Form::Partial(version), Some(metadata)) => {
                partial(version, metadata, out);
                return Ok(());
            }
            (Form::Table(version), _) => self.shaper.row(version, change::parse(object)?),
            (Form::Partial(version), None) => self.shaper.partial(version, &change::parse(object)?),
        };
        serde_json::to_writer(out, &value).map_err(|error| Status::internal(&error.to_string()))
    }
}

impl Iterator for Pieces {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut piece = std::mem::take(&mut self.before);
        piece.reserve(PIECE_BYTES);
        while piece.len() < PIECE_BYTES {
            let Some(object) = self.objects.next() else {
                piece.extend_from_slice(b"]}");
                self.ended = true;
                break;
            };
            if let Err(status) = self.item(&object, &mut piece) {
                // The answer has begun: all that can be said is that it is not whole.
                tracing::error!("a list broke off: {status}");
                self.ended = true;
                return Some(Err(io::Error::other(status)));
            }
            if self.objects.len() > 0 {
                piece.push(b',');
            }
        }
        Some(Ok(piece))
    }
}

/// A PartialObjectMetadata of metadata that is written already.
fn partial(version: MetaVersion, metadata: &[u8], out: &mut Vec<u8>) {
    let head = format!(
        "{{\"apiVersion\":\"{}\",\"kind\":\"PartialObjectMetadata\",\"metadata\":",
        version.api_version()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(metadata);
    out.push(b'}');
}

/// Up to the first object, as JSON that is not closed yet.
fn head(shaper: &Shaper, metadata: &Value) -> Vec<u8> {
    let (kind, api_version, field) = match shaper.form {
        Form::Json => (format!("{}List", shaper.kind.kind), shaper.kind.api_version(), "items"),
        Form::Table(version) => ("Table".to_owned(), version.api_version().to_owned(), "rows"),
        Form::Partial(version) => {
            ("PartialObjectMetadataList".to_owned(), version.api_version().to_owned(), "items")
        }
    };
    let columns = match shaper.form {
        Form::Table(_) => format!("\"columnDefinitions\":{},", columns(shaper)),
        _ => String::new(),
    };
    format!(
        "{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},{columns}\"{field}\":["
    )
    .into_bytes()
}

fn columns(shaper: &Shaper) -> Value {
    let table = shaper.table(MetaVersion::V1, Vec::new(), json!({}), true);
    table["columnDefinitions"].clone()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::Method;
    use serde_json::{Value, json};

    use super::PIECE_BYTES;
    use crate::testing::{Answer, Bed, config_map};

    const PATH: &str = "/api/v1/namespaces/a/configmaps";
    const COUNT: usize = 60;

    /// Enough for several pieces, in each form.
    async fn filled() -> Bed {
        let bed = Bed::new().await;
        for n in 0..COUNT {
            let mut object = config_map(&format!("m-{n:03}"), &json!({ "n": n.to_string() }));
            object["metadata"]["annotations"] = json!({ "long": "x".repeat(4_000) });
            bed.post(PATH, &object).await.expect(201);
        }
        bed
    }

    async fn list(bed: &Bed, query: &str, headers: &[(&str, &str)]) -> Answer {
        bed.call(Method::GET, &format!("{PATH}?{query}"), headers, "").await
    }

    #[tokio::test]
    async fn long_lists_are_whole_in_every_form() {
        let bed = filled().await;
        let answer = list(&bed, "", &[]).await;
        assert!(answer.body.len() > 2 * PIECE_BYTES);
        let whole = answer.expect(200);
        assert_eq!((&whole["kind"], &whole["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
        let items = whole["items"].as_array().unwrap();
        assert_eq!(items.len(), COUNT);
        assert!(items.iter().enumerate().all(|(n, item)| item["metadata"]["name"] == format!("m-{n:03}")));
        assert_eq!(list(&bed, "pretty=true", &[]).await.expect(200), whole);
        assert_eq!(list(&bed, "limit=7", &[]).await.expect(200)["items"].as_array().unwrap().len(), 7);
        let none = list(&bed, "labelSelector=none", &[]).await.expect(200);
        assert_eq!(none["items"], json!([]));
        let accept = |form| format!("application/json;as={form};v=v1;g=meta.k8s.io");
        let table = list(&bed, "", &[("accept", &accept("Table"))]).await;
        assert_eq!(table.headers["content-type"], "application/json;as=Table;v=v1;g=meta.k8s.io");
        let table = table.expect(200);
        assert_eq!(table["metadata"]["resourceVersion"], whole["metadata"]["resourceVersion"]);
        assert_eq!(table["columnDefinitions"][0]["name"], "Name");
        assert_eq!(table["rows"].as_array().unwrap().len(), COUNT);
        assert_eq!(table["rows"][1]["cells"][0], "m-001");
        assert_eq!(table["rows"][1]["object"]["metadata"], items[1]["metadata"]);
        for (include, expected) in [("None", Value::Null), ("Object", items[1].clone())] {
            let query = format!("includeObject={include}");
            let table = list(&bed, &query, &[("accept", &accept("Table"))]).await.expect(200);
            assert_eq!(table["rows"][1]["object"], expected);
        }
        let one = bed.call(Method::GET, &format!("{PATH}/m-001"), &[("accept", &accept("Table"))], "").await;
        assert_eq!(one.expect(200)["rows"][0]["object"], table["rows"][1]["object"]);
        let partial = list(&bed, "", &[("accept", &accept("PartialObjectMetadataList"))]).await.expect(200);
        assert_eq!(partial["items"][COUNT - 1]["metadata"], items[COUNT - 1]["metadata"]);
        assert_eq!(partial["kind"], "PartialObjectMetadataList");
    }

    #[tokio::test]
    async fn long_lists_are_compressed_for_who_takes_that() {
        let bed = filled().await;
        let answer = list(&bed, "", &[("accept-encoding", "gzip")]).await;
        assert_eq!((answer.code, &answer.headers["content-encoding"]), (200, &"gzip".parse().unwrap()));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap();
        let whole: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(whole, list(&bed, "", &[]).await.expect(200));
        let short = list(&bed, "limit=1", &[("accept-encoding", "gzip")]).await;
        assert!(!short.headers.contains_key("content-encoding"));
    }
}
