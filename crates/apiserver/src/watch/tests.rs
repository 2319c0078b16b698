use std::time::Duration;

use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::auth::Peer;
use crate::body::{self, Body};
use crate::testing::{Bed, config_map};

const MAPS: &str = "/api/v1/namespaces/a/configmaps";
const SOON: Duration = Duration::from_secs(10);

/// A watch under way, event by event.
struct Watched {
    body: Body,
    read: Vec<u8>,
}

impl Watched {
    async fn begin(bed: &Bed, query: &str, accept: &str) -> Self {
        let request = Request::builder().method(Method::GET).uri(format!("{MAPS}?watch=true&{query}"));
        let request = request.header("accept", accept).body(body::empty()).expect("a request");
        let response = bed.raw(request, Peer::Local).await;
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), read: Vec::new() }
    }

    /// `None` when the watch has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line is an event"));
            }
            let frame = tokio::time::timeout(SOON, self.body.frame()).await.expect("in time")?;
            self.read.extend_from_slice(&frame.expect("a frame").into_data().expect("data"));
        }
    }

    /// `TYPE name` of the next event.
    async fn said(&mut self) -> String {
        let event = self.next().await.expect("an event");
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or("-");
        format!("{} {name}", event["type"].as_str().unwrap_or("-"))
    }
}

#[tokio::test]
async fn changes_come_in_order_from_where_a_list_was() {
    let bed = Bed::new().await;
    bed.post(MAPS, &config_map("m", &json!({}))).await.expect(201);
    let revision = bed.get(MAPS).await.expect(200)["metadata"]["resourceVersion"].clone();
    let revision = revision.as_str().unwrap_or_default();
    let mut watch = Watched::begin(&bed, &format!("resourceVersion={revision}"), "application/json").await;
    bed.patch(&format!("{MAPS}/m"), "merge-patch+json", &json!({ "data": { "k": "w" } })).await.expect(200);
    bed.post(MAPS, &config_map("n", &json!({}))).await.expect(201);
    bed.delete(&format!("{MAPS}/m"), &json!({})).await.expect(200);
    assert_eq!(watch.said().await, "MODIFIED m");
    assert_eq!(watch.said().await, "ADDED n");
    let deleted = watch.next().await.expect("an event");
    assert_eq!((&deleted["type"], &deleted["object"]["data"]["k"]), (&json!("DELETED"), &json!("w")));
    let now = bed.api.store.revision().to_string();
    assert_eq!(deleted["object"]["metadata"]["resourceVersion"], now);
}

#[tokio::test]
async fn a_selection_sees_objects_come_and_go() {
    let bed = Bed::new().await;
    let query = "labelSelector=in%3Dyes&resourceVersion=0";
    let mut watch = Watched::begin(&bed, query, "application/json").await;
    let label = |value: &str| json!({ "metadata": { "labels": { "in": value } } });
    bed.post(MAPS, &config_map("m", &json!({ "in": "no" }))).await.expect(201);
    let path = format!("{MAPS}/m");
    bed.patch(&path, "merge-patch+json", &label("yes")).await.expect(200);
    bed.patch(&path, "merge-patch+json", &json!({ "data": { "k": "w" } })).await.expect(200);
    let left = bed.patch(&path, "merge-patch+json", &label("no")).await.expect(200);
    bed.delete(&path, &json!({})).await.expect(200);
    bed.post(MAPS, &config_map("n", &json!({ "in": "yes" }))).await.expect(201);
    assert_eq!(watch.said().await, "ADDED m");
    assert_eq!(watch.said().await, "MODIFIED m");
    let gone = watch.next().await.expect("an event");
    assert_eq!(gone["type"], "DELETED");
    // What was seen last, as of the change that took it out.
    assert_eq!(gone["object"]["metadata"]["labels"]["in"], "yes");
    assert_eq!(gone["object"]["metadata"]["resourceVersion"], left["metadata"]["resourceVersion"]);
    assert_eq!(watch.said().await, "ADDED n");
}

#[tokio::test]
async fn what_is_there_comes_first_and_a_bookmark_ends_it() {
    let bed = Bed::new().await;
    for name in ["m", "n"] {
        bed.post(MAPS, &config_map(name, &json!({}))).await.expect(201);
    }
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = Watched::begin(&bed, query, "application/json").await;
    assert_eq!(watch.said().await, "ADDED m");
    assert_eq!(watch.said().await, "ADDED n");
    let bookmark = watch.next().await.expect("an event");
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], bed.api.store.revision().to_string());
    bed.post(MAPS, &config_map("o", &json!({}))).await.expect(201);
    assert_eq!(watch.said().await, "ADDED o");
    let mut none = Watched::begin(&bed, &query.replace("true&r", "false&r"), "application/json").await;
    bed.post(MAPS, &config_map("p", &json!({}))).await.expect(201);
    assert_eq!(none.said().await, "ADDED p");
    bed.get(&format!("{MAPS}?watch=true&sendInitialEvents=true")).await.failure(422);
}

#[tokio::test]
async fn tables_say_their_columns_once() {
    let bed = Bed::new().await;
    let mut watch = Watched::begin(&bed, "", "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    for name in ["m", "n"] {
        bed.post(MAPS, &config_map(name, &json!({}))).await.expect(201);
    }
    let (first, second) = (watch.next().await.expect("one"), watch.next().await.expect("another"));
    assert_eq!((&first["type"], &first["object"]["kind"]), (&json!("ADDED"), &json!("Table")));
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    assert_eq!(second["object"]["columnDefinitions"], json!([]));
    assert_eq!(second["object"]["rows"][0]["cells"][0], "n");
}

#[tokio::test]
async fn a_watch_ends_when_it_should() {
    let bed = Bed::new().await;
    let mut short = Watched::begin(&bed, "timeoutSeconds=0", "application/json").await;
    assert_eq!(short.next().await, None);
    let mut long = Watched::begin(&bed, "", "application/json").await;
    assert!(bed.api.metrics.text("1", 1).contains("monopod_watches 1"));
    bed.api.shutdown.send_replace(true);
    assert_eq!(long.next().await, None);
    drop(long);
    assert!(bed.api.metrics.text("1", 1).contains("monopod_watches 0"));
}

#[tokio::test]
async fn the_past_is_gone_and_the_future_is_not_there() {
    let bed = Bed::new().await;
    let future = bed.api.store.revision() + 10;
    let message = bed.get(&format!("{MAPS}?watch=true&resourceVersion={future}")).await.failure(504);
    assert!(message.contains("Too large resource version"), "{message}");
    bed.post(MAPS, &config_map("m", &json!({}))).await.expect(201);
    let begun = bed.api.store.revision();
    for n in 0..=store::HISTORY_CHANGES_MAX {
        let name = json!({ "data": { "k": n.to_string() } });
        bed.patch(&format!("{MAPS}/m"), "merge-patch+json", &name).await.expect(200);
    }
    let mut watch = Watched::begin(&bed, &format!("resourceVersion={begun}"), "application/json").await;
    let error = watch.next().await.expect("an event");
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(error["object"]["reason"], "Expired");
    assert_eq!(watch.next().await, None);
}
