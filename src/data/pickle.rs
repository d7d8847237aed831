//! What Python pickles of data sets hold: dictionaries, lists, numbers, texts, and arrays of bytes. Nothing of a pickle is
//! called: the one function that is known by name is NumPy's of an array, and any other is refused.

use std::collections::HashMap;

/// A value of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pickled {
    /// `None`, a truth value, or what is not looked at.
    Nothing,
    /// A whole number.
    Int(i64),
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// A list or a tuple.
    List(Vec<Pickled>),
    /// Keys and values in their order.
    Dict(Vec<(Pickled, Pickled)>),
    /// A function or a class by its module and name.
    Global(String, String),
    /// What NumPy's functions make before they have their state: an array, or the type of its numbers.
    Made(Box<Pickled>, Vec<Pickled>),
    /// An array of bytes.
    Array(Vec<usize>, Vec<u8>),
}

impl Pickled {
    /// What a dictionary has under a key, be it text or bytes.
    pub fn get(&self, key: &str) -> Option<&Pickled> {
        let Pickled::Dict(pairs) = self else { return None };
        pairs.iter().find(|(own, _)| *own == Pickled::Bytes(key.as_bytes().to_vec())).map(|(_, value)| value)
    }

    /// The entries of a list.
    pub fn list(&self) -> Option<&[Pickled]> {
        if let Pickled::List(list) = self { Some(list) } else { None }
    }

    /// Text.
    pub fn text(&self) -> Option<&str> {
        if let Pickled::Bytes(bytes) = self { std::str::from_utf8(bytes).ok() } else { None }
    }
}

/// The most values, and the most bytes, that a pickle may make: references must not make gigabytes of a small file.
const MOST: usize = 1 << 30;

