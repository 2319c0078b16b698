//! The built-in image of made-up hosts.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::{HostImage, HostImageError, State, digest_of, remove, states};
use crate::filesystem::unfit_for_layers;

/// A directory of one test's own, removed at its end.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    pub(crate) fn below(base: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("monopod-images-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = base.join(name);
        fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    /// `None`, having said so, where the file system for temporary files takes no layers.
    pub(crate) fn for_layers() -> Option<Self> {
        let directory = Self::new();
        match unfit_for_layers(&directory.0) {
            None => Some(directory),
            Some(file_system) => {
                println!("Skipped(temporary files are on {file_system})");
                None
            }
        }
    }

    /// `None`, having said so, also where layers cannot be given their owners.
    pub(crate) fn for_owned_layers() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("Skipped(layers have owners, which needs root)");
            return None;
        }
        Self::for_layers()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn write(&self, path: &str, text: &str, mode: u32) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        symlink(target, path).expect("a link");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let left = linux_sys::remove_tree::remove_tree(&self.0);
        assert!(left.is_empty() || thread::panicking(), "{left:?}");
    }
}

/// A merged-usr host like Debian, with some things that are none of a container's business.
fn debian() -> Directory {
    let host = Directory::new();
    host.write("usr/bin/sh", "", 0o755);
    for name in ["bin", "sbin", "lib"] {
        host.link(name, &format!("usr/{name}"));
    }
    host.write("etc/ld.so.cache", "cache", 0o644);
    host.link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC");
    host.link("etc/alternatives/awk", "/usr/bin/mawk");
    host.link("etc/alternatives/odd", "/opt/odd/bin/odd");
    host.link("etc/alternatives/sly", "/usr/../etc/shadow");
    host.write("etc/alternatives/README", "", 0o644);
    host.write("etc/ssl/certs/ca-certificates.crt", "bundle", 0o644);
    host.link("etc/ssl/certs/Root.pem", "/usr/share/ca-certificates/Root.crt");
    host.link("etc/ssl/certs/0a1b.0", "Root.pem");
    host.write("srv/local.crt", "local", 0o644);
    host.link("etc/ssl/certs/Local.pem", "/srv/local.crt");
    host.link("etc/ssl/certs/Escape.pem", "../../../../../../../../srv/local.crt");
    host.link("etc/ssl/certs/Gone.pem", "/srv/gone.crt");
    host.write("etc/ssl/certs/Key.pem", "secret", 0o640);
    host.write("etc/ssl/certs/java/cacerts", "java", 0o644);
    host.write("etc/ssl/certs/a/b/c/deep.pem", "deep", 0o644);
    host.write("etc/ssl/private/server.key", "secret", 0o644);
    for secret in ["etc/shadow", "etc/hostname", "home/me/.ssh/id", "root/.bashrc", "var/lib/x", "opt/x"] {
        host.write(secret, "secret", 0o644);
    }
    host
}

fn image(host: &Directory, store: &Directory) -> HostImage {
    HostImage::new(host.path().to_owned(), store.path().join("host"))
}

/// Every path below `rootfs`, as `path`, `path -> target` or `path/`, sorted.
fn tree(rootfs: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![rootfs.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(rootfs).expect("below it").display().to_string();
            if path.is_symlink() {
                found.push(format!("{name} -> {}", fs::read_link(&path).expect("a link").display()));
            } else if path.is_dir() {
                found.push(format!("{name}/"));
                directories.push(path);
            } else {
                found.push(name);
            }
        }
    }
    found.sort_unstable();
    found
}

fn rootfs(config: &container_config::ImageConfig) -> &Path {
    &config.layers[0].lower[0]
}

