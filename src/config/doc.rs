//! A parsed file with the position of each value, and the command line's settings merged into it.
//!
//! A value that came from the command line has a span beyond the end of the file, so that the span of an
//! error says whether it belongs to a line of the file or to an option.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

use crate::error::{Error, Result, line, nearest};

/// The most steps of a key.
const DEEPEST: usize = 16;

type Span = Range<usize>;
type Node<'a> = Spanned<DeValue<'a>>;

/// A value that is laid over a file's, and checked as one of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Where: `search.epochs`, `cells.robust.ops`, `evaluate.attacks.0.steps`.
    pub key: String,
    /// TOML, else a string.
    pub value: String,
    /// How the user wrote it, for errors: `--set search.epochs=25`.
    pub option: String,
}

impl Setting {
    /// That of `--set key=value`.
    pub fn new(key: &str, value: &str) -> Self {
        Setting { key: key.to_owned(), value: value.to_owned(), option: format!("--set {key}={value}") }
    }
}

/// A setting in a document.
pub(super) struct Override {
    key: String,
    value: String,
    option: String,
    /// `v=value` after enough blanks to shift the parser's spans beyond the file.
    shifted: String,
    span: Span,
}

impl Override {
    /// The overrides of a file of `text`, each with a span of its own.
    pub fn list(text: &str, settings: &[Setting]) -> Vec<Self> {
        let mut start = text.len() + 1;
        settings
            .iter()
            .map(|Setting { key, value, option }| {
                let shifted = format!("{}v={value}", " ".repeat(start));
                let span = start..shifted.len() + 1;
                start = span.end;
                Override { key: key.clone(), value: value.clone(), option: option.clone(), shifted, span }
            })
            .collect()
    }

    /// A TOML value, else the text as a string, so that a word needs no quotes.
    fn value(&self) -> Node<'_> {
        let parsed = DeTable::parse(&self.shifted).ok().map(Spanned::into_inner).filter(|t| t.len() == 1);
        let string = || Spanned::new(self.span.clone(), DeValue::String(self.value.clone().into()));
        parsed.and_then(|mut table| table.remove("v")).unwrap_or_else(string)
    }

    fn error(&self, message: &str) -> Error {
        Error::Usage(format!("{}: {message}", self.option))
    }
}

/// The tree of a file and the spans of its values.
pub(super) struct Doc<'a> {
    path: &'a Path,
    text: &'a str,
    root: Node<'a>,
    overrides: &'a [Override],
}

impl<'a> Doc<'a> {
    /// Parses the text and applies the overrides in order.
    ///
    /// # Errors
    /// [`Error::Config`] at the line of a syntax error, [`Error::Usage`] for an override whose key cannot be set.
    pub fn parse(text: &'a str, path: &'a Path, overrides: &'a [Override]) -> Result<Self> {
        let table = DeTable::parse(text).map_err(|e| {
            let start = e.span().map_or(0, |s| s.start);
            Error::Config { path: path.to_owned(), line: line(text, start), message: e.message().to_owned() }
        })?;
        let mut root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        for set in overrides {
            let steps: Vec<&str> = set.key.split('.').collect();
            if steps.len() > DEEPEST {
                return Err(set.error(&format!("the key has {} steps; no key has more than {DEEPEST}", steps.len())));
            }
            if steps.contains(&"") {
                return Err(set.error("write the key as a.b.c, for example search.epochs"));
            }
            let steps = whole(&root, steps).map_err(|e| set.error(&e))?;
            let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
            put(&mut root, &steps, set.value(), &set.span).map_err(|e| set.error(&e))?;
        }
        Ok(Doc { path, text, root, overrides })
    }

    /// The text at a dotted path, if there is one.
    pub fn word(&self, path: &str) -> Option<String> {
        let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
        Some(self.node(&steps)?.get_ref().as_str()?.to_owned())
    }

    /// Whether the value at a dotted path, or a part of it, came from the command line.
    pub fn is_set(&self, path: &str) -> bool {
        fn beyond(node: &Node<'_>, end: usize) -> bool {
            let inner = match node.get_ref() {
                DeValue::Table(table) => table.values().any(|value| beyond(value, end)),
                DeValue::Array(array) => array.iter().any(|value| beyond(value, end)),
                _ => false,
            };
            inner || node.span().start > end
        }
        let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
        self.node(&steps).is_some_and(|node| beyond(node, self.text.len()))
    }