/// Reads a pickle of protocol 2 to 5.
///
/// # Errors
/// A sentence that says what is damaged, or not known, at which byte.
pub(super) fn parse(bytes: &[u8]) -> Result<Pickled, String> {
    let mut machine = Machine { bytes, at: 0, stack: vec![], marks: vec![], memo: HashMap::new(), count: 0, made: 0 };
    let at = |machine: &Machine<'_>, why: &str| format!("byte {}: {why}", machine.at);
    if machine.bytes.first() != Some(&0x80) {
        return Err("is no pickle of protocol 2 or later".into());
    }
    loop {
        match machine.step() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            Err(why) => return Err(at(&machine, &why)),
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Pickled>,
    marks: Vec<usize>,
    memo: HashMap<usize, Pickled>,
    count: usize,
    made: usize,
}

impl<'a> Machine<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("the file is cut short")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A number of `count` bytes, the lowest first.
    fn number(&mut self, count: usize) -> Result<usize, String> {
        let bytes = self.take(count)?;
        let value = bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
        usize::try_from(value).map_err(|_| "a length is too large".into())
    }

    fn text(&mut self, count: usize) -> Result<(), String> {
        let bytes = self.take(count)?.to_vec();
        self.push(Pickled::Bytes(bytes))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|b| *b == b'\n').ok_or("the file is cut short")?;
        let line = self.take(end)?;
        self.take(1)?;
        String::from_utf8(line.to_vec()).map_err(|_| "a name is no text".into())
    }

    fn push(&mut self, value: Pickled) -> Result<(), String> {
        self.made += 1 + weight(&value);
        if self.made > MOST {
            return Err("would make more than a data set holds".into());
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Pickled, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("takes a value that is not there".into());
        }
        self.stack.pop().ok_or_else(|| "takes a value that is not there".into())
    }

    /// What stands behind the last mark.
    fn marked(&mut self) -> Result<Vec<Pickled>, String> {
        let mark = self.marks.pop().ok_or("closes what was not opened")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn top(&mut self) -> Result<&mut Pickled, String> {
        self.stack.last_mut().ok_or_else(|| "changes a value that is not there".into())
    }

    fn remember(&mut self, at: usize) -> Result<(), String> {
        let value = self.stack.last().ok_or("remembers a value that is not there")?;
        // A list that is empty now is filled later, and to keep copies of arrays would double the memory.
        let is_whole = match value {
            Pickled::List(list) => !list.is_empty(),
            Pickled::Dict(_) | Pickled::Array(..) => false,
            _ => true,
        };
        if is_whole {
            self.memo.insert(at, value.clone());
        }
        self.count += 1;
        Ok(())
    }

    fn recall(&mut self, at: usize) -> Result<(), String> {
        let value = self.memo.get(&at).cloned().ok_or("names a value again that is not kept")?;
        self.push(value)
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(self.pop()?);
        }
        list.reverse();
        self.push(Pickled::List(list))
    }

    fn extend(&mut self, more: Vec<Pickled>) -> Result<(), String> {
        match self.top()? {
            Pickled::List(list) => list.extend(more),
            _ => return Err("appends to what is no list".into()),
        }
        Ok(())
    }

    fn set(&mut self, items: Vec<Pickled>) -> Result<(), String> {
        let Pickled::Dict(pairs) = self.top()? else { return Err("sets a key of what is no dictionary".into()) };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            pairs.push((key, value));
        }
        Ok(())
    }

    /// One operation; the value at the end.
    fn step(&mut self) -> Result<Option<Pickled>, String> {
        match self.take(1)?[0] {
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 => self.push(Pickled::Nothing)?,
            b'K' => {
                let value = self.number(1)?;
                self.push(Pickled::Int(value as i64))?;
            }
            b'M' => {
                let value = self.number(2)?;
                self.push(Pickled::Int(value as i64))?;
            }
            b'J' => {
                let value = self.number(4)? as u32 as i32;
                self.push(Pickled::Int(i64::from(value)))?;
            }
            0x8a => {
                let count = self.number(1)?;
                let bytes = self.take(count)?;
                let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                if count > 8 {
                    return Err("a number is too large".into());
                }
                let start = if negative { -1i64 } else { 0 };
                let value = bytes.iter().rev().fold(start, |n, b| n << 8 | i64::from(*b));
                self.push(Pickled::Int(value))?;
            }
            b'U' | 0x8c | b'C' => {
                let count = self.number(1)?;
                self.text(count)?;
            }
            b'T' | b'X' | b'B' => {
                let count = self.number(4)?;
                self.text(count)?;
            }
            0x8d | 0x8e | 0x96 => {
                let count = self.number(8)?;
                self.text(count)?;
            }
            b'}' => self.push(Pickled::Dict(vec![]))?,
            b']' | b')' => self.push(Pickled::List(vec![]))?,
            b't' | b'l' => {
                let list = self.marked()?;
                self.push(Pickled::List(list))?;
            }
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b'a' => {
                let value = self.pop()?;
                self.extend(vec![value])?;
            }
            b'e' => {
                let values = self.marked()?;
                self.extend(values)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![key, value])?;
            }
            b'u' => {
                let items = self.marked()?;
                self.set(items)?;
            }
            b'd' => {
                let items = self.marked()?;
                self.push(Pickled::Dict(vec![]))?;
                self.set(items)?;
            }
            b'q' => {
                let at = self.number(1)?;
                self.remember(at)?;
            }
            b'r' => {
                let at = self.number(4)?;
                self.remember(at)?;
            }
            0x94 => self.remember(self.count)?,
            b'h' => {
                let at = self.number(1)?;
                self.recall(at)?;
            }
            b'j' => {
                let at = self.number(4)?;
                self.recall(at)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Pickled::Global(module, name))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) = (module.text(), name.text()) else {
                    return Err("names a function by what is no text".into());
                };
                let global = Pickled::Global(module.to_owned(), name.to_owned());
                self.push(global)?;
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let made = called(function, arguments)?;
                self.push(made)?;
            }
            b'b' => {
                let (state, made) = (self.pop()?, self.pop()?);
                let built = built(made, &state)?;
                self.push(built)?;
            }
            other => return Err(format!("the operation 0x{other:02x} is not known; save the arrays with numpy.save")),
        }
        Ok(None)
    }
}

