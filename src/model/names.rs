//! A map from the network's tensor names to those of another program.
//!
//! ```toml
//! layout = "pytorch"                  # the layout of its weights; or "own"
//! ignore = ["*.num_batches_tracked"]  # its tensors that are not used
//!
//! [names]                             # ours = "theirs"
//! "stem.weight" = "conv1.weight"
//! "stage{s}.block{b}.conv1.*" = "layer{s}.{b-1}.conv1.*"
//! ```
//!
//! `*` stands for any text, `{word}` for a whole number; on the right they have the values of the left side, a
//! number also plus or minus a constant. A literal name takes precedence over patterns.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Deserialize;

use super::layout::Layout;
use crate::error::{Error, Result};

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameFile {
    #[serde(default)]
    layout: Layout,
    #[serde(default)]
    ignore: Vec<String>,
    names: BTreeMap<String, String>,
}

/// A map, read and checked.
#[derive(Clone, Debug)]
pub struct NameMap {
    /// The layout of the weights.
    pub layout: Layout,
    ignore: Vec<Pattern>,
    rules: Vec<(Pattern, Vec<Piece>)>,
}

/// A part of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Literal text.
    Text(String),
    /// Any text.
    Any,
    /// A named integer, and what is added to it.
    Number(String, i64),
}

/// A pattern for names.
#[derive(Clone, Debug)]
struct Pattern {
    source: String,
    pieces: Vec<Piece>,
}

/// The values of a match: texts in order, integers by name.
#[derive(Clone, Debug, Default)]
struct Bound<'a> {
    texts: Vec<&'a str>,
    numbers: Vec<(&'a str, i64)>,
}

impl NameMap {
    /// Reads a map's text; `label` is the name of the text in errors.
    ///
    /// # Errors
    /// [`Error::Data`] for text that is not such a map, and for a right side with a variable that the left side lacks.
    pub fn parse(text: &str, label: &Path) -> Result<Self> {
        let file: NameFile =
            toml::from_str(text).map_err(|why| Error::data(label, format!("no map of names: {why}")))?;
        let fault = |why: String| Error::data(label, why);
        let ignore = file.ignore.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>().map_err(fault)?;
        let mut rules = Vec::new();
        for (own, theirs) in &file.names {
            let rule = rule(own, theirs).map_err(|why| fault(format!("`{own}` = `{theirs}`: {why}")))?;
            rules.push(rule);
        }
        Ok(NameMap { layout: file.layout, ignore, rules })
    }

    /// The other program's name of a tensor; `None` where no rule matches.
    ///
    /// # Errors
    /// Several rules that match, as text.
    pub fn theirs(&self, own: &str) -> Result<Option<String>, String> {
        let mut found: Vec<(&Pattern, String)> = Vec::new();
        for (pattern, right) in &self.rules {
            if let Some(bound) = pattern.bind(own) {
                let theirs = written(right, &bound)?;
                if pattern.source == own {
                    return Ok(Some(theirs));
                }
                found.push((pattern, theirs));
            }
        }
        match &found[..] {
            [] => Ok(None),
            [(_, theirs)] => Ok(Some(theirs.clone())),
            [(a, _), (b, _), ..] => Err(format!("`{own}` is meant by both `{}` and `{}`", a.source, b.source)),
        }
    }

    /// Whether a tensor of the other program is ignored.
    pub fn ignores(&self, theirs: &str) -> bool {
        self.ignore.iter().any(|pattern| pattern.bind(theirs).is_some())
    }
}

fn rule(own: &str, theirs: &str) -> Result<(Pattern, Vec<Piece>), String> {
    let (left, right) = (Pattern::parse(own)?, pieces(theirs)?);
    let any = |list: &[Piece]| list.iter().filter(|p| **p == Piece::Any).count();
    if any(&right) > any(&left.pieces) {
        return Err("the right side has more `*` than the left".into());
    }
    for piece in &right {
        let Piece::Number(name, _) = piece else { continue };
        if !left.pieces.iter().any(|p| matches!(p, Piece::Number(known, _) if known == name)) {
            return Err(format!("`{{{name}}}` is not on the left side"));
        }
    }
    Ok((left, right))
}

