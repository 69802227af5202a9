//! The tensors of a component's files, under the names that graphs know them by.

use super::folder::Component;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::{ParameterSpec, Parameters};
use crate::store::{WeightTensor, Weights};
use burn::tensor::{DType, Tensor, TensorData};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Names of attention's maps in files of before 2023, and what they are called now.
const OLD_NAMES: &[(&str, &str)] =
    &[(".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")];

/// What a tensor is called today.
pub fn today(name: &str) -> String {
    OLD_NAMES.iter().fold(name.to_owned(), |name, (old, new)| name.replace(old, new))
}

/// The tensors of a component.
pub struct Tensors {
    folder: PathBuf,
    all: BTreeMap<String, WeightTensor>,
}

/// Values as a flat tensor of numbers of this type.
pub fn upload(values: &[f32], shape: &[usize], dtype: DType, device: &Device) -> Tensor<1> {
    let data = TensorData::new(values.to_vec(), [shape.iter().product::<usize>()]).convert_dtype(dtype);
    Tensor::from_data(data, (device, dtype))
}

impl Tensors {
    /// Reads all files of a component.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(component: &Component) -> Result<Self> {
        let mut all = BTreeMap::new();
        for file in &component.files {
            let read = Weights::read(file)?;
            for name in read.names() {
                let Some(tensor) = read.get(name) else { continue };
                if all.insert(today(name), tensor.clone()).is_some() {
                    return Err(Error::input(
                        file,
                        format!("tensor {name}: there twice, or under an old and a new name"),
                    ));
                }
            }
        }
        Ok(Self { folder: component.folder.clone(), all })
    }

    /// The tensor of this name, if there is one.
    pub fn find(&self, name: &str) -> Option<&WeightTensor> {
        self.all.get(name)
    }

    /// The tensor of this name, of this shape where one is expected. Maps of 1×1 places are the same with two sides and with four.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn get(&self, name: &str, shape: Option<&[usize]>) -> Result<&WeightTensor> {
        let bad = |expected: String, found: String| {
            Error::input(&self.folder, format!("tensor {name}: expected {expected}, found {found}"))
        };
        let Some(tensor) = self.all.get(name) else {
            return Err(bad(shape.map_or("it".to_owned(), |s| format!("the shape {s:?}")), "none".into()));
        };
        let bare = |shape: &[usize]| match shape {
            [out, input, 1, 1] => vec![*out, *input],
            other => other.to_vec(),
        };
        match shape {
            Some(shape) if bare(&tensor.shape) != bare(shape) => {
                Err(bad(format!("the shape {shape:?}"), format!("{:?}", tensor.shape)))
            }
            _ => Ok(tensor),
        }
    }

    /// The parameters that `specs` name, as numbers of the type `dtype`. `factors` are those of a graph's own.
    ///
    /// # Errors
    /// [`Error::Input`] for a tensor that is missing or of another shape.
    pub fn parameters(
        &self,
        specs: &[ParameterSpec],
        factors: &BTreeMap<String, f64>,
        (dtype, device): (DType, &Device),
    ) -> Result<Parameters> {
        let of_folder = specs.iter().filter(|s| !factors.contains_key(&s.key));
        let one = |spec: &ParameterSpec| -> Result<(String, Vec<f32>)> {
            Ok((spec.key.clone(), self.get(&spec.key, Some(&spec.shape))?.values.clone()))
        };
        let values = of_folder.map(one).collect::<Result<Vec<_>>>()?;
        let mut parameters = Parameters::from_values(values, device).cast(dtype);
        for (key, factor) in factors {
            let data = TensorData::new(vec![*factor], [1]).convert_dtype(dtype);
            parameters.set(key, Tensor::from_data(data, (device, dtype)));
        }
        Ok(parameters)
    }

    /// Refuses a tensor that is not among those that are read: it would change pictures.
    ///
    /// # Errors
    /// [`Error::Input`] naming it.
    pub fn check_all_read<'a>(&self, read: impl Iterator<Item = &'a str>) -> Result<()> {
        let read: BTreeSet<&str> = read.collect();
        match self.all.keys().find(|name| !read.contains(name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let message = format!("tensor {name}: not a part of this network, or not supported");
                Err(Error::input(&self.folder, message))
            }
        }
    }
}
