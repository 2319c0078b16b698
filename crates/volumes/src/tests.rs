mod projected;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use container_config::NodeFacts;
use podspec::{EmptyDirMedium, HostPathType, IDENTITY_BYTES, Volume, VolumeSource};
use ports::{NoObjects, PodContext, VolumeService as _};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::Volumes;

const NODE_MEMORY: u64 = 1 << 30;

/// A directory of one test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("monopod-volumes-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    fn join(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn text(&self, path: &str) -> String {
        self.join(path).display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let left = linux_sys::remove_tree::remove_tree(&self.0);
        assert!(left.is_empty() || std::thread::panicking(), "{left:?}");
    }
}

fn volumes_of_node() -> Volumes {
    let node = NodeFacts { memory_bytes: NODE_MEMORY, ..NodeFacts::default() };
    Volumes::new(&node, Arc::new(NoObjects))
}

fn volume(name: &str, source: VolumeSource) -> Volume {
    Volume { name: name.into(), source }
}

fn empty_dir(name: &str) -> Volume {
    volume(name, VolumeSource::EmptyDir { medium: EmptyDirMedium::Disk, size_limit: None })
}

fn memory(name: &str, size_limit: Option<u64>) -> Volume {
    volume(name, VolumeSource::EmptyDir { medium: EmptyDirMedium::Memory, size_limit })
}

fn host_path(name: &str, path: &str, kind: HostPathType) -> Volume {
    volume(name, VolumeSource::HostPath { path: path.to_owned(), kind })
}

fn pod(directory: &Directory, volumes: Vec<Volume>) -> Arc<PodContext> {
    let text =
        "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: main, image: i}]}}";
    let loaded = podspec::load_pods("test", text, || [0; IDENTITY_BYTES]).expect("a pod that can be run");
    let mut pod = loaded.into_iter().next().expect("one pod").admitted.pod;
    pod.spec.volumes = volumes;
    Arc::new(PodContext {
        pod,
        pod_dir: directory.join("pod"),
        run_dir: directory.join("run"),
        log_dir: directory.join("log"),
        bound: false,
    })
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("an entry").permissions().mode() & 0o7777
}

async fn set_up_error(directory: &Directory, volumes: Vec<Volume>) -> String {
    volumes_of_node().set_up(&pod(directory, volumes)).await.expect_err("refused").0
}

#[tokio::test]
async fn empty_dirs_are_open_to_everybody_and_end_with_the_pod() {
    let directory = Directory::new();
    let pod = pod(&directory, vec![empty_dir("logs"), memory("cache", None)]);
    let volumes = volumes_of_node();
    volumes.set_up(&pod).await.expect("made");
    let [logs, cache] = [0, 1].map(|at| volumes.host_path(&pod, &pod.pod.spec.volumes[at]));
    assert_eq!(logs, directory.join("pod/volumes/logs"));
    assert_eq!((mode(&logs), mode(&cache)), (0o777, 0o777));
    assert_eq!(fs::read_dir(directory.join("pod/volumes")).expect("a directory").count(), 2);

    fs::write(logs.join("kept"), "").expect("a file");
    fs::set_permissions(&logs, Permissions::from_mode(0o700)).expect("a container's doing");
    volumes.set_up(&pod).await.expect("idempotent");
    assert!(logs.join("kept").exists() && mode(&logs) == 0o700);

    volumes.tear_down(&pod).await.expect("removed");
    assert!(!directory.join("pod/volumes").exists());
    volumes.tear_down(&pod).await.expect("idempotent");
}

