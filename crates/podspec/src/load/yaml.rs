//! YAML events to nodes.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::node::{Content, Entry, NODE_WEIGHT, Node};
use super::scalar;

/// What a text held, and what was wrong with it.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Each document that is not empty, with its number, counted from 1.
    pub(super) nodes: Vec<(usize, Node)>,
    pub(super) errors: Vec<SyntaxError>,
}

#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) document: usize,
    pub(super) message: String,
}

/// What one text may take in memory, aliases written out. Bounds alias bombs.
const WEIGHT_MAX: usize = 64 << 20;

/// How deep values may be nested, aliases written out. A pod needs about 15.
const HEIGHT_MAX: usize = 100;

/// Syntax errors after which the rest of a text is not looked at any more.
const ERRORS_MAX: usize = 100;

/// Reads all documents; one with a syntax error does not keep the later ones from being read.
/// `lines_before` is added to every line.
pub(super) fn read(text: &str, lines_before: u32) -> Read {
    let mut options = granit_parser::options! { block_scalar_eof_without_line_feed: true };
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { read: Read::default(), number: 0, document: Document::default(), lines_before };
    loop {
        let outcome = match parser.next_event() {
            None => break,
            Some(Err(error)) => Err(reader.scan_error(&error)),
            Some(Ok((event, span))) => reader.event(event, span),
        };
        let Err(error) = outcome else { continue };
        reader.read.errors.push(error);
        reader.document = Document::default();
        let more = reader.read.errors.len() < ERRORS_MAX && parser.proceed_next_document().unwrap_or(false);
        if !more {
            break;
        }
    }
    reader.read
}

struct Reader {
    read: Read,
    /// Of the document being read.
    number: usize,
    document: Document,
    lines_before: u32,
}

/// A document being read.
#[derive(Default)]
struct Document {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    weight: usize,
}

/// A collection whose end has not come yet.
struct Open {
    collection: Collection,
    anchor: usize,
    line: u32,
}

enum Collection {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, merges: Vec<Node>, key: Option<Key> },
}

/// A key whose value has not come yet.
enum Key {
    Name(String, u32),
    /// `<<`
    Merge,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let line = self.line(span.start.line());
        let outcome = match event {
            Event::DocumentStart(..) => {
                self.number += 1;
                self.document = Document::default();
                Ok(())
            }
            Event::DocumentEnd => {
                let root = std::mem::take(&mut self.document).root;
                let root = root.filter(|n| !matches!(n.content, Content::Null));
                self.read.nodes.extend(root.map(|node| (self.number, node)));
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.document.scalar(text.into_owned(), style, anchor, tag.as_deref(), line)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.document.open(Collection::List(Vec::new()), anchor, tag.as_deref(), "seq", line)
            }
            Event::MappingStart(_, anchor, tag) => {
                let map = Collection::Map { entries: Vec::new(), merges: Vec::new(), key: None };
                self.document.open(map, anchor, tag.as_deref(), "map", line)
            }
            Event::SequenceEnd | Event::MappingEnd => self.document.close(),
            Event::Alias(anchor) => self.document.alias(anchor, line),
            _ => Ok(()),
        };
        let column = u32::try_from(span.start.col() + 1).unwrap_or(0);
        outcome.map_err(|message| SyntaxError { line, column, document: self.number, message })
    }

    fn scan_error(&self, error: &ScanError) -> SyntaxError {
        let marker = error.marker();
        SyntaxError {
            line: self.line(marker.line()),
            column: u32::try_from(marker.col() + 1).unwrap_or(0),
            document: self.number.max(1),
            message: format!("not valid YAML: {}", error.info()),
        }
    }

    fn line(&self, line: usize) -> u32 {
        u32::try_from(line).unwrap_or(u32::MAX).saturating_add(self.lines_before)
    }
}

