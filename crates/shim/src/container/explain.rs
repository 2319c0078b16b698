//! What the kernel's answer means for a step, and what to do, where the bare error number tells nobody.

use std::io;

use rustix::io::Errno;

use super::step::{Bind, Overlay, Step};

/// The error of a failed step, explained as far as it can be.
pub(super) fn explain(step: &Step, errno: Errno) -> io::Error {
    let reason = match step {
        Step::Bind(Bind { maps_ids: true, .. }) if errno == Errno::NOTSUP => Some(NO_ID_MAPS),
        Step::Overlay(Overlay { mapped_at: Some(_), .. }) if errno == Errno::NOTSUP => Some(NO_ID_MAPS),
        Step::Bind(_) | Step::Mount(_) | Step::Attach { .. } => mount_reason(errno),
        Step::MountDev(..) => device_reason(errno).or_else(|| mount_reason(errno)),
        Step::Overlay(_) => overlay_reason(errno),
        Step::AppArmor(_) => profile_reason(errno),
        Step::MakeDirectory(_) | Step::ChangeDirectory(_) => working_directory_reason(errno),
        _ => None,
    };
    reason.map_or_else(|| errno.into(), io::Error::other)
}

/// `NOTSUP` stands for [`NO_ID_MAPS`].
pub(super) fn explain_ids(errno: Errno) -> io::Error {
    if errno == Errno::NOTSUP { io::Error::other(NO_ID_MAPS) } else { errno.into() }
}

/// Of the file system of a volume or of an image.
const NO_ID_MAPS: &str = "its file system cannot show files with the ids of a pod that has users of its own: have it on \
                          ext4, xfs, btrfs or tmpfs (Linux 6.3), or set hostUsers to true";

fn mount_reason(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::NOTDIR => {
            "the container has a file there, or on the way there, and it takes a directory: \
             mount it at another path"
        }
        Errno::ISDIR => {
            "the container has a directory there, and what is mounted is a file: mount it at another path"
        }
        Errno::ROFS => {
            "the path does not exist, and cannot be made on a read-only file system: mount it at one that exists"
        }
        Errno::LOOP => {
            "links on the way there lead in a circle, or out of the container: mount it at another path"
        }
        _ => return None,
    })
}

fn profile_reason(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::NOENT => {
            "the kernel has no profile of this name: load it (apparmor_parser), or name another in appArmorProfile"
        }
        Errno::INVAL | Errno::OPNOTSUPP => "this kernel does not enforce AppArmor",
        _ => return None,
    })
}

fn device_reason(errno: Errno) -> Option<&'static str> {
    let reason = "the kernel lets nobody make devices in a user namespace: run monopod outside of it";
    (errno == Errno::PERM).then_some(reason)
}

fn overlay_reason(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::NODEV => "this kernel has no overlay file system: load it (modprobe overlay)",
        Errno::INVAL => {
            "the kernel makes no overlay of these directories: move the data to ext4, xfs, btrfs or tmpfs \
             with --data-dir"
        }
        _ => return None,
    })
}

fn working_directory_reason(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::NOTDIR => "there is a file at that path, or on the way there: set workingDir to a directory",
        Errno::ROFS => {
            "it does not exist, and cannot be made on a read-only file system: set workingDir to one that exists"
        }
        Errno::LOOP => {
            "links on the way there lead in a circle, or out of the container: set workingDir to another path"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use linux_sys::in_root::Missing;
    use rustix::io::Errno;

    use super::super::step::{Bind, Overlay, OverlayTarget, Source, Step};
    use super::explain;

    fn bind() -> Step {
        Step::Bind(Bind {
            what: "volume \"data\"".to_owned(),
            source: Source::Path { path: CString::default(), recursive: true },
            kind: Missing::Directory,
            attributes: 0,
            all_read_only: false,
            receives_mounts: false,
            shares_mounts: false,
            maps_ids: true,
            target: c"/etc/hostname".into(),
        })
    }

    #[test]
    fn a_failed_mount_names_the_volume_and_what_is_in_its_way() {
        let step = bind();
        assert_eq!(step.to_string(), "mount volume \"data\" at /etc/hostname");
        for (errno, part) in [
            (Errno::NOTDIR, "the container has a file there"),
            (Errno::ISDIR, "the container has a directory there"),
            (Errno::ROFS, "read-only"),
            (Errno::LOOP, "out of the container"),
        ] {
            let text = explain(&step, errno).to_string();
            assert!(text.contains(part) && text.contains("mount it at"), "{text}");
        }
        let text = explain(&step, Errno::NOTSUP).to_string();
        assert!(text.contains("hostUsers"), "{text}");
    }

    #[test]
    fn what_the_kernel_lacks_is_named() {
        let (upper, work) = (CString::default(), CString::default());
        let at = OverlayTarget::Root(CString::default());
        let overlay = Overlay { lower: Vec::new(), upper, work, at, mapped_at: None };
        let text = explain(&Step::Overlay(overlay), Errno::NODEV).to_string();
        assert!(text.contains("modprobe overlay"), "{text}");
    }

    #[test]
    fn an_unexpected_error_stays_as_it_is() {
        assert_eq!(explain(&bind(), Errno::IO).raw_os_error(), Some(Errno::IO.raw_os_error()));
        assert_eq!(explain(&Step::PivotRoot, Errno::LOOP).raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    }
}
