//! Who may use what was pulled, on disk: `access/HEX`, a record of each image that was, and `access/salt`
//! ([`crate::access`] has the rules).

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use ports::PortError;
use registry::{Candidate, CredentialSource, Digest, Reference};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::error::StoreError;
use super::{Store, files};
use crate::access::{self, AccessRecord, PullSecretRecord, SALT_BYTES, Salt, Verdict, repository_of};

/// What the bounds of a record come to, with the longest names.
const RECORD_BYTES_MAX: u64 = 32 << 20;
const SALT_MODE: u32 = 0o600;

impl Store {
    /// Whether a pod may use `image`, which the index has under a name of this repository, without asking the
    /// registry. `was_pulled`: whether the index says that the name was. `candidates` are those of the pod's
    /// secrets; others do not matter. Reads one small file at most.
    #[must_use]
    pub fn may_use(
        &self,
        image: Digest,
        was_pulled: bool,
        reference: &Reference,
        candidates: &[Candidate],
    ) -> Verdict {
        if !was_pulled {
            return Verdict::Allowed;
        }
        let decided = self.decide(image, reference, candidates);
        decided.unwrap_or_else(|error| {
            // Whoever has the right can pull.
            tracing::warn!(
                "who may use {image} cannot be told, so it is pulled: {}",
                PortError::chain(&error)
            );
            Verdict::MustPull
        })
    }

    fn decide(
        &self,
        image: Digest,
        reference: &Reference,
        candidates: &[Candidate],
    ) -> Result<Verdict, StoreError> {
        let repository = repository_of(reference);
        let record = self.access_record(image)?;
        // Without secrets the salt need not be there.
        let has_secrets = candidates.iter().any(|candidate| is_of_secret(&candidate.source));
        let salt = if has_secrets { self.read_salt()? } else { None };
        let asking: Vec<_> = match &salt {
            Some(salt) => candidates.iter().filter_map(|each| PullSecretRecord::of(each, salt)).collect(),
            None => vec![],
        };
        let (verdict, noted) = access::may_use(record.as_ref(), &repository, &asking);
        if noted.is_some() {
            // Once more under the lock: another may have changed it meanwhile.
            self.change_access(image, |record| access::may_use(Some(record), &repository, &asking).1)?;
        }
        Ok(verdict)
    }

    /// Notes what the registry took for `image`. Called while the store is kept, and before the name is
    /// written: a name that was pulled is never without a record.
    ///
    /// # Errors
    /// When it cannot be brought to disk; then the name must not be written.
    pub fn record_access(
        &self,
        image: Digest,
        reference: &Reference,
        taken: &Candidate,
    ) -> Result<(), StoreError> {
        files::make_directory(&self.access_dir())?;
        let salt = self.salt()?;
        let secret = PullSecretRecord::of(taken, &salt);
        let repository = repository_of(reference);
        self.change_access(image, |record| Some(access::pulled(record, &repository, secret.as_ref())))
    }

    /// Removes the records of all images but these; part of every collection.
    pub(super) fn forget_access(&self, images: &BTreeSet<Digest>) -> Result<(), StoreError> {
        for name in files::list(&self.access_dir())? {
            if Digest::from_hex(&name).is_some_and(|image| !images.contains(&image)) {
                let path = self.access_dir().join(name);
                fs::remove_file(&path).map_err(|source| StoreError::Remove { path, source })?;
            }
        }
        Ok(())
    }

    fn access_dir(&self) -> PathBuf {
        self.directory.join("access")
    }

    fn access_path(&self, image: Digest) -> PathBuf {
        self.access_dir().join(image.hex())
    }

    fn access_record(&self, image: Digest) -> Result<Option<AccessRecord>, StoreError> {
        files::read_record(&self.access_path(image), RECORD_BYTES_MAX)
    }

