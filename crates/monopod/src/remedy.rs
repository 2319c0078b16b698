//! What to do about an error of the system, which itself does not say.

use rustix::io::Errno;

const REMEDIES: [(Errno, &str); 11] = [
    (Errno::NOSPC, "free some space on that file system, or move the data with --root or --data-dir"),
    (Errno::DQUOT, "raise the disk quota, or move the data with --root or --data-dir"),
    (Errno::FBIG, "raise the limit on the size of files (ulimit -f)"),
    (Errno::ROFS, "make that file system writable, or use another place"),
    (Errno::NOMEM, "raise resources.limits.memory, or free memory on this machine"),
    (Errno::MFILE, "raise the limit on open files (ulimit -n)"),
    (Errno::NFILE, "raise the system's limit on open files (sysctl fs.file-max)"),
    (Errno::NOENT, "make what is missing, or correct the path"),
    (Errno::NOTDIR, "correct the path: a part of it is no directory"),
    (Errno::LOOP, "correct the path: its links lead in a circle"),
    (Errno::NAMETOOLONG, "shorten the path"),
];

/// By the number that the standard library puts behind the system's text, for the text varies.
pub(crate) fn by_errno(message: &str) -> Option<&'static str> {
    let (_, number) = message.rsplit_once("(os error ")?;
    let number: i32 = number.split(')').next()?.parse().ok()?;
    let known = |(errno, _): &&(Errno, &str)| errno.raw_os_error() == number;
    REMEDIES.iter().find(known).map(|(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::by_errno;

    #[test]
    fn the_remedy_is_the_last_errors() {
        let full = io::Error::from_raw_os_error(28);
        assert!(by_errno(&format!("cannot write /x: {full}")).is_some_and(|remedy| remedy.contains("space")));
        assert_eq!(by_errno("cannot write /x: it is not a file"), None);
        assert_eq!(by_errno("(os error x)"), None);
    }
}
