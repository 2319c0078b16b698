//! What a container sees of files, and where its mounts land.

use std::fs;
use std::os::unix::fs::symlink;

use container_config::{Layer, MountOptions};

use crate::Case;
use crate::bed::{Bed, NONE, bind};

pub(crate) const CASES: &[Case] = &[
    ("links_in_an_image_lead_no_mount_out", links_in_an_image_lead_no_mount_out),
    ("volumes_are_shared_and_read_only_ones_are", volumes_are_shared_and_read_only_ones_are),
    ("a_read_only_root_keeps_its_volumes_writable", a_read_only_root_keeps_its_volumes_writable),
    ("writes_go_to_the_attempts_own_layer", writes_go_to_the_attempts_own_layer),
    ("many_layers_with_odd_names_stack", many_layers_with_odd_names_stack),
    ("the_termination_message_reaches_the_host", the_termination_message_reaches_the_host),
    ("the_sandbox_has_its_names_and_memory", the_sandbox_has_its_names_and_memory),
    ("dev_has_the_standard_nodes", dev_has_the_standard_nodes),
    ("kernel_file_systems_have_their_usual_names", kernel_file_systems_have_their_usual_names),
    ("nothing_of_the_host_stays_mounted", nothing_of_the_host_stays_mounted),
];

fn links_in_an_image_lead_no_mount_out(bed: &Bed) {
    let (image, outside) = (bed.directory.join("image"), bed.directory.join("outside"));
    fs::create_dir(&outside).unwrap();
    symlink(&outside, image.join("data")).unwrap();
    symlink("../../../../../../../..", image.join("up")).unwrap();
    symlink("../run/resolve/stub", image.join("etc/resolv.conf")).unwrap();
    let volume = bed.directory.join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "in volume\n").unwrap();
    bed.enter();
    let mut config =
        bed.shell("cat /data/file /up/etc/x/file /etc/resolv.conf; readlink -f /data /etc/resolv.conf; pwd");
    config.mounts.push(bind(&volume, "/data", NONE));
    config.mounts.push(bind(&volume, "/up/etc/x", NONE));
    config.mounts.push(bind(&volume.join("file"), "/etc/resolv.conf", NONE));
    config.process.cwd = "/data/new".to_owned();
    let expected =
        format!("in volume\nin volume\nin volume\n{0}\n/run/resolve/stub\n{0}/new\n", outside.display());
    assert_eq!(bed.run(&config).ok(), expected);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!std::path::Path::new("/etc/x").exists());
}

fn volumes_are_shared_and_read_only_ones_are(bed: &Bed) {
    let volume = bed.directory.join("volume");
    fs::create_dir(&volume).unwrap();
    bed.enter();
    let mut config = bed.shell("echo one > /v/file && cat /r/file; echo two > /r/file; echo $?");
    config.mounts.push(bind(&volume, "/v", NONE));
    config.mounts.push(bind(&volume, "/r", MountOptions { read_only: true, ..NONE }));
    let finished = bed.run(&config);
    assert_eq!(finished.stdout, "one\n2\n");
    assert!(finished.stderr.contains("Read-only file system"), "{finished:?}");
    assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "one\n");
}

fn a_read_only_root_keeps_its_volumes_writable(bed: &Bed) {
    let volume = bed.directory.join("volume");
    fs::create_dir(&volume).unwrap();
    bed.enter();
    let script = "for d in / /usr /etc /usr/local; do touch $d/x 2>/dev/null && echo wrote $d; done; \
                  touch /v/x /usr/share/v/x && echo fine; pwd";
    let mut config = bed.shell(script);
    config.root.read_only = true;
    config.process.cwd = "/work".to_owned();
    config.mounts.push(bind(&volume, "/v", NONE));
    config.mounts.push(bind(&volume, "/usr/share/v", NONE));
    assert_eq!(bed.run(&config).ok(), "fine\n/work\n");
}

fn writes_go_to_the_attempts_own_layer(bed: &Bed) {
    bed.enter();
    assert_eq!(bed.run_shell("rm -r /etc; echo x > /usr/new; stat -c %a /").ok(), "755\n");
    assert_eq!(bed.run_shell("test -d /etc && ! test -e /usr/new && echo clean").ok(), "clean\n");
    assert!(!std::path::Path::new("/usr/new").exists());
    assert!(bed.attempt_dir(0).join("layers/1/upper/new").exists());
}

