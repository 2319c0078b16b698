//! Machines and callers that lack something: one error with its remedy and exit code 1 before anything is
//! begun, or a run as anywhere else. What a test takes away it takes from a mount namespace of its own.

use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::bed::{Bed, SOON};
use crate::engine::Finished;
use crate::outcome::skip;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    root_that_is_a_file,
    data_dir_that_is_a_file,
    root_that_is_a_dangling_link,
    read_only_root,
    full_disk,
    no_inodes,
    disk_that_a_container_fills,
    root_on_overlayfs,
    root_with_a_path_too_long,
    root_with_a_path_longer_than_a_socket_address,
    root_mounted_noexec,
    root_of_a_user_namespace,
    missing_capabilities,
    no_cgroups,
    read_only_cgroups,
    no_proc,
    hidden_processes,
    no_devices,
    few_open_files,
    limited_file_size,
    program_that_is_in_no_mount,
    umask_of_whoever_starts_it,
];

fn pod() -> Pod {
    Pod::new("sound").app("main", "say start")
}

/// One error, which has `parts`, and its remedy; nothing was begun.
fn expect_one_error(bed: &Bed, finished: &Finished, parts: &[&str]) -> Result<()> {
    finished.expect_code(1)?;
    for part in parts {
        finished.expect_output(part)?;
    }
    let output = finished.output();
    let lines: Vec<&str> = output.lines().collect();
    ensure!(
        matches!(&lines[..], [error, remedy] if error.starts_with("error: ") && remedy.starts_with("remedy: ")),
        "not an error and its remedy:\n{output}"
    );
    ensure!(bed.uids().is_empty(), "a pod was made");
    bed.trace.expect_absent("main start")
}

/// Runs after `setup` and expects [`expect_one_error`].
fn refused_after(bed: &Bed, setup: &str, parts: &[&str]) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(&pod())?;
    let finished = bed.finish(bed.run_command_after(setup)?.arg(manifest))?;
    expect_one_error(bed, &finished, parts)
}

/// Runs after `setup` as if nothing were the matter.
fn runs_after(bed: &Bed, setup: &str) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(&pod())?;
    bed.finish(bed.run_command_after(setup)?.arg(manifest))?.expect_code(0)?;
    bed.trace.expect_order(&["main start"])
}

/// A tmpfs with `options` over the root.
fn tmpfs(bed: &Bed, options: &str) -> String {
    format!("mount -t tmpfs -o {options} none {}", bed.root().display())
}

fn at_root(bed: &Bed, root: &std::path::Path) -> Result<Finished> {
    let manifest = bed.manifest(&pod())?;
    let mut command = Command::new(bed.program());
    bed.finish(command.arg("--root").arg(root).arg("run").arg(manifest).stdin(Stdio::null()))
}

fn root_that_is_a_file(bed: &Bed) -> Result<()> {
    require_root()?;
    let root = bed.file("a-file", "")?;
    expect_one_error(bed, &at_root(bed, &root)?, &["a-file is not a directory", "--root"])
}

fn data_dir_that_is_a_file(bed: &Bed) -> Result<()> {
    require_root()?;
    let (file, manifest) = (bed.file("a-file", "")?, bed.manifest(&pod())?);
    let finished = bed.finish(bed.run_command().arg("--data-dir").arg(file).arg(manifest))?;
    expect_one_error(bed, &finished, &["a-file is not a directory", "--data-dir"])
}

fn root_that_is_a_dangling_link(bed: &Bed) -> Result<()> {
    require_root()?;
    let root = bed.dir().join("link");
    std::os::unix::fs::symlink("/no/such/directory", &root)?;
    expect_one_error(bed, &at_root(bed, &root)?, &["link is a link that leads nowhere"])
}

fn read_only_root(bed: &Bed) -> Result<()> {
    refused_after(bed, &tmpfs(bed, "ro"), &["Read-only file system", "--root"])
}

