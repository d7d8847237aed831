//! A network as a TOML file: `family = "wrn"`, the family's keys, and the elements that differ under `[elements]`.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::NetSpec;
use crate::arch::elements::Elements;
use crate::arch::keys::{Fault, Keys, MODEL};
use crate::error::{Error, Result, line, nearest};

/// Reads a network file; `path` is its name in errors, and a genotype it names lies beside it.
///
/// # Errors
/// [`Error::Config`] with the line: a syntax error, an unknown family or key, a value that the family refuses.
pub(super) fn parse(text: &str, path: &Path) -> Result<NetSpec> {
    let fail = |at: usize, message: String| Error::Config { path: path.to_owned(), line: line(text, at), message };
    let table =
        DeTable::parse(text).map_err(|why| fail(why.span().map_or(0, |s| s.start), why.message().to_owned()))?;
    let table = table.into_inner();
    let mut starts = Vec::new();
    let mut family = None;
    let mut keys = Keys::default();
    for (key, value) in &table {
        let (name, at) = (key.get_ref().as_ref(), key.span().start);
        let problem = |fault: Fault| fail(at, fault.why);
        match (name, value.get_ref()) {
            ("family", DeValue::String(word)) => family = Some((word.to_string(), at)),
            ("elements", DeValue::Table(elements)) => {
                for (key, value) in elements {
                    let (name, at) = (key.get_ref().as_ref(), key.span().start);
                    if !Elements::KEYS.contains(&name) {
                        return Err(fail(at, format!("unknown key `{name}` in [elements]{}", hint(name))));
                    }
                    starts.push((name.to_owned(), at));
                    put(&mut keys, name, value).map_err(|fault| fail(at, fault.why))?;
                }
            }
            ("family" | "elements", other) => {
                let expected = if name == "family" { "a family's word" } else { "a table of elements" };
                return Err(fail(
                    at,
                    format!("`{name}`: expected {expected}, got a value of type {}", other.type_str()),
                ));
            }
            (element, _) if Elements::KEYS.contains(&element) => {
                return Err(fail(at, format!("`{element}` is an element; write it under [elements]")));
            }
            _ => {
                starts.push((name.to_owned(), at));
                put(&mut keys, name, value).map_err(problem)?;
            }
        }
    }
    let (word, at) =
        family.ok_or_else(|| fail(0, "the key `family` is missing, for example family = \"wrn\"".into()))?;
    let place = |fault: &Fault| {
        let key = fault.key.as_deref();
        key.and_then(|key| starts.iter().find(|(name, _)| name == key)).map_or(at, |(_, start)| *start)
    };
    let spec = NetSpec::read(&word, keys).map_err(|fault| fail(place(&fault), fault.why))?;
    Ok(match spec {
        NetSpec::Cells { family, file, channels, layers, stem } => {
            let file = path.parent().map_or(file.clone(), |folder| folder.join(&file));
            NetSpec::Cells { family, file, channels, layers, stem }
        }
        other => other,
    })
}

fn hint(name: &str) -> String {
    match nearest(name, Elements::KEYS.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!("; known: {}", Elements::KEYS.join(", ")),
    }
}

/// Adds a value as the text that a form has in its place: a list of numbers is `4-4-4`.
fn put(keys: &mut Keys, name: &str, value: &Spanned<DeValue<'_>>) -> Result<(), Fault> {
    let text = text_of(value.get_ref()).ok_or_else(|| {
        let example = if name == MODEL { "\"50\"" } else { "10, \"relu\" or [4, 4, 4]" };
        Fault::of(name, format!("`{name}`: expected a value such as {example}, got {}", value.get_ref().type_str()))
    })?;
    keys.put(name, text)
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Array(list) => {
            let numbers: Option<Vec<String>> = list
                .iter()
                .map(|item| match item.get_ref() {
                    number @ (DeValue::Integer(_) | DeValue::Float(_)) => text_of(number),
                    _ => None,
                })
                .collect();
            numbers.map(|numbers| numbers.join("-"))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}
