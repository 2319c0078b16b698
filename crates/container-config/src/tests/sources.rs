//! Variables and files from config maps, secrets, and the pod itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use podspec::source::{
    DownwardFile, DownwardValue, EnvFrom, EnvSource, EnvVar, FileKey, KeyToPath, ObjectKind, ObjectRef,
    PodField, Projected, Projection, ResourceField, ResourceName, TokenProjection,
};
use podspec::{Container, Resources, Volume, VolumeName, VolumeSource};

use super::{container, facts, image, mount, node, pod};
use crate::config::{MountKind, VolumeImages};
use crate::files::{Tokens, projected_files};
use crate::objects::{ObjectData, Objects};

const CONFIG: ObjectKind = ObjectKind::ConfigMap;
const SECRET: ObjectKind = ObjectKind::Secret;

fn object(kind: ObjectKind, name: &str, optional: bool) -> ObjectRef {
    ObjectRef { kind, name: name.to_owned(), optional }
}

fn objects() -> Objects {
    let data = |entries: &[(&str, &[u8])]| -> BTreeMap<String, Vec<u8>> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect()
    };
    let config = ObjectData {
        data: data(&[("a", b"1"), ("b", b"$(a)"), ("nul", b"x\0y")]),
        binary: data(&[("bin", b"\xff\0")]),
    };
    let secret = ObjectData { data: data(&[("raw", b"\xff"), ("word", b"s3cret")]), binary: BTreeMap::new() };
    let plain = ObjectData { data: data(&[("a", b"one"), ("z", b"last")]), binary: data(&[("bin", b"\0")]) };
    let mut objects = Objects::default();
    objects.insert(CONFIG, "settings", Arc::new(config));
    objects.insert(CONFIG, "plain", Arc::new(plain));
    objects.insert(SECRET, "creds", Arc::new(secret));
    let mut file = |path: &str, content: Result<Option<Vec<u8>>, String>| {
        let (volume, key) = (VolumeName::new("data"), String::new());
        objects.insert_file(&FileKey { volume, path: path.to_owned(), key, optional: false }, content);
    };
    file("env", Ok(Some(b"A='$(B)'\nEMPTY=''\n".to_vec())));
    file("nothing", Ok(None));
    file("bad", Ok(Some(b"A".to_vec())));
    file("bytes", Ok(Some(b"A='\xff'".to_vec())));
    file("closed", Err("cannot read closed".to_owned()));
    objects
}

fn key(name: &str, kind: ObjectKind, of: &str, key: &str, optional: bool) -> EnvVar {
    let source = EnvSource::Key { object: object(kind, of, optional), key: key.to_owned() };
    EnvVar { name: name.to_owned(), source }
}

fn value(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), source: EnvSource::Value(value.to_owned()) }
}

fn downward(name: &str, wanted: DownwardValue) -> EnvVar {
    EnvVar { name: name.to_owned(), source: EnvSource::Downward(wanted) }
}

fn from(prefix: &str, kind: ObjectKind, of: &str, optional: bool) -> EnvFrom {
    EnvFrom { prefix: prefix.to_owned(), object: object(kind, of, optional) }
}

/// What the container has beside what every container has; or the error's reason and text.
fn variables(env_from: Vec<EnvFrom>, env: Vec<EnvVar>) -> Result<Vec<String>, String> {
    let main = Container { env_from, env, ..container("main") };
    let mut pod = pod(vec![main.clone()]);
    pod.labels.insert("app".to_owned(), "web".to_owned());
    pod.annotations.insert("note".to_owned(), "hi".to_owned());
    pod.spec.service_account = "robot".to_owned();
    crate::container_config(&pod, &main, &image(), &facts(), &node(), &objects(), &VolumeImages::new())
        .map(|config| {
            let common = ["PATH=", "HOSTNAME=", "HOME="];
            let own = |variable: &String| !common.iter().any(|prefix| variable.starts_with(prefix));
            config.process.env.into_iter().filter(own).collect()
        })
        .map_err(|error| format!("{}: {error}", error.reason()))
}

#[test]
fn variables_of_objects() {
    let given = vec![
        from("", CONFIG, "plain", false),
        from("S_", CONFIG, "plain", false),
        from("", SECRET, "nothing", true),
    ];
    let env = vec![
        value("A", "$(S_a)-$(a)"),
        key("W", SECRET, "creds", "word", false),
        key("B", CONFIG, "settings", "b", false),
        value("C", "$(B)$(W)"),
        key("D", CONFIG, "nothing", "a", true),
        key("E", SECRET, "creds", "nothing", true),
        value("a", "own"),
    ];
    let expected =
        ["a=own", "z=last", "S_a=one", "S_z=last", "A=one-one", "W=s3cret", "B=$(a)", "C=$(a)s3cret"];
    assert_eq!(variables(given, env).unwrap(), expected);
}

fn file(name: &str, path: &str, key: &str, optional: bool) -> EnvVar {
    let (volume, path, key) = (VolumeName::new("data"), path.to_owned(), key.to_owned());
    EnvVar { name: name.to_owned(), source: EnvSource::File(FileKey { volume, path, key, optional }) }
}