fn weight(value: &Pickled) -> usize {
    match value {
        Pickled::Bytes(bytes) | Pickled::Array(_, bytes) => bytes.len(),
        Pickled::List(list) | Pickled::Made(_, list) => list.iter().map(|v| 1 + weight(v)).sum(),
        Pickled::Dict(pairs) => pairs.iter().map(|(k, v)| 2 + weight(k) + weight(v)).sum(),
        Pickled::Nothing | Pickled::Int(_) | Pickled::Global(..) => 1,
    }
}

/// What a function of NumPy gives.
fn called(function: Pickled, arguments: Pickled) -> Result<Pickled, String> {
    let Pickled::Global(module, name) = &function else { return Err("calls what is no function".into()) };
    let Pickled::List(arguments) = arguments else { return Err("calls a function without arguments".into()) };
    let numpy = module.starts_with("numpy");
    match name.as_str() {
        "_reconstruct" | "dtype" if numpy => Ok(Pickled::Made(Box::new(function), arguments)),
        // Python 3 writes bytes of Python 2 as text of Latin 1.
        "encode" if module == "_codecs" => {
            let text = arguments.first().and_then(Pickled::text).ok_or("encodes what is no text")?;
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            Ok(Pickled::Bytes(bytes.ok_or("encodes what is no text of bytes")?))
        }
        _ => Err(format!("calls `{module}.{name}`; only NumPy's arrays are read")),
    }
}

/// An array of its state: version, sides, type, order, bytes.
fn built(made: Pickled, state: &Pickled) -> Result<Pickled, String> {
    let Pickled::Made(function, _) = &made else { return Err("gives a state to what has none".into()) };
    if matches!(function.as_ref(), Pickled::Global(_, name) if name == "dtype") {
        return Ok(made);
    }
    let list = state.list().ok_or("gives an array a state that is no tuple")?;
    let [_, sides, kind, _, Pickled::Bytes(bytes)] = list else {
        return Err("gives an array a state that is not known".into());
    };
    let bytes_only = matches!(kind, Pickled::Made(_, words)
        if words.first().and_then(Pickled::text).is_some_and(|word| word == "u1" || word == "|u1"));
    if !bytes_only {
        return Err("has an array of other than unsigned bytes".into());
    }
    let side = |v: &Pickled| if let Pickled::Int(n) = v { usize::try_from(*n).ok() } else { None };
    let sides: Option<Vec<usize>> = sides.list().and_then(|list| list.iter().map(side).collect());
    let sides = sides.ok_or("has an array without sides")?;
    let count = sides.iter().try_fold(1usize, |n, side| n.checked_mul(*side));
    if count != Some(bytes.len()) {
        return Err(format!("has an array of shape {sides:?} with {} bytes", bytes.len()));
    }
    Ok(Pickled::Array(sides, bytes.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_data_is_not_called() {
        // os.system("true"), as pickle.dumps writes it.
        let bytes = b"\x80\x02cposix\nsystem\nU\x04true\x85R.";
        assert!(parse(bytes).unwrap_err().contains("`posix.system`"));
        for bytes in [
            &b""[..],
            b"\x80",
            b"\x80\x02",
            b"\x80\x02K",
            b"\x80\x02.",
            b"\x80\x02e.",
            b"\x80\x02]h\x07.",
            b"\x80\x02]q\x00h\x00.",
        ] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn dictionaries_lists_and_numbers_are_read() {
        let bytes = b"\x80\x02}q\x00(U\x01aq\x01]q\x02(K\x01M\x00\x01J\xff\xff\xff\xffeU\x01bNu.";
        let value = parse(bytes).unwrap();
        let list = value.get("a").and_then(Pickled::list).unwrap();
        assert_eq!(list, [Pickled::Int(1), Pickled::Int(256), Pickled::Int(-1)]);
        assert_eq!(value.get("b"), Some(&Pickled::Nothing));
        assert_eq!(value.get("c"), None);
    }
}
