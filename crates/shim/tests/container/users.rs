//! Pods whose users are none of the host's.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use container_config::{
    BindSource, CapabilitySets, IDS_PER_POD, IdRange, ImageSource, Layer, Mount, MountKind, PidNamespace,
    SandboxConfig,
};
use linux_sys::mount::tmpfs_maps_ids;
use linux_sys::process::ExitStatus;

use crate::Case;
use crate::bed::{Bed, NONE, bind, finish, read_line, skip};

pub(crate) const CASES: &[Case] = &[
    ("roots_ids_are_others_on_the_host", roots_ids_are_others_on_the_host),
    ("what_is_mounted_is_the_pods_own", what_is_mounted_is_the_pods_own),
    ("volumes_have_the_ids_they_have_on_the_host", volumes_have_the_ids_they_have_on_the_host),
    ("the_root_file_system_has_the_images_ids", the_root_file_system_has_the_images_ids),
    ("capabilities_reach_what_is_the_pods", capabilities_reach_what_is_the_pods),
    ("nothing_of_the_host_is_uncovered", nothing_of_the_host_is_uncovered),
    ("a_further_process_has_the_pods_users", a_further_process_has_the_pods_users),
    ("a_terminal_is_the_pods_users", a_terminal_is_the_pods_users),
    ("the_pods_processes_are_the_pods_users", the_pods_processes_are_the_pods_users),
    ("parameters_are_set_as_the_namespaces_root", parameters_are_set_as_the_namespaces_root),
    ("a_file_system_without_id_maps_is_named", a_file_system_without_id_maps_is_named),
];

const FIRST: u32 = 7 * IDS_PER_POD;
const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

fn config(bed: &Bed) -> SandboxConfig {
    if !tmpfs_maps_ids() {
        skip("tmpfs shows other ids from Linux 6.3 on");
    }
    SandboxConfig { users: Some(IdRange { first: FIRST, count: IDS_PER_POD }), ..bed.sandbox_config() }
}

fn all_powers(config: &mut container_config::ContainerConfig) {
    let all = ALL_CAPABILITIES;
    config.process.capabilities = CapabilitySets { bounding: all, effective: all, permitted: all };
}

fn roots_ids_are_others_on_the_host(bed: &Bed) {
    bed.enter_with(&config(bed));
    let mut config =
        bed.shell("id -u; cat /proc/self/uid_map /proc/self/gid_map; echo $$; echo ready; exec sleep 1000");
    config.process.groups = vec![0, 77];
    let running = bed.spawn(&config).unwrap();
    assert_eq!(read_line(&running.output), "0");
    let map = format!("         0     {FIRST}      {IDS_PER_POD}");
    assert_eq!(read_line(&running.output), map);
    assert_eq!(read_line(&running.output), map);
    assert_eq!(read_line(&running.output), "1");
    assert_eq!(read_line(&running.output), "ready");
    let status = fs::read_to_string(format!("/proc/{}/status", running.container.pid())).unwrap();
    for line in [
        format!("Uid:\t{FIRST}\t{FIRST}\t{FIRST}\t{FIRST}"),
        format!("Gid:\t{FIRST}\t{FIRST}\t{FIRST}\t{FIRST}"),
        format!("Groups:\t{FIRST} {} ", FIRST + 77),
    ] {
        assert!(status.lines().any(|found| found == line), "{line} is not in {status}");
    }
    running.container.kill_all().unwrap();
    assert_eq!(finish(running).status, ExitStatus::Signal(9));
}

