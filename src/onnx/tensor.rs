//! Constant tensors: their values as 32-bit floats, 64-bit integers or truth values, whatever the file keeps them as.

use super::external;
use super::proto::TensorProto;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// Axes that a tensor may have.
pub const RANK: usize = 16;

/// What a value is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Floats of any width.
    Float,
    /// Integers of any width.
    Int,
    /// Truth values.
    Bool,
}

/// Values in C order.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Floats.
    Float(Vec<f32>),
    /// Integers.
    Int(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// A constant.
#[derive(Clone, Debug)]
pub struct Constant {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub data: Arc<Data>,
    /// The name it has in the file, as long as its values stay in their order.
    pub name: Option<Arc<str>>,
}

impl PartialEq for Constant {
    /// Whether shape and values are the same, whatever the names.
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && (Arc::ptr_eq(&self.data, &other.data) || self.data == other.data)
    }
}

impl Constant {
    /// Floats in `shape`, which must fit.
    pub fn floats(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { shape, data: Arc::new(Data::Float(values)), name: None }
    }

    /// Integers in `shape`, which must fit.
    pub fn ints(shape: Vec<usize>, values: Vec<i64>) -> Self {
        Self { shape, data: Arc::new(Data::Int(values)), name: None }
    }

    /// Truth values in `shape`, which must fit.
    pub fn bools(shape: Vec<usize>, values: Vec<bool>) -> Self {
        Self { shape, data: Arc::new(Data::Bool(values)), name: None }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match &*self.data {
            Data::Float(v) => v.len(),
            Data::Int(v) => v.len(),
            Data::Bool(v) => v.len(),
        }
    }

    /// What it is made of.
    pub fn element(&self) -> Element {
        match &*self.data {
            Data::Float(_) => Element::Float,
            Data::Int(_) => Element::Int,
            Data::Bool(_) => Element::Bool,
        }
    }

    /// The values as floats.
    pub fn as_floats(&self) -> Cow<'_, [f32]> {
        match &*self.data {
            Data::Float(v) => Cow::Borrowed(v),
            Data::Int(v) => Cow::Owned(v.iter().map(|&v| v as f32).collect()),
            Data::Bool(v) => Cow::Owned(v.iter().map(|&v| f32::from(v)).collect()),
        }
    }

    /// The values as integers; floats lose what stands behind the point.
    pub fn as_ints(&self) -> Cow<'_, [i64]> {
        match &*self.data {
            Data::Float(v) => Cow::Owned(v.iter().map(|&v| v as i64).collect()),
            Data::Int(v) => Cow::Borrowed(v),
            Data::Bool(v) => Cow::Owned(v.iter().map(|&v| i64::from(v)).collect()),
        }
    }

    /// The values as truth values: whether each differs from 0.
    pub fn as_bools(&self) -> Cow<'_, [bool]> {
        match &*self.data {
            Data::Float(v) => Cow::Owned(v.iter().map(|&v| v != 0.0).collect()),
            Data::Int(v) => Cow::Owned(v.iter().map(|&v| v != 0).collect()),
            Data::Bool(v) => Cow::Borrowed(v),
        }
    }

    /// The one value that all entries have, as a float.
    pub fn uniform(&self) -> Option<f32> {
        let values = self.as_floats();
        let first = *values.first()?;
        values.iter().all(|v| *v == first).then_some(first)
    }

    /// The same values in another shape of as many values.
    pub fn reshaped(&self, shape: Vec<usize>) -> Self {
        Self { shape, data: self.data.clone(), name: self.name.clone() }
    }
}

/// Product of the sides of a shape, or nothing where the product of those that are not 0 is too large for a number.
pub fn elements(shape: &[usize]) -> Option<usize> {
    let full = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side.max(1)))?;
    Some(if shape.contains(&0) { 0 } else { full })
}

/// A 32-bit number as the decimal number that was meant.
pub fn decimal(v: f32) -> f64 {
    v.to_string().parse().unwrap_or(f64::from(v))
}

/// The name of a type of the format, as PyTorch and numpy write it.
pub fn type_name(kind: i32) -> &'static str {
    match kind {
        1 => "float32",
        2 => "uint8",
        3 => "int8",
        4 => "uint16",
        5 => "int16",
        6 => "int32",
        7 => "int64",
        8 => "string",
        9 => "bool",
        10 => "float16",
        11 => "float64",
        12 => "uint32",
        13 => "uint64",
        14 => "complex64",
        15 => "complex128",
        16 => "bfloat16",
        17..=20 => "float8",
        21 | 22 => "int4",
        23 => "float4",
        _ => "of an unknown type",
    }
}

/// What values of a type of the format are kept as.
pub fn element_of(kind: i32) -> Option<Element> {
    match kind {
        1 | 10 | 11 | 16 => Some(Element::Float),
        2..=7 | 12 | 13 => Some(Element::Int),
        9 => Some(Element::Bool),
        _ => None,
    }
}

/// Bytes of one value in raw form.
fn width(kind: i32) -> Option<usize> {
    match kind {
        2 | 3 | 9 => Some(1),
        4 | 5 | 10 | 16 => Some(2),
        1 | 6 | 12 => Some(4),
        7 | 11 | 13 => Some(8),
        _ => None,
    }
}

