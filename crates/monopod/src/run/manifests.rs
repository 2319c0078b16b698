//! From the command line's arguments to pods: nothing is begun unless all of them can be run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use apiserver::kinds::{Kind, Verb};
use podspec::json::{list, text};
use podspec::load::INPUT_BYTES_MAX;
use podspec::{Document, IDENTITY_BYTES, LoadErrors, LoadedObject, LoadedPod, Location, Pod};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::Value;

/// Files read from one directory.
const FILES_MAX: usize = 1_000;
/// Linux's `NAME_MAX`.
const FILE_NAME_BYTES_MAX: usize = 255;
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// Why the manifests are refused: every reason of every file, one line each.
#[derive(Debug)]
pub(crate) struct Refused(Vec<String>);

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\nerror: "))
    }
}

/// Objects, in the order of the arguments, and what is to be said about them.
#[derive(Debug)]
pub(crate) struct Manifests {
    pub(crate) objects: Vec<Manifest>,
    pub(crate) warnings: Vec<String>,
}

/// An object that is to be created.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) location: Location,
    pub(crate) kind: &'static Kind,
    pub(crate) object: Value,
}

/// Those that the containers of the pods name.
pub(super) fn images<'a>(manifests: &'a [Manifest]) -> impl Iterator<Item = &'a str> {
    let of_pod = |manifest: &'a Manifest| {
        let spec = &manifest.object["spec"];
        list(spec, "initContainers").iter().chain(list(spec, "containers"))
    };
    manifests.iter().flat_map(of_pod).map(|container| text(container, "image"))
}

/// Reads every object of every argument, into `namespace` if it names none.
pub(crate) fn read(arguments: &[PathBuf], namespace: Option<&str>) -> Result<Manifests, Refused> {
    let mut errors = Vec::new();
    let mut loaded = Vec::new();
    for source in sources(arguments, &mut errors) {
        match load(&source, namespace) {
            Ok(pods) => loaded.extend(pods),
            Err(found) => errors.extend(found),
        }
    }
    let pods = || loaded.iter().filter_map(pod);
    errors.extend(duplicate_names(pods()));
    errors.extend(names_too_long(pods()));
    let has_pods = pods().next().is_some();
    let services = services(&loaded, namespace);
    let mut out = Manifests { objects: Vec::new(), warnings: Vec::new() };
    for object in loaded {
        match object {
            LoadedObject::Pod(loaded) => {
                let LoadedPod { location, admitted } = *loaded;
                out.warnings.extend(admitted.warnings.iter().map(|warning| format!("{location}: {warning}")));
                let services = services.get(&admitted.pod.namespace).cloned().unwrap_or_default();
                // Nothing else is in the store of `run`.
                let context = lint::Context { services, complete: true };
                let found = lint::warnings(&admitted.manifest, &context);
                out.warnings.extend(found.iter().map(|warning| format!("{location}: {warning}")));
                out.objects.push(Manifest { location, kind: pods_kind(), object: admitted.manifest });
            }
            LoadedObject::Other(document) => match other(*document, namespace) {
                Ok(manifest) => out.objects.push(manifest),
                Err(found) => errors.extend(found),
            },
        }
    }
    if errors.is_empty() && !has_pods {
        errors.push("there is no Pod in it, and nothing else runs: add one".to_owned());
    }
    if errors.is_empty() { Ok(out) } else { Err(Refused(errors)) }
}

/// Names of Services by namespace.
fn services(loaded: &[LoadedObject], namespace: Option<&str>) -> BTreeMap<String, BTreeSet<String>> {
    let mut services: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for object in loaded {
        let LoadedObject::Other(document) = object else { continue };
        let metadata = &document.value["metadata"];
        if document.value["kind"] == "Service" {
            let own = Some(text(metadata, "namespace")).filter(|own| !own.is_empty());
            let namespace = own.or(namespace).unwrap_or("default").to_owned();
            services.entry(namespace).or_default().insert(text(metadata, "name").to_owned());
        }
    }
    services
}

fn pod(object: &LoadedObject) -> Option<&LoadedPod> {
    match object {
        LoadedObject::Pod(pod) => Some(pod),
        LoadedObject::Other(_) => None,
    }
}

fn pods_kind() -> &'static Kind {
    Kind::find("", "v1", "pods").expect("pods are served")
}

