//! Pods whose logs are measured, of one server.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use linux_sys::clock::boot_ns;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::bed::Bed;
use crate::pod::{self, EXCHANGE};
use crate::wait::SOON;
use crate::workload::api::{Client, JSON, PODS};
use crate::workload::daemon::Daemon;

/// Where every Linux has it.
pub(super) const CAT: &str = "/usr/bin/cat";

/// Deletes without a grace period, and at once.
const DELETE: &str = r#"{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0}"#;

#[derive(Debug)]
pub(super) struct Pods {
    client: Client,
    exchange: PathBuf,
    program: PathBuf,
}

impl Pods {
    pub(super) async fn new(bed: &Bed, daemon: &Daemon) -> Result<Self> {
        let client = Client::connect(&daemon.socket).await?;
        Ok(Self { client, exchange: bed.exchange(), program: bed.program() })
    }

    /// Begins a pod of one container of this program.
    pub(super) async fn begin(&self, name: &str, args: Vec<&str>) -> Result<()> {
        let mut pod = pod::manifest(name, &self.program, Some(&self.exchange), &[("app", args)]);
        // What it reads and writes is in the page cache, for which it has no room of its own.
        pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100m"}});
        self.client.create(PODS, &pod).await.map(drop)
    }

    /// Begins a pod that copies a file of the exchange directory to its log. When it begins is in the other file.
    pub(super) async fn copy(&self, name: &str, file: &str, began: &str) -> Result<()> {
        let [file, began] = [file, began].map(|name| format!("{EXCHANGE}/{name}"));
        self.begin(name, vec!["timed", "becomes", &began, CAT, &file]).await
    }

    /// Until its container has begun.
    pub(super) async fn running(&self, name: &str) -> Result<()> {
        let mut events = self.watch(name).await?;
        let running = |event: &Value| {
            event["object"]["status"]["containerStatuses"][0]["state"]["running"].is_object().then_some(())
        };
        next(name, "its start", &mut events, running).await.map(drop)
    }

    /// When its container was seen to have ended, which is when its log has all of it. Boot clock.
    pub(super) async fn ended(&self, name: &str) -> Result<i64> {
        let mut events = self.watch(name).await?;
        let (exit_code, at) = next(name, "its end", &mut events, |event| {
            event["object"]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].as_i64()
        })
        .await?;
        ensure!(exit_code == 0, "the container of {name} ended with {exit_code}");
        Ok(at)
    }

    /// Until it is gone, with its logs.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        let mut events = self.watch(name).await?;
        let path = format!("{PODS}/{name}");
        let answer = self.client.ask(Method::DELETE, &path, JSON, DELETE.into()).await?;
        ensure!(answer.status() == StatusCode::OK, "deleting {name} was answered with {}", answer.status());
        let gone = |event: &Value| (event["type"] == "DELETED").then_some(());
        next(name, "that it is gone", &mut events, gone).await.map(drop)
    }

    /// Its log, as it is written.
    pub(super) async fn follow(&self, name: &str) -> Result<Incoming> {
        self.stream(&format!("{PODS}/{name}/log?follow=true")).await
    }

    async fn watch(&self, name: &str) -> Result<Events> {
        let body = self.stream(&format!("{PODS}?watch=true&fieldSelector=metadata.name%3D{name}")).await?;
        Ok(Events { body, bytes: Vec::new() })
    }

    async fn stream(&self, path: &str) -> Result<Incoming> {
        let answer = self.client.ask(Method::GET, path, JSON, Vec::new()).await?;
        ensure!(answer.status() == StatusCode::OK, "{path} was answered with {}", answer.status());
        Ok(answer.into_body())
    }
}

struct Events {
    body: Incoming,
    /// Of an event that is not all there.
    bytes: Vec<u8>,
}

/// What is found in the first event that has it, and when it came.
async fn next<T>(
    name: &str,
    what: &str,
    events: &mut Events,
    find: impl Fn(&Value) -> Option<T>,
) -> Result<(T, i64)> {
    let found = async {
        loop {
            let frame = events.body.frame().await.context("a watch ended")??;
            let at = boot_ns();
            events.bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = events.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = events.bytes.drain(..=end).collect();
                if let Some(found) = find(&serde_json::from_slice(&line)?) {
                    return Ok((found, at));
                }
            }
        }
    };
    let found = timeout(SOON, found).await;
    found.with_context(|| format!("{name}: {what} was not seen within {} s", SOON.as_secs()))?
}
