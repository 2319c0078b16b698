//! From texts to what is found in them.

use std::collections::{BTreeMap, BTreeSet};

use podspec::json::text;
use podspec::load::{self, Form, Places, Span};
use podspec::{Document, FieldError, FieldPath, IDENTITY_BYTES, LoadError, Problem};

use super::allow::Allowed;
use super::lines::Lines;
use super::object::{self, Object, PodIn};
use super::rules;
use crate::finding::{At, Context, Finding, Fix};
use crate::rule::{Rule, Severity};

/// Findings that are kept of one text; all of them are counted.
const FINDINGS_MAX: usize = 1_000;
/// Where nobody says otherwise.
const NAMESPACE: &str = "default";

/// A text of manifests.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// A file's name, or what the text is called.
    pub name: &'a str,
    pub text: &'a str,
}

#[derive(Clone, Default, Debug)]
pub struct Options {
    /// Ids of rules that say nothing.
    pub allow: BTreeSet<String>,
    /// The only rules that say something, unless there are none.
    pub only: BTreeSet<String>,
    /// Of objects that name none.
    pub namespace: Option<String>,
}

/// What is found in one text.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Examined {
    /// In the order of the text.
    pub findings: Vec<Located>,
    /// Of every severity, those that were left off included.
    pub counts: BTreeMap<Severity, usize>,
    /// A part of it cannot be read, so there may be more.
    pub is_unreadable: bool,
}

/// A finding and its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Located {
    pub rule: &'static Rule,
    pub object: Object,
    /// From the root of the object.
    pub path: FieldPath,
    /// What to point at; it stands in one line.
    pub at: Span,
    pub message: String,
    pub related: Vec<Related>,
    pub help: Option<String>,
    /// With paths from the root of the object.
    pub fix: Option<Fix>,
    pub(super) source: Source,
}

/// Which document a finding is of, so that it can be changed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Source {
    /// The part of the text that holds it.
    pub(super) extent: Span,
    /// Which of the loader's documents in that part, from 0.
    pub(super) nth: usize,
}

/// Another place that has to do with it.
#[derive(Clone, PartialEq, Debug)]
pub struct Related {
    pub path: FieldPath,
    pub at: Span,
    pub words: String,
}

/// What is found in each of the texts, which are of one namespace's objects, or several.
#[must_use]
pub fn examine(texts: &[Text<'_>], options: &Options) -> Vec<Examined> {
    let loaded: Vec<_> = texts.iter().map(|text| load::load_all(text.name, text.text)).collect();
    let services = services(loaded.iter().flat_map(|(documents, _)| documents), options);
    let each = texts.iter().zip(loaded);
    each.map(|(text, (documents, errors))| examine_one(text.text, &documents, &errors, &services, options))
        .collect()
}

/// What is found in a text, where the Services are known.
pub(super) fn examine_alone(text: &str, services: &Services, options: &Options) -> Examined {
    let (documents, errors) = load::load_all("", text);
    examine_one(text, &documents, &errors, services, options)
}

/// The Services in texts.
pub(super) fn services_of<'a>(texts: impl Iterator<Item = &'a Text<'a>>, options: &Options) -> Services {
    // Few texts have one, and reading takes a while.
    let texts = texts.filter(|text| text.text.contains("Service"));
    let documents: Vec<Document> = texts.flat_map(|text| load::load_all(text.name, text.text).0).collect();
    services(documents.iter(), options)
}

pub(super) type Services = BTreeMap<String, BTreeSet<String>>;

/// Names of Services by namespace.
fn services<'a>(documents: impl Iterator<Item = &'a Document>, options: &Options) -> Services {
    let mut services = Services::new();
    for document in documents.filter(|document| document.value["kind"] == "Service") {
        let name = text(&document.value["metadata"], "name");
        services.entry(namespace(document, options).to_owned()).or_default().insert(name.to_owned());
    }
    services
}