#[test]
fn variables_of_files() {
    let env = vec![
        file("A", "env", "A", false),
        value("B", "<$(A)>"),
        file("C", "env", "EMPTY", true),
        file("D", "env", "NOTHING", true),
        file("E", "nothing", "A", true),
    ];
    assert_eq!(variables(Vec::new(), env).unwrap(), ["A=$(B)", "B=<$(B)>"]);
    for (variable, expected) in [
        (
            file("A", "env", "EMPTY", false),
            "environment variable key \"EMPTY\" not found in file \"/pods/0b6e1a52/volumes/data/env\"",
        ),
        (
            file("A", "env", "b", false),
            "environment variable key \"b\" not found in file \"/pods/0b6e1a52/volumes/data/env\"",
        ),
        (
            file("A", "nothing", "b", false),
            "couldn't parse env file: /pods/0b6e1a52/volumes/data/nothing is not there",
        ),
        (
            file("A", "bad", "b", true),
            "couldn't parse env file: invalid environment variable format at line 1: missing '='",
        ),
        (file("A", "closed", "b", true), "couldn't parse env file: cannot read closed"),
        (file("A", "bytes", "A", true), "env A is not UTF-8 text: mount the object as a volume instead"),
    ] {
        let error = variables(Vec::new(), vec![variable]).unwrap_err();
        assert_eq!(error, format!("CreateContainerConfigError: {expected}"));
    }
}

#[test]
fn what_is_missing_keeps_the_container_waiting() {
    let of = |variable| variables(Vec::new(), vec![variable]).unwrap_err();
    let config = |text: &str| format!("CreateContainerConfigError: {text}");
    for (error, expected) in [
        (of(key("A", CONFIG, "nothing", "a", false)), config("configmap \"nothing\" not found")),
        (of(key("A", SECRET, "nothing", "a", false)), config("secret \"nothing\" not found")),
        (
            of(key("A", CONFIG, "settings", "c", false)),
            config("couldn't find key c in ConfigMap default/settings"),
        ),
        (of(key("A", SECRET, "creds", "c", false)), config("couldn't find key c in Secret default/creds")),
        // Of a config map only what is text.
        (
            of(key("A", CONFIG, "settings", "bin", false)),
            config("couldn't find key bin in ConfigMap default/settings"),
        ),
        (
            variables(vec![from("", SECRET, "nothing", false)], Vec::new()).unwrap_err(),
            config("secret \"nothing\" not found"),
        ),
        (
            of(key("RAW", SECRET, "creds", "raw", false)),
            config("env RAW is not UTF-8 text: mount the object as a volume instead"),
        ),
        // Values may be secret.
        (
            of(key("NUL", CONFIG, "settings", "nul", false)),
            "CreateContainerError: env contains a NUL byte, which no process can be given: \"NUL\""
                .to_owned(),
        ),
    ] {
        assert_eq!(error, expected);
    }
}

#[test]
fn fields_of_the_pod() {
    let fields = [
        (PodField::Name, "web"),
        (PodField::Namespace, "default"),
        (PodField::Uid, "0b6e1a52"),
        (PodField::Label("app".to_owned()), "web"),
        (PodField::Label("nothing".to_owned()), ""),
        (PodField::Annotation("note".to_owned()), "hi"),
        (PodField::NodeName, "box"),
        (PodField::ServiceAccountName, "robot"),
        (PodField::HostIp, "192.0.2.7"),
        (PodField::HostIps, "192.0.2.7"),
        (PodField::PodIp, "127.0.0.1"),
        (PodField::PodIps, "127.0.0.1"),
    ];
    for (field, expected) in fields {
        let name = format!("{field:?}");
        let env = variables(Vec::new(), vec![downward("F", DownwardValue::Field(field))]).unwrap();
        assert_eq!(env, [format!("F={expected}")], "{name}");
    }
}