#[tokio::test]
async fn tear_down_follows_no_links_and_touches_no_host_path() {
    let directory = Directory::new();
    fs::create_dir(directory.join("host")).expect("a directory");
    fs::write(directory.join("host/precious"), "").expect("a file");
    let host = host_path("host", &directory.text("host"), HostPathType::Directory);
    let pod = pod(&directory, vec![empty_dir("data"), host]);
    let volumes = volumes_of_node();
    volumes.set_up(&pod).await.expect("made");
    assert_eq!(volumes.host_path(&pod, &pod.pod.spec.volumes[1]), directory.join("host"));
    symlink(directory.join("host"), directory.join("pod/volumes/data/link")).expect("a link");
    volumes.tear_down(&pod).await.expect("removed");
    assert!(!directory.join("pod/volumes").exists());
    assert!(directory.join("host/precious").exists());

    // A volume that somebody replaced by a link: only the link goes.
    fs::create_dir_all(directory.join("pod/volumes")).expect("a directory");
    symlink(directory.join("host"), directory.join("pod/volumes/data")).expect("a link");
    volumes.tear_down(&pod).await.expect("removed");
    assert!(directory.join("host/precious").exists());
}

#[tokio::test]
async fn host_path_types() {
    use HostPathType::{
        BlockDevice, CharDevice, Directory as Dir, DirectoryOrCreate, File, FileOrCreate, Socket, Unset,
    };
    let directory = Directory::new();
    fs::create_dir(directory.join("dir")).expect("a directory");
    fs::write(directory.join("file"), "").expect("a file");
    symlink("dir", directory.join("link")).expect("a link");
    let _socket = UnixListener::bind(directory.join("socket")).expect("a socket");
    let fits = [
        (Unset, "file"),
        (Unset, "socket"),
        (Dir, "dir"),
        (Dir, "link"),
        (DirectoryOrCreate, "dir"),
        (File, "file"),
        (FileOrCreate, "file"),
        (Socket, "socket"),
    ];
    let mut all: Vec<Volume> =
        fits.iter().map(|(kind, name)| host_path("v", &directory.text(name), *kind)).collect();
    all.push(host_path("v", "/dev/null", CharDevice));
    if rustix::process::geteuid().is_root() {
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, directory.join("block"), FileType::BlockDevice, mode, makedev(7, 200)).expect("a node");
        all.push(host_path("v", &directory.text("block"), BlockDevice));
    }
    volumes_of_node().set_up(&pod(&directory, all)).await.expect("all fit");
    for (kind, name, expected) in [
        (Dir, "file", "a directory"),
        (Dir, "gone", "a directory"),
        (DirectoryOrCreate, "file", "a directory"),
        (File, "dir", "a file"),
        (File, "gone", "a file"),
        (FileOrCreate, "dir", "a file"),
        (Socket, "file", "a socket file"),
        (CharDevice, "gone", "a character device"),
        (BlockDevice, "file", "a block device"),
    ] {
        let path = directory.text(name);
        let error = set_up_error(&directory, vec![host_path("v", &path, kind)]).await;
        let expected = format!(
            "MountVolume.SetUp failed for volume \"v\" : hostPath type check failed: {path} is not {expected}"
        );
        assert_eq!(error, expected);
        assert!(!directory.join("gone").exists());
    }
}

#[tokio::test]
async fn host_paths_are_made_where_the_type_allows() {
    let directory = Directory::new();
    let made = vec![
        host_path("a", &directory.text("x/unset"), HostPathType::Unset),
        host_path("b", &directory.text("y/z/dir"), HostPathType::DirectoryOrCreate),
        host_path("c", &directory.text("file"), HostPathType::FileOrCreate),
    ];
    let pod = pod(&directory, made);
    volumes_of_node().set_up(&pod).await.expect("made");
    assert_eq!(mode(&directory.join("x/unset")), 0o755);
    assert_eq!(mode(&directory.join("y/z/dir")), 0o755);
    assert_eq!(mode(&directory.join("file")), 0o644);
    volumes_of_node().tear_down(&pod).await.expect("nothing to remove");
    assert!(directory.join("file").exists(), "what is made on the host stays");
}

