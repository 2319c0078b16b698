//! Archives made for the purpose, good and bad, loaded into stores of their own.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{ArchiveError, LoadOptions, Loaded, SaveError, SaveFormat, Source};
use crate::config::Platform;
use crate::host::tests::Directory;
use crate::manifest::INDEX_DEPTH_MAX;
use crate::store::{PodImages, Store};
use registry::Digest;
use registry::Reference;

mod hostile;

const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The files of an archive in the making.
#[derive(Clone, Debug, Default)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    fn add(&mut self, name: &str, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.0.insert(name.to_owned(), bytes.into());
        self
    }

    fn add_json(&mut self, name: &str, value: &Value) -> &mut Self {
        self.add(name, value.to_string())
    }

    /// Adds a blob and returns its descriptor.
    fn blob(&mut self, media_type: &str, bytes: impl Into<Vec<u8>>) -> Value {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()});
        self.add(&blob_path(&descriptor), bytes);
        descriptor
    }

    /// Adds a manifest of an image with these layers and returns its descriptor.
    fn image(&mut self, config: &Value, layers: &[Vec<u8>]) -> Value {
        let config = self.blob(CONFIG, config.to_string());
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(LAYER, layer.clone())).collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        self.blob(IMAGE_MANIFEST, manifest.to_string())
    }

    fn index(&mut self, manifests: &[Value]) -> &mut Self {
        self.add("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        self.add_json("index.json", &json!({"schemaVersion": 2, "manifests": manifests}))
    }

    fn tar(&self) -> Vec<u8> {
        let entries: Vec<(&str, &[u8])> =
            self.0.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        tar(&entries)
    }

    fn write(&self, directory: &Path) {
        for (name, bytes) in &self.0 {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

fn blob_path(descriptor: &Value) -> String {
    format!("blobs/sha256/{}", descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:"))
}

/// A tar of regular files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// The configuration of an image for this machine with these layers.
fn config(layers: &[Vec<u8>]) -> Value {
    let host = Platform::host();
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    json!({
        "os": host.os, "architecture": host.architecture,
        "config": {"Cmd": ["run"], "Env": ["A=1"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

fn two_layers() -> Vec<Vec<u8>> {
    vec![tar(&[("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), ("a", b"1")]), tar(&[("b", b"2"), (".wh.a", b"")])]
}

fn named(mut descriptor: Value, key: &str, name: &str) -> Value {
    descriptor["annotations"] = json!({key: name});
    descriptor
}

/// An OCI layout with an image of two layers.
fn oci(name: &str) -> Files {
    let (mut files, layers) = (Files::default(), two_layers());
    let manifest = files.image(&config(&layers), &layers);
    files.index(&[named(manifest, NAME, name)]);
    files
}

/// As `docker save` wrote it before it wrote OCI layouts.
fn docker(name: &str) -> Files {
    let (mut files, layers) = (Files::default(), two_layers());
    let config = config(&layers).to_string();
    let config_name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    files.add(&config_name, config).add("one/layer.tar", &*layers[0]).add("two/layer.tar", &*layers[1]);
    let image =
        json!({"Config": config_name, "RepoTags": [name], "Layers": ["one/layer.tar", "two/layer.tar"]});
    files.add_json("manifest.json", &json!([image]));
    files
}

struct Bed {
    directory: Directory,
    store: Store,
}

impl Bed {
    /// `None` where layers cannot be made.
    fn new() -> Option<Self> {
        let directory = Directory::for_owned_layers()?;
        let store = Store::new(&directory.path().join("images"));
        Some(Self { directory, store })
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join("archive");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn load_as(&self, source: PathBuf, name: Option<&str>) -> Result<Vec<Loaded>, ArchiveError> {
        let options = LoadOptions { name: name.map(|name| Reference::parse(name).unwrap()) };
        self.store.load(&Source::Path(source), &options, &|| Ok(Vec::new()), &mut |_| {})
    }

    fn load(&self, bytes: &[u8]) -> Result<Vec<Loaded>, ArchiveError> {
        self.load_as(self.file(bytes), None)
    }

    fn names(&self) -> Vec<String> {
        self.store.list(&[]).unwrap().into_iter().map(|image| image.name).collect()
    }

    /// What is in one of the store's directories.
    fn count(&self, name: &str) -> usize {
        fs::read_dir(self.store.directory().join(name)).map_or(0, Iterator::count)
    }

    /// Fails unless there are one image of `layers` layers and nothing else.
    fn expect_one_image(&self, layers: usize) {
        assert_eq!((self.count("configs"), self.count("layers"), self.count("staging")), (1, layers, 0));
    }

    fn expect_empty(&self) {
        assert_eq!((self.count("configs"), self.count("layers"), self.count("staging")), (0, 0, 0));
        assert_eq!(self.names(), Vec::<String>::new());
    }
}

#[test]
fn every_form_of_an_archive_is_the_same_image() {
    let Some(bed) = Bed::new() else { return };
    let expected = Digest::of(config(&two_layers()).to_string().as_bytes());
    let both = || {
        let mut files = docker("example.com/a:1");
        files.0.extend(oci("example.com/a:1").0);
        files.tar()
    };
    for bytes in [
        oci("example.com/a:1").tar(),
        gzip(&oci("example.com/a:1").tar()),
        zstd(&oci("example.com/a:1").tar()),
        docker("example.com/a:1").tar(),
        gzip(&docker("example.com/a:1").tar()),
        both(),
    ] {
        let loaded = bed.load(&bytes).unwrap();
        assert_eq!(loaded, [Loaded { id: expected, names: vec!["example.com/a:1".into()] }]);
        bed.expect_one_image(2);
        bed.store.remove("example.com/a:1", false, &|| Ok(Vec::new())).unwrap();
        bed.expect_empty();
    }
    let layout = bed.directory.path().join("layout");
    oci("example.com/a:1").write(&layout);
    assert_eq!(bed.load_as(layout, None).unwrap()[0].id, expected);
}

#[test]
fn what_a_container_is_made_from() {
    let Some(bed) = Bed::new() else { return };
    let id = bed.load(&oci("example.com/a:1").tar()).unwrap()[0].id;
    let image = bed.store.image_config(id).unwrap().unwrap();
    assert_eq!(image.id, id.to_string());
    assert_eq!((image.cmd, image.env), (vec!["run".to_owned()], vec!["A=1".to_owned()]));
    assert_eq!(image.passwd, "root:x:0:0::/:/bin/sh\n");
    let [layer] = image.layers.as_slice() else { panic!("{:?}", image.layers) };
    assert_eq!((layer.target.as_str(), layer.lower.len()), ("/", 2));
    assert_eq!(fs::read_to_string(layer.lower[0].join("b")).unwrap(), "2", "the topmost is first");
    assert_eq!(fs::read_to_string(layer.lower[1].join("a")).unwrap(), "1");
}

#[test]
fn compressed_layers_and_legacy_links() {
    let Some(bed) = Bed::new() else { return };
    let layers = two_layers();
    let mut files = docker("a:1");
    files.add("one/layer.tar", gzip(&layers[0])).add("real/layer.tar", zstd(&layers[1]));
    files.0.remove("two/layer.tar");
    let mut builder = tar::Builder::new(files.tar().strip_suffix(&[0; 1024]).unwrap().to_vec());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    builder.append_link(&mut link, "two/layer.tar", "../real/layer.tar").unwrap();
    bed.load(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(bed.names(), ["docker.io/library/a:1"]);
    bed.expect_one_image(2);
}

#[test]
fn names_are_the_archive_s_or_the_user_s() {
    let Some(bed) = Bed::new() else { return };
    let layers = two_layers();
    let with = |key: &str, name: &str| {
        let mut files = Files::default();
        let manifest = files.image(&config(&layers), &layers);
        files.index(&[named(manifest, key, name)]);
        files.tar()
    };
    bed.load(&with(REF_NAME, "localhost/web:2")).unwrap();
    bed.load(&with(NAME, "busybox")).unwrap();
    // A tag alone names nothing.
    let error = bed.load(&with(REF_NAME, "latest")).unwrap_err();
    assert!(error.to_string().contains("give it one with --name"), "{error}");
    bed.load_as(bed.file(&with(REF_NAME, "latest")), Some("mine:1")).unwrap();
    let error = bed.load(&with(NAME, "localhost/host")).unwrap_err();
    assert!(matches!(error, ArchiveError::BuiltInName { .. }), "{error}");
    let names = ["docker.io/library/busybox:latest", "docker.io/library/mine:1", "localhost/web:2"];
    assert_eq!(bed.names(), names);
    bed.expect_one_image(2);
}

/// Docker's own archives have a tag in the layout and the whole name beside it.
#[test]
fn the_older_format_beside_a_layout_may_know_the_names() {
    let Some(bed) = Bed::new() else { return };
    let (mut files, layers) = (Files::default(), two_layers());
    let manifest = files.image(&config(&layers), &layers);
    files.index(&[named(manifest, REF_NAME, "1")]);
    let config = Digest::of(config(&layers).to_string().as_bytes()).hex();
    let image =
        json!({"Config": format!("blobs/sha256/{config}"), "RepoTags": ["x/a:1", "x/b:1"], "Layers": []});
    files.add_json("manifest.json", &json!([image]));
    bed.load(&files.tar()).unwrap();
    assert_eq!(bed.names(), ["docker.io/x/a:1", "docker.io/x/b:1"]);
}

#[test]
fn the_image_for_this_machine_is_taken() {
    let Some(bed) = Bed::new() else { return };
    let host = Platform::host();
    let (mut files, layers) = (Files::default(), two_layers());
    let other = json!({"os": "plan9", "architecture": host.architecture});
    let own = json!({"os": host.os, "architecture": host.architecture});
    let with_platform = |mut descriptor: Value, platform: &Value| {
        descriptor["platform"] = platform.clone();
        descriptor
    };
    // Of the other platform, there is not even a manifest.
    let absent = json!({"mediaType": IMAGE_MANIFEST, "digest": Digest::of(b"").to_string(), "size": 1});
    let manifest = files.image(&config(&layers), &layers);
    let attestation = named(absent.clone(), "vnd.docker.reference.type", "attestation-manifest");
    let index = json!({"manifests": [
        with_platform(absent.clone(), &other), attestation, with_platform(manifest, &own)]});
    let index = files.blob(IMAGE_INDEX, index.to_string());
    let digest = index["digest"].as_str().unwrap().to_owned();
    files.index(&[named(index, NAME, "x/a:1")]);
    bed.load(&files.tar()).unwrap();
    let by_index = Reference::parse(&format!("x/a@{digest}")).unwrap();
    assert!(bed.store.index().unwrap().find(&by_index).is_some(), "also by the digest of the index");

    let mut files = Files::default();
    for (name, shown) in [("x/b:1", "x/b:1"), ("x/\x1b[2Jb", "x/\\u{1b}[2Jb")] {
        files.index(&[named(with_platform(absent.clone(), &other), NAME, name)]);
        let error = bed.load(&files.tar()).unwrap_err().to_string();
        let expected =
            "is for linux/{0}: the archive has it for plan9/{0}".replace("{0}", &host.architecture);
        assert_eq!(error, format!("image {shown} {expected}"));
    }
}

#[test]
fn a_load_is_done_whatever_becomes_of_what_it_displaced() {
    let Some(bed) = Bed::new() else { return };
    bed.load(&oci("x/a:1").tar()).unwrap();
    let (mut files, layers) = (Files::default(), vec![tar(&[("c", b"3")])]);
    let manifest = files.image(&config(&layers), &layers);
    files.index(&[named(manifest, NAME, "x/a:1")]);
    let load = |pods| {
        bed.store.load(&Source::Path(bed.file(&files.tar())), &LoadOptions::default(), pods, &mut |_| {})
    };
    let loaded = load(&|| Err(ports::PortError("cannot look at the pods".to_owned()))).unwrap();
    assert_eq!(bed.store.list(&[]).unwrap()[0].id, loaded[0].id.to_string());
    assert_eq!(bed.count("configs"), 2, "what a pod may need stays");
    bed.store.remove("x/a:1", false, &|| Ok(Vec::new())).unwrap();
    bed.expect_empty();
}

#[test]
fn several_images_share_layers() {
    let Some(bed) = Bed::new() else { return };
    let (mut files, layers) = (Files::default(), two_layers());
    let below = vec![layers[0].clone()];
    let one = files.image(&config(&below), &below);
    let two = files.image(&config(&layers), &layers);
    files.index(&[named(one, NAME, "x/one:1"), named(two, NAME, "x/two:1")]);
    assert_eq!(bed.load(&files.tar()).unwrap().len(), 2);
    assert_eq!((bed.count("configs"), bed.count("layers")), (2, 2));
    let error = bed.load_as(bed.file(&files.tar()), Some("a")).unwrap_err();
    assert!(error.to_string().contains("x/one:1, x/two:1"), "{error}");
    bed.store.remove("x/two:1", false, &|| Ok(Vec::new())).unwrap();
    bed.expect_one_image(1);
}

#[test]
fn a_name_that_moves_on_leaves_nothing_but_what_pods_use() {
    let Some(bed) = Bed::new() else { return };
    let old = bed.load(&oci("x/a:1").tar()).unwrap()[0].id;
    let (mut files, layers) = (Files::default(), vec![tar(&[("c", b"3")])]);
    let manifest = files.image(&config(&layers), &layers);
    files.index(&[named(manifest, NAME, "x/a:1")]);
    let pod = PodImages { pod: "ns/p".into(), names: vec!["x/a:1".into()], ids: vec![old.to_string()] };
    let source = Source::Path(bed.file(&files.tar()));
    let load = |pods: Vec<PodImages>| {
        bed.store.load(&source, &LoadOptions::default(), &|| Ok(pods.clone()), &mut |_| {}).unwrap()[0].id
    };
    let new = load(vec![pod]);
    assert_eq!((bed.count("configs"), bed.count("layers")), (2, 3));
    assert!(bed.store.image_config(old).unwrap().is_some(), "the pod may start a container again");
    // Nothing moves now, and nothing was left to remove by the name.
    assert_eq!(load(vec![]), new);
    bed.store.remove("x/a:1", false, &|| Ok(Vec::new())).unwrap();
    bed.expect_empty();
}

#[test]
fn images_in_use_are_not_removed() {
    let Some(bed) = Bed::new() else { return };
    let id = bed.load(&oci("x/a:1").tar()).unwrap()[0].id;
    bed.load_as(bed.file(&oci("x/a:1").tar()), Some("x/b:1")).unwrap();
    let pods =
        || Ok(vec![PodImages { pod: "ns/p".into(), names: vec!["x/a:1".into()], ids: vec![id.to_string()] }]);
    let remove = |target: &str, force| bed.store.remove(target, force, &pods);
    let refused = remove("x/a:1", false).unwrap_err().to_string();
    assert!(refused.contains("in use by pod ns/p"), "{refused}");
    assert!(remove(&id.hex(), false).unwrap_err().to_string().contains("several names"));
    assert!(!remove("x/b:1", false).unwrap().image_is_gone, "the other name is the pod's");
    assert!(remove("x/none:1", false).unwrap_err().to_string().contains("monopod image ls"));
    assert!(!remove(&id.hex()[..12], true).unwrap().image_is_gone, "its files stay for the pod");
    bed.expect_one_image(2);
    assert_eq!(bed.names(), Vec::<String>::new());
    assert!(bed.store.collect(&[], &|| Ok(Vec::new())).unwrap());
    bed.expect_empty();
}

#[test]
fn loads_side_by_side_leave_one_image() {
    const LOADS: usize = 8;
    let Some(bed) = Bed::new() else { return };
    let file = bed.file(&oci("x/a:1").tar());
    std::thread::scope(|scope| {
        for _ in 0..LOADS {
            scope.spawn(|| bed.load_as(file.clone(), None).unwrap());
        }
    });
    assert_eq!(bed.names(), ["docker.io/x/a:1"]);
    bed.expect_one_image(2);
}

#[test]
fn a_layer_that_was_lost_comes_back_with_the_next_load() {
    let Some(bed) = Bed::new() else { return };
    let bytes = oci("x/a:1").tar();
    let id = bed.load(&bytes).unwrap()[0].id;
    let layer = fs::read_dir(bed.store.directory().join("layers")).unwrap().next().unwrap().unwrap().path();
    fs::remove_dir_all(layer).unwrap();
    fs::write(bed.store.directory().join("configs").join(id.hex()), "{}").unwrap();
    let error = bed.store.image_config(id).unwrap_err().to_string();
    assert!(error.contains("load it again"), "{error}");
    bed.load(&bytes).unwrap();
    assert!(bed.store.image_config(id).unwrap().is_some());
}

#[test]
fn what_is_saved_is_the_same_image() {
    let Some(bed) = Bed::new() else { return };
    let loaded = bed.load(&oci("x/a:1").tar()).unwrap();
    bed.load_as(bed.file(&oci("x/a:1").tar()), Some("x/b:1")).unwrap();
    for format in [SaveFormat::Docker, SaveFormat::Oci] {
        let save = |targets: &[&str]| {
            let targets: Vec<String> = targets.iter().map(|&target| target.into()).collect();
            let mut bytes = Vec::new();
            bed.store.save(&targets, format, &mut bytes).map(|()| bytes)
        };
        let bytes = save(&["x/a:1"]).unwrap();
        assert!(bytes == save(&["x/a:1", "x/a:1"]).unwrap(), "the same bytes each time, and once");
        let Some(other) = Bed::new() else { return };
        assert_eq!(other.load(&bytes).unwrap(), loaded);
        other.expect_one_image(2);
        let Some(other) = Bed::new() else { return };
        other.load(&save(&[&loaded[0].id.hex()[..12]]).unwrap()).unwrap();
        assert_eq!(other.names(), ["docker.io/x/a:1", "docker.io/x/b:1"], "by its ID, with all its names");
        assert!(matches!(save(&["x/a:1", "x/none"]), Err(SaveError::Select(_))));
    }
}

#[test]
fn files_that_changed_are_not_saved() {
    let Some(bed) = Bed::new() else { return };
    let id = bed.load(&oci("x/a:1").tar()).unwrap()[0].id;
    let image = bed.store.image_config(id).unwrap().unwrap();
    fs::write(image.layers[0].lower[0].join("b"), "3").unwrap();
    let saved = bed.store.save(&["x/a:1".into()], SaveFormat::Docker, &mut Vec::new());
    let chain = ports::PortError::chain(&saved.unwrap_err()).0;
    assert!(chain.contains("load it again"), "{chain}");
}
