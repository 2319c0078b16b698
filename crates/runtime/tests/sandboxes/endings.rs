//! Every way in which an engine or a shim can go.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use lifecycle::Observation;
use ports::RuntimeService;
use rustix::process::{Pid, Signal, kill_process};
use shim_protocol::{Request, RequestBody, SandboxLaunch, VERSION, encode};

use crate::Case;
use crate::bed::{Bed, cgroups, shims_of, wait_until};
use crate::clients::lent_program;

pub(crate) const CASES: &[Case] = &[
    ("a_shim_without_a_request_leaves_nothing", a_shim_without_a_request_leaves_nothing),
    ("a_sandbox_that_cannot_be_made_leaves_nothing", a_sandbox_that_cannot_be_made_leaves_nothing),
    ("a_killed_shim_is_a_lost_sandbox", a_killed_shim_is_a_lost_sandbox),
    ("stopping_kills_what_runs_and_records_it", stopping_kills_what_runs_and_records_it),
    ("a_new_engine_adopts_what_lives", a_new_engine_adopts_what_lives),
    ("a_new_engine_learns_what_died", a_new_engine_learns_what_died),
    (
        "a_bound_pod_is_stopped_in_order_when_its_engine_dies",
        a_bound_pod_is_stopped_in_order_when_its_engine_dies,
    ),
    ("hooks_of_a_bound_pod_run_without_its_engine", hooks_of_a_bound_pod_run_without_its_engine),
    ("signals_to_a_shim_do_not_reach_its_pod", signals_to_a_shim_do_not_reach_its_pod),
    ("an_engine_that_dies_while_it_asks_leaves_nothing", an_engine_that_dies_while_it_asks_leaves_nothing),
    ("what_a_dead_engine_and_shim_leave_is_swept", what_a_dead_engine_and_shim_leave_is_swept),
];

const SLEEPER: &str = "containers:\n- {name: a, image: i, command: [sh, -c, 'echo up; sleep 1000']}";

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn a_shim_without_a_request_leaves_nothing(bed: &Bed) {
    let (engine, shim) = UnixStream::pair().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("shim")
        .current_dir(&bed.root)
        .stdin(Stdio::from(OwnedFd::from(shim)))
        .spawn()
        .unwrap();
    drop(engine);
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_dir(&bed.root).unwrap().count(), 1, "the image alone");
}

fn a_sandbox_that_cannot_be_made_leaves_nothing(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod(SLEEPER, true);
    let mut config = container_config::sandbox_config(
        &pod.pod,
        &pod.pod_dir,
        Vec::new(),
        &container_config::NodeFacts::default(),
    )
    .unwrap();
    // Longer than a host name may be.
    config.hostname = "x".repeat(100);
    let observed = std::sync::Arc::new(crate::bed::Observations::default());
    let observer: std::sync::Arc<dyn ports::Observer> = observed.clone();
    let error = bed.wait(engine.runtime.create_sandbox(&pod, 0, config, observer)).unwrap_err();
    assert!(error.0.contains("set the host name"), "{error}");
    wait_until("the shim is gone", || shims_of(&pod.run_dir).is_empty());
    assert_eq!(cgroups(pod.pod.uid.as_str()), Vec::<PathBuf>::new());
    assert!(observed.all().is_empty(), "there was no sandbox to lose");
    // The next attempt is as good as the first.
    engine.create(&pod).end();
}

fn a_killed_shim_is_a_lost_sandbox(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod(&format!("{SLEEPER}\n- {{name: b, image: i, command: ['true']}}"), true);
    let running = engine.create(&pod);
    running.start("a", 0);
    running.start("b", 0);
    running.exit_of("b", 0);
    let [shim] = shims_of(&pod.run_dir)[..] else { panic!("one shim") };
    kill(shim, Signal::KILL);
    running.observed.wait_for(|o| matches!(o, Observation::SandboxLost { attempt: 0 }).then_some(()));
    assert_eq!(cgroups(running.uid()), Vec::<PathBuf>::new());
    let exited = |name: &str| {
        let of = |o: &&Observation| matches!(o, Observation::ContainerExited { container, .. } if container.as_str() == name);
        running.observed.all().iter().filter(of).count()
    };
    assert!(exited("b") >= 1 && exited("a") == 0);
    let error = running.try_start("a", 1).unwrap_err();
    assert!(format!("{error:?}").contains("shim is gone"), "{error:?}");
    // A new sandbox can be made in its place.
    let again = engine.create(&pod);
    again.start("a", 1);
    again.end();
}