fn full_disk(bed: &Bed) -> Result<()> {
    let fill = format!("head -c 1M /dev/zero > {}/fill 2> /dev/null || true", bed.root().display());
    let setup = format!("{}; {fill}", tmpfs(bed, "size=64k"));
    refused_after(bed, &setup, &["is full (0 bytes are left", "free some"])
}

fn no_inodes(bed: &Bed) -> Result<()> {
    refused_after(bed, &tmpfs(bed, "nr_inodes=8"), &["too few inodes (7 are left"])
}

/// The container is told, and the engine stops the pod and removes it all the same.
fn disk_that_a_container_fills(bed: &Bed) -> Result<()> {
    require_root()?;
    let script = "head -c 100M /dev/zero > /fill 2> /dev/null || say full; echo last words; exit 3";
    let manifest = bed.manifest(&Pod::new("filler").app("main", script))?;
    // The records of the pod are on the disk that is full; what is left afterwards fails the exit.
    let check = format!("find {}/var/lib/monopod/pods -mindepth 1", bed.root().display());
    let setup = format!(
        "{}; \"$0\" \"$@\" && exit 9; test $? = 1; test -z \"$({check})\"; exit 1",
        tmpfs(bed, "size=8m")
    );
    let finished = bed.finish(bed.run_command_after(&setup)?.arg(manifest))?;
    finished.expect_code(1)?.expect_line(&["main", "3"])?.expect_no_output("panicked")?;
    bed.trace.expect_order(&["main full"])
}

fn root_on_overlayfs(bed: &Bed) -> Result<()> {
    let root = bed.root();
    let dir = root.display();
    let overlay = format!(
        "{}; mkdir {dir}/l {dir}/u {dir}/w; mount -t overlay -o lowerdir={dir}/l,upperdir={dir}/u,workdir={dir}/w none {dir}",
        tmpfs(bed, "size=8m")
    );
    refused_after(bed, &overlay, &["overlayfs", "--data-dir"])
}

fn root_with_a_path_too_long(bed: &Bed) -> Result<()> {
    require_root()?;
    let root = (0..19).fold(bed.dir().to_owned(), |path, _| path.join("x".repeat(200)));
    expect_one_error(bed, &at_root(bed, &root)?, &["too long", "--root"])
}

/// Socket addresses hold 108 bytes.
fn root_with_a_path_longer_than_a_socket_address(bed: &Bed) -> Result<()> {
    require_root()?;
    let root = (0..3).fold(bed.dir().to_owned(), |path, _| path.join("x".repeat(200)));
    at_root(bed, &root)?.expect_code(0)?;
    bed.trace.expect_order(&["main start"])
}

fn root_mounted_noexec(bed: &Bed) -> Result<()> {
    runs_after(bed, &tmpfs(bed, "noexec,nosuid,nodev"))
}

fn root_of_a_user_namespace(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(&pod())?;
    let run = bed.run_command();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "true"]);
    if !command.status().is_ok_and(|status| status.success()) {
        return skip("needs unshare and user namespaces");
    }
    let mut command = Command::new("unshare");
    command.arg("--map-root-user").arg(run.get_program()).args(run.get_args()).arg(manifest);
    let finished = bed.finish(command.stdin(Stdio::null()))?;
    expect_one_error(bed, &finished, &["user namespace", "sudo"])
}

fn missing_capabilities(bed: &Bed) -> Result<()> {
    require_root()?;
    if !std::path::Path::new("/usr/bin/setpriv").exists() {
        return skip("needs setpriv");
    }
    let manifest = bed.manifest(&pod())?;
    let run = bed.run_command();
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_admin,-mknod", "--inh-caps=-sys_admin,-mknod"]);
    command.arg(run.get_program()).args(run.get_args()).arg(manifest);
    let finished = bed.finish(command.stdin(Stdio::null()))?;
    expect_one_error(bed, &finished, &["without CAP_SYS_ADMIN, CAP_MKNOD\n", "privileged"])
}

fn no_cgroups(bed: &Bed) -> Result<()> {
    refused_after(bed, "umount -l /sys/fs/cgroup", &["no cgroup file system is mounted", "mount cgroup v2"])
}

