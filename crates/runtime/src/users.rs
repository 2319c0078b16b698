//! Which ids the users of a pod are on the host, for pods whose users are none of the host's (`hostUsers: false`).
//!
//! Each has [`IDS_PER_POD`], and no two pods under one root have one in common, whichever engine is theirs: a pod's are
//! on record in its directory, and are free when that is gone. They come from what `/etc/subuid` and `/etc/subgid` give
//! to [`USER`]; where these do not know it, from those from 65536 on that they give to nobody.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use container_config::{IDS_PER_POD, IdRange};
use linux_sys::lock;

/// Whose ids they are.
const USER: &str = "monopod";
const SUBUID: &str = "/etc/subuid";
const SUBGID: &str = "/etc/subgid";
/// In a pod's directory: the first of its ids.
const FILE: &str = "users";
/// Where nobody has given any.
const PODS_MAX: u32 = 4096;
/// Those below are the host's own.
const FIRST_MIN: u32 = IDS_PER_POD;

#[derive(Debug, thiserror::Error)]
pub(crate) enum UsersError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("{} says {text:?}, which is no pod's first id: end that pod, or move the file away when it has ended", path.display())]
    Malformed { path: PathBuf, text: String },
    #[error(
        "no ids are left for one more pod with users of its own (hostUsers: false): there are {pods} such pods; \
         end one, or give user {USER} more ids in {SUBUID} and {SUBGID}"
    )]
    Exhausted { pods: usize },
    #[error(
        "{SUBUID} and {SUBGID} give user {USER} no {IDS_PER_POD} ids in common from {FIRST_MIN} on: \
         give it as many in both, or none in either"
    )]
    Unusable,
}

/// Whose ids a line of `/etc/subuid` says which are: `user:first:count`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Given {
    first: u64,
    count: u64,
    ours: bool,
}

/// The ids of the pod in `pod_dir`, which is claimed. Blocks.
pub(crate) fn assign(pod_dir: &Path) -> Result<IdRange, UsersError> {
    if let Some(first) = recorded(pod_dir)? {
        return Ok(range(first));
    }
    let pods = pod_dir.parent().unwrap_or(pod_dir);
    let locked = lock::directory(pods);
    let _locked = locked.map_err(|source| UsersError::Lock { path: pods.to_owned(), source })?;
    let taken = taken(pods)?;
    let first = choose(&given(SUBUID)?, &given(SUBGID)?, &taken)?;
    let path = pod_dir.join(FILE);
    let new = path.with_extension("new");
    let written = fs::write(&new, format!("{first}\n")).and_then(|()| fs::rename(&new, &path));
    written.map_err(|source| UsersError::Write { path, source })?;
    Ok(range(first))
}

fn range(first: u32) -> IdRange {
    IdRange { first, count: IDS_PER_POD }
}

/// `None` for a pod that has none.
fn recorded(pod_dir: &Path) -> Result<Option<u32>, UsersError> {
    let path = pod_dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim_end().parse() {
            Ok(first) if first >= FIRST_MIN => Ok(Some(first)),
            _ => Err(UsersError::Malformed { path, text }),
        },
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(UsersError::Read { path, source }),
    }
}

fn taken(pods: &Path) -> Result<BTreeSet<u32>, UsersError> {
    let failed = |source| UsersError::Read { path: pods.to_owned(), source };
    let mut taken = BTreeSet::new();
    for entry in fs::read_dir(pods).map_err(failed)? {
        taken.extend(recorded(&entry.map_err(failed)?.path())?);
    }
    Ok(taken)
}

fn given(path: &str) -> Result<Vec<Given>, UsersError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(parse).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(UsersError::Read { path: path.into(), source }),
    }
}

/// What is no such line is nobody's, as for the tools that go by the file.
fn parse(line: &str) -> Option<Given> {
    let mut fields = line.trim().split(':');
    let user = fields.next()?;
    let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Given { first, count, ours: user == USER })
}

fn choose(users: &[Given], groups: &[Given], taken: &BTreeSet<u32>) -> Result<u32, UsersError> {
    // Those of a pod that began under other rules need not be aligned with these.
    let is_free = |first: &u32| taken.iter().all(|other| first.abs_diff(*other) >= IDS_PER_POD);
    let exhausted = || UsersError::Exhausted { pods: taken.len() };
    let all = || users.iter().chain(groups);
    if all().any(|given| given.ours) {
        let mut own = own(users, groups).peekable();
        if own.peek().is_none() {
            return Err(UsersError::Unusable);
        }
        return own.find(is_free).ok_or_else(exhausted);
    }
    let is_nobodys = |first: &u32| {
        let (first, end) = (u64::from(*first), u64::from(*first) + u64::from(IDS_PER_POD));
        all().all(|given| given.first >= end || given.first.saturating_add(given.count) <= first)
    };
    let candidates = (1..=PODS_MAX).map(|number| number * IDS_PER_POD);
    candidates.filter(is_nobodys).find(is_free).ok_or_else(exhausted)
}