fn stopping_kills_what_runs_and_records_it(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod(SLEEPER, true);
    let running = engine.create(&pod);
    running.start("a", 0);
    running.stop();
    assert_eq!(running.exit_of("a", 0).code, 137);
    assert!(!pod.pod_dir.join("sandbox.json").exists());
    assert!(pod.pod_dir.join("containers/a/0/record.json").exists(), "records stay for the engine");
    running.stop();
    bed.wait(engine.runtime.remove_pod(&pod)).unwrap();
    bed.wait(engine.runtime.remove_pod(&pod)).unwrap();
}

fn a_new_engine_adopts_what_lives(bed: &Bed) {
    let pod = bed.pod(
        "containers:\n\
         - {name: a, image: i, command: [sh, -c, 'trap \"echo bye; exit 6\" TERM; echo up; while :; do sleep 0.02; done']}\n\
         - {name: b, image: i, command: ['false']}",
        false,
    );
    let first = bed.engine();
    let running = first.create(&pod);
    running.start("a", 0);
    running.start("b", 0);
    running.exit_of("b", 0);
    running.wait_for_log("a", "up");
    drop(running);
    drop(first);
    let second = bed.engine();
    let mut running = None;
    // The claim of the first goes with the last task that holds it.
    wait_until("the pod is adopted", || {
        running = second.adopt(&pod);
        running.is_some()
    });
    let running = running.unwrap();
    let Some(Observation::Adopted(snapshot)) = running.observed.all().into_iter().next() else {
        panic!("adopted first")
    };
    let codes: Vec<_> =
        snapshot.containers.iter().map(|c| (c.name.to_string(), c.exit.as_ref().map(|e| e.code))).collect();
    assert_eq!(codes, [("a".to_owned(), None), ("b".to_owned(), Some(1))]);
    running.signal("a", 0);
    assert_eq!(running.exit_of("a", 0).code, 6);
    assert_eq!(running.log("a", 0), "up\nbye\n");
    running.end();
}

fn a_new_engine_learns_what_died(bed: &Bed) {
    let pod = bed.pod(&format!("{SLEEPER}\n- {{name: b, image: i, command: ['true']}}"), false);
    let first = bed.engine();
    let running = first.create(&pod);
    running.start("a", 0);
    running.start("b", 0);
    running.exit_of("b", 0);
    drop(running);
    drop(first);
    let [shim] = shims_of(&pod.run_dir)[..] else { panic!("one shim") };
    kill(shim, Signal::KILL);
    wait_until("the shim is gone", || shims_of(&pod.run_dir).is_empty());
    let second = bed.engine();
    let observed = std::sync::Arc::new(crate::bed::Observations::default());
    let observer: std::sync::Arc<dyn ports::Observer> = observed.clone();
    assert!(bed.wait(second.runtime.adopt_sandbox(&pod, observer)).unwrap().is_none());
    assert_eq!(cgroups(pod.pod.uid.as_str()), Vec::<PathBuf>::new());
    let all = observed.all();
    assert!(
        matches!(&all[..], [Observation::ContainerExited { container, .. }] if container.as_str() == "b"),
        "{all:?}"
    );
    // A daemon's pod is not another engine's to remove.
    drop(second);
    let swept = runtime::sweep(&bed.paths());
    assert!(swept.pods.is_empty() && swept.errors.is_empty() && pod.pod_dir.exists());
    bed.wait(bed.engine().runtime.remove_pod(&pod)).unwrap();
}