#[test]
fn the_skeleton_of_a_merged_usr_host() {
    let (host, Some(store)) = (debian(), Directory::for_layers()) else { return };
    let config = image(&host, &store).ensure().expect("an image");
    expect_test::expect_file!["tests/debian.txt"].assert_eq(&(tree(rootfs(&config)).join("\n") + "\n"));
    let layers: Vec<(&str, &Path)> =
        config.layers.iter().map(|layer| (layer.target.as_str(), layer.lower[0].as_path())).collect();
    let usr = host.path().join("usr");
    assert_eq!(layers, [("/", rootfs(&config)), ("/usr", usr.as_path())]);
    assert!(config.entrypoint.is_empty() && config.cmd.is_empty() && config.user.is_empty());
    assert!(config.env[0].starts_with("PATH=/usr/local/sbin:"));
    let read = |path: &str| fs::read_to_string(rootfs(&config).join(path)).expect("a file");
    assert_eq!(read("etc/ssl/certs/Local.pem"), "local", "links are resolved inside the host's root");
    assert_eq!(read("etc/ssl/certs/Escape.pem"), "local");
    assert_eq!(read("etc/passwd"), config.passwd);
    for (path, mode) in
        [("", 0o755), ("tmp", 0o1777), ("root", 0o700), ("etc/passwd", 0o644), ("proc", 0o555)]
    {
        let found = fs::metadata(rootfs(&config).join(path)).expect("an entry");
        assert_eq!(found.mode() & 0o7777, mode, "{path}");
    }
}

#[test]
fn other_users_of_the_host_cannot_reach_into_an_image() {
    let (host, Some(store)) = (debian(), Directory::for_layers()) else { return };
    image(&host, &store).ensure().expect("an image");
    let found = fs::metadata(store.path().join("host")).expect("the store");
    assert_eq!(found.mode() & 0o7777, 0o700);
}

#[test]
fn real_directories_are_layers_of_their_own() {
    let (host, Some(store)) = (Directory::new(), Directory::for_layers()) else { return };
    for path in ["usr/bin/env", "bin/sh", "lib/ld.so", "nix/store/x-system/sw/bin/ls"] {
        host.write(path, "", 0o755);
    }
    host.link("lib64", "lib");
    host.link("run/current-system", "/nix/store/x-system");
    let config = image(&host, &store).ensure().expect("an image");
    let targets: Vec<&str> = config.layers.iter().map(|layer| layer.target.as_str()).collect();
    assert_eq!(targets, ["/", "/usr", "/bin", "/lib", "/nix/store"]);
    for target in &targets[1..] {
        assert!(rootfs(&config).join(&target[1..]).is_dir(), "{target} has a place to be mounted");
    }
    let link = |path: &str| fs::read_link(rootfs(&config).join(path)).expect("a link");
    assert_eq!(link("lib64"), Path::new("lib"));
    assert_eq!(link("run/current-system"), Path::new("/nix/store/x-system"));
    assert!(config.env[0].starts_with("PATH=/run/current-system/sw/bin:"), "{}", config.env[0]);
}

#[test]
fn an_unchanged_host_makes_no_work() {
    let (host, Some(store)) = (debian(), Directory::for_layers()) else { return };
    let first = image(&host, &store);
    assert_eq!(first.unchanged(), None);
    let made = first.ensure().expect("an image");
    assert!(Arc::ptr_eq(&made, &first.unchanged().expect("unchanged")));
    let written = fs::metadata(store.path().join("host/current.json")).expect("a file").ino();
    let second = image(&host, &store);
    assert_eq!(second.ensure().expect("the same image"), made);
    let now = fs::metadata(store.path().join("host/current.json")).expect("a file").ino();
    assert_eq!(written, now, "the second engine wrote nothing");
}

#[test]
fn a_changed_host_has_another_image_and_the_old_one_stays() {
    let (host, Some(store)) = (debian(), Directory::for_layers()) else { return };
    let image = image(&host, &store);
    let old = image.ensure().expect("an image");
    host.link("etc/alternatives/vi", "/usr/bin/vim");
    assert_eq!(image.unchanged(), None);
    let new = image.ensure().expect("an image");
    assert_ne!(old.id, new.id);
    assert!(rootfs(&new).join("etc/alternatives/vi").is_symlink());
    assert_eq!(image.inspect(&old.id).expect("no error"), Some(old));
    assert_eq!(image.inspect(&new.id).expect("no error"), Some(new));
}

