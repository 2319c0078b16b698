//! What a container may not do, by trying it: `e2e attack` in containers of different rights, beside crun, and outside of
//! any container, so that what is stopped is known to succeed where nothing stops it.
//!
//! Where crun has another outcome, `docs/differences-from-crun-and-runc.md` says why; what crun stops is stopped here.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use linux_sys::inspect::{Argument, Attempt, Call, attempt_all, number as sys};
use serde_json::{Value, json};

use crate::attack::{self, Attack, For, THROUGH, Target};
use crate::bed::{Bed, SOON};
use crate::compare::{Difference, judge, known_differences};
use crate::oci::{PodFacts, Runtime, container_config};
use crate::outcome::skip;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![confined, beside_crun, open_to_the_machine];

const FILE: &str = "attacks.json";
const SECTION: &str = "Attacks";
/// Of what is tried, so much has to succeed outside of a container, or nothing was tried.
const SUCCEED_MIN: usize = 50;

/// Those of container engines' default.
const DEFAULT_CAPABILITIES: u64 = 0xa804_25fb;

/// A container's rights.
struct Rights {
    name: &'static str,
    context: Value,
    /// Effective.
    capabilities: u64,
    privileged: bool,
    host: bool,
}

fn rights() -> Result<Vec<Rights>> {
    let all = linux_sys::credentials::permitted_capabilities()?;
    let confined = |name, context, capabilities: u64| Rights {
        name,
        context,
        capabilities: capabilities & all,
        privileged: false,
        host: false,
    };
    let privileged = |name, host| Rights {
        name,
        context: json!({"privileged": true}),
        capabilities: all,
        privileged: true,
        host,
    };
    Ok(vec![
        confined("plain", json!({}), DEFAULT_CAPABILITIES),
        confined("capable", json!({"capabilities": {"add": ["ALL"]}}), all),
        confined("user", json!({"runAsUser": 1234, "runAsGroup": 1234}), 0),
        confined(
            "hardened",
            json!({"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": false}),
            0,
        ),
        privileged("privileged", false),
        privileged("host", true),
    ])
}

impl Rights {
    fn may(&self, attack: &Attack) -> bool {
        match attack.allowed {
            For::Capability(number) => self.capabilities & (1 << number) != 0,
            For::Privileged => self.privileged,
            For::Host => self.host,
            For::Nobody => false,
        }
    }

    fn pod(&self, probe: &Path, target: &str) -> Pod {
        let fields = json!({
            "command": ["/probe/e2e"],
            "args": ["attack", format!("/trace/{FILE}"), target],
            "securityContext": self.context,
            "volumeMounts": [{"name": "probe", "mountPath": "/probe", "readOnly": true}],
        });
        Pod::new(self.name)
            .spec(&json!({"hostPID": self.host, "hostIPC": self.host, "hostNetwork": self.host}))
            .volume(json!({"name": "probe", "hostPath": {"path": probe, "type": "Directory"}}))
            .app("holder", "serve")
            .app_with("main", "", &fields)
    }
}

type Outcomes = BTreeMap<String, String>;

fn is_through(outcomes: &Outcomes, attack: &Attack) -> bool {
    outcomes.get(attack.name).is_some_and(|outcome| outcome.starts_with(THROUGH))
}

/// The program, and what there is to be reached, for as long as it lives.
struct Field {
    target: String,
    segment: u32,
    _open: (UnixListener, TcpListener, fs::File),
}

impl Field {
    fn new(bed: &Bed) -> Result<Self> {
        let probe = bed.dir().join("probe");
        fs::create_dir(&probe)?;
        fs::copy(std::env::current_exe()?, probe.join("e2e"))?;
        let text = format!("secret of {}", std::process::id());
        let secret = bed.file("secret", &text)?;
        let socket = format!("monopod-e2e-{}", bed.dir().display());
        let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&socket)?)?;
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        // Nobody else's: it is made, and has to be new.
        let segment = 0x6d6f_0000 | (std::process::id() & 0xffff) ^ u32::from(tcp.local_addr()?.port()) << 4;
        const IPC_CREAT_EXCL_0666: u64 = 0o3666;
        let made = shared_memory(&[segment.into(), 4096, IPC_CREAT_EXCL_0666])?;
        ensure!(made == Attempt::Succeeded, "no shared memory for the test: {made:?}");
        let target = Target {
            secret,
            text,
            process: i32::try_from(std::process::id())?,
            socket,
            port: tcp.local_addr()?.port(),
            segment,
            disk: disk()?,
        };
        let open = (unix, tcp, fs::File::open(&target.secret)?);
        Ok(Self { target: serde_json::to_string(&target)?, segment, _open: open })
    }

    /// Without a container, in namespaces of its own where it changes something.
    fn outside(&self, bed: &Bed) -> Result<Outcomes> {
        if !Path::new("/usr/bin/unshare").exists() {
            return skip("needs unshare (util-linux)");
        }
        let file = bed.dir().join(FILE);
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--uts", "--net", "--pid", "--fork", "--mount-proc"])
            .arg(std::env::current_exe()?);
        command.arg("attack").arg(&file).arg(&self.target).current_dir("/").stdin(Stdio::null());
        bed.finish(&mut command)?.expect_code(0)?;
        take(&file)
    }
}

impl Drop for Field {
    /// The segment is found by its key alone.
    fn drop(&mut self) {
        let arguments = [self.segment.into(), 0, 0].map(Argument::Number);
        let remove = [Argument::Returned(0), Argument::Number(0), Argument::Number(0)];
        let _ = attempt_all(&[
            Call { number: sys::SHMGET, arguments: &arguments },
            Call { number: sys::SHMCTL, arguments: &remove },
        ]);
    }
}

