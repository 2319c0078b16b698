//! Whether writable layers can live in the data directory.

use std::path::Path;

// statfs(2) f_type.
const OVERLAYFS: u64 = 0x794c_7630;
const NFS: u64 = 0x6969;
const FAT: u64 = 0x4d44;
const EXFAT: u64 = 0x2011_bab0;
const ECRYPTFS: u64 = 0xf15f;
const NINE_P: u64 = 0x0102_1997;
const CIFS: u64 = 0xff53_4d42;
const SMB2: u64 = 0xfe53_4d42;

/// The file system's name, when the kernel refuses it as the upper layer of an overlay. FUSE is not
/// among them: some take part, and mounting says which.
#[must_use]
pub fn unfit_for_layers(directory: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(directory).ok()?;
    // Signed on some C libraries, and 32 bits wide in the kernel.
    match u64::try_from(found.f_type).unwrap_or_default() {
        OVERLAYFS => Some("overlayfs"),
        NFS => Some("NFS"),
        FAT | EXFAT => Some("FAT"),
        ECRYPTFS => Some("eCryptfs"),
        NINE_P => Some("9p"),
        CIFS | SMB2 => Some("SMB"),
        _ => None,
    }
}