    /// `None` from `change` leaves it as it is. A record that cannot be read is begun anew, unless a newer monopod
    /// wrote it.
    fn change_access(
        &self,
        image: Digest,
        change: impl FnOnce(&AccessRecord) -> Option<AccessRecord>,
    ) -> Result<(), StoreError> {
        let _lock = self.lock_access()?;
        let path = self.access_path(image);
        let record = match self.access_record(image) {
            Err(StoreError::Malformed { .. } | StoreError::TooLong { .. }) => AccessRecord::default(),
            read => read?.unwrap_or_default(),
        };
        match change(&record).filter(|changed| *changed != record) {
            Some(changed) => {
                files::replace(&path, &self.access_dir().join("new"), &files::record(&path, &changed)?)
            }
            None => Ok(()),
        }
    }

    fn lock_access(&self) -> Result<File, StoreError> {
        let path = self.access_dir().join("lock");
        let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
        locked.map_err(|source| StoreError::Lock { path, source })
    }

    /// Made when it is not there.
    fn salt(&self) -> Result<Salt, StoreError> {
        let _lock = self.lock_access()?;
        if let Some(salt) = self.read_salt()? {
            return Ok(salt);
        }
        let (path, temporary) = (self.salt_path(), self.access_dir().join("salt.new"));
        let mut salt = Salt([0; SALT_BYTES]);
        let failed = |source| StoreError::Write { path: temporary.clone(), source };
        SystemRandom::new()
            .fill(&mut salt.0)
            .map_err(|_| failed(io::Error::other("the system has no randomness")))?;
        // Of one that died.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let options = OpenOptions::new().write(true).create_new(true).mode(SALT_MODE).open(&temporary);
        let written = options.and_then(|mut file| {
            file.write_all(&salt.0)?;
            file.sync_all()
        });
        written.map_err(failed)?;
        fs::rename(&temporary, &path).map_err(|source| StoreError::Publish { path, source })?;
        files::sync(&self.access_dir())?;
        Ok(salt)
    }

    /// One that is not whole is none: what was hashed with it fits no more, and is noted anew.
    fn read_salt(&self) -> Result<Option<Salt>, StoreError> {
        let bytes = files::read(&self.salt_path(), SALT_BYTES as u64);
        match bytes {
            Err(StoreError::TooLong { .. }) => Ok(None),
            bytes => Ok(bytes?.and_then(|bytes| bytes.try_into().ok()).map(Salt)),
        }
    }

    fn salt_path(&self) -> PathBuf {
        self.access_dir().join("salt")
    }
}

