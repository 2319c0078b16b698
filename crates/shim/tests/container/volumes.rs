//! What of a volume a container gets, whatever others do to the volume meanwhile.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use container_config::{
    BindSource, CapabilitySets, ImageSource, Layer, Mount, MountKind, MountOptions, Tmpfs,
};
use linux_sys::namespace::{Namespaces, unshare};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};

use crate::Case;
use crate::bed::{Bed, DEFAULT_CAPABILITIES, NONE, bind, finish, read_line};

pub(crate) const CASES: &[Case] = &[
    ("a_sub_path_is_made_with_the_mode_of_its_volume", a_sub_path_is_made_with_the_mode_of_its_volume),
    ("a_sub_path_is_a_directory_or_a_file", a_sub_path_is_a_directory_or_a_file),
    ("no_link_leads_a_sub_path_out_of_its_volume", no_link_leads_a_sub_path_out_of_its_volume),
    ("a_link_that_is_swapped_leads_no_container_out", a_link_that_is_swapped_leads_no_container_out),
    ("a_file_by_sub_path_does_not_follow_updates", a_file_by_sub_path_does_not_follow_updates),
    ("read_only_is_recursive_where_asked", read_only_is_recursive_where_asked),
    ("mounts_of_the_host_come_to_those_who_ask", mounts_of_the_host_come_to_those_who_ask),
    ("containers_share_mounts_in_a_volume_of_their_pod", containers_share_mounts_in_a_volume_of_their_pod),
    ("the_files_of_an_image_are_a_volume", the_files_of_an_image_are_a_volume),
    ("a_path_in_an_image_stays_in_it", a_path_in_an_image_stays_in_it),
    ("a_memory_volume_is_its_groups", a_memory_volume_is_its_groups),
];

/// So that the container can mount.
const SYS_ADMIN: u64 = 1 << 21;
const READ_ONLY: MountOptions = MountOptions { read_only: true, ..NONE };

fn below(volume: &Path, sub_path: &str, target: &str, options: MountOptions) -> Mount {
    let source = BindSource {
        path: volume.to_owned(),
        recursive: true,
        volume: Some("data".to_owned()),
        sub_path: Some(sub_path.to_owned()),
        ..BindSource::default()
    };
    Mount { target: target.to_owned(), kind: MountKind::Bind(source), options }
}

fn make_volume(bed: &Bed, mode: u32) -> PathBuf {
    let volume = bed.directory.join("volume");
    fs::create_dir(&volume).unwrap();
    fs::set_permissions(&volume, Permissions::from_mode(mode)).unwrap();
    volume
}

fn a_sub_path_is_made_with_the_mode_of_its_volume(bed: &Bed) {
    let volume = make_volume(bed, 0o2777);
    rustix::fs::chown(&volume, None, Some(rustix::fs::Gid::from_raw(4321))).unwrap();
    rustix::process::umask(Mode::from_raw_mode(0o077));
    bed.enter();
    let mut config = bed.shell("touch /v/x && stat -c %a:%g /v");
    config.process.uid = 1000;
    config.mounts.push(below(&volume, "a//b/./c", "/v", NONE));
    assert_eq!(bed.run(&config).ok(), "2777:4321\n");
    for made in ["a", "a/b", "a/b/c"] {
        assert_eq!(fs::metadata(volume.join(made)).unwrap().permissions().mode() & 0o7777, 0o2777, "{made}");
    }
    assert!(volume.join("a/b/c/x").is_file());
}

fn a_sub_path_is_a_directory_or_a_file(bed: &Bed) {
    let volume = make_volume(bed, 0o755);
    fs::create_dir_all(volume.join("deep/down")).unwrap();
    fs::write(volume.join("deep/down/file"), "inside\n").unwrap();
    symlink("deep/down", volume.join("link")).unwrap();
    symlink("../deep/../link/file", volume.join("deep/again")).unwrap();
    bed.enter();
    let mut config = bed.shell("cat /d/file /f /l/file /a; echo more >> /f; echo x > /r; ls /d");
    config.mounts.push(below(&volume, "deep/down", "/d", NONE));
    config.mounts.push(below(&volume, "deep/down/file", "/f", NONE));
    config.mounts.push(below(&volume, "link", "/l", NONE));
    config.mounts.push(below(&volume, "deep/again", "/a", NONE));
    config.mounts.push(below(&volume, "deep/down/file", "/r", READ_ONLY));
    let finished = bed.run(&config);
    assert_eq!(finished.stdout, "inside\ninside\ninside\ninside\nfile\n");
    assert!(finished.stderr.contains("Read-only file system"), "{finished:?}");
    assert_eq!(fs::read_to_string(volume.join("deep/down/file")).unwrap(), "inside\nmore\n");
}