/// The terminal, `/dev`, the pipes and the kernel's file systems.
fn what_is_mounted_is_the_pods_own(bed: &Bed) {
    bed.enter_with(&config(bed));
    let mut config = bed.shell(
        "stat -c '%n %u:%g' / /dev /dev/null /dev/stdin /dev/pts /dev/ptmx /dev/mqueue /dev/termination-log /proc/1 /work; \
         echo by name > /dev/stdout; echo > /dev/null; ls /dev/fd/ > /dev/null; echo bye > /dev/termination-log; \
         mount | grep -c '^proc on /proc '; test -s /proc/version || echo hidden; \
         echo 1 2>/dev/null > /proc/sys/net/ipv4/ip_forward || echo read-only; cat /proc/net/dev | grep -c lo:",
    );
    config.process.cwd = "/work".to_owned();
    let output = bed.run(&config).ok();
    let expected = "\
/ 0:0
/dev 0:0
/dev/null 0:0
/dev/stdin 0:0
/dev/pts 0:0
/dev/ptmx 0:0
/dev/mqueue 0:0
/dev/termination-log 0:0
/proc/1 0:0
/work 0:0
by name
1
hidden
read-only
1
";
    assert_eq!(output, expected);
    let log = bed.attempt_dir(0).join("termination-log");
    assert_eq!(fs::read_to_string(&log).unwrap(), "bye\n");
    assert_eq!(fs::metadata(&log).unwrap().uid(), 0);
}