fn namespace<'a>(document: &'a Document, options: &'a Options) -> &'a str {
    let own = text(&document.value["metadata"], "namespace");
    if own.is_empty() { options.namespace.as_deref().unwrap_or(NAMESPACE) } else { own }
}

fn examine_one(
    text: &str,
    documents: &[Document],
    errors: &[LoadError],
    services: &Services,
    options: &Options,
) -> Examined {
    let mut examined = Examined::default();
    let mut found: Vec<Located> = Vec::new();
    for error in errors {
        let rule = rules::of_problem(&error.problem);
        examined.is_unreadable |= rule == &rules::SYNTAX;
        found.push(of_load_error(error, documents, text));
    }
    let mut source = Source::default();
    for document in documents {
        let is_next = source.extent == document.extent;
        source = Source { extent: document.extent, nth: if is_next { source.nth + 1 } else { 0 } };
        let Some(pod) = object::pod_in(&document.value) else { continue };
        let mut services = services.get(namespace(document, options)).cloned().unwrap_or_default();
        // The headless Service of a StatefulSet, wherever it is made.
        services.insert(podspec::json::text(&document.value["spec"], "serviceName").to_owned());
        let context = Context { services, complete: false };
        found.extend(of_pod(&pod, &context).into_iter().map(|told| told.located(text, source, document)));
    }
    let lines = Lines::of(text);
    let allowed = Allowed::read(text, documents);
    for (at, id) in &allowed.unknown {
        found.push(of_unknown_rule(*at, id));
    }
    found.retain(|located| {
        let id = located.rule.id;
        let is_asked_for =
            options.only.is_empty() || options.only.contains(id) || located.rule == &rules::SYNTAX;
        let is_silent = options.allow.contains(id) || allowed.has(&lines, located.at.range().start, id);
        is_asked_for && !is_silent
    });
    found.sort_by_key(|located| (located.at.start, located.rule.severity));
    for located in &found {
        *examined.counts.entry(located.rule.severity).or_default() += 1;
    }
    found.truncate(FINDINGS_MAX);
    Examined { findings: found, ..examined }
}

/// A finding before its place is known; paths are those of the object.
struct Told {
    rule: &'static Rule,
    path: FieldPath,
    at: At,
    message: String,
    related: Vec<(FieldPath, String)>,
    help: Option<String>,
    fix: Option<Fix>,
}

/// What the rules find in a pod, and podspec; what both find is said by the rules, which know more about it.
fn of_pod(pod: &PodIn, context: &Context) -> Vec<Told> {
    let path = &pod.path;
    let findings = crate::check(&pod.pod, context);
    let mut told = Vec::new();
    let (warnings, mut errors) = match podspec::admit(pod.pod.clone(), &[0; IDENTITY_BYTES]) {
        Ok(admitted) => (admitted.warnings, Vec::new()),
        Err(errors) => (Vec::new(), errors),
    };
    errors.retain(|error| {
        let says_it =
            |finding: &Finding| finding.rule.severity == Severity::Error && finding.path == error.path;
        !findings.iter().any(says_it)
    });
    errors.extend(restart_policy_error(pod));
    told.extend(errors.into_iter().map(|error| of_field_error(path, error)));
    told.extend(warnings.into_iter().map(|warning| Told {
        rule: rules::of_warning(warning.topic),
        path: path.join(&warning.path),
        at: At::Value,
        message: warning.message,
        related: Vec::new(),
        help: None,
        fix: None,
    }));
    told.extend(findings.into_iter().map(|finding| Told {
        rule: finding.rule,
        path: path.join(&finding.path),
        at: finding.at,
        message: finding.message,
        related: finding.related.into_iter().map(|(at, words)| (path.join(&at), words)).collect(),
        help: Some(finding.help).filter(|help| !help.is_empty()),
        fix: finding.fix.map(|fix| Fix {
            title: fix.title,
            edits: fix.edits.iter().map(|edit| object::edit_in(path, edit)).collect(),
        }),
    }));
    told
}

