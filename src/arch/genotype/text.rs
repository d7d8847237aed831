//! The syntax of genotype files: Python's literals and JSON's, each with its byte offset.

use std::path::Path;

use crate::error::{Error, Result};

/// Deepest nesting of brackets; published files need four.
const MAX_DEPTH: usize = 8;
/// What may stand in front of a text of Unicode.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// How a genotype begins within a line of a log.
const GENOTYPE: &str = "Genotype(";
/// Longest `range(..)`; a cell has a few states.
const MAX_RANGE: u64 = 1024;

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// `'text'` or `"text"`.
    Text(String),
    /// A non-negative integer.
    Int(usize),
    /// `None` or `null`.
    Nothing,
    /// `[..]`, `(..)` or `range(a, b)`.
    List(Vec<Spanned>),
}

/// A literal and the byte it starts at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spanned {
    pub value: Value,
    pub at: usize,
}

/// `name = value` of the tuple or `"name": value` of the dictionary.
pub(super) struct Field {
    pub name: String,
    pub at: usize,
    pub value: Spanned,
}

/// A genotype as it is written.
pub(super) enum Written {
    /// Of a tuple or a dictionary.
    Fields(Vec<Field>),
    /// Pairs of numbers alone.
    Pairs(Spanned),
}

/// What a bare word is made of; the tuple writes cells' names bare, so those of a JSON object must be words too, with the `/`
/// that NNI has in its keys.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

/// How NumPy prints its numbers and texts since its second version, and its arrays.
fn is_numpys(word: &str) -> bool {
    let name = word.strip_prefix("np.").or_else(|| word.strip_prefix("numpy.")).unwrap_or(word);
    let is_number = |kind: &str| name.strip_prefix(kind).is_some_and(|bits| bits.parse::<u8>().is_ok());
    is_number("int") || is_number("uint") || matches!(name, "intp" | "str_" | "array")
}

