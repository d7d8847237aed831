//! Constants of an ONNX graph: initializers and `Constant` nodes, from the file itself or from an external data file.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use half::{bf16, f16};

use crate::error::Result;
use crate::onnx::proto::{TensorProto, dtype};

/// Reads a whole file.
pub type Reader<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>>;

/// The elements of a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `FLOAT`, halves, or `DOUBLE` rounded.
    Float(Vec<f32>),
    /// `INT64`, `INT32` or `BOOL`.
    Int(Vec<i64>),
}

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its shape; no dimensions for a scalar.
    pub dims: Vec<usize>,
    /// Row-major.
    pub data: Data,
}

impl Constant {
    /// The floating-point values.
    pub fn floats(&self) -> Result<&[f32], String> {
        match &self.data {
            Data::Float(values) => Ok(values),
            Data::Int(_) => Err("holds whole numbers, expected FLOAT".into()),
        }
    }

    /// The integers.
    pub fn ints(&self) -> Result<&[i64], String> {
        match &self.data {
            Data::Int(values) => Ok(values),
            Data::Float(_) => Err("holds real numbers, expected INT64".into()),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Float(values) => values.len(),
            Data::Int(values) => values.len(),
        }
    }
}

/// Decodes constants; external data files are read once.
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

    /// Decodes a tensor message.
    pub fn read(&mut self, tensor: &TensorProto) -> Result<Constant, String> {
        let dims = tensor
            .dims
            .iter()
            .map(|d| usize::try_from(*d).map_err(|_| format!("has the shape {:?}", tensor.dims)))
            .collect::<Result<Vec<_>, _>>()?;
        let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| n.checked_mul(8).is_some());
        let count = count.ok_or_else(|| format!("has the impossible shape {dims:?}"))?;
        let numbers = match tensor.data_type {
            dtype::FLOAT => Data::Float(self.data(tensor, count, &tensor.float_data, f32::from_le_bytes)?),
            dtype::DOUBLE => {
                let values = self.data(tensor, count, &tensor.double_data, f64::from_le_bytes)?;
                Data::Float(values.into_iter().map(|v| v as f32).collect())
            }
            dtype::FLOAT16 => Data::Float(self.halves(tensor, count, |bits| f16::from_bits(bits).to_f32())?),
            dtype::BFLOAT16 => Data::Float(self.halves(tensor, count, |bits| bf16::from_bits(bits).to_f32())?),
            dtype::INT64 => Data::Int(self.data(tensor, count, &tensor.int64_data, i64::from_le_bytes)?),
            dtype::INT32 => Data::Int(widened(self.data(tensor, count, &tensor.int32_data, i32::from_le_bytes)?)),
            dtype::BOOL => {
                let typed: Vec<i8> = tensor.int32_data.iter().map(|v| i8::from(*v != 0)).collect();
                Data::Int(widened(self.data(tensor, count, &typed, i8::from_le_bytes)?))
            }
            other => {
                let name = dtype::name(other);
                return Err(format!("is {name}; expected FLOAT (or INT64 for shapes): export the model in float32"));
            }
        };
        Ok(Constant { dims, data: numbers })
    }

    /// Numbers of two bytes, which typed fields hold one in four.
    fn halves(&mut self, tensor: &TensorProto, count: usize, from: fn(u16) -> f32) -> Result<Vec<f32>, String> {
        let typed: Vec<u16> = tensor.int32_data.iter().map(|v| *v as u16).collect();
        Ok(self.data(tensor, count, &typed, u16::from_le_bytes)?.into_iter().map(from).collect())
    }

    /// The numbers from wherever they are: another file, bytes in this one, or a typed field.
    fn data<T: Copy, const N: usize>(
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
            return Err(format!("has {} elements, its shape {:?} needs {count}", typed.len(), tensor.dims));
        }
        Ok(typed.to_vec())
    }

    /// The external data file, and the range of the tensor's `len` bytes in it.
    fn external(&mut self, tensor: &TensorProto, len: usize) -> Result<(Rc<Vec<u8>>, Range<usize>), String> {
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| {
            entry(key).map(|v| v.parse().map_err(|_| format!("has the {key} `{v}`, expected a number"))).transpose()
        };
        let location = entry("location").ok_or("lies in another file, which is not named")?;
        // A model must not read files outside of its folder.
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
