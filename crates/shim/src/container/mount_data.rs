//! Text for mount(2), put together on the stack. Async-signal-safe.

use std::ffi::CStr;
use std::os::fd::IntoRawFd;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

/// The longest mount(2) takes, with its final NUL.
const MOUNT_DATA_BYTES_MAX: usize = 4096;

/// The options of one mount.
#[derive(Debug)]
pub(super) struct MountData {
    bytes: [u8; MOUNT_DATA_BYTES_MAX],
    length: usize,
}

impl MountData {
    pub(super) fn new() -> Self {
        Self { bytes: [0; MOUNT_DATA_BYTES_MAX], length: 0 }
    }

    pub(super) fn push(&mut self, more: &[u8]) -> Result<(), Errno> {
        let end = self.length + more.len();
        // A zero remains at the end.
        if end >= self.bytes.len() {
            return Err(Errno::TOOBIG);
        }
        self.bytes[self.length..end].copy_from_slice(more);
        self.length = end;
        Ok(())
    }

    /// Opens a directory, until execve, and names it by descriptor: paths could be too long together,
    /// and some bytes in them mean something to overlay.
    pub(super) fn push_directory(&mut self, path: &CStr) -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open(path, flags, Mode::empty())?.into_raw_fd();
        self.push_fd(fd)
    }

    pub(super) fn push_fd(&mut self, fd: i32) -> Result<(), Errno> {
        self.push(b"/proc/self/fd/")?;
        let mut digits = [0; 10];
        let mut at = digits.len();
        let mut rest = fd.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                return self.push(&digits[at..]);
            }
        }
    }

    pub(super) fn as_c_str(&self) -> Result<&CStr, Errno> {
        CStr::from_bytes_until_nul(&self.bytes).map_err(|_| Errno::TOOBIG)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOUNT_DATA_BYTES_MAX, MountData};

    #[test]
    fn descriptors_are_written_in_decimal() {
        let mut data = MountData::new();
        for fd in [0, 9, 10, 123, i32::MAX] {
            data.push_fd(fd).unwrap();
            data.push(b":").unwrap();
        }
        let text =
            "/proc/self/fd/0:/proc/self/fd/9:/proc/self/fd/10:/proc/self/fd/123:/proc/self/fd/2147483647:";
        assert_eq!(data.as_c_str().unwrap().to_str().unwrap(), text);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut data = MountData::new();
        data.push(&[b'x'; MOUNT_DATA_BYTES_MAX - 1]).unwrap();
        assert!(data.push(b"y").is_err());
        assert_eq!(data.as_c_str().unwrap().count_bytes(), MOUNT_DATA_BYTES_MAX - 1);
    }
}