/// An object of another kind than Pod, if that is served, and its fields are what the kind has.
fn other(document: Document, namespace: Option<&str>) -> Result<Manifest, Vec<String>> {
    let Document { location, value: mut object, places, .. } = document;
    let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let (name, api_version) = (text("kind"), text("apiVersion"));
    let called = match object["metadata"]["name"].as_str() {
        Some(own) => format!("{name} \"{own}\" ({api_version})"),
        None => format!("{name} ({api_version})"),
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let has_kind = |kind: &&Kind| kind.group == group && kind.version == version && kind.kind == name;
    let kind = Kind::all().iter().find(has_kind);
    let Some(kind) = kind.filter(|kind| kind.is_stored() && kind.verbs.contains(&Verb::Create)) else {
        return Err(vec![format!(
            "{location}: {name} ({api_version}) is not supported: remove the document"
        )]);
    };
    if let Some(instead) = kind.rules.refusal() {
        return Err(vec![format!("{location}: {called} is not supported: {instead}")]);
    }
    if let Some(ty) = api_schema::Schema::get().kind(group, version, kind.kind) {
        let issues = api_schema::check(ty, &mut object);
        if !issues.is_empty() {
            let place = |path| Location { line: places.line_of(path), ..location.clone() };
            return Err(issues.iter().map(|issue| format!("{}: {issue}", place(&issue.path))).collect());
        }
    }
    if kind.namespaced && object["metadata"]["namespace"].as_str().unwrap_or_default().is_empty() {
        object["metadata"]["namespace"] = namespace.unwrap_or("default").into();
    }
    Ok(Manifest { location, kind, object })
}

/// What a manifest file holds.
#[derive(Clone, Debug)]
pub(crate) struct ManifestText {
    /// `None`: standard input.
    pub(crate) path: Option<PathBuf>,
    /// As it is called in messages.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The text of each source, and what cannot be read.
pub(crate) fn texts(arguments: &[PathBuf]) -> (Vec<ManifestText>, Vec<String>) {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    for source in sources(arguments, &mut errors) {
        let name = if is_stdin(&source) { "standard input".into() } else { source.display().to_string() };
        match read_text(&source) {
            Ok(text) => {
                let path = Some(source).filter(|source| !is_stdin(source));
                out.push(ManifestText { path, name, text });
            }
            Err(error) => errors.push(format!("{name}: cannot be read: {}", reason(&error))),
        }
    }
    (out, errors)
}

/// The files named, and those in the directories named, by name.
fn sources(arguments: &[PathBuf], errors: &mut Vec<String>) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for argument in arguments {
        if !argument.is_dir() {
            out.push(argument.clone());
            continue;
        }
        match manifests_in(argument) {
            Ok(files) if files.is_empty() => {
                errors.push(format!("{}: no .yaml, .yml or .json file in it", argument.display()));
            }
            Ok(files) if files.len() > FILES_MAX => errors.push(format!(
                "{}: {} files are more than the {FILES_MAX} that are read: name them in parts",
                argument.display(),
                files.len()
            )),
            Ok(files) => out.extend(files),
            Err(error) => errors.push(format!("{}: cannot be read: {}", argument.display(), reason(&error))),
        }
    }
    if out.iter().filter(|source| is_stdin(source)).count() > 1 {
        errors.push("standard input (-) can be read only once: name it once".to_owned());
        out.retain(|source| !is_stdin(source));
    }
    out
}

fn is_stdin(source: &Path) -> bool {
    source == Path::new("-")
}

fn manifests_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let named = path.extension().is_some_and(|held| EXTENSIONS.iter().any(|known| held == *known));
        // What cannot be looked at, as a link that leads nowhere, is an error when it is read.
        if named && path.metadata().map_or(true, |found| found.is_file()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn load(source: &Path, namespace: Option<&str>) -> Result<Vec<LoadedObject>, Vec<String>> {
    let name = if is_stdin(source) { "standard input".into() } else { source.display().to_string() };
    let text =
        read_text(source).map_err(|error| vec![format!("{name}: cannot be read: {}", reason(&error))])?;
    let random =
        random_bytes().map_err(|error| vec![format!("the kernel gives no random bytes: {error}")])?;
    let loaded = podspec::load_objects(namespace, &name, &text, random);
    loaded.map_err(|LoadErrors(errors)| errors.iter().map(ToString::to_string).collect())
}

fn read_text(source: &Path) -> io::Result<String> {
    // One byte more than is accepted, so that too much is seen to be too much.
    let limit = INPUT_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    if is_stdin(source) {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(source)?.take(limit).read_to_end(&mut bytes)?;
    }
    if bytes.len() > INPUT_BYTES_MAX {
        let text = format!("it has more than {} MiB, which no pod has", INPUT_BYTES_MAX >> 20);
        return Err(io::Error::other(text));
    }
    String::from_utf8(bytes).map_err(|_| {
        io::Error::other("it is not UTF-8 text: name a manifest, in YAML or JSON, and save it as UTF-8")
    })
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory: correct the path".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!("{error}: make it readable for this user, or run monopod with sudo")
        }
        _ => error.to_string(),
    }
}

/// Bytes for the identity of each pod.
fn random_bytes() -> io::Result<impl FnMut() -> [u8; IDENTITY_BYTES]> {
    let fill = |bytes: &mut [u8]| getrandom(bytes, GetRandomFlags::empty());
    fill(&mut [0])?;
    Ok(move || {
        let mut bytes = [0; IDENTITY_BYTES];
        // getrandom(2) never fails once it gave a byte, and gives so few at once.
        fill(&mut bytes).expect("the kernel gives random bytes");
        bytes
    })
}