fn volumes_have_the_ids_they_have_on_the_host(bed: &Bed) {
    let volume = bed.directory.join("volume");
    fs::create_dir(&volume).unwrap();
    fs::set_permissions(&volume, Permissions::from_mode(0o777)).unwrap();
    for (name, id) in [("root", 0), ("user", 1000), ("beyond", 70_000)] {
        fs::write(volume.join(name), name).unwrap();
        chown(volume.join(name), Some(id), Some(id)).unwrap();
    }
    bed.enter_with(&config(bed));
    let mut config = bed.shell(
        "stat -c '%n %u:%g' /v/* /m; touch /v/new /m/new; chown 5:6 /v/new; stat -c '%n %u:%g' /v/new /m/new; \
         chown 0 /v/beyond 2>/dev/null || echo not mine; stat -c %u:%g /s",
    );
    config.mounts.push(bind(&volume, "/v", NONE));
    config.mounts.push(bind(&bed.directory.join("memory"), "/m", NONE));
    let mut below = bind(&volume, "/s", NONE);
    if let MountKind::Bind(source) = &mut below.kind {
        source.sub_path = Some("made".to_owned());
    }
    config.mounts.push(below);
    let expected = "\
/v/beyond 65534:65534
/v/made 0:0
/v/root 0:0
/v/user 1000:1000
/m 0:0
/v/new 5:6
/m/new 0:0
not mine
0:0
";
    assert_eq!(bed.run(&config).ok(), expected);
    let made = fs::metadata(volume.join("new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (5, 6));
    let mut layers = vec![Layer { target: "/".to_owned(), lower: vec![volume] }];
    layers.push(Layer { target: "/made".to_owned(), lower: vec![bed.directory.join("image")] });
    let mut config = bed.shell("stat -c '%n %u:%g' /i /i/user /i/made/etc");
    let source = ImageSource { layers, volume: "files".to_owned(), sub_path: None };
    config.mounts.push(Mount { target: "/i".to_owned(), kind: MountKind::Image(source), options: NONE });
    assert_eq!(bed.run(&config).ok(), "/i 0:0\n/i/user 1000:1000\n/i/made/etc 0:0\n");
}

fn the_root_file_system_has_the_images_ids(bed: &Bed) {
    let file = bed.directory.join("image/etc/of-user");
    fs::write(&file, "text\n").unwrap();
    chown(&file, Some(1000), Some(1001)).unwrap();
    bed.enter_with(&config(bed));
    let script = "\
stat -c '%n %u:%g' /etc /etc/of-user /usr/bin/env
echo more >> /etc/of-user; cat /etc/of-user; stat -c %u:%g /etc/of-user
touch /etc/new; chown 1234:4321 /etc/new; chmod 4755 /etc/new; stat -c %u:%g:%a /etc/new
mkdir /made; rmdir /made; rm /etc/of-user; test -e /etc/of-user || echo gone
chown 65536 /etc/new 2>/dev/null || echo not mine
";
    let expected = "\
/etc 0:0
/etc/of-user 1000:1001
/usr/bin/env 0:0
text
more
1000:1001
1234:4321:4755
gone
not mine
";
    assert_eq!(bed.run_shell(script).ok(), expected);
    assert_eq!(fs::read_to_string(&file).unwrap(), "text\n", "the image was written to");
    let made = fs::metadata(bed.attempt_dir(0).join("layers/0/upper/etc/new")).unwrap();
    assert_eq!(
        (made.uid(), made.gid()),
        (FIRST + 1234, FIRST + 4321),
        "a set-user-ID file is nobody's of the host"
    );
}

fn capabilities_reach_what_is_the_pods(bed: &Bed) {
    bed.enter_with(&config(bed));
    let mut config = bed.shell(
        "hostname other && hostname; mount -t tmpfs none /tmp && touch /tmp/x && echo mounted; \
         umount /tmp && echo unmounted; mkdir /p && mount -t proc proc /p && test -d /p/1 && echo proc; \
         mknod /tmp/null c 1 3 2>/dev/null || echo no devices; \
         ip link set lo down 2>/dev/null && echo lo; unshare -m true && echo unshared; \
         mount -o remount,rw /sys 2>/dev/null || echo no remount",
    );
    all_powers(&mut config);
    // A `/proc` that hides something is not to be had whole.
    config.masked_paths.clear();
    config.readonly_paths.clear();
    let output = bed.run(&config).ok();
    assert_eq!(
        output.replace("lo\n", ""),
        "other\nmounted\nunmounted\nproc\nno devices\nunshared\nno remount\n"
    );
    let mut config = bed.shell("hostname other 2>/dev/null || echo refused; grep CapEff /proc/self/status");
    config.process.uid = 1000;
    config.process.capabilities.effective = 0;
    config.process.capabilities.permitted = 0;
    config.process.no_new_privileges = true;
    assert_eq!(bed.run(&config).ok(), "refused\nCapEff:\t0000000000000000\n");
}

/// With every capability in the pod.
fn nothing_of_the_host_is_uncovered(bed: &Bed) {
    let (above, below) = (bed.directory.join("image/etc/hidden"), bed.directory.join("above"));
    fs::write(&above, "of the image\n").unwrap();
    fs::write(&below, "on top\n").unwrap();
    bed.enter_with(&config(bed));
    let mut config = bed.shell(
        "umount /etc/hidden 2>/dev/null || echo locked; cat /etc/hidden; ls /proc | grep -c '^[0-9]*$'; \
         umount -l /proc 2>/dev/null; ls /proc | wc -l; \
         test -e /.pivot -o -e /rootfs && echo old root; kill -9 $PPID 2>/dev/null; echo alive; nsenter -t 1 -U true 2>/dev/null || echo no way up",
    );
    all_powers(&mut config);
    config.mounts.push(bind(&below, "/etc/hidden", NONE));
    let output = bed.run(&config).ok();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..2], ["locked", "on top"], "{output}");
    assert_eq!(lines[3..], ["0", "alive", "no way up"], "{output}");
    let own: usize = lines[2].parse().unwrap();
    assert!(own <= 4, "{own} processes are seen");
}

fn a_further_process_has_the_pods_users(bed: &Bed) {
    bed.enter_with(&config(bed));
    let mut config = bed.shell("echo here > /tmp/file; echo ready; exec sleep 1000");
    config.process.cwd = "/tmp".to_owned();
    config.process.groups = vec![0, 4242];
    let running = bed.spawn(&config).unwrap();
    assert_eq!(read_line(&running.output), "ready");
    let script = "id -u; id -G; cat file; readlink /proc/self/ns/user /proc/1/ns/user | uniq | wc -l; \
                  readlink /proc/self/ns/cgroup /proc/1/ns/cgroup | uniq | wc -l; echo by name > /dev/stdout; \
                  touch /tmp/new && chown 9:9 /tmp/new && stat -c %u /tmp/new; grep Cap /proc/self/status | sort -u | wc -l";
    let (output, status) = bed.run_exec(&running.container, script);
    assert_eq!((output.as_str(), status), ("0\n0 4242\nhere\n1\n1\nby name\n9\n5\n", ExitStatus::Code(0)));
    running.container.kill_all().unwrap();
    finish(running);
}

