//! A disk that keeps what was not synced in a cache, and loses, reorders and tears that when the power goes.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

const SECTOR: usize = 512;

/// Numbers by a seed (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Debug)]
enum Unsynced {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// Writes, changes of length and syncs are counted from here on; this one is the first that fails.
    pub(super) fail_at: u64,
    /// How many fail in a row.
    pub(super) failures: u64,
    pub(super) kind: Option<io::ErrorKind>,
}

#[derive(Debug, Default)]
struct Inner {
    /// What is read: synced or not.
    current: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Unsynced>,
    operations: u64,
    plan: Plan,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Faulty(Arc<Mutex<Inner>>);

impl Faulty {
    pub(super) fn of(image: Vec<u8>) -> Faulty {
        let inner = Inner { current: image.clone(), synced: image, ..Inner::default() };
        Faulty(Arc::new(Mutex::new(inner)))
    }

    /// Begins to count anew.
    pub(super) fn plan(&self, plan: Plan) {
        let mut inner = self.0.lock().unwrap();
        inner.plan = plan;
        inner.operations = 0;
    }

    pub(super) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    pub(super) fn has_failed(&self) -> bool {
        let inner = self.0.lock().unwrap();
        inner.plan.kind.is_some() && inner.operations > inner.plan.fail_at
    }

    /// What the disk is after a power cut.
    pub(super) fn after_power_cut(&self, random: &mut Random) -> Vec<u8> {
        let inner = self.0.lock().unwrap();
        let mut image = inner.synced.clone();
        let survive = [0, 30, 60, 90, 100][random.below(5) as usize];
        let mut left: Vec<&Unsynced> = inner.unsynced.iter().collect();
        // Lengths are of a file system with a journal: the first ones survive, in order. Data is in any order.
        let mut lengths_survive = true;
        while !left.is_empty() {
            let mut at = random.below(left.len() as u64) as usize;
            if let Unsynced::Length(_) = left[at] {
                at = left.iter().position(|one| matches!(one, Unsynced::Length(_))).unwrap_or(at);
            }
            match left.remove(at) {
                Unsynced::Length(length) => {
                    lengths_survive &= random.chance(survive);
                    if lengths_survive {
                        image.resize(*length, 0);
                    }
                }
                Unsynced::Write { offset, data } if random.chance(survive) => {
                    let torn = random.chance(20);
                    for (number, sector) in data.chunks(SECTOR).enumerate() {
                        if !torn || random.chance(50) {
                            write(&mut image, offset + number * SECTOR, sector);
                        }
                    }
                }
                Unsynced::Write { .. } => {}
            }
        }
        image
    }

    fn operation(inner: &mut Inner) -> io::Result<()> {
        let number = inner.operations;
        inner.operations += 1;
        let plan = inner.plan;
        match plan.kind {
            Some(kind) if (plan.fail_at..plan.fail_at.saturating_add(plan.failures)).contains(&number) => {
                Err(io::Error::new(kind, "injected"))
            }
            _ => Ok(()),
        }
    }
}

fn write(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.0.lock().unwrap();
        let range = offset as usize..offset as usize + out.len();
        let data = inner.current.get(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        Faulty::operation(&mut inner)?;
        inner.current.resize(len as usize, 0);
        inner.unsynced.push(Unsynced::Length(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        Faulty::operation(&mut inner)?;
        for one in std::mem::take(&mut inner.unsynced) {
            match one {
                Unsynced::Write { offset, data } => write(&mut inner.synced, offset, &data),
                Unsynced::Length(length) => inner.synced.resize(length, 0),
            }
        }
        assert_eq!(inner.synced.len(), inner.current.len());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let offset = offset as usize;
        let mut data = data.to_vec();
        let result = Faulty::operation(&mut inner);
        if result.is_err() {
            // A full disk takes a part.
            data.truncate(data.len() / 2);
        }
        write(&mut inner.current, offset, &data);
        inner.unsynced.push(Unsynced::Write { offset, data });
        result
    }
}