#[test]
fn resources_are_rounded_up_and_default_to_the_nodes() {
    use ResourceName::{Cpu, EphemeralStorage, Memory};
    let of = |limit, resource, divisor, container: Option<&str>| {
        let container = container.map(Into::into);
        DownwardValue::Resource(ResourceField { container, limit, resource, divisor })
    };
    for (wanted, expected) in [
        (of(true, Cpu, 1, None), "500"),
        (of(true, Cpu, 1_000, None), "1"),
        (of(false, Cpu, 1, None), "0"),
        (of(false, Memory, 1 << 20, None), "65"),
        // Without a limit.
        (of(true, Memory, 1 << 30, None), "16"),
        (of(true, EphemeralStorage, 1 << 30, None), "100"),
        (of(false, EphemeralStorage, 1, None), "0"),
        (of(true, Cpu, 1, Some("other")), "4000"),
    ] {
        let name = format!("{wanted:?}");
        let mut main = container("main");
        main.env = vec![downward("R", wanted)];
        main.resources.cpu_limit = Some(500);
        main.resources.memory_request = Some((64 << 20) + 1);
        let pod = pod(vec![main.clone(), container("other")]);
        let config = crate::container_config(
            &pod,
            &main,
            &image(),
            &facts(),
            &node(),
            &Objects::default(),
            &VolumeImages::new(),
        );
        let env = config.unwrap().process.env;
        assert!(env.contains(&format!("R={expected}")), "{name}: {env:?}");
    }
    // Where the pod has a limit of its own, that comes before the node's.
    for (limit, resource, expected) in [(true, Cpu, "500"), (true, Memory, "9"), (false, Memory, "0")] {
        let mut main = container("main");
        main.env = vec![downward("R", of(limit, resource, 1, None))];
        main.resources.cpu_limit = Some(500);
        let mut pod = pod(vec![main.clone()]);
        let (cpu, memory) = (Some(2_000), Some(9));
        pod.spec.resources = Some(Resources {
            cpu_limit: cpu,
            memory_request: memory,
            memory_limit: memory,
            cpu_request: cpu,
        });
        let config = crate::container_config(
            &pod,
            &main,
            &image(),
            &facts(),
            &node(),
            &Objects::default(),
            &VolumeImages::new(),
        );
        let env = config.unwrap().process.env;
        assert!(env.contains(&format!("R={expected}")), "{resource:?}: {env:?}");
    }
    let unknown = variables(Vec::new(), vec![downward("R", of(true, Cpu, 1, Some("nobody")))]);
    assert_eq!(unknown.unwrap_err(), "CreateContainerConfigError: container nobody not found");
}

fn projected(sources: Vec<Projection>) -> Projected {
    Projected { sources, default_mode: 0o644 }
}

#[test]
fn files_of_each_source() {
    let token = TokenProjection {
        audience: String::new(),
        lifetime: std::time::Duration::ZERO,
        path: "t".to_owned(),
    };
    let item = |key: &str, path: &str, mode| KeyToPath { key: key.to_owned(), path: path.to_owned(), mode };
    let sources = vec![
        Projection::Object { object: object(CONFIG, "plain", false), items: Vec::new() },
        Projection::Object {
            object: object(SECRET, "creds", false),
            items: vec![item("raw", "deep/raw", Some(0o400)), item("word", "a", None)],
        },
        Projection::Object { object: object(SECRET, "nothing", true), items: vec![item("x", "x", None)] },
        Projection::Downward(vec![DownwardFile {
            path: "labels".to_owned(),
            value: DownwardValue::Field(PodField::Labels),
            mode: Some(0o600),
        }]),
        Projection::Token(token.clone()),
    ];
    let mut pod = pod(vec![container("main")]);
    pod.labels = BTreeMap::from([("b".to_owned(), "2 \"".to_owned()), ("a".to_owned(), "1".to_owned())]);
    let tokens = Tokens::from([(token.clone(), Ok("signed".to_owned()))]);
    let files = projected_files(&pod, &projected(sources.clone()), &objects(), &tokens, &node()).unwrap();
    let listed: Vec<(&str, &[u8], u32)> =
        files.iter().map(|(path, file)| (path.as_str(), file.content.as_slice(), file.mode)).collect();
    let expected: [(&str, &[u8], u32); 6] = [
        // Of two files with one path the later source counts.
        ("a", b"s3cret", 0o644),
        ("bin", b"\0", 0o644),
        ("deep/raw", b"\xff", 0o400),
        ("labels", b"a=\"1\"\nb=\"2 \\\"\"", 0o600),
        ("t", b"signed", 0o644),
        ("z", b"last", 0o644),
    ];
    assert_eq!(listed, expected);

    // Everything that is wrong is said at once, each thing once.
    let failed = Tokens::from([(token, Err("failed to fetch token: no account".to_owned()))]);
    let mut sources = sources;
    let missing = Projection::Object { object: object(SECRET, "gone", false), items: Vec::new() };
    sources.extend([missing.clone(), missing]);
    let error = projected_files(&pod, &projected(sources), &objects(), &failed, &node()).unwrap_err();
    assert_eq!(error, "[failed to fetch token: no account, secret \"gone\" not found]");
}

/// What is made from elsewhere is nobody's to write, whatever the mount says.
#[test]
fn volumes_of_files_are_read_only() {
    let mut main = container("main");
    main.volume_mounts = vec![mount("data", "/data")];
    let mut pod = pod(vec![main.clone()]);
    for (source, read_only) in [
        (VolumeSource::Projected(projected(Vec::new())), true),
        (VolumeSource::EmptyDir { medium: podspec::EmptyDirMedium::Disk, size_limit: None }, false),
    ] {
        pod.spec.volumes = vec![Volume { name: "data".into(), source }];
        let config = crate::container_config(
            &pod,
            &main,
            &image(),
            &facts(),
            &node(),
            &Objects::default(),
            &VolumeImages::new(),
        )
        .unwrap();
        let mount = config.mounts.iter().find(|mount| mount.target == "/data").unwrap();
        assert!(matches!(mount.kind, MountKind::Bind(_)));
        assert_eq!(mount.options.read_only, read_only);
    }
}