fn duplicate_names<'a>(loaded: impl Iterator<Item = &'a LoadedPod>) -> Vec<String> {
    let mut first = BTreeMap::new();
    let mut errors = Vec::new();
    for LoadedPod { location, admitted } in loaded {
        let Pod { namespace, name, .. } = &admitted.pod;
        if let Some(earlier) = first.insert((namespace, name), location) {
            errors.push(format!(
                "{location}: pod {namespace}/{name} is also in {}:{}: give one of them another metadata.name",
                earlier.source, earlier.line
            ));
        }
    }
    errors
}

/// A pod's log directory is `NAMESPACE_NAME_UID`.
fn names_too_long<'a>(loaded: impl Iterator<Item = &'a LoadedPod>) -> impl Iterator<Item = String> {
    loaded.filter_map(|LoadedPod { location, admitted }| {
        let Pod { namespace, name, uid, .. } = &admitted.pod;
        let bytes = format!("{namespace}_{name}_{uid}").len();
        let excess = bytes.checked_sub(FILE_NAME_BYTES_MAX).filter(|excess| *excess > 0)?;
        Some(format!(
            "{location}: metadata.name: Too long: its log directory, NAMESPACE_NAME_UID, would have a name of \
             {bytes} bytes, and file systems take {FILE_NAME_BYTES_MAX}: shorten the name by {excess}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::{INPUT_BYTES_MAX, read};

    fn manifest(name: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n\
             spec: {{containers: [{{name: main, image: localhost/host}}]}}\n"
        )
    }

    #[test]
    fn every_error_of_every_file_is_reported_and_directories_are_read_by_name() {
        let dir = std::env::temp_dir().join(format!("monopod-manifests-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("b.yaml"), manifest("b")).unwrap();
        fs::write(dir.join("a.yml"), manifest("a")).unwrap();
        fs::write(dir.join("notes.txt"), "not a manifest").unwrap();
        let names: Vec<String> = read(std::slice::from_ref(&dir), Some("a"))
            .unwrap()
            .objects
            .into_iter()
            .filter_map(|manifest| Some(manifest.object["metadata"]["name"].as_str()?.to_owned()))
            .collect();
        assert_eq!(names, ["a", "b"]);

        let twice = read(&[dir.clone(), dir.join("b.yaml"), PathBuf::from("/none.yaml")], None).unwrap_err();
        let text = twice.to_string();
        assert!(text.contains("pod default/b is also in"), "{text}");
        assert!(text.contains("/none.yaml: cannot be read"), "{text}");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_name_too_long_for_its_log_directory_is_refused_before_anything_is_made() {
        let path = std::env::temp_dir().join(format!("monopod-long-{}.yaml", std::process::id()));
        // default_NAME_UID has 8 + 1 + 36 bytes beside the name.
        for (length, refused) in [(210, false), (211, true), (253, true)] {
            fs::write(&path, manifest(&"p".repeat(length))).unwrap();
            let read = read(std::slice::from_ref(&path), None);
            assert_eq!(read.is_err(), refused, "{length}");
            if let Err(errors) = read {
                let text = errors.to_string();
                assert!(text.ends_with(&format!("shorten the name by {}", length - 210)), "{text}");
            }
        }
        fs::remove_file(&path).unwrap();
    }

    fn refusal(dir: &std::path::Path, name: &str, content: &[u8]) -> String {
        let path = dir.join(name);
        fs::write(&path, content).unwrap();
        let text = read(&[path], None).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    }

    #[test]
    fn what_is_no_manifest_is_refused_in_one_line_with_what_to_do() {
        let dir = std::env::temp_dir().join(format!("monopod-no-manifest-{}", std::process::id()));
        fs::create_dir_all(dir.join("links")).unwrap();
        assert!(refusal(&dir, "binary.yaml", b"\x7fELF\xff\xfe").contains("save it as UTF-8"));
        assert!(refusal(&dir, "huge.yaml", &vec![b'a'; INPUT_BYTES_MAX + 1]).contains("more than 8 MiB"));
        assert!(refusal(&dir, "empty.yaml", b"").contains("no Pod in it"));
        assert!(refusal(&dir, "nul.yaml", &[0; 100]).contains("nul.yaml"));
        std::os::unix::fs::symlink("/no/such/file", dir.join("links/a.yaml")).unwrap();
        let text = read(&[dir.join("links")], None).unwrap_err().to_string();
        assert!(
            text.ends_with(
                "links/a.yaml: cannot be read: there is no such file or directory: correct the path"
            )
        );
        let twice = read(&["-".into(), "-".into()], None).unwrap_err().to_string();
        assert_eq!(twice, "standard input (-) can be read only once: name it once");
        fs::remove_dir_all(&dir).unwrap();
    }
}