#[tokio::test]
async fn every_failing_volume_is_named() {
    let directory = Directory::new();
    fs::write(directory.join("file"), "").expect("a file");
    let volumes = vec![
        host_path("a", "/x/../y", HostPathType::Unset),
        empty_dir("fine"),
        host_path("b", &directory.text("missing/file"), HostPathType::FileOrCreate),
        host_path("c", &directory.text("file/below"), HostPathType::Unset),
    ];
    let error = set_up_error(&directory, volumes).await;
    let expected = format!(
        "MountVolume.SetUp failed for volume \"a\" : invalid HostPath `/x/../y`: must not contain '..'; \
         MountVolume.SetUp failed for volume \"b\" : cannot make {}: No such file or directory (os error 2); \
         MountVolume.SetUp failed for volume \"c\" : cannot look at {}: Not a directory (os error 20)",
        directory.text("missing/file"),
        directory.text("file/below"),
    );
    assert_eq!(error, expected);
    assert!(directory.join("pod/volumes/fine").exists(), "the others are made all the same");
}

#[test]
fn memory_volumes_are_no_larger_than_what_there_is() {
    let directory = Directory::new();
    let pod =
        pod(&directory, vec![empty_dir("disk"), memory("small", Some(4096)), memory("huge", Some(1 << 40))]);
    let sizes: Vec<_> = volumes_of_node()
        .tmpfs(&pod)
        .into_iter()
        .map(|tmpfs| (tmpfs.path, tmpfs.size_bytes, tmpfs.mode))
        .collect();
    let at = |name: &str| directory.join("pod/volumes").join(name);
    assert_eq!(sizes, [(at("small"), Some(4096), 0o1777), (at("huge"), Some(NODE_MEMORY), 0o1777)]);
}

#[tokio::test]
async fn the_volumes_of_a_group_are_the_groups() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: files can be given away by root alone");
    }
    let directory = Directory::new();
    fs::create_dir(directory.join("host")).expect("a directory");
    fs::set_permissions(directory.join("host"), Permissions::from_mode(0o700)).expect("its mode");
    let host = host_path("host", &directory.text("host"), HostPathType::Directory);
    let mut context = (*pod(&directory, vec![empty_dir("logs"), memory("cache", None), host])).clone();
    context.pod.spec.fs_group = Some(4321);
    let context = Arc::new(context);
    let volumes = volumes_of_node();
    volumes.set_up(&context).await.expect("made");
    let logs = directory.join("pod/volumes/logs");
    assert_eq!((mode(&logs), fs::metadata(&logs).unwrap().gid()), (0o2777, 4321));
    let host = directory.join("host");
    assert_eq!((mode(&host), fs::metadata(&host).unwrap().gid()), (0o700, 0), "the host's stay as they are");
    let tmpfs: Vec<_> = volumes.tmpfs(&context).into_iter().map(|tmpfs| (tmpfs.mode, tmpfs.gid)).collect();
    assert_eq!(tmpfs, [(0o3777, Some(4321))]);

    // What a container made of it later is its own affair.
    fs::set_permissions(&logs, Permissions::from_mode(0o700)).expect("a container's doing");
    volumes.set_up(&context).await.expect("idempotent");
    assert_eq!(mode(&logs), 0o700);
}

/// What a container put in the place of a volume is not given to the group.
#[tokio::test]
async fn no_link_is_followed_for_a_group() {
    let directory = Directory::new();
    fs::create_dir_all(directory.join("host")).expect("a directory");
    fs::set_permissions(directory.join("host"), Permissions::from_mode(0o700)).expect("its mode");
    fs::create_dir_all(directory.join("pod/volumes")).expect("a directory");
    symlink(directory.join("host"), directory.join("pod/volumes/logs")).expect("a link");
    symlink(directory.join("host"), directory.join("pod/volumes/logs.new")).expect("a link");
    let mut context = (*pod(&directory, vec![empty_dir("logs")])).clone();
    context.pod.spec.fs_group = Some(4321);
    volumes_of_node().set_up(&Arc::new(context)).await.expect_err("no directory");
    assert_eq!(
        (mode(&directory.join("host")), fs::metadata(directory.join("host")).unwrap().gid()),
        (0o700, 0)
    );
}
