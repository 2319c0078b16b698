//! Volumes of files over objects in memory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use container_config::{NodeFacts, ObjectData, ServiceAddress};
use podspec::source::{KeyToPath, ObjectKind, ObjectRef, Projected, Projection, TokenProjection};
use podspec::{Pod, Volume, VolumeSource};
use ports::{
    Answer, ClaimedVolume, ObjectReader, PodContext, PortError, PullSecret, Token, VolumeService as _,
};

use super::{Directory, mode, pod, volume};
use crate::Volumes;

/// Config maps by name, and tokens that are numbered.
#[derive(Debug, Default)]
struct Held {
    config_maps: Mutex<BTreeMap<String, Arc<ObjectData>>>,
    issued: AtomicU32,
}

impl Held {
    fn set(&self, name: &str, entries: &[(&str, &str)]) {
        let data =
            entries.iter().map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_owned())).collect();
        let data = Arc::new(ObjectData { data, binary: BTreeMap::new() });
        self.config_maps.lock().unwrap().insert(name.to_owned(), data);
    }
}

impl ObjectReader for Held {
    fn read<'a>(&'a self, _: &'a str, _: ObjectKind, name: &'a str) -> Answer<'a, Option<Arc<ObjectData>>> {
        Box::pin(async move { Ok(self.config_maps.lock().unwrap().get(name).cloned()) })
    }

    fn pull_secret<'a>(&'a self, _: &'a str, _: &'a str) -> Answer<'a, Option<PullSecret>> {
        Box::pin(async { Ok(None) })
    }

    fn claim<'a>(&'a self, _: &'a Pod, claim: &'a str, _: bool) -> Answer<'a, ClaimedVolume> {
        Box::pin(async move { Err(PortError(format!("persistentvolumeclaims \"{claim}\" not found"))) })
    }

    fn services<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<ServiceAddress>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn token<'a>(&'a self, _: &'a Pod, wanted: &'a TokenProjection) -> Answer<'a, Token> {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { Ok(Token { text: format!("token {number}"), lifetime: wanted.lifetime }) })
    }
}

fn node() -> (Arc<Held>, Volumes) {
    let held = Arc::new(Held::default());
    let volumes = Volumes::new(&NodeFacts::default(), Arc::clone(&held) as Arc<dyn ObjectReader>);
    (held, volumes)
}

fn config_map(name: &str, items: &[(&str, &str)], optional: bool) -> Projection {
    let item = |(key, path): &(&str, &str)| KeyToPath {
        key: (*key).to_owned(),
        path: (*path).to_owned(),
        mode: None,
    };
    Projection::Object {
        object: ObjectRef { kind: ObjectKind::ConfigMap, name: name.to_owned(), optional },
        items: items.iter().map(item).collect(),
    }
}

fn token(seconds: u64) -> Projection {
    let lifetime = Duration::from_secs(seconds);
    Projection::Token(TokenProjection { audience: String::new(), lifetime, path: "token".to_owned() })
}

fn files(sources: Vec<Projection>) -> Volume {
    volume("files", VolumeSource::Projected(Projected { sources, default_mode: 0o640 }))
}

fn with(directory: &Directory, sources: Vec<Projection>) -> Arc<PodContext> {
    pod(directory, vec![files(sources)])
}

fn read(directory: &Directory, path: &str) -> String {
    fs::read_to_string(directory.join("pod/volumes/files").join(path))
        .unwrap_or_else(|error| error.to_string())
}