fn a_bound_pod_is_stopped_in_order_when_its_engine_dies(bed: &Bed) {
    let witness = bed.root.join("witness");
    let pod = bed.pod(&sidecar_pod(&witness), true);
    let engine = bed.engine();
    let running = engine.create(&pod);
    for name in ["s", "a"] {
        running.start(name, 0);
        running.wait_for_log(name, "up");
    }
    drop(running);
    drop(engine);
    wait_until("nothing is left", || bed.left_of(pod.pod.uid.as_str()).is_empty());
    assert_eq!(fs::read_to_string(witness.join("order")).unwrap(), "hook of a\na ends\ns ends\n");
}

fn hooks_of_a_bound_pod_run_without_its_engine(bed: &Bed) {
    let witness = bed.root.join("witness");
    let (dir, program) = lent_program();
    let trap = |name: &str| {
        format!(
            "'trap \"echo {name} ends >> /w/{name}; exit 0\" TERM; echo up; while :; do sleep 0.02; done'"
        )
    };
    let app = |name: &str, hook: &str| {
        format!(
            "- {{name: {name}, image: i, command: [sh, -c, {}], volumeMounts: [{{name: w, mountPath: /w}}], \
             ports: [{{name: bye, containerPort: 80}}], lifecycle: {{preStop: {hook}}}}}",
            trap(name)
        )
    };
    let spec = format!(
        "terminationGracePeriodSeconds: 20\n\
         volumes:\n\
         - {{name: w, hostPath: {{path: {}}}}}\n\
         - {{name: program, hostPath: {{path: {dir}}}}}\n\
         containers:\n\
         - name: server\n\
         \x20 image: i\n\
         \x20 command: [{program}, listen-http]\n\
         \x20 volumeMounts: [{{name: w, mountPath: /w}}, {{name: program, mountPath: /program}}]\n\
         {}\n{}\n{}",
        witness.display(),
        app("asks", "{httpGet: {path: /bye?x=1, port: bye}}"),
        app("sleeps", "{sleep: {seconds: 2}}"),
        app("abroad", "{httpGet: {host: 192.0.2.1, port: 80}}"),
    );
    let pod = bed.pod(&spec, true);
    let engine = bed.engine();
    let running = engine.create(&pod);
    for name in ["server", "asks", "sleeps", "abroad"] {
        running.start(name, 0);
        running.wait_for_log(name, "up");
    }
    drop(running);
    let died = SystemTime::now();
    drop(engine);
    wait_until("nothing is left", || bed.left_of(pod.pod.uid.as_str()).is_empty());
    // It would have waited for its grace period otherwise.
    assert_eq!(fs::read_to_string(witness.join("order")).unwrap(), "GET /bye?x=1 HTTP/1.1\n");
    let ended = |name: &str| fs::metadata(witness.join(name)).unwrap().modified().unwrap();
    let slept = ended("sleeps").duration_since(died).unwrap();
    assert!(slept >= Duration::from_millis(1_950), "{slept:?}");
    assert!(ended("asks") >= fs::metadata(witness.join("order")).unwrap().modified().unwrap());
    assert!(ended("abroad") < ended("sleeps"), "what cannot be asked is not waited for");
}

/// An app with a preStop hook and a sidecar; each says so when it ends.
fn sidecar_pod(witness: &Path) -> String {
    let run = |name: &str| {
        format!("'trap \"echo {name} ends >> /w/order; exit 0\" TERM; echo up; while :; do sleep 0.02; done'")
    };
    format!(
        "terminationGracePeriodSeconds: 20\n\
         volumes: [{{name: w, hostPath: {{path: {witness}}}}}]\n\
         initContainers:\n\
         - {{name: s, image: i, restartPolicy: Always, command: [sh, -c, {s}], volumeMounts: [{{name: w, mountPath: /w}}]}}\n\
         containers:\n\
         - name: a\n\
         \x20 image: i\n\
         \x20 command: [sh, -c, {a}]\n\
         \x20 volumeMounts: [{{name: w, mountPath: /w}}]\n\
         \x20 lifecycle: {{preStop: {{exec: {{command: [sh, -c, 'sleep 0.2; echo hook of a >> /w/order']}}}}}}",
        witness = witness.display(),
        s = run("s"),
        a = run("a"),
    )
}