    /// The table at the top of the file with this name.
    fn table_mut(&mut self, at: &str) -> Option<&mut DeTable<'a>> {
        match child_mut(self.root.get_mut(), at)?.get_mut() {
            DeValue::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Takes a key out of the table at `at`, if it is there.
    pub fn remove(&mut self, at: &str, key: &str) {
        if let Some(table) = self.table_mut(at) {
            table.remove(key);
        }
    }

    /// Calls a key of the table at `at` by another name, in the place of what has that name.
    pub fn rename(&mut self, at: &str, from: &str, to: &'a str) {
        if let Some(table) = self.table_mut(at)
            && let Some(value) = table.remove(from)
        {
            let key = Spanned::new(value.span(), DeString::Borrowed(to));
            table.remove(to);
            table.insert(key, value);
        }
    }

    /// The same file with what the table at `at` lacks filled in from another text, at every depth. A table with
    /// another `name` is another kind of table, into which nothing is filled. What is filled in stands where the
    /// table's `preset` does.
    ///
    /// # Errors
    /// [`Error::Internal`] for a text that is no TOML.
    pub fn over(mut self, at: &str, base: Option<&'a str>) -> Result<Self> {
        let Some(base) = base else { return Ok(self) };
        let table = DeTable::parse(base).map_err(|e| Error::Internal(format!("what is filled in: {e}")))?;
        let span = self.node(&[at.to_owned(), "preset".to_owned()]).map_or(0..0, Spanned::span);
        if let DeValue::Table(root) = self.root.get_mut()
            && let Some(table_at) = root.get_mut(at)
        {
            let mut base = table.into_inner();
            // The table's own name is no kind.
            if child(table_at.get_ref(), "name").is_some() {
                base.remove("name");
            }
            fill(table_at, base, &span);
        }
        Ok(self)
    }

    /// Reads the whole tree as a value.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Usage`] at the offending key: unknown (with the nearest known one), missing, of
    /// the wrong type or of a value its type refuses.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        read(&self.root).map_err(|e| self.explain::<T>(&e))
    }

    /// An error at a dotted path (`cells.0.ops`), or at the nearest enclosing value the file has.
    pub fn fail(&self, path: &str, message: impl Into<String>) -> Error {
        let mut node = &self.root;
        for step in path.split('.') {
            match child(node.get_ref(), step) {
                Some(next) => node = next,
                None => break,
            }
        }
        self.fail_at(node.span().start, message.into())
    }

    fn fail_at(&self, start: usize, message: String) -> Error {
        match self.overrides.iter().find(|set| set.span.contains(&start)) {
            Some(set) => set.error(&message),
            None => Error::Config { path: self.path.to_owned(), line: line(self.text, start), message },
        }
    }

    fn explain<T: DeserializeOwned>(&self, error: &toml::de::Error) -> Error {
        let span = error.span().unwrap_or(0..0);
        let (mut path, mut start) = (Vec::new(), span.start);
        if span.end > 0 {
            find(&self.root, &span, &mut path);
        }
        let message = error.message();
        let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let table = |path: &[String]| match path {
            [] => "the top of the file".to_owned(),
            path => format!("[{}]", path.join(".")),
        };
        if message.starts_with("unknown field") && !words.is_empty() {
            let (key, known) = (words[0], &words[1..]);
            if path.last().is_some_and(|last| last == key) {
                path.pop();
            }
            if let Some(value) = self.node(&path).and_then(|t| child(t.get_ref(), key)) {
                start = value.span().start;
            }
            return self.fail_at(start, format!("unknown key `{key}` in {}{}", table(&path), hint(key, known)));
        }
        if let (true, Some(key)) = (message.starts_with("missing field"), words.first()) {
            return self.fail_at(start, format!("the key `{key}` is missing from {}", table(&path)));
        }
        while let Some((step, value)) = self.culprit::<T>(&path, message) {
            path.push(step);
            start = value;
        }
        let message = match words[..] {
            [typed, ref known @ ..] if message.starts_with("unknown variant") => {
                format!("unknown value `{typed}`{}", hint(typed, known))
            }
            _ => plain(message),
        };
        match path.is_empty() {
            true => self.fail_at(start, message),
            false => self.fail_at(start, format!("`{}`: {message}", path.join("."))),
        }
    }

