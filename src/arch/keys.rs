//! The `key=value` entries of a network's form or file: each is read once, and one that is not read is an error.

use std::str::FromStr;

use crate::error::nearest;

/// What is wrong with a form, and with which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key, where there is one.
    pub key: Option<String>,
    /// What was wrong and what was expected.
    pub why: String,
}

impl Fault {
    /// An error of one key.
    pub fn of(key: &str, why: impl Into<String>) -> Self {
        Fault { key: Some(key.to_owned()), why: why.into() }
    }
}

impl<T: Into<String>> From<T> for Fault {
    fn from(why: T) -> Self {
        Fault { key: None, why: why.into() }
    }
}

/// The part in front that has no `=`: the name of a known model.
pub const MODEL: &str = "model";

/// Keys with their values, in order; a reader takes its keys and ends with [`Keys::finish`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    entries: Vec<(String, String)>,
}

impl Keys {
    /// Reads `MODEL,key=value,key=value`, the model being optional.
    ///
    /// # Errors
    /// A part that is not `KEY=VALUE`, or a key given twice.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut keys = Keys::default();
        for (i, part) in text.split(',').filter(|part| !part.is_empty()).enumerate() {
            match part.split_once('=') {
                Some((key, value)) => keys.put(key, value)?,
                None if i == 0 => keys.put(MODEL, part)?,
                None => return Err(format!("`{part}` is not KEY=VALUE").into()),
            }
        }
        Ok(keys)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// A key given twice.
    pub fn put(&mut self, key: &str, value: impl Into<String>) -> Result<(), Fault> {
        if self.has(key) {
            return Err(Fault::of(key, format!("`{key}` is given twice")));
        }
        self.entries.push((key.to_owned(), value.into()));
        Ok(())
    }

    /// Whether a key is there and not yet taken.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| k == key)
    }

    /// Checks that every key is one of the known ones, so that a misspelt key is answered before a missing one.
    ///
    /// # Errors
    /// An unknown key, with the nearest known one.
    pub fn among(&self, known: &[&[&str]]) -> Result<(), Fault> {
        let known = known.concat();
        match self.entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, value)) if key == MODEL => Err(Fault::of(key, format!("`{value}` is not KEY=VALUE"))),
            Some((key, _)) => Err(Fault::of(
                key,
                match nearest(key, known.iter().copied()) {
                    Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
                    None => format!("unknown key `{key}`; known: {}", known.join(", ")),
                },
            )),
        }
    }

    /// Takes a key's text.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let at = self.entries.iter().position(|(k, _)| k == key)?;
        Some(self.entries.remove(at).1)
    }

    /// Takes a key's value, read by `read`; `expected` describes it in errors.
    ///
    /// # Errors
    /// A value that `read` refuses.
    pub fn read<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(Fault::of(key, format!("`{key}={text}`: expected {expected}"))),
        }
    }

    /// Takes a value whose parser reports what is wrong.
    ///
    /// # Errors
    /// That of the value's parser.
    pub fn value<T: FromStr<Err = String>>(&mut self, key: &str) -> Result<Option<T>, Fault> {
        let parse = |text: String| text.parse().map_err(|why| Fault::of(key, format!("`{key}={text}`: {why}")));
        self.text(key).map(parse).transpose()
    }

    /// Takes a positive whole number.
    ///
    /// # Errors
    /// Another value.
    pub fn count(&mut self, key: &str) -> Result<Option<usize>, Fault> {
        self.read(key, &format!("a positive whole number of at most {MOST}"), positive)
    }

    /// Takes a positive whole number, or what a named model has; `all` is the text of the error that neither is there.
    ///
    /// # Errors
    /// Another value, or neither.
    pub fn count_or(&mut self, key: &str, own: Option<usize>, all: &str) -> Result<usize, Fault> {
        let given = self.count(key)?.or(own);
        given.ok_or_else(|| Fault::of(key, format!("`{key}` is missing; expected {all}")))
    }

    /// Takes a positive whole number that must be there.
    ///
    /// # Errors
    /// Another value, or none.
    pub fn needed(&mut self, key: &str) -> Result<usize, Fault> {
        self.count(key)?.ok_or_else(|| format!("`{key}=NUMBER` is missing").into())
    }

    /// Takes positive whole numbers written `4-4-4`, as many as there are stages.
    ///
    /// # Errors
    /// Another value.
    pub fn counts(&mut self, key: &str) -> Result<Option<Vec<usize>>, Fault> {
        self.read(key, &format!("positive whole numbers of at most {MOST} such as 4-4-4"), |text| {
            text.split('-').map(positive).collect()
        })
    }

    /// Takes a share: at least 0, less than 1.
    ///
    /// # Errors
    /// Another value.
    pub fn share(&mut self, key: &str) -> Result<Option<f32>, Fault> {
        let read = |text: &str| text.parse().ok().filter(|rate| (0.0..1.0).contains(rate));
        self.read(key, "a number of at least 0 and less than 1", read)
    }

    /// Takes a positive number.
    ///
    /// # Errors
    /// Another value.
    pub fn number(&mut self, key: &str) -> Result<Option<f64>, Fault> {
        let read = |text: &str| text.parse().ok().filter(|x: &f64| *x > 0.0 && *x <= MOST as f64);
        self.read(key, &format!("a positive number of at most {MOST}"), read)
    }

    /// Takes `true` or `false`.
    ///
    /// # Errors
    /// Another value.
    pub fn flag(&mut self, key: &str) -> Result<Option<bool>, Fault> {
        self.read(key, "true or false", |text| text.parse().ok())
    }

    /// Ends the reading: every key must have been taken.
    ///
    /// # Errors
    /// A key that was not taken.
    pub fn finish(self) -> Result<(), Fault> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, value)) => Err(Fault::of(key, format!("`{key}={value}` does not go with the other keys"))),
        }
    }
}

/// The largest number a form may hold: far beyond any network, and products of a few of them still fit.
pub const MOST: usize = 1 << 14;

/// A positive whole number of at most [`MOST`].
pub fn positive(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| (1..=MOST).contains(n))
}

/// Numbers as [`Keys::counts`] reads them.
pub fn dashed(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join("-")
}