fn shared_memory(arguments: &[u64]) -> Result<Attempt> {
    let arguments: Vec<Argument<'_>> = arguments.iter().copied().map(Argument::Number).collect();
    Ok(attempt_all(&[Call { number: sys::SHMGET, arguments: &arguments }])?)
}

/// The one that `/` is on; else the first of those that are made of files.
fn disk() -> Result<(u32, u32)> {
    const LOOP_0: (u32, u32) = (7, 0);
    let root = fs::metadata("/")?.dev();
    let of_root = (rustix::fs::major(root), rustix::fs::minor(root));
    Ok(if of_root.0 == 0 { LOOP_0 } else { of_root })
}

fn take(file: &Path) -> Result<Outcomes> {
    let text = fs::read(file).context("the attacker wrote nothing")?;
    fs::remove_file(file)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Runs the attacker in a pod, and then `then` while the pod is there.
fn attack_in<T>(bed: &Bed, pod: &Pod, then: impl FnOnce() -> Result<T>) -> Result<(Outcomes, T)> {
    let file = bed.dir().join("trace").join(FILE);
    let engine = bed.start_pod(pod)?;
    wait::until("what became of the attacks", SOON, || file.exists().then_some(()))?;
    let ours = take(&file)?;
    let then = then()?;
    bed.interrupt(engine)?.expect_code(0)?;
    Ok((ours, then))
}

/// Everything is stopped that the container has no right to, and nothing else.
fn confined(bed: &Bed) -> Result<()> {
    require_root()?;
    let field = Field::new(bed)?;
    let outside = field.outside(bed)?;
    let succeed = attack::all().filter(|attack| is_through(&outside, attack)).count();
    ensure!(succeed >= SUCCEED_MIN, "only {succeed} attacks succeed outside of a container: {outside:#?}");
    let mut wrong = Vec::new();
    for rights in rights()?.iter().filter(|rights| !rights.host) {
        let pod = rights.pod(&bed.dir().join("probe"), &field.target);
        let (ours, ()) = attack_in(bed, &pod, || Ok(()))?;
        wrong.extend(unexpected(rights, &ours, &outside));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn unexpected(rights: &Rights, ours: &Outcomes, outside: &Outcomes) -> Vec<String> {
    let wrong = attack::all().filter(|attack| {
        let (through, possible) = (is_through(ours, attack), is_through(outside, attack));
        if rights.may(attack) { !through && possible } else { through }
    });
    let shown = |outcomes: &Outcomes, attack: &Attack| outcomes.get(attack.name).cloned().unwrap_or_default();
    wrong
        .map(|attack| {
            let (here, outside) = (shown(ours, attack), shown(outside, attack));
            format!("{}: {} ({:?}): {here}; outside: {outside}", rights.name, attack.name, attack.allowed)
        })
        .collect()
}

/// What separates a pod from its machine, once the pod is not to be separated.
fn open_to_the_machine(bed: &Bed) -> Result<()> {
    require_root()?;
    let field = Field::new(bed)?;
    let rights = rights()?.into_iter().find(|rights| rights.host).context("no rights on the machine")?;
    let (ours, ()) = attack_in(bed, &rights.pod(&bed.dir().join("probe"), &field.target), || Ok(()))?;
    let shut: Vec<_> = attack::all()
        .filter(|attack| attack.allowed == For::Host && !is_through(&ours, attack))
        .map(|attack| format!("{}: {:?}", attack.name, ours.get(attack.name)))
        .collect();
    ensure!(shut.is_empty(), "{}", shut.join("\n"));
    let open: Vec<_> = attack::all()
        .filter(|attack| attack.allowed == For::Nobody && is_through(&ours, attack))
        .map(|attack| format!("{}: {:?}", attack.name, ours.get(attack.name)))
        .collect();
    ensure!(open.is_empty(), "{}", open.join("\n"));
    Ok(())
}

fn beside_crun(bed: &Bed) -> Result<()> {
    require_root()?;
    let runtime = Runtime::Crun;
    runtime.require()?;
    let field = Field::new(bed)?;
    let (mut found, mut weaker) = (Vec::new(), Vec::new());
    for rights in rights()?.iter().filter(|rights| !rights.host) {
        let pod = rights.pod(&bed.dir().join("probe"), &field.target);
        let (ours, theirs) = attack_in(bed, &pod, || {
            let facts = PodFacts::read(&bed.root().join("var/lib/monopod"))?;
            let config = container_config(&facts, "main")?;
            runtime.run(&facts, &config, &bed.dir().join(format!("crun-{}", rights.name)))?;
            take(&bed.dir().join("trace").join(FILE))
        })
        .context(rights.name)?;
        for attack in attack::all() {
            let outcome = |outcomes: &Outcomes| outcomes.get(attack.name).cloned().unwrap_or_default();
            let (what, ours_said, theirs_said) = (attack.name.to_owned(), outcome(&ours), outcome(&theirs));
            if is_through(&ours, attack) && !is_through(&theirs, attack) {
                weaker.push(format!("{}: {what}: here {ours_said}, there {theirs_said}", rights.name));
            } else if ours_said != theirs_said {
                found.push((
                    rights.name.to_owned(),
                    Difference { what, ours: ours_said, theirs: theirs_said },
                ));
            }
        }
    }
    ensure!(weaker.is_empty(), "crun stops what is let through here:\n  {}", weaker.join("\n  "));
    let verdict = judge(&found, &known_differences(&[SECTION]));
    let (unexplained, stale) = (verdict.unexplained.join("\n  "), verdict.stale.join("\n  "));
    ensure!(unexplained.is_empty(), "differences without a reason:\n  {unexplained}\nstale:\n  {stale}");
    ensure!(stale.is_empty(), "rows of the list that nothing was found for:\n  {stale}");
    Ok(())
}
