//! Constants of an ONNX graph: initializers and `Constant` nodes, from the file itself or from the file of data beside it.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use crate::error::Result;
use crate::onnx::proto::{TensorProto, dtype};

/// Reads a whole file.
pub type Reader<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>>;

/// The numbers of a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// `FLOAT`, or `DOUBLE` rounded.
    Float(Vec<f32>),
    /// `INT64`, `INT32` or `BOOL`.
    Int(Vec<i64>),
}

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its shape; no sides are a scalar.
    pub dims: Vec<usize>,
    /// Row-major.
    pub numbers: Numbers,
}

impl Constant {
    /// The real numbers.
    pub fn floats(&self) -> Result<&[f32], String> {
        match &self.numbers {
            Numbers::Float(values) => Ok(values),
            Numbers::Int(_) => Err("holds whole numbers, expected FLOAT".into()),
        }
    }

    /// The whole numbers.
    pub fn ints(&self) -> Result<&[i64], String> {
        match &self.numbers {
            Numbers::Int(values) => Ok(values),
            Numbers::Float(_) => Err("holds real numbers, expected INT64".into()),
        }
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        match &self.numbers {
            Numbers::Float(values) => values.len(),
            Numbers::Int(values) => values.len(),
        }
    }
}

/// Makes constants of messages; files of external data are read once.
pub struct Constants<'a> {
    path: &'a Path,
    read: Reader<'a>,
    files: HashMap<PathBuf, Rc<Vec<u8>>>,
}

impl<'a> Constants<'a> {
    /// For a model at a path.
    pub fn new(path: &'a Path, read: Reader<'a>) -> Self {
        Constants { path, read, files: HashMap::new() }
    }

    /// The constant that a message describes.
    pub fn read(&mut self, tensor: &TensorProto) -> Result<Constant, String> {
        let dims = tensor
            .dims
            .iter()
            .map(|d| usize::try_from(*d).map_err(|_| format!("has the shape {:?}", tensor.dims)))
            .collect::<Result<Vec<_>, _>>()?;
        let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| n.checked_mul(8).is_some());
        let count = count.ok_or_else(|| format!("has the impossible shape {dims:?}"))?;
        let numbers = match tensor.data_type {
            dtype::FLOAT => Numbers::Float(self.numbers(tensor, count, &tensor.float_data, f32::from_le_bytes)?),
            dtype::DOUBLE => {
                let values = self.numbers(tensor, count, &tensor.double_data, f64::from_le_bytes)?;
                Numbers::Float(values.into_iter().map(|v| v as f32).collect())
            }
            dtype::INT64 => Numbers::Int(self.numbers(tensor, count, &tensor.int64_data, i64::from_le_bytes)?),
            dtype::INT32 => {
                Numbers::Int(widened(self.numbers(tensor, count, &tensor.int32_data, i32::from_le_bytes)?))
            }
            dtype::BOOL => {
                let typed: Vec<i8> = tensor.int32_data.iter().map(|v| i8::from(*v != 0)).collect();
                Numbers::Int(widened(self.numbers(tensor, count, &typed, i8::from_le_bytes)?))
            }
            other => {
                let name = dtype::name(other);
                return Err(format!("is {name}; expected FLOAT (or INT64 for shapes): export the model in float32"));
            }
        };
        Ok(Constant { dims, numbers })
    }

    /// The numbers from wherever they are: another file, bytes in this one, or a typed field.
    fn numbers<T: Copy, const N: usize>(
        &mut self,
        tensor: &TensorProto,
        count: usize,
        typed: &[T],
        from: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, String> {
        let decode = |bytes: &[u8]| -> Result<Vec<T>, String> {
            if bytes.len() != count * N {
                return Err(format!("has {} bytes, its shape {:?} needs {}", bytes.len(), tensor.dims, count * N));
            }
            let (chunks, _) = bytes.as_chunks::<N>();
            Ok(chunks.iter().map(|chunk| from(*chunk)).collect())
        };
        if tensor.data_location == EXTERNAL {
            let (file, place) = self.external(tensor, count * N)?;
            return decode(&file[place]);
        }
        if !tensor.raw_data.is_empty() {
            return decode(&tensor.raw_data);
        }
        if typed.len() != count {
            return Err(format!("has {} numbers, its shape {:?} needs {count}", typed.len(), tensor.dims));
        }
        Ok(typed.to_vec())
    }

    /// The file of external data, and where in it the tensor's `len` bytes are.
    fn external(&mut self, tensor: &TensorProto, len: usize) -> Result<(Rc<Vec<u8>>, Range<usize>), String> {
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| {
            entry(key).map(|v| v.parse().map_err(|_| format!("has the {key} `{v}`, expected a number"))).transpose()
        };
        let location = entry("location").ok_or("lies in another file, which is not named")?;
        // A model must not reach outside of its folder.
        let inside = Path::new(location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if location.is_empty() || !inside {
            return Err(format!("lies in `{location}`; expected a file beside the model"));
        }
        let path = self.path.with_file_name("").join(location);
        let file = match self.files.get(&path) {
            Some(file) => file.clone(),
            None => {
                let read = (self.read)(&path).map_err(|why| {
                    format!("lies in a file of its own: {why}; keep it beside the model, or save the model as one file")
                })?;
                let file = Rc::new(read);
                self.files.insert(path, file.clone());
                file
            }
        };
        let start: usize = number("offset")?.unwrap_or(0);
        let end = start.checked_add(number("length")?.unwrap_or(len)).filter(|end| *end <= file.len());
        let end = end.ok_or_else(|| {
            format!("lies outside of its data file of {} bytes: the file was cut short or is another's", file.len())
        })?;
        Ok((file, start..end))
    }
}

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

fn widened<T: Into<i64>>(values: Vec<T>) -> Vec<i64> {
    values.into_iter().map(Into::into).collect()
}