impl Document {
    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        line: u32,
    ) -> Result<(), String> {
        let plain = style == ScalarStyle::Plain;
        if let (true, None, "<<", Some(key)) = (plain, tag, text.as_str(), self.awaited_key()) {
            *key = Some(Key::Merge);
            return Ok(());
        }
        let content = match tag {
            Some(tag) => scalar::tagged(core_tag(tag)?, text)?,
            None if plain => scalar::plain(&text)?,
            None => Content::Text(text),
        };
        self.add(Node::new(content, line), anchor)
    }

    fn open(
        &mut self,
        collection: Collection,
        anchor: usize,
        tag: Option<&Tag>,
        expected: &str,
        line: u32,
    ) -> Result<(), String> {
        if let Some(tag) = tag {
            let name = core_tag(tag)?;
            if name != expected {
                return Err(format!("tag !!{name} has no place here"));
            }
        }
        if self.open.len() >= HEIGHT_MAX {
            return Err(format!("nested more than {HEIGHT_MAX} levels deep"));
        }
        self.open.push(Open { collection, anchor, line });
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(Open { collection, anchor, line }) = self.open.pop() else { return Ok(()) };
        let content = match collection {
            Collection::List(items) => Content::List(items),
            Collection::Map { mut entries, merges, .. } => {
                let mut keys: HashSet<String> = HashSet::new();
                if !merges.is_empty() {
                    keys.extend(entries.iter().map(|e| e.key.clone()));
                }
                for merge in merges {
                    merge_into(&mut entries, &mut keys, merge)?;
                }
                Content::Map(entries)
            }
        };
        // What it contains has been counted when it was added.
        let node = Node::new(content, line);
        self.weight = self.weight.saturating_sub(node.weight - NODE_WEIGHT);
        self.add(node, anchor)
    }

    fn alias(&mut self, anchor: usize, line: u32) -> Result<(), String> {
        let node = self.anchors.get(&anchor).cloned();
        let node = node.ok_or("an alias to something that contains the alias")?;
        self.add(Node { line, ..node }, 0)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        self.weight = self.weight.saturating_add(node.weight);
        if self.weight > WEIGHT_MAX {
            return Err(format!("takes more than {} MiB with its aliases written out", WEIGHT_MAX >> 20));
        }
        if node.height + self.open.len() > HEIGHT_MAX {
            return Err(format!("nested more than {HEIGHT_MAX} levels deep with its aliases written out"));
        }
        if anchor > 0 {
            self.weight = self.weight.saturating_add(node.weight);
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|o| &mut o.collection) {
            None => self.root = Some(node),
            Some(Collection::List(items)) => items.push(node),
            Some(Collection::Map { entries, merges, key }) => match key.take() {
                None => {
                    let (line, kind) = (node.line, node.kind());
                    let name = scalar::key(node.content).ok_or_else(|| format!("{kind} cannot be a key"))?;
                    *key = Some(Key::Name(name, line));
                }
                Some(Key::Name(key, line)) => entries.push(Entry { key, line, node }),
                Some(Key::Merge) => merges.push(node),
            },
        }
        Ok(())
    }

    /// The place for a key, when a key comes next.
    fn awaited_key(&mut self) -> Option<&mut Option<Key>> {
        match self.open.last_mut().map(|o| &mut o.collection) {
            Some(Collection::Map { key: key @ None, .. }) => Some(key),
            _ => None,
        }
    }
}

/// Adds the entries of a `<<` value whose keys are not there yet
/// (<https://yaml.org/type/merge.html>).
fn merge_into(entries: &mut Vec<Entry>, keys: &mut HashSet<String>, merge: Node) -> Result<(), String> {
    match merge.content {
        Content::Map(merged) => {
            entries.extend(merged.into_iter().filter(|e| keys.insert(e.key.clone())));
            Ok(())
        }
        Content::List(maps) if maps.iter().all(|n| matches!(n.content, Content::Map(_))) => {
            maps.into_iter().try_for_each(|map| merge_into(entries, keys, map))
        }
        _ => Err("<< takes a mapping, or a list of mappings".to_owned()),
    }
}

fn core_tag(tag: &Tag) -> Result<&str, String> {
    tag.core_suffix().ok_or_else(|| format!("tag {} has no place in a manifest", tag.original()))
}