fn no_link_leads_a_sub_path_out_of_its_volume(bed: &Bed) {
    let volume = make_volume(bed, 0o777);
    let outside = bed.directory.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(volume.join("dir")).unwrap();
    fs::write(volume.join("file"), "").unwrap();
    for (name, to) in [
        ("root", "/"),
        ("etc", "/etc"),
        ("up", "../outside"),
        ("deep", "dir/../../outside"),
        ("dir/up", "../../outside"),
        ("chain", "up"),
        ("proc", "/proc/self/root"),
        ("dangling", "nothing"),
        ("self", "self"),
    ] {
        symlink(to, volume.join(name)).unwrap();
    }
    symlink(&outside, volume.join("absolute")).unwrap();
    // Not even when it leads back: what is absolute is the host's.
    symlink(volume.join("dir"), volume.join("inside")).unwrap();
    bed.enter();
    let (out, circle) = ("it leads out of the volume", "links in it lead in a circle");
    for (sub_path, why) in [
        ("root", out),
        ("root/etc", out),
        ("etc", out),
        ("up", out),
        ("up/made", out),
        ("deep", out),
        ("dir/up", out),
        ("dir/up/made/too", out),
        ("chain", out),
        ("proc", out),
        ("absolute/made", out),
        ("inside", out),
        ("..", out),
        ("../outside", out),
        ("dir/../../outside", out),
        ("/etc", out),
        ("self", circle),
        ("dangling", "a link to nothing is on the way"),
        ("dangling/made", "a link to nothing is on the way"),
        ("file/made", "there is a file on the way"),
    ] {
        let mut config = bed.shell("echo started");
        config.mounts.push(below(&volume, sub_path, "/v", NONE));
        let error = bed.refuse(&config);
        assert!(error.ends_with(why), "{sub_path}: {error}");
        assert!(error.contains("subPath") && error.contains("volumeMount \"data\" of container \"app\""));
        assert!(!error.contains("outside"), "{sub_path}: {error}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!volume.join("nothing").exists());
}

/// Somebody who writes to the volume swaps a directory for a link while containers start on it.
fn a_link_that_is_swapped_leads_no_container_out(bed: &Bed) {
    const STARTS: usize = 150;
    let volume = make_volume(bed, 0o777);
    let outside = bed.directory.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("which"), "outside\n").unwrap();
    fs::create_dir_all(volume.join("x/y")).unwrap();
    fs::write(volume.join("x/y/which"), "inside\n").unwrap();
    symlink("../outside", volume.join("other")).unwrap();
    fs::create_dir(outside.join("y")).unwrap();
    fs::write(outside.join("y/which"), "outside\n").unwrap();
    bed.enter();
    let over = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (over, x, other) = (Arc::clone(&over), volume.join("x"), volume.join("other"));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, &x, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        })
    };
    let (mut started, mut refused) = (0, 0);
    for _ in 0..STARTS {
        let mut config = bed.config(&["/bin/cat", "/v/which"]);
        config.mounts.push(below(&volume, "x/y", "/v", NONE));
        match bed.spawn(&config) {
            Ok(spawned) => {
                assert_eq!(finish(spawned).ok(), "inside\n");
                started += 1;
            }
            Err(_) => refused += 1,
        }
    }
    over.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(started > 0 && refused > 0, "{started} started, {refused} refused: nothing was raced");
    assert_eq!(fs::read_dir(outside.join("y")).unwrap().count(), 1);
}

