//! Images that leave again.

use std::time::Duration;

use ports::{ImageService as _, Reclaim};

use super::{Bed, image};
use crate::store::{PodImages, PruneOptions, SharedPods};
use crate::{Applets, ImportOptions, ImportedProcess, Reference, Source};

/// An image of no registry.
fn import(bed: &Bed, name: &str) {
    let files = bed.directory.path().join("files");
    std::fs::create_dir_all(&files).expect("a directory");
    std::fs::write(files.join("own"), name).expect("a file");
    let name = Reference::parse(name).expect("a name");
    let options = ImportOptions { name, applets: Applets::Auto, process: ImportedProcess::default() };
    bed.store().import(&Source::Path(files), &options, &|| Ok(Vec::new())).expect("imported");
}

fn names(bed: &Bed) -> Vec<String> {
    let mut names: Vec<_> =
        bed.store().list(&[]).expect("a list").into_iter().map(|image| image.name).collect();
    names.iter_mut().for_each(|name| *name = name.rsplit('/').next().unwrap_or_default().to_owned());
    names.sort();
    names
}

/// As if it had been used so many seconds ago.
fn used(bed: &Bed, image_id: &str, seconds_ago: u64) {
    let hex = image_id.rsplit(':').next().expect("digits");
    let path = bed.images_dir().join("configs").join(hex);
    let file = std::fs::File::options().write(true).open(path).expect("a configuration");
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(seconds_ago)).expect("its time");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_used_longest_ago_go_first_and_those_of_pods_and_of_no_registry_stay() {
    let Some(bed) = Bed::new() else { return };
    for (repository, layers, seconds_ago) in [
        ("a", ["base", "a"], 300),
        ("b", ["base", "b"], 400),
        ("c", ["base", "c"], 500),
        ("d", ["d", "e"], 600),
    ] {
        bed.double.push(repository, Some("1"), &image(&layers));
        let (config, _) = bed.pull(&format!("{repository}:1")).await.expect("pulled");
        used(&bed, &config.id, seconds_ago);
    }
    import(&bed, "localhost/own:1");
    let in_use = PodImages { pod: "default/x".into(), names: vec![bed.name("d:1")], ids: Vec::new() };
    let images = crate::Images { pods: SharedPods::new(move || Ok(vec![in_use.clone()])), ..another(&bed) };
    let reclaim = async |bytes, age_s| {
        let wanted = Reclaim { bytes, age_min: Duration::from_secs(age_s) };
        images.reclaim(wanted).await.expect("reclaimed").images
    };
    assert_eq!(reclaim(Some(1), 3600).await, 0, "all are too young");
    assert_eq!(reclaim(Some(1), 450).await, 1);
    assert_eq!(names(&bed), ["a:1", "b:1", "d:1", "own:1"]);
    assert_eq!(reclaim(Some(1), 0).await, 1);
    assert_eq!(names(&bed), ["a:1", "d:1", "own:1"]);
    assert_eq!(reclaim(None, 0).await, 1);
    assert_eq!(names(&bed), ["d:1", "own:1"], "a pod uses one, and no registry has the other");
    assert_eq!(bed.layers(), 3);
    // Asked for by a pod, it is not old any more.
    let (config, _) = bed.pull("d:1").await.expect("present");
    used(&bed, &config.id, 600);
    bed.pull("d:1").await.expect("present");
    let nobody = || Ok(Vec::new());
    let recent =
        PruneOptions { images: true, unused_for: Duration::from_secs(300), ..PruneOptions::default() };
    assert_eq!(bed.store().prune(&recent, &nobody).expect("pruned").images, 0, "it was used just now");
}

fn another(bed: &Bed) -> crate::Images {
    crate::Images::new(&bed.images_dir(), false)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_takes_what_nothing_needs_and_more_when_it_is_asked_to() {
    let Some(bed) = Bed::new() else { return };
    bed.double.push("a", Some("1"), &image(&["base", "a"]));
    bed.pull("a:1").await.expect("pulled");
    import(&bed, "localhost/own:1");
    let nobody = || Ok(Vec::new());
    // Left by a pull that died.
    let orphan = bed.images_dir().join("layers").join("f".repeat(64));
    std::fs::create_dir_all(orphan.join("fs")).expect("a directory");
    let needless = PruneOptions::default();
    let dry = bed.store().prune(&PruneOptions { dry_run: true, ..needless }, &nobody).expect("told");
    assert_eq!((dry.images, bed.layers()), (0, 4));
    bed.store().prune(&needless, &nobody).expect("pruned");
    assert_eq!((bed.layers(), names(&bed)), (3, vec!["a:1".to_owned(), "own:1".to_owned()]));
    let all = PruneOptions { images: true, own: true, ..PruneOptions::default() };
    let dry = bed.store().prune(&PruneOptions { dry_run: true, ..all }, &nobody).expect("told");
    assert_eq!((dry.images, bed.layers(), names(&bed).len()), (2, 3, 2));
    let unknown = || Err(ports::PortError("who knows".into()));
    assert!(bed.store().prune(&all, &unknown).is_err(), "pods that are not known keep everything");
    let pruned = bed.store().prune(&all, &nobody).expect("pruned");
    assert_eq!((pruned.clone(), bed.layers()), (dry, 0), "what was said before");
    assert_eq!(pruned.names.len(), 2);
    assert_eq!(names(&bed), Vec::<String>::new());
    assert!(std::fs::read_dir(bed.images_dir().join("configs")).expect("a directory").next().is_none());
}