fn read_only_cgroups(bed: &Bed) -> Result<()> {
    let remount = "while read -r _ _ _ _ dir options; do
          case $options in *' - cgroup'*) mount -o remount,bind,ro \"$dir\";; esac
        done < /proc/self/mountinfo";
    refused_after(bed, remount, &["/sys/fs/cgroup", "cannot be written to", "writable"])
}

fn no_proc(bed: &Bed) -> Result<()> {
    refused_after(bed, "umount -l /proc", &["/proc cannot be read", "mount -t proc"])
}

fn hidden_processes(bed: &Bed) -> Result<()> {
    runs_after(bed, "mount -t proc -o hidepid=2 proc /proc")
}

fn no_devices(bed: &Bed) -> Result<()> {
    refused_after(bed, "mount -t tmpfs none /dev", &["/dev/null", "mount -t devtmpfs"])
}

fn few_open_files(bed: &Bed) -> Result<()> {
    refused_after(bed, "ulimit -n 20", &["open files is 20", "ulimit"])
}

/// SIGXFSZ would end the engine, and what it had made would stay.
fn limited_file_size(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(&pod())?;
    let limited = |blocks: u32| {
        let finished = bed.finish(bed.run_command_after(&format!("ulimit -f {blocks}"))?.arg(&manifest))?;
        bed.expect_settled()?;
        Ok::<_, anyhow::Error>(finished)
    };
    // Not even what it says finds room in a file.
    limited(0)?.expect_code(1)?;
    // A block has 512 bytes: the lock fits, the pod does not.
    let finished = limited(1)?;
    finished.expect_code(1)?.expect_line(&["cannot begin pod default/sound", "File too large"])?;
    finished.expect_line(&["remedy: ", "ulimit -f"])?;
    bed.trace.expect_absent("main start")
}

/// A shim started from it could have its program written to.
fn program_that_is_in_no_mount(bed: &Bed) -> Result<()> {
    let dir = bed.dir().join("program");
    std::fs::create_dir(&dir)?;
    let setup = format!(
        "mount --bind {from} {at}; exec 3< {at}/monopod; umount -l {at}; exec /proc/self/fd/3 \"$@\"",
        from = bed.dir().display(),
        at = dir.display(),
    );
    refused_after(bed, &setup, &["in no mount of this mount namespace", "by the path of its file"])
}

/// Users of a container read what they have to, and users of the machine write nowhere.
fn umask_of_whoever_starts_it(bed: &Bed) -> Result<()> {
    require_root()?;
    for umask in ["0", "077", "777"] {
        let read =
            "umask; cat /etc/hosts /etc/hostname /etc/resolv.conf > /tmp/read && echo all-was-read; serve";
        let fields = serde_json::json!({"securityContext": {"runAsUser": 1000, "runAsGroup": 1000}});
        let manifest = bed.manifest(&Pod::new("masked").app_with("main", read, &fields))?;
        let root = bed.dir().join(format!("umask-{umask}"));
        let script = format!("umask {umask}; exec \"$0\" --root {} run \"$@\"", root.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(bed.program()).arg(manifest).stdin(Stdio::null());
        let mut engine = bed.start(&mut command)?;
        engine.wait_output("all-was-read", SOON)?;
        engine.wait_output("0022", SOON)?;
        expect_writable_by_nobody_else(&root)?;
        bed.interrupt(engine)?.expect_code(0)?;
    }
    Ok(())
}

/// But in volumes and images, which are behind directories that nobody else gets into.
fn expect_writable_by_nobody_else(dir: &std::path::Path) -> Result<()> {
    const OTHERS_WRITE: u32 = 0o002;
    const OTHERS_ENTER: u32 = 0o001;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let found = std::fs::symlink_metadata(&path)?;
        if found.is_symlink() {
            continue;
        }
        ensure!(found.mode() & OTHERS_WRITE == 0, "{} has mode {:o}", path.display(), found.mode());
        if found.is_dir() && found.mode() & OTHERS_ENTER != 0 {
            expect_writable_by_nobody_else(&path)?;
        }
    }
    Ok(())
}