fn names(directory: &Directory) -> Vec<String> {
    let entries = fs::read_dir(directory.join("pod/volumes/files")).expect("a volume").flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn files_are_made_changed_and_removed() {
    let directory = Directory::new();
    let (held, volumes) = node();
    held.set("a", &[("x", "1"), ("y", "2")]);
    held.set("b", &[("deep", "3")]);
    let pod =
        with(&directory, vec![config_map("a", &[], false), config_map("b", &[("deep", "d/e/f")], false)]);
    volumes.set_up(&pod).await.expect("made");
    let file = directory.join("pod/volumes/files/x");
    assert_eq!((read(&directory, "x"), read(&directory, "d/e/f")), ("1".to_owned(), "3".to_owned()));
    assert_eq!((mode(&file), mode(&directory.join("pod/volumes/files/d/e"))), (0o640, 0o755));
    let state = fs::read_link(directory.join("pod/volumes/files/..data")).expect("a link");
    assert_eq!(fs::read_link(&file).unwrap().to_str(), Some("..data/x"));
    assert_eq!(names(&directory), [state.to_str().unwrap(), "..data", "d", "x", "y"]);

    volumes.set_up(&pod).await.expect("made");
    let again = fs::read_link(directory.join("pod/volumes/files/..data")).expect("a link");
    assert_eq!(again, state, "nothing has changed");

    held.set("a", &[("x", "changed"), ("z", "new")]);
    assert_eq!(volumes.refresh(&pod).await, Ok(None));
    assert_eq!((read(&directory, "x"), read(&directory, "z")), ("changed".to_owned(), "new".to_owned()));
    let state = fs::read_link(directory.join("pod/volumes/files/..data")).expect("a link");
    assert_eq!(names(&directory), [state.to_str().unwrap(), "..data", "d", "x", "z"]);

    volumes.tear_down(&pod).await.expect("removed");
    assert!(!directory.join("pod/volumes").exists());
    assert_eq!(volumes.refresh(&pod).await, Ok(None), "what is gone is not made again");
    assert!(!directory.join("pod/volumes").exists());
}

#[tokio::test]
async fn what_is_missing_is_said_and_changes_nothing() {
    let directory = Directory::new();
    let (held, volumes) = node();
    let failed = |why: &str| format!("MountVolume.SetUp failed for volume \"files\" : {why}");
    let pod = with(&directory, vec![config_map("a", &[("x", "x")], false), config_map("b", &[], false)]);
    let error = volumes.set_up(&pod).await.expect_err("nothing is there");
    assert_eq!(error.0, failed("[configmap \"a\" not found, configmap \"b\" not found]"));
    held.set("b", &[]);
    held.set("a", &[("x", "1")]);
    volumes.set_up(&pod).await.expect("made");
    held.set("a", &[]);
    let error = volumes.refresh(&pod).await.expect_err("a key is gone");
    assert_eq!(error.0, failed("references non-existent config key: x"));
    assert_eq!(read(&directory, "x"), "1");

    let optional =
        with(&directory, vec![config_map("nothing", &[], true), config_map("a", &[("x", "x")], true)]);
    volumes.set_up(&optional).await.expect("made");
    assert_eq!(names(&directory).iter().filter(|name| !name.starts_with("..")).count(), 0);
}

/// A reader sees the files of one state together, whatever happens meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_each_state_whole() {
    let directory = Directory::new();
    let (held, volumes) = node();
    held.set("a", &[("x", "0"), ("y", "0")]);
    let pod = with(&directory, vec![config_map("a", &[], false)]);
    volumes.set_up(&pod).await.expect("made");
    let (data, over) = (directory.join("pod/volumes/files/..data"), Arc::new(AtomicBool::new(false)));
    let reader = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            let mut seen = 0;
            while !over.load(Ordering::Relaxed) {
                // One state is one directory, which may be removed while it is read.
                let state = data.parent().unwrap().join(fs::read_link(&data).expect("always a state"));
                let both = (fs::read_to_string(state.join("x")), fs::read_to_string(state.join("y")));
                if let (Ok(x), Ok(y)) = both {
                    assert_eq!(x, y);
                    seen += 1;
                }
            }
            seen
        })
    };
    for number in 1..=100 {
        let text = number.to_string();
        held.set("a", &[("x", &text), ("y", &text)]);
        volumes.refresh(&pod).await.expect("changed");
        assert_eq!(read(&directory, "y"), text);
    }
    over.store(true, Ordering::Relaxed);
    assert!(reader.join().expect("no mixed state") > 0);
}

#[tokio::test]
async fn a_token_is_kept_until_most_of_its_life_is_over() {
    let directory = Directory::new();
    let (held, volumes) = node();
    let pod = with(&directory, vec![token(600)]);
    volumes.set_up(&pod).await.expect("made");
    let due = volumes.refresh(&pod).await.expect("up to date").expect("a time");
    assert!(due <= Duration::from_secs(480) && due > Duration::from_secs(470), "{due:?}");
    assert_eq!((read(&directory, "token").as_str(), held.issued.load(Ordering::Relaxed)), ("token 0", 1));
    assert_eq!(mode(&directory.join("pod/volumes/files/token")), 0o640);
    volumes.tear_down(&pod).await.expect("removed");

    // Of no life at all, it is replaced each time.
    let pod = with(&directory, vec![token(0)]);
    volumes.set_up(&pod).await.expect("made");
    volumes.refresh(&pod).await.expect("up to date");
    assert_eq!(read(&directory, "token"), "token 2");
}

/// Needs root, to give files away.
#[tokio::test]
async fn a_token_of_a_pod_with_one_user_is_that_users() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: files can be given away by root alone");
    }
    let directory = Directory::new();
    let (_, volumes) = node();
    let mut context = (*with(&directory, vec![token(600)])).clone();
    context.pod.spec.containers[0].security.run_as_user = Some(1000);
    volumes.set_up(&Arc::new(context)).await.expect("made");
    let token = fs::metadata(directory.join("pod/volumes/files/token")).unwrap();
    assert_eq!((token.uid(), token.permissions().mode() & 0o7777), (1000, 0o600));
}