fn a_terminal_is_the_pods_users(bed: &Bed) {
    bed.enter_with(&config(bed));
    let mut config =
        bed.shell("tty; stat -c %u:%g /dev/pts/0 /dev/console; echo > /dev/tty; stat -c %u:%g /dev/pts");
    config.tty = true;
    config.process.uid = 1000;
    let finished = bed.run(&config);
    assert_eq!(finished.stdout, "/dev/pts/0\r\n1000:5\r\n1000:5\r\n\r\n0:0\r\n");
}

fn the_pods_processes_are_the_pods_users(bed: &Bed) {
    let shared = SandboxConfig { shared_proc: Some(bed.directory.join("proc")), ..config(bed) };
    bed.enter_with(&shared);
    let init = fs::read_to_string(format!("/proc/{}/status", bed.init_pid().unwrap())).unwrap();
    assert!(init.contains(&format!("Uid:\t{FIRST}\t{FIRST}")), "{init}");
    let mut first = bed.shell("echo ready; exec sleep 1000");
    first.pid_namespace = PidNamespace::Pod;
    let running = bed.spawn(&first).unwrap();
    assert_eq!(read_line(&running.output), "ready");
    let mut second = bed.shell(
        "ps -eo pid,uid,comm | grep -E 'sleep|monopod|container' | tr -s ' '; \
         tr -s ' ' < /proc/self/uid_map | cut -d' ' -f3; mkdir /p; mount -t proc proc /p && ls -d /p/1; hostname x && echo named",
    );
    second.pid_namespace = PidNamespace::Pod;
    all_powers(&mut second);
    second.masked_paths.clear();
    second.readonly_paths.clear();
    let output = bed.run(&second).ok();
    assert!(output.contains(" 0 sleep") && output.ends_with(&format!("{FIRST}\n/p/1\nnamed\n")), "{output}");
    running.container.kill_all().unwrap();
    finish(running);
}

fn parameters_are_set_as_the_namespaces_root(bed: &Bed) {
    let values = [
        ("net.ipv4.ip_unprivileged_port_start", "80"),
        ("kernel.shm_rmid_forced", "1"),
        ("fs.mqueue.msg_max", "12"),
    ];
    let sysctls = values.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    bed.enter_with(&SandboxConfig { sysctls, ..config(bed) });
    let script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced \
                  /proc/sys/fs/mqueue/msg_max; hostname";
    assert_eq!(bed.run_shell(script).ok(), "80\n1\n12\nbed\n");
    let sysctls = vec![("kernel.core_pattern".to_owned(), "x".to_owned())];
    let refused = shim::container::Sandbox::enter(&SandboxConfig {
        sysctls,
        cgroup: format!("{}-other", bed.cgroup),
        ..config(bed)
    });
    let error = crate::bed::chain(&refused.unwrap_err());
    assert_eq!(error, "cannot set sysctl kernel.core_pattern to \"x\": it is the host's");
}

fn a_file_system_without_id_maps_is_named(bed: &Bed) {
    bed.enter_with(&config(bed));
    let mut config = bed.shell("true");
    let source = BindSource {
        path: "/proc/self".into(),
        recursive: true,
        volume: Some("data".to_owned()),
        ..BindSource::default()
    };
    config.mounts.push(Mount { target: "/v".to_owned(), kind: MountKind::Bind(source), options: NONE });
    let error = bed.refuse(&config);
    assert!(
        error.starts_with("cannot mount volume \"data\" at /v: its file system cannot show")
            && error.contains("hostUsers"),
        "{error}"
    );
}