/// Reads text, remembering where it is.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    label: &'a Path,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str, label: &'a Path) -> Self {
        // A byte-order mark, as editors of Windows write one, is no text.
        let at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        Reader { text, at, label }
    }

    /// The one genotype in the text.
    pub fn genotype(&mut self) -> Result<Written> {
        let mut logged = false;
        self.space();
        if matches!(self.peek(), Some('(' | '[')) && !self.text.contains(GENOTYPE) {
            let value = self.value(0)?;
            self.end()?;
            return Ok(Written::Pairs(value));
        }
        let fields = if self.peek() == Some('{') {
            self.fields('{', '}', |r| {
                let at = r.at;
                let name = r.quoted()?;
                if name.is_empty() || !name.chars().all(|c| is_word(c) || c == '/') {
                    r.at = at;
                    return Err(r.fail("expected the name of a cell in letters, digits and `_`"));
                }
                r.expect(':')?;
                Ok((name, at))
            })?
        } else {
            let (start, mut name) = (self.at, self.word());
            self.space();
            if !name.is_empty() && self.peek() == Some('=') {
                self.at += 1;
                self.space();
                name = self.word();
                self.space();
            }
            let in_log = name.is_empty() || self.peek() != Some('(');
            if in_log {
                let places: Vec<usize> = self.text.match_indices(GENOTYPE).map(|(at, _)| at).collect();
                let [place] = places[..] else {
                    if places.is_empty() {
                        return Err(self.fail("expected `Genotype(...)`, `NAME = Genotype(...)` or a JSON object"));
                    }
                    self.at = start;
                    let lines = places.len();
                    return Err(self
                        .fail(&format!("expected one genotype, of {lines}: keep the line of the one that is meant")));
                };
                self.at = place + GENOTYPE.len() - 1;
            }
            logged = in_log;
            self.fields('(', ')', |r| {
                let at = r.at;
                let name = r.word();
                if name.is_empty() {
                    return Err(r.fail("expected a field such as `normal=[...]`"));
                }
                r.expect('=')?;
                Ok((name.to_owned(), at))
            })?
        };
        // What a log says besides is not the genotype's.
        if !logged {
            self.end()?;
        }
        Ok(Written::Fields(fields))
    }

    fn end(&self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fail("expected the end: a file holds one genotype")),
        }
    }

    /// An error at the current position.
    fn fail(&self, expected: &str) -> Error {
        let found = match self.peek() {
            None => "the end of the file".to_owned(),
            Some(_) => {
                let rest: String = self.text[self.at..].chars().take(16).take_while(|c| *c != '\n').collect();
                format!("`{rest}`")
            }
        };
        Error::data_at(self.label, self.at as u64, format!("{expected}; found {found}"))
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    /// Skips white space and comments.
    fn space(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn expect(&mut self, wanted: char) -> Result<()> {
        self.space();
        if self.peek() != Some(wanted) {
            return Err(self.fail(&format!("expected `{wanted}`")));
        }
        self.at += wanted.len_utf8();
        self.space();
        Ok(())
    }

    /// A bare word, possibly dotted (`genotypes.Genotype`); empty where there is none.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A quoted string without escapes; names of operations and fields need none.
    fn quoted(&mut self) -> Result<String> {
        let quote = match self.peek() {
            Some(q @ ('\'' | '"')) => q,
            _ => return Err(self.fail("expected a quoted name")),
        };
        let body = &self.text[self.at + 1..];
        let end = body.find([quote, '\\', '\n']).filter(|i| body[*i..].starts_with(quote));
        let Some(end) = end else {
            return Err(self.fail("expected a quoted name that closes on its line and has no escapes"));
        };
        self.at += end + 2;
        Ok(body[..end].to_owned())
    }

    fn fields(
        &mut self,
        open: char,
        close: char,
        mut key: impl FnMut(&mut Self) -> Result<(String, usize)>,
    ) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        self.expect(open)?;
        while self.peek() != Some(close) {
            let (name, at) = key(self)?;
            let value = self.value(0)?;
            fields.push(Field { name, at, value });
            self.separator(close)?;
        }
        self.expect(close)?;
        Ok(fields)
    }

    /// A comma, or the closing bracket still to be read.
    fn separator(&mut self, close: char) -> Result<()> {
        self.space();
        match self.peek() {
            Some(',') => self.expect(','),
            Some(c) if c == close => Ok(()),
            _ => Err(self.fail(&format!("expected `,` or `{close}`"))),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Spanned> {
        self.space();
        if depth > MAX_DEPTH {
            return Err(self.fail(&format!("expected at most {MAX_DEPTH} nested lists")));
        }
        let at = self.at;
        let value = match self.peek() {
            Some('\'' | '"') => Value::Text(self.quoted()?),
            Some('[') => Value::List(self.list('[', ']', depth)?),
            Some('(') => Value::List(self.list('(', ')', depth)?),
            Some(c) if c.is_ascii_digit() => Value::Int(self.integer()?),
            _ => match self.word() {
                "None" | "null" => Value::Nothing,
                "range" => Value::List(self.range(depth)?),
                word if is_numpys(word) => self.boxed(depth)?,
                _ => {
                    self.at = at;
                    return Err(self.fail("expected a list, a quoted operation, a whole number or `range(a, b)`"));
                }
            },
        };
        self.space();
        Ok(Spanned { value, at })
    }

    fn list(&mut self, open: char, close: char, depth: usize) -> Result<Vec<Spanned>> {
        let mut items = Vec::new();
        self.expect(open)?;
        while self.peek() != Some(close) {
            items.push(self.value(depth + 1)?);
            self.separator(close)?;
        }
        self.expect(close)?;
        Ok(items)
    }

    /// The value in `np.int64(3)`, `np.str_('none')` or `array([2, 3])`.
    fn boxed(&mut self, depth: usize) -> Result<Value> {
        self.space();
        let at = self.at;
        let mut inside = self.list('(', ')', depth)?;
        match inside.len() {
            1 => Ok(inside.remove(0).value),
            _ => {
                self.at = at;
                Err(self.fail("expected one value in the brackets"))
            }
        }
    }

    fn integer(&mut self) -> Result<usize> {
        let at = self.at;
        let digits = self.word();
        digits.parse().map_err(|_| {
            self.at = at;
            self.fail("expected a whole number")
        })
    }

    /// `range(b)` or `range(a, b)`, written out.
    fn range(&mut self, depth: usize) -> Result<Vec<Spanned>> {
        self.space();
        let at = self.at;
        let bounds = self.list('(', ')', depth)?;
        let ints: Vec<usize> =
            bounds.iter().filter_map(|b| if let Value::Int(i) = b.value { Some(i) } else { None }).collect();
        let (from, to) = match ints[..] {
            [to] if bounds.len() == 1 => (0, to),
            [from, to] if bounds.len() == 2 => (from, to),
            _ => {
                self.at = at;
                return Err(self.fail("expected `range(b)` or `range(a, b)`"));
            }
        };
        if to.saturating_sub(from) as u64 > MAX_RANGE {
            self.at = at;
            return Err(self.fail(&format!("expected a range of at most {MAX_RANGE} states")));
        }
        Ok((from..to).map(|i| Spanned { value: Value::Int(i), at }).collect())
    }
}