#[tokio::test]
async fn hostile_paths_lead_nowhere() {
    for path in ["../up", "/abs", "a/../../up", "..", "..data", "..x/y", "", ".", "a\0b"] {
        let directory = Directory::new();
        let (held, volumes) = node();
        held.set("a", &[("x", "evil")]);
        let pod = with(&directory, vec![config_map("a", &[("x", path)], false)]);
        let error = volumes.set_up(&pod).await.expect_err(path);
        assert!(error.0.contains("is no path within a volume"), "{path:?}: {error}");
        assert!(!directory.join("pod/up").exists() && !directory.join("pod/volumes/up").exists());
    }
    // A file and a directory of one name.
    let directory = Directory::new();
    let (held, volumes) = node();
    held.set("a", &[("x", "1")]);
    let pod = with(
        &directory,
        vec![config_map("a", &[("x", "n")], false), config_map("a", &[("x", "n/m")], false)],
    );
    volumes.set_up(&pod).await.expect_err("not both");
    assert_eq!(names(&directory), Vec::<String>::new(), "nothing is half-made");
}

/// What somebody else has put there is replaced, never followed.
#[tokio::test]
async fn links_of_others_are_not_followed() {
    let directory = Directory::new();
    let (held, volumes) = node();
    fs::create_dir(directory.join("host")).unwrap();
    fs::write(directory.join("host/x"), "precious").unwrap();
    held.set("a", &[("x", "1")]);
    let pod = with(&directory, vec![config_map("a", &[], false)]);
    volumes.set_up(&pod).await.expect("made");
    let files = directory.join("pod/volumes/files");
    for name in ["..data", "x", "other"] {
        let _ = fs::remove_file(files.join(name));
        symlink(directory.join("host"), files.join(name)).unwrap();
    }
    symlink(directory.join("host"), files.join("..data_tmp")).unwrap();
    held.set("a", &[("x", "2")]);
    volumes.refresh(&pod).await.expect("changed");
    assert_eq!(read(&directory, "x"), "2");
    assert!(!names(&directory).contains(&"other".to_owned()));
    assert_eq!(fs::read_to_string(directory.join("host/x")).unwrap(), "precious");
    assert_eq!(fs::read_dir(directory.join("host")).unwrap().count(), 1);

    // A volume that somebody replaced by a link is none.
    fs::rename(&files, directory.join("moved")).unwrap();
    symlink(directory.join("host"), &files).unwrap();
    volumes.set_up(&pod).await.expect_err("no directory");
    assert_eq!(volumes.refresh(&pod).await, Ok(None));
    assert_eq!(fs::read_dir(directory.join("host")).unwrap().count(), 1);
}

/// Needs root, to give files away.
#[tokio::test]
async fn files_of_a_group_are_the_groups_and_readable_to_it() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: files can be given away by root alone");
    }
    let directory = Directory::new();
    let (held, volumes) = node();
    held.set("a", &[("x", "1"), ("y", "2")]);
    let sources = vec![config_map("a", &[("x", "x"), ("y", "d/y")], false), token(600)];
    let mut context = (*with(&directory, sources)).clone();
    context.pod.spec.fs_group = Some(4321);
    let source = VolumeSource::Projected(Projected {
        sources: match &context.pod.spec.volumes[0].source {
            VolumeSource::Projected(projected) => projected.sources.clone(),
            _ => unreachable!(),
        },
        default_mode: 0o200,
    });
    context.pod.spec.volumes[0].source = source;
    let context = Arc::new(context);
    volumes.set_up(&context).await.expect("made");
    let found = |path: &str| {
        let path = directory.join("pod/volumes/files").join(path);
        (mode(&path), fs::metadata(&path).unwrap().gid(), fs::metadata(&path).unwrap().uid())
    };
    assert_eq!(found(""), (0o2777, 4321, 0));
    assert_eq!(found("..data"), (0o2755, 4321, 0));
    assert_eq!(found("d"), (0o2755, 4321, 0));
    assert_eq!(found("x"), (0o640, 4321, 0));
    assert_eq!(found("d/y"), (0o640, 4321, 0));
    assert_eq!(found("token"), (0o640, 4321, 0), "private but for the group");

    // It is as it should be, so nothing is written again.
    let state = fs::read_link(directory.join("pod/volumes/files/..data")).expect("a link");
    volumes.refresh(&context).await.expect("up to date");
    assert_eq!(fs::read_link(directory.join("pod/volumes/files/..data")).expect("a link"), state);
    held.set("a", &[("x", "3"), ("y", "2")]);
    volumes.refresh(&context).await.expect("changed");
    assert_eq!((read(&directory, "x"), found("x")), ("3".to_owned(), (0o640, 4321, 0)));
}