/// A template takes the policies of its controller alone.
fn restart_policy_error(pod: &PodIn) -> Option<FieldError> {
    let own = text(&pod.pod["spec"], "restartPolicy");
    let meant = if own.is_empty() { "Always" } else { own };
    if pod.restart_policies.is_empty() || pod.restart_policies.contains(&meant) {
        return None;
    }
    let path = FieldPath::root().child("spec").child("restartPolicy");
    Some(FieldError::not_supported(path, meant, pod.restart_policies))
}

fn of_field_error(path: &FieldPath, error: FieldError) -> Told {
    let rule = rules::of_error(error.kind);
    let is_key = rule == &rules::UNKNOWN_FIELD;
    let at = if is_key { At::Key } else { At::Value };
    let path = path.join(&error.path);
    let message = FieldError { path: path.clone(), ..error.clone() }.to_string();
    Told { rule, path, at, message, related: Vec::new(), help: error.hint, fix: None }
}

fn of_load_error(error: &LoadError, documents: &[Document], text: &str) -> Located {
    let rule = rules::of_problem(&error.problem);
    let of = |document: &&Document| {
        (document.location.document, document.location.item) == (error.location.document, error.location.item)
    };
    let (mut message, mut help) = (error.problem.to_string(), None);
    let mut path = FieldPath::root();
    if let Problem::Field(error) = &error.problem {
        (message, help, path) = (error.to_string(), error.hint.clone(), error.path.clone());
    }
    let object = documents.iter().find(of).map_or_else(
        || Object { document: error.location.document, item: error.location.item, ..Object::default() },
        Object::of,
    );
    let at = first_line(text, error.at);
    let related = Vec::new();
    Located { rule, object, path, at, message, related, help, fix: None, source: Source::default() }
}

fn of_unknown_rule(at: Span, id: &str) -> Located {
    let names = super::all_rules();
    let meant = podspec::nearest(id, names.iter().map(|rule| rule.id));
    let help = match meant {
        Some(meant) => format!("did you mean {meant}? monopod lint --list prints all of them"),
        None => "monopod lint --list prints all of them".to_owned(),
    };
    Located {
        rule: &rules::UNKNOWN_RULE,
        object: Object::default(),
        path: FieldPath::root(),
        at,
        message: format!("there is no rule {}", podspec::field::quote(id)),
        related: Vec::new(),
        help: Some(help),
        fix: None,
        source: Source::default(),
    }
}

impl Told {
    fn located(self, text: &str, source: Source, document: &Document) -> Located {
        let place = |path: &FieldPath, at| shown(text, &document.places, path, at);
        let related = self.related.into_iter();
        Located {
            rule: self.rule,
            object: Object::of(document),
            at: place(&self.path, self.at),
            related: related
                .map(|(path, words)| Related { at: place(&path, At::Value), path, words })
                .collect(),
            path: self.path,
            message: self.message,
            help: self.help,
            fix: self.fix,
            source,
        }
    }
}

/// What to point at: of a value of several lines its key, and where it has none its first line. A field that is not in the
/// text has the place of what lacks it.
fn shown(text: &str, places: &Places, path: &FieldPath, at: At) -> Span {
    let found = places.find(path);
    let place = found.places.place;
    let is_there = found.depth == path.segments().len();
    let is_one_line = text.get(place.value.range()).is_some_and(|value| !value.trim_end().contains('\n'));
    let key = place.key.filter(|_| text.get(place.value.range()).is_some());
    if is_there && at == At::Value && is_one_line && !place.value.is_empty() && place.form != Form::Block {
        return place.value;
    }
    key.unwrap_or_else(|| first_line(text, if place.key.is_none() { place.value } else { place.entry }))
}

/// A span without what is in other lines, and without a comment behind it.
fn first_line(text: &str, span: Span) -> Span {
    let range = span.range();
    let content = text.get(range.clone()).unwrap_or_default();
    let Some(line) = content.lines().next().filter(|line| line.len() < content.len()) else { return span };
    let line = line.find(" #").map_or(line, |comment| &line[..comment]).trim_end();
    Span::new(range.start, range.start + line.len())
}