fn signals_to_a_shim_do_not_reach_its_pod(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(SLEEPER, true));
    running.start("a", 0);
    let [shim] = shims_of(&running.pod.run_dir)[..] else { panic!("one shim") };
    for signal in [Signal::HUP, Signal::INT, Signal::PIPE, Signal::TERM] {
        kill(shim, signal);
    }
    assert_eq!(running.exec("a", "exit 3", None, 1).unwrap().exit_code, 3);
    assert_eq!(running.observed.all().len(), 0);
    running.end();
}

/// Before the shim has answered, and before it has even been read.
fn an_engine_that_dies_while_it_asks_leaves_nothing(bed: &Bed) {
    let pod = bed.pod(SLEEPER, true);
    for dir in [&pod.pod_dir, &pod.run_dir, &pod.log_dir] {
        fs::create_dir_all(dir).unwrap();
    }
    let launch = SandboxLaunch {
        netns: shim_protocol::Netns::Made,
        addresses: vec![ports::LOOPBACKS[0]],
        version: VERSION,
        pod: pod.pod.clone(),
        attempt: 0,
        config: container_config::sandbox_config(
            &pod.pod,
            &pod.pod_dir,
            Vec::new(),
            &container_config::NodeFacts::default(),
        )
        .unwrap(),
        pod_dir: pod.pod_dir.clone(),
        run_dir: pod.run_dir.clone(),
        log_dir: pod.log_dir.clone(),
        bound: true,
    };
    let request = Request { id: 1, body: RequestBody::CreateSandbox(Box::new(launch)), timed: false };
    let (mut engine, shim) = UnixStream::pair().unwrap();
    engine.write_all(&encode(&request).unwrap()).unwrap();
    drop(engine);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("shim")
        .current_dir(&pod.run_dir)
        .stdin(Stdio::from(OwnedFd::from(shim)))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(bed.left_of(pod.pod.uid.as_str()), Vec::<String>::new());
}

/// An engine that a case can kill: makes a bound pod, says so, and waits.
pub(crate) fn run_engine(arguments: &[String]) -> ! {
    let bed = Bed::at(PathBuf::from(&arguments[0]));
    let pod = bed.pod(SLEEPER, true);
    let engine = bed.engine();
    let running = engine.create(&pod);
    running.start("a", 0);
    println!("{}", running.uid());
    loop {
        std::thread::park();
    }
}

fn what_a_dead_engine_and_shim_leave_is_swept(bed: &Bed) {
    let mut engine = Command::new(std::env::current_exe().unwrap())
        .args(["engine".as_ref(), bed.root.as_os_str()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut uid = String::new();
    BufReader::new(engine.stdout.take().unwrap()).read_line(&mut uid).unwrap();
    let uid = uid.trim();
    let sweep = || runtime::sweep(&bed.paths());
    let swept = sweep();
    assert!(swept.pods.is_empty() && swept.errors.is_empty(), "its engine lives: {swept:?}");
    let [shim] = shims_of(&bed.paths().pod_run_dir(uid))[..] else { panic!("one shim") };
    // Stopped, so that it cannot begin to clean up by itself.
    kill(shim, Signal::STOP);
    engine.kill().unwrap();
    engine.wait().unwrap();
    let swept = sweep();
    assert!(swept.pods.is_empty() && swept.errors.is_empty(), "its shim lives: {swept:?}");
    kill(shim, Signal::KILL);
    wait_until("the shim is gone", || shims_of(&bed.paths().pod_run_dir(uid)).is_empty());
    wait_until("its locks are free", || {
        let swept = sweep();
        assert_eq!(swept.errors, Vec::<String>::new());
        swept.pods == [uid]
    });
    assert_eq!(bed.left_of(uid), Vec::<String>::new());
}