/// As volumes of config maps are laid out.
fn a_file_by_sub_path_does_not_follow_updates(bed: &Bed) {
    let volume = make_volume(bed, 0o777);
    for state in ["..1", "..2"] {
        fs::create_dir(volume.join(state)).unwrap();
        fs::write(volume.join(state).join("key"), format!("{state}\n")).unwrap();
    }
    symlink("..1", volume.join("..data")).unwrap();
    symlink("..data/key", volume.join("key")).unwrap();
    bed.enter();
    let mut config = bed.shell("echo begun; until [ -e /v/go ]; do sleep 0.02; done; cat /v/key /key");
    config.mounts.push(bind(&volume, "/v", NONE));
    config.mounts.push(below(&volume, "key", "/key", READ_ONLY));
    let spawned = bed.spawn(&config).unwrap();
    assert_eq!(read_line(&spawned.output), "begun");
    symlink("..2", volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    fs::remove_file(volume.join("..1/key")).unwrap();
    fs::remove_dir(volume.join("..1")).unwrap();
    fs::write(volume.join("go"), "").unwrap();
    assert_eq!(finish(spawned).ok(), "..2\n..1\n");
}

fn read_only_is_recursive_where_asked(bed: &Bed) {
    let volume = make_volume(bed, 0o777);
    let inner = volume.join("inner/more");
    fs::create_dir_all(&inner).unwrap();
    bed.enter();
    for path in [volume.join("inner"), inner.clone()] {
        fs::create_dir_all(&path).unwrap();
        mount(c"tmpfs", &path, c"tmpfs", MountFlags::empty(), c"").unwrap();
    }
    fs::create_dir_all(&inner).unwrap();
    let script = "for d in /v /v/inner /v/inner/more; do touch $d/x 2>/dev/null && echo wrote $d; done; true";
    for (recursive_read_only, sub_path, expected) in [
        (false, None, "wrote /v/inner\nwrote /v/inner/more\n"),
        (true, None, ""),
        (true, Some(".".to_owned()), ""),
    ] {
        let mut config = bed.shell(script);
        fs::create_dir_all(&inner).unwrap();
        let source = BindSource {
            path: volume.clone(),
            recursive: true,
            recursive_read_only,
            sub_path,
            ..BindSource::default()
        };
        config.mounts.push(Mount {
            target: "/v".to_owned(),
            kind: MountKind::Bind(source),
            options: READ_ONLY,
        });
        assert_eq!(bed.run(&config).ok(), expected);
    }
    fs::write(volume.join("inner/still"), "").expect("the volume itself is as it was");
}

/// A process that stays where this one is now, and mounts when it is told to.
fn mounter(target: &Path) -> Child {
    let script = format!("read go && mount -t tmpfs late '{0}' && echo late > '{0}/file'", target.display());
    Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap()
}

fn mounts_of_the_host_come_to_those_who_ask(bed: &Bed) {
    let volume = make_volume(bed, 0o777);
    fs::create_dir_all(volume.join("sub/mnt")).unwrap();
    // The "host" is a namespace of this case's own, where mounts are shared as systemd has it.
    unshare(Namespaces::MOUNT).unwrap();
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    mount_bind(&volume, &volume).unwrap();
    mount_change(&volume, MountPropagationFlags::SHARED).unwrap();
    let mut host = mounter(&volume.join("sub/mnt"));
    bed.enter();
    let script = "echo begun; until [ -e /asked/sub/mnt/file ]; do sleep 0.02; done; \
                  cat /below/mnt/file; ls /not/sub/mnt; mount -t tmpfs up /asked/sub && echo mounted";
    let mut config = bed.shell(script);
    let capabilities = DEFAULT_CAPABILITIES | SYS_ADMIN;
    config.process.capabilities =
        CapabilitySets { bounding: capabilities, effective: capabilities, permitted: capabilities };
    let asking = |sub_path: Option<&str>, target: &str, receives_mounts| {
        let source = BindSource {
            path: volume.clone(),
            recursive: true,
            sub_path: sub_path.map(str::to_owned),
            receives_mounts,
            ..BindSource::default()
        };
        Mount { target: target.to_owned(), kind: MountKind::Bind(source), options: NONE }
    };
    config.mounts.push(asking(None, "/asked", true));
    config.mounts.push(asking(Some("sub"), "/below", true));
    config.mounts.push(asking(None, "/not", false));
    let spawned = bed.spawn(&config).unwrap();
    assert_eq!(read_line(&spawned.output), "begun");
    drop(std::io::Write::write_all(&mut host.stdin.take().unwrap(), b"go\n"));
    assert!(host.wait().unwrap().success());
    assert_eq!(finish(spawned).ok(), "late\nmounted\n");
    // What the container mounted is nobody else's.
    assert!(volume.join("sub/mnt/file").exists());
}

/// On disk and in memory, below the volume and as a part of it; whoever comes first, and after the one who mounted has ended.
fn containers_share_mounts_in_a_volume_of_their_pod(bed: &Bed) {
    let disk = make_volume(bed, 0o777);
    let memory = bed.directory.join("memory");
    bed.enter();
    let of_pod = |path: &Path, target: &str, sub_path: Option<&str>, shares_mounts, receives_mounts| {
        let source = BindSource {
            path: path.to_owned(),
            recursive: true,
            sub_path: sub_path.map(str::to_owned),
            shares_mounts,
            receives_mounts,
            of_pod: true,
            ..BindSource::default()
        };
        Mount { target: target.to_owned(), kind: MountKind::Bind(source), options: NONE }
    };
    let both = |config: &mut container_config::ContainerConfig, shares, receives| {
        config.mounts.push(of_pod(&disk, "/disk", None, shares, receives));
        config.mounts.push(of_pod(&memory, "/memory", None, shares, receives));
        config.mounts.push(of_pod(&disk, "/part", Some("part"), shares, receives));
    };
    let seen = "for at in disk memory part; do test -e /$at/mnt/file && echo $at; done";
    let mut early = bed.shell(&format!(
        "echo begun; until [ -e /part/mnt/file ]; do sleep 0.02; done; {seen}; echo; exec sleep 1000"
    ));
    both(&mut early, false, true);
    let early = bed.spawn(&early).unwrap();
    assert_eq!(read_line(&early.output), "begun");
    let mut apart = bed.shell(&format!("echo begun; sleep 1000 & {seen}; wait"));
    both(&mut apart, false, false);
    let apart = bed.spawn(&apart).unwrap();
    assert_eq!(read_line(&apart.output), "begun");
    let script = "for at in disk memory part; do mkdir -p /$at/mnt; mount -t tmpfs x /$at/mnt && echo > /$at/mnt/file; done; \
                  echo done";
    let mut mounter = bed.shell(script);
    let capabilities = DEFAULT_CAPABILITIES | SYS_ADMIN;
    mounter.process.capabilities =
        CapabilitySets { bounding: capabilities, effective: capabilities, permitted: capabilities };
    both(&mut mounter, true, true);
    assert_eq!(bed.run(&mounter).ok(), "done\n");
    for expected in ["disk", "memory", "part", ""] {
        assert_eq!(read_line(&early.output), expected);
    }
    let look = |container: &shim::container::Container| bed.run_exec(container, seen).0;
    assert_eq!(look(&apart.container), "");
    // Others come and go, and take nothing away.
    for (receives, expected) in
        [(true, "disk\nmemory\npart\n"), (false, "disk\nmemory\npart\n"), (true, "disk\nmemory\npart\n")]
    {
        let mut late = bed.shell(seen);
        both(&mut late, false, receives);
        assert_eq!(bed.run(&late).stdout, expected);
        assert_eq!(bed.run(&bed.shell("true")).ok(), "");
        assert_eq!(look(&early.container), "disk\nmemory\npart\n");
    }
    for running in [early, apart] {
        running.container.kill_all().unwrap();
        finish(running);
    }
    // Nothing of it is on the host.
    let on_host = fs::read_to_string("/proc/1/mountinfo").unwrap();
    assert!(!on_host.contains(&*volume_name(&disk)), "{on_host}");
}

fn volume_name(volume: &Path) -> String {
    volume.display().to_string()
}

fn image_of(bed: &Bed) -> Vec<PathBuf> {
    let layer = |name: &str| bed.directory.join("layers,odd:names").join(name);
    let (bottom, top) = (layer("bottom"), layer("top"));
    fs::create_dir_all(bottom.join("models/small")).unwrap();
    fs::create_dir_all(top.join("models")).unwrap();
    fs::write(bottom.join("models/small/weights"), "1\n").unwrap();
    fs::write(bottom.join("gone"), "").unwrap();
    fs::write(bottom.join("changed"), "old\n").unwrap();
    fs::write(top.join("changed"), "new\n").unwrap();
    symlink("../../../../../../..", top.join("up")).unwrap();
    symlink("/etc", top.join("etc")).unwrap();
    symlink("models/small", top.join("link")).unwrap();
    for (layer, name) in [(&top, "gone"), (&bottom, "never")] {
        mknodat(CWD, layer.join(name), FileType::CharacterDevice, Mode::from_raw_mode(0o600), 0).unwrap();
    }
    vec![top, bottom]
}

fn image_volume(lower: &[PathBuf], sub_path: Option<&str>, target: &str) -> Mount {
    let source = ImageSource {
        layers: vec![Layer { target: "/".to_owned(), lower: lower.to_vec() }],
        volume: "models".to_owned(),
        sub_path: sub_path.map(str::to_owned),
    };
    Mount { target: target.to_owned(), kind: MountKind::Image(source), options: READ_ONLY }
}

fn the_files_of_an_image_are_a_volume(bed: &Bed) {
    let lower = image_of(bed);
    bed.enter();
    let script = "cat /i/changed /i/models/small/weights; ls -A /i /one; touch /i/x /i/models/x; cat /s/weights /l/weights /f";
    let mut config = bed.shell(script);
    config.mounts.push(image_volume(&lower, None, "/i"));
    config.mounts.push(image_volume(&lower[1..], None, "/one"));
    config.mounts.push(image_volume(&lower, Some("models/small"), "/s"));
    config.mounts.push(image_volume(&lower, Some("link"), "/l"));
    config.mounts.push(image_volume(&lower, Some("changed"), "/f"));
    let finished = bed.run(&config);
    let all = "/i:\nchanged\netc\nlink\nmodels\nup\n\n/one:\nchanged\ngone\nmodels\n";
    assert_eq!(finished.stdout, format!("new\n1\n{all}1\n1\nnew\n"));
    assert_eq!(finished.stderr.matches("Read-only file system").count(), 2, "{finished:?}");
    let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounted.contains("merged"), "the shim keeps what was for the container: {mounted}");

    // The host's own files, as `localhost/host` has them: one overlay within another.
    let mut host = image_volume(&[bed.directory.join("image")], Some("usr/bin"), "/host");
    let MountKind::Image(source) = &mut host.kind else { unreachable!() };
    source.layers.push(Layer { target: "/usr".to_owned(), lower: vec![PathBuf::from("/usr")] });
    let mut config = bed.shell("/host/env true && ! touch /host/env 2>/dev/null && echo fine");
    config.mounts.push(host);
    assert_eq!(bed.run(&config).ok(), "fine\n");
}