#[test]
fn images_of_earlier_states_can_be_removed() {
    let (host, Some(store)) = (debian(), Directory::for_layers()) else { return };
    let directory = store.path().join("host");
    assert_eq!(states(&directory).expect("none"), []);
    let image = image(&host, &store);
    let old = image.ensure().expect("an image").id.clone();
    host.link("etc/alternatives/vi", "/usr/bin/vim");
    let new = image.ensure().expect("an image").id.clone();
    remove(&directory, &[old.clone(), new.clone(), "localhost/host@sha256:../..".to_owned()])
        .expect("removed");
    assert_eq!(states(&directory).expect("one"), [State { id: new, is_current: true }]);
    assert_eq!(image.inspect(&old).expect("no error"), None);
}

#[test]
fn what_a_power_loss_emptied_is_made_again() {
    let (host, Some(store)) = (debian(), Directory::for_layers()) else { return };
    let made = image(&host, &store).ensure().expect("an image");
    fs::write(rootfs(&made).join("etc/passwd"), "").expect("a file");
    // As after a reboot: the fingerprint is of another boot.
    fs::write(store.path().join("host/current.json"), "").expect("a file");
    fs::create_dir(store.path().join("host/.new")).expect("what a dead engine left");
    let again = image(&host, &store).ensure().expect("an image");
    assert_eq!(again, made);
    assert_eq!(fs::read_to_string(rootfs(&again).join("etc/passwd")).expect("a file"), again.passwd);
    let names: Vec<String> =
        tree(&store.path().join("host")).into_iter().filter(|n| !n.contains("rootfs/")).collect();
    let digest = digest_of(&made.id).expect("an id");
    let mut expected =
        [format!("{digest}/"), format!("{digest}/config.json"), "current.json".to_owned(), "lock".to_owned()];
    // The digest is of this test's own paths too: it may begin with any digit.
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn engines_side_by_side_make_one_image() {
    const ENGINES: usize = 8;
    let (host, Some(store)) = (debian(), Directory::for_layers()) else { return };
    let ids: Vec<String> = thread::scope(|scope| {
        let engine = || image(&host, &store).ensure().expect("an image").id.clone();
        let engines: Vec<_> = (0..ENGINES).map(|_| scope.spawn(engine)).collect();
        engines.into_iter().map(|engine| engine.join().expect("no panic")).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    let images = fs::read_dir(store.path().join("host")).expect("a directory");
    assert_eq!(images.filter(|entry| entry.as_ref().is_ok_and(|e| e.path().is_dir())).count(), 1);
}

#[test]
fn a_data_directory_inside_a_layer_is_refused() {
    let host = debian();
    if unfit_for_layers(host.path()).is_some() {
        println!("Skipped(temporary files are on a file system without layers)");
        return;
    }
    let inside = HostImage::new(host.path().to_owned(), host.path().join("usr/local/monopod"));
    let error = inside.ensure().expect_err("refused");
    assert!(matches!(error, HostImageError::DataInsideLayer { .. }), "{error}");
}

#[test]
fn only_ids_of_this_image_become_paths() {
    let hex = "0123456789abcdef".repeat(4);
    assert_eq!(digest_of(&format!("localhost/host@sha256:{hex}")), Some(hex.as_str()));
    for id in ["", "localhost/host", "localhost/host@sha256:../../etc", "localhost/host@sha256:abc"] {
        assert_eq!(digest_of(id), None, "{id}");
    }
    assert_eq!(digest_of(&format!("localhost/host@sha256:{}", "G".repeat(64))), None);
}