    /// Serde buffers a table whose type depends on one of its keys, and our own text forms are parsed outside of it;
    /// both lose the position. The culprit is then the key or element without which the complaint is another.
    fn culprit<T: DeserializeOwned>(&self, path: &[String], message: &str) -> Option<(String, usize)> {
        let node = self.node(path)?;
        let steps: Vec<String> = match node.get_ref() {
            DeValue::Table(table) => table.keys().map(|key| key.get_ref().to_string()).collect(),
            DeValue::Array(array) if !message.starts_with("invalid length") => {
                (0..array.len()).map(|i| i.to_string()).collect()
            }
            _ => Vec::new(),
        };
        steps.into_iter().find_map(|step| {
            let mut without = self.root.clone();
            let parent = path.iter().try_fold(&mut without, |node, step| child_mut(node.get_mut(), step))?;
            match parent.get_mut() {
                DeValue::Table(table) => drop(table.remove(step.as_str())),
                DeValue::Array(array) => {
                    let others = array.iter().enumerate().filter(|(i, _)| i.to_string() != step);
                    *array = others.map(|(_, value)| value.clone()).collect();
                }
                _ => return None,
            }
            let same = read::<T>(&without).is_err_and(|e| e.message() == message);
            let start = child(node.get_ref(), &step)?.span().start;
            (!same).then_some((step, start))
        })
    }

    fn node(&self, path: &[String]) -> Option<&Node<'a>> {
        path.iter().try_fold(&self.root, |node, step| child(node.get_ref(), step))
    }
}

fn read<T: DeserializeOwned>(root: &Node<'_>) -> Result<T, toml::de::Error> {
    T::deserialize(ValueDeserializer::from(root.clone()))
}

/// The value at one step of a path: a table's key, an array's index, or the `kind` of a table in an array.
fn child<'n, 'a>(node: &'n DeValue<'a>, step: &str) -> Option<&'n Node<'a>> {
    match node {
        DeValue::Table(table) => table.get(step),
        DeValue::Array(array) => array.get(index(array, step)?),
        _ => None,
    }
}

fn child_mut<'n, 'a>(node: &'n mut DeValue<'a>, step: &str) -> Option<&'n mut Node<'a>> {
    match node {
        DeValue::Table(table) => table.get_mut(step),
        DeValue::Array(array) => index(array, step).and_then(|i| array.get_mut(i)),
        _ => None,
    }
}

fn index(array: &[Node<'_>], step: &str) -> Option<usize> {
    match step.parse() {
        Ok(i) => (i < array.len()).then_some(i),
        Err(_) => array.iter().position(|e| kind(e) == Some(step)),
    }
}

fn kind<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    child(node.get_ref(), "kind")?.get_ref().as_str()
}

/// The whole path of a key whose first steps may be left out where one path of the file ends in the others: `train` is
/// `split.train`.
fn whole(root: &Node<'_>, steps: Vec<&str>) -> Result<Vec<String>, String> {
    let own = || steps.iter().map(|step| (*step).to_owned()).collect();
    if child(root.get_ref(), steps[0]).is_some() {
        return Ok(own());
    }
    let mut found = Vec::new();
    ends(root, &steps, &mut Vec::new(), &mut found);
    match &found[..] {
        [] => Ok(own()),
        [one] => Ok(one.clone()),
        several => {
            let paths: Vec<String> = several.iter().map(|path| path.join(".")).collect();
            Err(format!("several keys end so; write one of {}", paths.join(", ")))
        }
    }
}

/// The paths of a tree that end in some steps.
fn ends(node: &Node<'_>, steps: &[&str], path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let inner: Vec<(String, &Node<'_>)> = match node.get_ref() {
        DeValue::Table(table) => table.iter().map(|(key, value)| (key.get_ref().to_string(), value)).collect(),
        DeValue::Array(array) => {
            let name = |(i, e): (usize, _)| (kind(e).map_or_else(|| i.to_string(), str::to_owned), e);
            array.iter().enumerate().map(name).collect()
        }
        _ => return,
    };
    let here = steps.iter().try_fold(node, |at, step| child(at.get_ref(), step));
    // A number alone names no key.
    if here.is_some() && !path.is_empty() && steps[0].parse::<usize>().is_err() {
        found.push(path.iter().cloned().chain(steps.iter().map(|step| (*step).to_owned())).collect());
    }
    for (step, value) in inner {
        path.push(step);
        ends(value, steps, path, found);
        path.pop();
    }
}