/// Parses a pattern.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let (mut list, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(['*', '{']) {
        if at > 0 {
            list.push(Piece::Text(rest[..at].to_owned()));
        }
        if rest[at..].starts_with('*') {
            list.push(Piece::Any);
            rest = &rest[at + 1..];
            continue;
        }
        let (inside, behind) =
            rest[at + 1..].split_once('}').ok_or_else(|| format!("`{text}`: a `{{` is not closed"))?;
        let sign = inside.find(['+', '-']).unwrap_or(inside.len());
        let (name, sum) = inside.split_at(sign);
        let sum = if sum.is_empty() { Some(0) } else { sum.parse().ok() };
        match sum {
            Some(sum) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                list.push(Piece::Number(name.to_owned(), sum));
            }
            _ => {
                return Err(format!(
                    "`{{{inside}}}` is not an integer variable; expected `{{name}}`, `{{name+1}}` or `{{name-1}}`"
                ));
            }
        }
        rest = behind;
    }
    if !rest.is_empty() {
        list.push(Piece::Text(rest.to_owned()));
    }
    Ok(list)
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let pieces = pieces(text)?;
        if let Some(Piece::Number(name, _)) = pieces.iter().find(|p| matches!(p, Piece::Number(_, sum) if *sum != 0)) {
            return Err(format!("`{{{name}}}` has a sum on the left side; sums are allowed only on the right"));
        }
        Ok(Pattern { source: text.to_owned(), pieces })
    }

    /// Matches a name; the values of its parts.
    fn bind<'a>(&'a self, name: &'a str) -> Option<Bound<'a>> {
        bind(&self.pieces, name, Bound::default())
    }
}

fn bind<'a>(pieces: &'a [Piece], name: &'a str, bound: Bound<'a>) -> Option<Bound<'a>> {
    let Some((first, rest)) = pieces.split_first() else { return name.is_empty().then_some(bound) };
    match first {
        Piece::Text(text) => bind(rest, name.strip_prefix(text.as_str())?, bound),
        Piece::Any => name.char_indices().map(|(at, _)| at).chain([name.len()]).find_map(|at| {
            let mut bound = bound.clone();
            bound.texts.push(&name[..at]);
            bind(rest, &name[at..], bound)
        }),
        Piece::Number(key, _) => {
            let digits = name.bytes().take_while(u8::is_ascii_digit).count();
            let number: i64 = name[..digits].parse().ok()?;
            if bound.numbers.iter().any(|(known, value)| known == key && *value != number) {
                return None;
            }
            let mut bound = bound;
            bound.numbers.push((key, number));
            bind(rest, &name[digits..], bound)
        }
    }
}

/// Fills in the right side.
fn written(pieces: &[Piece], bound: &Bound<'_>) -> Result<String, String> {
    let (mut name, mut texts) = (String::new(), bound.texts.iter());
    for piece in pieces {
        match piece {
            Piece::Text(text) => name.push_str(text),
            Piece::Any => name.push_str(texts.next().copied().unwrap_or_default()),
            Piece::Number(key, sum) => {
                let value = bound.numbers.iter().find(|(known, _)| known == key).map_or(0, |(_, value)| *value) + sum;
                if value < 0 {
                    return Err(format!("`{{{key}{sum}}}` would be {value}"));
                }
                let _ = write!(name, "{value}");
            }
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(names: &str) -> Result<NameMap> {
        NameMap::parse(&format!("[names]\n{names}"), Path::new("names.toml"))
    }

    #[test]
    fn patterns_carry_texts_and_numbers() {
        let map =
            map("'stage{s}.block{b}.*' = 'layer{s+1}.{b-1}.*'\n'*.conv.*' = '*-*'\n'stage1.conv.weight' = 'first'")
                .unwrap();
        let theirs = |own| map.theirs(own);
        assert_eq!(theirs("stage0.block12.bn.weight"), Ok(Some("layer1.11.bn.weight".into())));
        assert_eq!(theirs("a.b.conv.weight"), Ok(Some("a.b-weight".into())));
        assert_eq!(theirs("stage1.conv.weight"), Ok(Some("first".into())));
        assert_eq!(theirs("head.weight"), Ok(None));
        assert!(theirs("stage1.block1.conv.weight").unwrap_err().contains("both"));
        assert!(theirs("stage1.block0.bn.weight").unwrap_err().contains("-1"));
    }

    #[test]
    fn unfit_maps_are_refused() {
        for (names, words) in [
            ("'a.{i}' = 'b.{j}'", "`{j}` is not on the left"),
            ("'a' = 'b.*'", "more `*`"),
            ("'a.{i' = 'b'", "is not closed"),
            ("'a.{i+1}' = 'b'", "only on the right"),
            ("'a.{i*2}' = 'b'", "is not an integer variable"),
            ("'a' = 3", "no map of names"),
        ] {
            let why = map(names).unwrap_err().to_string();
            assert!(why.starts_with("names.toml: ") && why.contains(words), "`{words}` is not in: {why}");
        }
    }
}
