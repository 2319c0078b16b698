//! Pulls that nobody waits for any more.

use podspec::PullPolicy;
use registry_double::Image;

use super::{Bed, SOON, ensure, image, layer, noise};

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_given_up_leaves_nothing_and_one_that_somebody_wants_goes_on() {
    let Some(bed) = Bed::new() else { return };
    let pushed = bed.double.push("a", Some("1"), &Image::new(vec![layer("a", &noise(1, 3_000_000))]));
    let before = bed.tree().await;
    let is_asked = |seen: &[registry_double::Seen]| {
        seen.iter().any(|seen| seen.path.contains(&pushed.layers[0].digest) && seen.bytes_sent > 0)
    };
    let gate = bed.double.hold_after(&pushed.layers[0].digest, 1_000_000);
    let start = || {
        let (images, name) = (bed.images.clone(), bed.name("a:1"));
        tokio::spawn(async move { ensure(&images, &name, PullPolicy::IfNotPresent).await })
    };
    let (first, second) = (start(), start());
    assert!(bed.double.wait(SOON, is_asked).await);
    first.abort();
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
    gate.open();
    assert_eq!(second.await.expect("it waits").expect("pulled").0.id, pushed.config.digest);
    assert_eq!(bed.double.requests(&pushed.layers[0].digest), 1);
    bed.store().remove(&bed.name("a:1"), false, &|| Ok(Vec::new())).expect("removed");

    let gate = bed.double.hold_after(&pushed.layers[0].digest, 1_000_000);
    let only = start();
    let is_asked_again = |seen: &[registry_double::Seen]| {
        let asked = seen.iter().filter(|seen| seen.path.contains(&pushed.layers[0].digest));
        asked.filter(|seen| seen.bytes_sent > 0).count() == 2
    };
    assert!(bed.double.wait(SOON, is_asked_again).await);
    only.abort();
    assert!(only.await.is_err_and(|error| error.is_cancelled()));
    let mut after = bed.tree().await;
    after.remove("index.json");
    assert_eq!((after, bed.layers()), (before, 0));
    gate.open();
    bed.pull("a:1").await.expect("pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_pull_left_goes_with_a_pull_of_what_is_there() {
    let Some(bed) = Bed::new() else { return };
    bed.double.push("a", Some("1"), &image(&["a"]));
    bed.pull("a:1").await.expect("pulled");
    // Killed after its image had its name, before its own directory was removed.
    let left = bed.images_dir().join("staging/7/layer-0");
    std::fs::create_dir_all(&left).expect("made");
    ensure(&bed.images, &bed.name("a:1"), PullPolicy::Always).await.expect("named again");
    assert!(!left.exists());
}

/// Draws what follows from a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_at_any_moment_the_store_is_whole() {
    const TURNS: u64 = 60;
    let Some(bed) = Bed::new() else { return };
    let layers = (0..6).map(|n| layer(&n.to_string(), &noise(n, 400_000))).collect();
    let pushed = bed.double.push("a", Some("1"), &Image::new(layers));
    let mut draw = Draw(7);
    let mut pulled = 0;
    for _ in 0..TURNS {
        let (images, name) = (bed.images.clone(), bed.name("a:1"));
        let moment = std::time::Duration::from_micros(draw.below(60_000));
        let pulling = ensure(&images, &name, PullPolicy::IfNotPresent);
        let outcome = tokio::time::timeout(moment, pulling).await;
        let tree = bed.tree().await;
        assert!(
            tree.keys().all(|path| !path.starts_with("staging/") && !path.starts_with("pulling/")),
            "{:?}",
            tree.keys()
        );
        match bed.store().list(&[]).expect("a whole store").as_slice() {
            [] => assert!(outcome.is_err(), "what was pulled is there"),
            [image] => {
                assert_eq!(image.id, pushed.config.digest);
                let mut saved = Vec::new();
                bed.store()
                    .save(std::slice::from_ref(&image.id), crate::SaveFormat::Docker, &mut saved)
                    .expect("every layer is what it was");
                pulled += 1;
                bed.store().remove(&name, false, &|| Ok(Vec::new())).expect("removed");
                assert_eq!(bed.layers(), 0);
            }
            more => panic!("{more:?}"),
        }
    }
    println!("{pulled} of {TURNS} were faster");
    bed.pull("a:1").await.expect("pulled");
}