/// The first ids of the ranges that both give us.
fn own<'a>(users: &'a [Given], groups: &'a [Given]) -> impl Iterator<Item = u32> + 'a {
    let both = users.iter().filter(|given| given.ours && groups.contains(given));
    both.flat_map(|given| {
        let begin = given.first.max(u64::from(FIRST_MIN));
        // The last id there is means no change to some calls.
        let end = given.first.saturating_add(given.count).min(u64::from(u32::MAX));
        let pods = end.saturating_sub(begin) / u64::from(IDS_PER_POD);
        (0..pods).filter_map(move |number| u32::try_from(begin + number * u64::from(IDS_PER_POD)).ok())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;
    use std::sync::Barrier;
    use std::thread;

    use super::{Given, PODS_MAX, UsersError, assign, choose, parse};

    fn table(text: &str) -> Vec<Given> {
        text.lines().filter_map(parse).collect()
    }

    #[test]
    fn ids_come_from_what_is_given_or_is_nobodys() {
        let nobody = "";
        let others = "alice:100000:65536\nbob:200000:1\n# none\n:x:y\n";
        let ours = "alice:100000:65536\nmonopod:1000000:200000\n";
        type Case = (&'static str, &'static str, &'static [u32], Result<u32, &'static str>);
        let cases: [Case; 9] = [
            (nobody, nobody, &[], Ok(65_536)),
            (nobody, nobody, &[65_536, 196_608], Ok(131_072)),
            (nobody, nobody, &[70_000], Ok(196_608)),
            (others, nobody, &[], Ok(262_144)),
            (nobody, others, &[], Ok(262_144)),
            (ours, ours, &[], Ok(1_000_000)),
            (ours, ours, &[1_000_000, 1_065_536, 1_131_072], Err("no ids are left")),
            (ours, others, &[], Err("in common")),
            ("monopod:0:65536", "monopod:0:65536", &[], Err("in common")),
        ];
        for (users, groups, taken, expected) in cases {
            let taken: BTreeSet<u32> = taken.iter().copied().collect();
            let chosen = choose(&table(users), &table(groups), &taken).map_err(|error| error.to_string());
            match expected {
                Ok(first) => assert_eq!(chosen, Ok(first), "{users:?} {groups:?} {taken:?}"),
                Err(part) => assert!(chosen.clone().unwrap_err().contains(part), "{chosen:?}"),
            }
        }
        let all: BTreeSet<u32> = (1..=PODS_MAX).map(|number| number << 16).collect();
        assert!(matches!(choose(&[], &[], &all), Err(UsersError::Exhausted { pods: 4096 })));
    }

    fn pods(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("monopod-users-{name}-{}", std::process::id()))
    }

    #[test]
    fn no_two_pods_have_the_same_and_each_keeps_its_own() {
        const PODS: usize = 8;
        let dir = pods("race");
        let pod = |number: usize| dir.join(number.to_string());
        (0..PODS).for_each(|number| fs::create_dir_all(pod(number)).unwrap());
        let start = Barrier::new(PODS);
        let first: Vec<u32> = thread::scope(|scope| {
            let engine = |number| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    assign(&pod(number)).unwrap().first
                })
            };
            let engines: Vec<_> = (0..PODS).map(engine).collect();
            engines.into_iter().map(|engine| engine.join().unwrap()).collect()
        });
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), PODS, "{first:?}");
        for (number, first) in first.iter().enumerate() {
            assert_eq!(assign(&pod(number)).unwrap().first, *first);
        }
        fs::remove_dir_all(pod(3)).unwrap();
        fs::create_dir(dir.join("new")).unwrap();
        assert_eq!(assign(&dir.join("new")).unwrap().first, first[3], "what is free is used again");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_no_engine_wrote_is_named() {
        let dir = pods("damaged");
        fs::create_dir_all(dir.join("a")).unwrap();
        fs::create_dir_all(dir.join("b")).unwrap();
        for text in ["", "0\n", "x\n", "4294967296\n"] {
            fs::write(dir.join("a/users"), text).unwrap();
            let error = assign(&dir.join("b")).unwrap_err().to_string();
            assert!(error.contains("a/users"), "{error}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