fn many_layers_with_odd_names_stack(bed: &Bed) {
    const LAYERS: usize = 120;
    let image = bed.directory.join("image");
    let mut lower = vec![image];
    for number in 0..LAYERS {
        let layer = bed.directory.join(format!("layer,lowerdir=:{number}{}", "x".repeat(60)));
        fs::create_dir(&layer).unwrap();
        fs::write(layer.join(format!("file{number}")), "").unwrap();
        fs::write(layer.join("top"), number.to_string()).unwrap();
        lower.push(layer);
    }
    lower.reverse();
    bed.enter();
    let mut config = bed.shell("ls /file* | wc -l; cat /top");
    config.root.layers[0] = Layer { target: "/".to_owned(), lower };
    assert_eq!(bed.run(&config).ok(), format!("{LAYERS}\n{}", LAYERS - 1));
}

fn the_termination_message_reaches_the_host(bed: &Bed) {
    bed.enter();
    let mut config = bed.shell("echo done > /dev/termination-log");
    config.process.uid = 1000;
    bed.run(&config).ok();
    let mut config = bed.shell("echo other > /run/message/here");
    config.termination_message_path = "/run/message/here".to_owned();
    config.root.read_only = true;
    bed.run(&config).ok();
    let message = |attempt| fs::read_to_string(bed.attempt_dir(attempt).join("termination-log")).unwrap();
    assert_eq!((message(0), message(1)), ("done\n".to_owned(), "other\n".to_owned()));
}

fn the_sandbox_has_its_names_and_memory(bed: &Bed) {
    bed.enter();
    let script = "hostname; cat /sys/class/net/lo/operstate; ls /sys/class/net; echo kept > /m/file; df -k --output=size /m";
    let mut config = bed.shell(script);
    config.mounts.push(bind(&bed.directory.join("memory"), "/m", NONE));
    let output = bed.run(&config).ok();
    assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["bed", "unknown", "lo", "1K-blocks", "1024"]);
    config.process.args[2] = "cat /m/file".to_owned();
    assert_eq!(bed.run(&config).ok(), "kept\n");
}

fn dev_has_the_standard_nodes(bed: &Bed) {
    bed.enter();
    let script = "ls /dev | tr '\\n' ' '; cat /dev/null; head -c 3 /dev/zero | wc -c; head -c1 /dev/urandom | wc -c; \
                  echo x > /dev/null; echo err > /dev/stdout; stat -c %a:%t:%T /dev/null; ls -A /dev/mqueue";
    let mut config = bed.shell(script);
    config.process.uid = 1000;
    let expected = "core fd full mqueue null ptmx pts random stderr stdin stdout termination-log tty urandom zero \
                    3\n1\nerr\n666:1:3\n";
    assert_eq!(bed.run(&config).ok(), expected);
}

/// As `df` and `mount` show them, and scripts look for them.
fn kernel_file_systems_have_their_usual_names(bed: &Bed) {
    bed.enter();
    let found = bed.run_shell("cat /proc/self/mounts").ok();
    let is_there = |line: &str| found.lines().any(|mount| mount.starts_with(line));
    for line in [
        "proc /proc proc rw,",
        "sysfs /sys sysfs ro,",
        // Without relatime.
        "tmpfs /dev tmpfs rw,nosuid,size=65536k,mode=755",
        "devpts /dev/pts devpts rw,",
        "mqueue /dev/mqueue mqueue rw,",
        "tmpfs /sys/firmware tmpfs ro,",
    ] {
        assert!(is_there(line), "no {line:?} in {found}");
    }
    assert!(["tmpfs", "cgroup2"].iter().any(|name| is_there(&format!("{name} /sys/fs/cgroup {name} ro,"))));
    assert_eq!(found.matches("none ").count(), 0, "{found}");
}

fn nothing_of_the_host_stays_mounted(bed: &Bed) {
    bed.enter();
    let output = bed.run_shell("cut -d' ' -f5 /proc/self/mountinfo").ok();
    let allowed = ["/", "/usr", "/proc", "/dev", "/sys"];
    for line in output.lines() {
        let is_below = allowed.iter().any(|path| line == *path || line.starts_with(&format!("{path}/")));
        assert!(is_below, "{line}");
    }
    assert_eq!(bed.run_shell("cat /proc/self/mountinfo").ok().matches("master:").count(), 0);
}
