//! Several who want the same, and several engines.

use std::time::Duration;

use podspec::PullPolicy;
use registry_double::Image;
use tokio::task::JoinSet;

use super::{Bed, SOON, engine_of, ensure, image, layer, noise};
use crate::Policy;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_pods_that_want_one_image_cause_one_pull() {
    let Some(bed) = Bed::new() else { return };
    let pushed = bed.double.push("a", Some("1"), &image(&["x", "y", "z"]));
    for policy in [PullPolicy::IfNotPresent, PullPolicy::Always] {
        let gate = bed.double.hold("/manifests/");
        let asked = bed.double.requests("/manifests/");
        let mut waiters = JoinSet::new();
        for _ in 0..50 {
            let (images, name) = (bed.images.clone(), bed.name("a:1"));
            waiters.spawn(async move { ensure(&images, &name, policy).await });
        }
        assert!(
            policy != PullPolicy::Always
                || bed
                    .double
                    .wait(SOON, |seen| {
                        seen.iter().filter(|seen| seen.path.contains("/manifests/")).count() > asked
                    })
                    .await
        );
        gate.open();
        while let Some(waiter) = waiters.join_next().await {
            let (config, _) = waiter.expect("it waits").expect("pulled");
            assert_eq!(config.id, pushed.config.digest);
        }
    }
    for layer in &pushed.layers {
        assert_eq!(bed.double.requests(&layer.digest), 1);
    }
}

/// The time until then is what a pod waited.
#[tokio::test(flavor = "multi_thread")]
async fn pulls_beyond_those_that_may_be_under_way_wait_for_their_turn() {
    let Some(bed) = Bed::new() else { return };
    let images = engine_of(bed.directory.path(), Policy::accept_anything(), 1);
    for name in ["a", "b"] {
        bed.double.push(name, Some("1"), &image(&[name]));
    }
    let gate = bed.double.hold("/manifests/");
    let mut pulls = JoinSet::new();
    for name in ["a:1", "b:1"] {
        let (images, name) = (images.clone(), bed.name(name));
        pulls.spawn(async move { ensure(&images, &name, PullPolicy::IfNotPresent).await });
    }
    // Each has the lock of its name.
    let pulling = bed.images_dir().join("pulling");
    let both = async {
        while std::fs::read_dir(&pulling).map_or(0, Iterator::count) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, both).await.expect("both are under way");
    assert!(bed.double.wait(SOON, |seen| !seen.is_empty()).await);
    let named = |name: &str| bed.double.requests(&format!("/{name}/")).min(1);
    assert_eq!(named("a") + named("b"), 1, "one of them waits");
    gate.open();
    let mut waited = Vec::new();
    while let Some(pull) = pulls.join_next().await {
        let pulled = pull.expect("it waits").expect("pulled").1.expect("it was not there");
        waited.push(pulled.waited);
    }
    waited.sort();
    assert!(waited[1] > waited[0] && waited[1] > Duration::ZERO, "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_under_one_root_pull_once() {
    let Some(bed) = Bed::new() else { return };
    let layers = (0..4).map(|n| layer(&n.to_string(), &noise(n, 100_000))).collect();
    let pushed = bed.double.push("a", Some("1"), &Image::new(layers));
    let mut engines = JoinSet::new();
    for _ in 0..8 {
        let (engine, name) = (bed.engine(), bed.name("a:1"));
        engines.spawn(async move { ensure(&engine, &name, PullPolicy::IfNotPresent).await });
    }
    while let Some(engine) = engines.join_next().await {
        assert_eq!(engine.expect("it runs").expect("pulled").0.id, pushed.config.digest);
    }
    for layer in &pushed.layers {
        assert_eq!(bed.double.requests(&layer.digest), 1);
    }
    assert!(
        bed.tree().await.keys().all(|path| !path.starts_with("staging/") && !path.starts_with("pulling/"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_image_costs_only_what_is_new() {
    let Some(bed) = Bed::new() else { return };
    let first = bed.double.push("a", Some("1"), &image(&["x", "y"]));
    let second = bed.double.push("b", Some("1"), &image(&["x", "y", "z"]));
    bed.pull("a:1").await.expect("pulled");
    bed.pull("b:1").await.expect("pulled");
    for (digest, requests) in
        [(&first.layers[0].digest, 1), (&first.layers[1].digest, 1), (&second.layers[2].digest, 1)]
    {
        assert_eq!(bed.double.requests(digest), requests);
    }
    assert_eq!(bed.layers(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_pull_had_whole_is_there_for_the_next() {
    let Some(bed) = Bed::new() else { return };
    let pushed = bed.double.push("a", Some("1"), &image(&["x", "y", "z"]));
    let missing = &pushed.layers[2].digest;
    bed.double.misbehave(missing, registry_double::Fault::Body(noise(1, 20).into()));
    let gate = bed.double.hold(missing);
    let pulling = bed.pull("a:1");
    let opening = async {
        let are_asked = |seen: &[registry_double::Seen]| {
            pushed.layers[..2].iter().all(|layer| {
                seen.iter().any(|seen| seen.path.contains(&layer.digest) && seen.bytes_sent == layer.bytes)
            })
        };
        assert!(bed.double.wait(SOON, are_asked).await);
        gate.open();
    };
    let (pulled, ()) = tokio::join!(pulling, opening);
    assert!(pulled.is_err());
    bed.images.idle().await;
    let had = bed.layers();
    bed.double.behave();
    bed.pull("a:1").await.expect("pulled");
    let fetched: usize = pushed.layers[..2].iter().map(|layer| bed.double.requests(&layer.digest)).sum();
    assert_eq!(fetched, 4 - had, "what was whole is not fetched again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_under_way_keeps_its_layers_from_a_removal() {
    let Some(bed) = Bed::new() else { return };
    bed.double.push("a", Some("1"), &image(&["x", "y"]));
    let second = bed.double.push("b", Some("1"), &image(&["x", "y", "z"]));
    bed.pull("a:1").await.expect("pulled");
    let gate = bed.double.hold(&second.layers[2].digest);
    let removing = async {
        let is_asked = |seen: &[registry_double::Seen]| {
            seen.iter().any(|seen| seen.path.contains(&second.layers[2].digest))
        };
        assert!(bed.double.wait(SOON, is_asked).await);
        bed.store().remove(&bed.name("a:1"), false, &|| Ok(Vec::new())).expect("removed");
        assert_eq!(bed.layers(), 2, "the pull needs them");
        gate.open();
    };
    let (pulled, ()) = tokio::join!(bed.pull("b:1"), removing);
    pulled.expect("pulled");
    assert_eq!(bed.layers(), 3);
    assert_eq!(bed.store().list(&[]).expect("a list").len(), 1);
}