/// The constant that a message describes; values outside the file are looked for in `folder`.
///
/// # Errors
/// [`Unread::Refused`] for what may not stand in a file, [`Unread::Unusable`] for a kind of tensor that is not read,
/// which matters only where something uses it.
pub fn read(proto: TensorProto, folder: &Path) -> Result<Constant, Unread> {
    let name = proto.name.clone();
    let shown = name.escape_debug().to_string();
    let refused = |what: String| Unread::Refused(format!("tensor \"{shown}\"{what}"));
    if proto.dims.len() > RANK {
        return Err(refused(format!(" has {} axes, at most {RANK} are read", proto.dims.len())));
    }
    let sides: Option<Vec<usize>> = proto.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let Some((shape, count)) = sides.and_then(|s| elements(&s).map(|n| (s, n))) else {
        return Err(refused(format!(" has an impossible shape {:?}", proto.dims)));
    };
    let Some(width) = width(proto.data_type) else {
        let kind = type_name(proto.data_type);
        return Err(Unread::Unusable(format!("tensor \"{shown}\" is {kind}; such tensors are not read")));
    };
    let mut proto = proto;
    if proto.data_location == 1 {
        let bytes = count.checked_mul(width).ok_or_else(|| refused(" is too large".into()))?;
        proto.raw_data = external::read(&proto.external_data, folder, bytes).map_err(refused)?;
    }
    let data = values(&proto, count, width).map_err(refused)?;
    let name = (!name.is_empty()).then(|| Arc::from(name.as_str()));
    Ok(Constant { shape, data: Arc::new(data), name })
}

/// Why a tensor was not read.
#[derive(Clone, Debug)]
pub enum Unread {
    /// The file is not sound.
    Refused(String),
    /// The kind of tensor is unknown here; an error only if something needs it.
    Unusable(String),
}

fn values(proto: &TensorProto, count: usize, width: usize) -> Result<Data, String> {
    let kind = proto.data_type;
    let raw = &proto.raw_data;
    if !raw.is_empty() {
        return match Some(raw.len()) == count.checked_mul(width) {
            true => Ok(from_raw(raw, kind)),
            false => Err(format!(
                " has {} bytes of values, expected {count} values of {width} bytes; the file is damaged",
                raw.len()
            )),
        };
    }
    let held = |found: usize| match found == count {
        true => Ok(()),
        false => Err(format!(" has {found} values, expected {count}; the file is damaged")),
    };
    match kind {
        1 => held(proto.float_data.len()).map(|()| Data::Float(proto.float_data.clone())),
        11 => {
            held(proto.double_data.len()).map(|()| Data::Float(proto.double_data.iter().map(|&v| v as f32).collect()))
        }
        7 => held(proto.int64_data.len()).map(|()| Data::Int(proto.int64_data.clone())),
        12 | 13 => held(proto.uint64_data.len())
            .map(|()| Data::Int(proto.uint64_data.iter().map(|&v| i64::try_from(v).unwrap_or(i64::MAX)).collect())),
        _ => {
            held(proto.int32_data.len())?;
            let values = proto.int32_data.iter();
            Ok(match kind {
                10 => Data::Float(values.map(|&v| half::f16::from_bits(v as u16).to_f32()).collect()),
                16 => Data::Float(values.map(|&v| half::bf16::from_bits(v as u16).to_f32()).collect()),
                9 => Data::Bool(values.map(|&v| v != 0).collect()),
                _ => Data::Int(values.map(|&v| i64::from(v)).collect()),
            })
        }
    }
}

/// Little-endian bytes as values of type `kind`, one of those with a width.
fn from_raw(raw: &[u8], kind: i32) -> Data {
    fn each<const N: usize, T>(raw: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks().0.iter().map(|bytes| value(*bytes)).collect()
    }
    match kind {
        1 => Data::Float(each(raw, f32::from_le_bytes)),
        10 => Data::Float(each(raw, |b| half::f16::from_le_bytes(b).to_f32())),
        16 => Data::Float(each(raw, |b| half::bf16::from_le_bytes(b).to_f32())),
        11 => Data::Float(each(raw, |b| f64::from_le_bytes(b) as f32)),
        9 => Data::Bool(raw.iter().map(|&b| b != 0).collect()),
        2 => Data::Int(raw.iter().map(|&b| i64::from(b)).collect()),
        3 => Data::Int(raw.iter().map(|&b| i64::from(b as i8)).collect()),
        4 => Data::Int(each(raw, |b| i64::from(u16::from_le_bytes(b)))),
        5 => Data::Int(each(raw, |b| i64::from(i16::from_le_bytes(b)))),
        6 => Data::Int(each(raw, |b| i64::from(i32::from_le_bytes(b)))),
        12 => Data::Int(each(raw, |b| i64::from(u32::from_le_bytes(b)))),
        13 => Data::Int(each(raw, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX))),
        _ => Data::Int(each(raw, i64::from_le_bytes)),
    }
}