fn a_path_in_an_image_stays_in_it(bed: &Bed) {
    let lower = image_of(bed);
    bed.enter();
    for (sub_path, why) in [
        ("up", "it leads out of the volume"),
        ("up/etc", "it leads out of the volume"),
        ("etc", "it leads out of the volume"),
        ("..", "it leads out of the volume"),
        ("absent", "No such file or directory (os error 2)"),
        ("gone", "No such file or directory (os error 2)"),
        ("changed/x", "there is a file on the way"),
    ] {
        let mut config = bed.shell("echo started");
        config.mounts.push(image_volume(&lower, Some(sub_path), "/v"));
        let error = bed.refuse(&config);
        assert!(error.ends_with(why), "{sub_path}: {error}");
        assert!(error.starts_with(&format!("cannot find subPath \"{sub_path}\" in the image of volume")));
    }
    let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounted.contains("merged"), "{mounted}");
    assert!(!lower[0].join("absent").exists());
}

fn a_memory_volume_is_its_groups(bed: &Bed) {
    let path = bed.directory.join("grouped");
    let mut sandbox = bed.sandbox_config();
    sandbox.tmpfs.push(Tmpfs {
        path: path.clone(),
        size_bytes: Some(1 << 20),
        mode: 0o3777,
        gid: Some(4321),
        no_swap: true,
    });
    bed.enter_with(&sandbox);
    let mut config = bed.shell("touch /m/x && stat -c %a:%g /m && stat -c %u:%g /m/x");
    config.process.uid = 1000;
    config.process.gid = 1000;
    config.process.groups = vec![1000, 4321];
    config.mounts.push(bind(&path, "/m", NONE));
    assert_eq!(bed.run(&config).ok(), "3777:4321\n1000:4321\n");
    assert_eq!(fs::metadata(path.join("x")).unwrap().gid(), 4321);
}
