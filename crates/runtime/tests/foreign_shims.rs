//! Shims of other versions: what they say is refused, not misread, and they are left alone.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use linux_sys::lock::try_exclusive;
use podspec::IDENTITY_BYTES;
use ports::{Observer, Paths, PodContext, RuntimeService};
use runtime::{Program, ShimRuntime};
use serde_json::{Value, json};
use shim_protocol::VERSION;

struct Nobody;

impl Observer for Nobody {
    fn observe(&self, observation: lifecycle::Observation) {
        panic!("told of {observation:?}");
    }
}

struct Bed(PathBuf);

impl Bed {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("monopod-foreign-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        Self(root)
    }

    fn pod(&self) -> Arc<PodContext> {
        let text =
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: main, image: i}]}\n";
        let pod = podspec::load_pods("test", text, || [5; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod;
        let paths =
            Paths { data_dir: self.0.join("data"), run_dir: self.0.join("run"), log_dir: self.0.join("log") };
        Arc::new(paths.context(pod, false))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NEWER: u32 = VERSION + 1;

/// What an engine says of a shim that answers its first request so.
fn refused(name: &str, answer: &Value) -> String {
    let bed = Bed::new(name);
    let pod = bed.pod();
    fs::create_dir_all(&pod.pod_dir).unwrap();
    fs::create_dir_all(&pod.run_dir).unwrap();
    let alive = try_exclusive(&pod.pod_dir.join("shim.lock")).unwrap().unwrap();
    let listener = UnixListener::bind(pod.run_dir.join("shim.sock")).unwrap();
    let answer = answer.to_string();
    let shim = std::thread::spawn(move || {
        let (mut engine, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        engine.read_exact(&mut length).unwrap();
        let mut request = vec![0; u32::from_le_bytes(length) as usize];
        engine.read_exact(&mut request).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&request).unwrap()["body"]["Adopt"]["version"], VERSION);
        engine.write_all(&u32::try_from(answer.len()).unwrap().to_le_bytes()).unwrap();
        engine.write_all(answer.as_bytes()).unwrap();
        // The engine lets go of it.
        assert_eq!(engine.read(&mut length).unwrap(), 0);
    });
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = tokio.block_on(async {
        let runtime = ShimRuntime::new(Program::default());
        let adopted = runtime.adopt_sandbox(&pod, Arc::new(Nobody)).await;
        adopted.unwrap_err().to_string()
    });
    drop(tokio);
    shim.join().unwrap();
    drop(alive);
    let left: Vec<_> = fs::read_dir(&pod.pod_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "only locks are there: {left:?}");
    error
}

#[test]
fn one_that_refuses_the_engines_version() {
    let message = format!("it speaks protocol version {NEWER}, the engine {VERSION}");
    let error =
        refused("old", &json!({ "Reply": { "id": 1, "body": { "Failed": { "message": message } } } }));
    assert_eq!(error, format!("the pod's shim refuses: {message}"));
}

#[test]
fn one_that_answers_in_another_version() {
    let snapshot = json!({ "attempt": 0, "ips": ["10.0.0.1"], "containers": [] });
    let body = json!({ "Adopted": { "version": NEWER, "snapshot": snapshot } });
    let error = refused("new", &json!({ "Reply": { "id": 1, "body": body } }));
    assert!(
        error.contains(&format!("protocol version {NEWER}, this monopod {VERSION}"))
            && error.contains("monopod reset"),
        "{error}"
    );
}

#[test]
fn one_that_answers_in_another_shape() {
    for body in [json!({ "Adopted": { "version": NEWER, "everything": [] } }), json!({ "Welcome": {} })] {
        let error = refused("shape", &json!({ "Reply": { "id": 1, "body": body } }));
        assert!(error.contains("says what this monopod does not know"), "{error}");
    }
}