/// Sets the value at a path; missing tables are made, so that a misspelt one is refused like any unknown key.
fn put<'a>(node: &mut Node<'a>, steps: &[&str], value: Node<'a>, span: &Span) -> Result<(), String> {
    let [step, rest @ ..] = steps else {
        *node = value;
        return Ok(());
    };
    match node.get_mut() {
        DeValue::Table(table) => {
            let key = Spanned::new(span.clone(), DeString::Owned((*step).to_owned()));
            let empty = || Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
            put(table.entry(key).or_insert_with(empty), rest, value, span)
        }
        DeValue::Array(array) => {
            if let Some(element) = index(array, step).and_then(|i| array.get_mut(i)) {
                return put(element, rest, value, span);
            }
            let kinds: Vec<&str> = array.iter().filter_map(kind).collect();
            Err(match kinds.is_empty() {
                true => format!("`{step}` is not an index below {}", array.len()),
                false => format!("no element is called `{step}`{}", hint(step, &kinds)),
            })
        }
        other => Err(format!("there is nothing to set below a value of type {}", other.type_str())),
    }
}

/// Fills in what a table lacks; all of it gets one span.
fn fill<'a>(node: &mut Node<'a>, base: DeTable<'a>, span: &Span) {
    let DeValue::Table(table) = node.get_mut() else { return };
    let name = |table: &DeTable<'a>| table.get("name").and_then(|name| name.get_ref().as_str().map(str::to_owned));
    if let (Some(own), Some(other)) = (name(table), name(&base))
        && own != other
    {
        return;
    }
    for (key, value) in base {
        let key = key.into_inner();
        match (table.get_mut(&*key), value.into_inner()) {
            (Some(own), DeValue::Table(inner)) => fill(own, inner, span),
            (Some(_), _) => {}
            (None, value) => {
                let value = spanned(value, span);
                drop(table.insert(Spanned::new(span.clone(), key), value));
            }
        }
    }
}

/// A value all of which has one span.
fn spanned<'a>(value: DeValue<'a>, span: &Span) -> Node<'a> {
    let value = match value {
        DeValue::Table(table) => {
            let entries = table.into_iter();
            let entries =
                entries.map(|(k, v)| (Spanned::new(span.clone(), k.into_inner()), spanned(v.into_inner(), span)));
            DeValue::Table(entries.collect())
        }
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(|v| spanned(v.into_inner(), span)).collect()),
        leaf => leaf,
    };
    Spanned::new(span.clone(), value)
}

/// The path of the innermost value, or of the key, that a span belongs to.
fn find(node: &Node<'_>, span: &Span, path: &mut Vec<String>) -> bool {
    let step_into = |step: String, key: Option<Span>, value: &Node<'_>, path: &mut Vec<String>| {
        path.push(step);
        if find(value, span, path) || key.as_ref() == Some(span) || covers(value, span) {
            return true;
        }
        path.pop();
        false
    };
    match node.get_ref() {
        DeValue::Table(table) => table.iter().any(|(k, v)| step_into(k.get_ref().to_string(), Some(k.span()), v, path)),
        DeValue::Array(array) => array.iter().enumerate().any(|(i, v)| step_into(i.to_string(), None, v, path)),
        _ => false,
    }
}

fn covers(value: &Node<'_>, span: &Span) -> bool {
    value.span().start <= span.start && span.end <= value.span().end
}

/// The nearest known name, else all of them.
pub(super) fn hint(typed: &str, known: &[&str]) -> String {
    match nearest(typed, known.iter().copied()) {
        Some(name) => format!("; did you mean `{name}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; known: {}", known.join(", ")),
    }
}

/// Serde's names of types in plain words.
fn plain(message: &str) -> String {
    let Some((what, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    let expected = match expected {
        "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a string" => "a string",
        "a boolean" => "true or false",
        other => other.strip_prefix("struct ").map_or(other, |_| "a table"),
    };
    let what = what.strip_prefix("invalid type: ").or(what.strip_prefix("invalid value: ")).unwrap_or(what);
    format!("expected {expected}, got {what}")
}
