//! Reading a file that a pod has written.

use std::ffi::CString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use linux_sys::in_root;
use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::Errno;

use crate::VolumeError;

/// What the file holds; `None` when it, or a directory on the way, is not there. Links are resolved as if the volume
/// were all there is. Nothing but a regular file is read, so that nobody is kept waiting by a pipe. Blocks.
pub(crate) fn file(
    volume: BorrowedFd<'_>,
    path: &str,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, VolumeError> {
    let failed = |source: std::io::Error| VolumeError::Read { path: path.to_owned(), source };
    let name = CString::new(path).map_err(|_| VolumeError::HostileName { path: path.to_owned() })?;
    // First without access: to open a pipe or a device may do something.
    let found = match in_root::open(volume, &name, OFlags::PATH) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        found => found.map_err(|errno| failed(errno.into()))?,
    };
    let stat = fstat(&found).map_err(|errno| failed(errno.into()))?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(VolumeError::NoFile { path: path.to_owned() });
    }
    let opened = File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).map_err(failed)?;
    let mut content = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    opened.take(limit).read_to_end(&mut content).map_err(failed)?;
    if content.len() > bytes_max {
        return Err(VolumeError::TooLarge { path: path.to_owned(), bytes_max });
    }
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::file;

    #[test]
    fn nothing_but_files_of_the_volume_is_read() {
        let base = std::env::temp_dir().join(format!("monopod-read-file-{}", std::process::id()));
        let volume = base.join("volume");
        fs::create_dir_all(volume.join("d")).unwrap();
        fs::write(base.join("secret"), "secret").unwrap();
        fs::write(volume.join("a"), "inside").unwrap();
        fs::write(volume.join("large"), "0123456789").unwrap();
        symlink("../a", volume.join("d/up")).unwrap();
        symlink("/a", volume.join("d/absolute")).unwrap();
        symlink("../../../secret", volume.join("out")).unwrap();
        symlink(base.join("secret"), volume.join("far")).unwrap();
        symlink("circle", volume.join("circle")).unwrap();
        mknodat(CWD, volume.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let directory = fs::File::open(&volume).unwrap();
        let read = |path: &str| {
            let read = file(directory.as_fd(), path, 9).map_err(|error| error.to_string())?;
            Ok::<_, String>(read.map(|content| String::from_utf8(content).unwrap()))
        };
        let inside = || Ok(Some("inside".to_owned()));
        for (path, expected) in [
            ("a", inside()),
            ("/a", inside()),
            ("d/up", inside()),
            ("d/absolute", inside()),
            ("out", Ok(None)),
            ("far", Ok(None)),
            ("nothing", Ok(None)),
            ("a/b", Ok(None)),
            ("circle", Err("cannot read circle".to_owned())),
            ("d", Err("d is no file: something else is there".to_owned())),
            ("pipe", Err("pipe is no file: something else is there".to_owned())),
            ("large", Err("large has more than 9 bytes: keep what is read of it small".to_owned())),
        ] {
            assert_eq!(read(path), expected, "{path}");
        }
        fs::remove_dir_all(&base).unwrap();
    }
}