fn is_of_secret(source: &CredentialSource) -> bool {
    matches!(source, CredentialSource::Secret { .. })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use registry::{Candidate, Credential, CredentialSource, Digest, Reference};

    use crate::access::Verdict;
    use crate::host::tests::Directory;
    use crate::store::Store;

    fn candidate(name: &str, password: &str) -> Candidate {
        let (namespace, uid) = ("ns".into(), format!("uid-{name}"));
        Candidate {
            credential: Credential::Basic { username: "me".into(), password: password.into() },
            source: CredentialSource::Secret { namespace, name: name.into(), uid },
        }
    }

    struct Bed {
        directory: Directory,
        store: Store,
        image: Digest,
        reference: Reference,
    }

    impl Bed {
        fn new() -> Self {
            let directory = Directory::new();
            let store = Store::new(directory.path());
            Self {
                directory,
                store,
                image: Digest::of(b"image"),
                reference: Reference::parse("x.io/a").unwrap(),
            }
        }

        fn pull(&self, taken: &Candidate) {
            self.store.record_access(self.image, &self.reference, taken).unwrap();
        }

        fn may_use(&self, candidates: &[Candidate]) -> bool {
            self.store.may_use(self.image, true, &self.reference, candidates) == Verdict::Allowed
        }

        fn files(&self) -> Vec<String> {
            let entries = fs::read_dir(self.directory.path().join("access")).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn what_was_loaded_is_everybodys_and_what_was_pulled_has_a_record() {
        let bed = Bed::new();
        assert_eq!(bed.store.may_use(bed.image, false, &bed.reference, &[]), Verdict::Allowed);
        assert!(!bed.may_use(&[]) && !bed.may_use(&[candidate("a", "p")]), "its record is lost");
        assert!(!bed.directory.path().join("access").exists(), "asking writes nothing");
        bed.pull(&candidate("a", "p"));
        assert!(bed.may_use(&[candidate("a", "p")]) && bed.may_use(&[candidate("b", "p")]));
        assert!(!bed.may_use(&[]) && !bed.may_use(&[candidate("c", "q")]));
        assert!(bed.may_use(&[candidate("b", "rotated")]), "the secret that had the same was noted");
        bed.pull(&Candidate::anonymous());
        assert!(bed.may_use(&[]) && bed.may_use(&[candidate("c", "q")]));
    }

    #[test]
    fn no_record_gives_a_credential_away() {
        let bed = Bed::new();
        bed.pull(&candidate("a", "hunter2"));
        let access = bed.directory.path().join("access");
        let mode = fs::metadata(access.join("salt")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for name in bed.files() {
            let bytes = fs::read(access.join(name)).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
        }
        let other = Bed::new();
        other.pull(&candidate("a", "hunter2"));
        let record = |bed: &Bed| fs::read(bed.directory.path().join("access").join(bed.image.hex())).unwrap();
        assert_ne!(record(&bed), record(&other), "hashes are those of their store");
    }

    #[test]
    fn leavings_and_damage_cost_a_pull_and_no_more() {
        let bed = Bed::new();
        bed.pull(&candidate("a", "p"));
        let path = |name: &str| bed.directory.path().join("access").join(name);
        // Where one died while it wrote.
        fs::write(path("new"), "half").unwrap();
        fs::write(path("salt.new"), "half").unwrap();
        fs::remove_file(path("salt")).unwrap();
        assert!(!bed.may_use(&[candidate("b", "p")]), "nothing can be compared");
        bed.pull(&candidate("a", "p"));
        assert!(bed.may_use(&[candidate("b", "p")]));
        for damage in ["", "{", "{\"schema\":1}", "[]"] {
            fs::write(path(&bed.image.hex()), damage).unwrap();
            assert!(!bed.may_use(&[candidate("a", "p")]), "{damage}");
            bed.pull(&candidate("a", "p"));
            assert!(bed.may_use(&[candidate("a", "p")]), "{damage}");
        }
        fs::write(path("salt"), "short").unwrap();
        bed.pull(&candidate("a", "p"));
        assert!(bed.may_use(&[candidate("a", "p")]));
        let newer = "{\"schema\":2,\"repositories\":7}";
        fs::write(path(&bed.image.hex()), newer).unwrap();
        assert!(!bed.may_use(&[candidate("a", "p")]));
        let error = bed.store.record_access(bed.image, &bed.reference, &candidate("a", "p")).unwrap_err();
        assert!(error.to_string().contains("schema version 2"), "{error}");
        assert_eq!(fs::read_to_string(path(&bed.image.hex())).unwrap(), newer);
    }

    #[test]
    fn records_go_with_their_images() {
        let bed = Bed::new();
        bed.store.forget_access(&BTreeSet::new()).unwrap();
        bed.pull(&candidate("a", "p"));
        bed.store.forget_access(&BTreeSet::from([bed.image])).unwrap();
        assert!(bed.may_use(&[candidate("a", "p")]));
        bed.store.forget_access(&BTreeSet::new()).unwrap();
        assert!(!bed.may_use(&[candidate("a", "p")]));
        assert_eq!(bed.files(), ["lock", "salt"]);
    }

    #[test]
    fn pulls_side_by_side_lose_nothing() {
        let bed = Bed::new();
        std::thread::scope(|scope| {
            for n in 0..16 {
                let bed = &bed;
                scope.spawn(move || bed.pull(&candidate(&format!("s{n}"), &format!("p{n}"))));
            }
        });
        for n in 0..16 {
            assert!(bed.may_use(&[candidate("copy", &format!("p{n}"))]), "{n}");
        }
    }
}
