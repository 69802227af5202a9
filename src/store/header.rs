//! The header of a safetensors file: JSON that lists the tensors. It is read within bounds, so that a header of the
//! largest size takes no more memory than the tensors that a file may have.

use crate::limits;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::fmt;

/// The tensors that `header` lists, in the order of their data, which must be `data` bytes without a hole. There are
/// at most [`limits::TENSORS`], each listed once, under a name of at most [`limits::NAME_BYTES`] printable characters
/// and with at most [`limits::RANK`] sides. Remarks in the header are skipped.
///
/// # Errors
/// The first thing that is not so, as text for a message.
pub fn read(header: &[u8], data: usize) -> Result<Vec<(String, TensorInfo)>, String> {
    let mut reader = serde_json::Deserializer::from_slice(header);
    let listed = reader.deserialize_map(Tensors).and_then(|listed| reader.end().map(|()| listed));
    let mut listed = listed.map_err(|e| match e.is_data() {
        true => without_place(&e.to_string()),
        false => format!("not a whole safetensors file: its header is no JSON object ({e})"),
    })?;
    listed.sort_by_key(|(_, info)| info.data_offsets);
    let whole = |e: String| format!("not a whole safetensors file: {e}");
    let checked = Metadata::new(None, listed.iter().map(|(n, i)| (n.clone(), copied(i))).collect());
    checked.map_err(|e| whole(e.to_string()))?;
    match listed.last().map_or(0, |(_, info)| info.data_offsets.1) {
        end if end == data => Ok(listed),
        end => Err(whole(format!("its tensors take {end} bytes, found {data}; it is cut short or was mixed up"))),
    }
}

fn copied(info: &TensorInfo) -> TensorInfo {
    TensorInfo { dtype: info.dtype, shape: info.shape.clone(), data_offsets: info.data_offsets }
}

/// A message of the JSON reader without the place in the text, which nobody can look at.
fn without_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(before, _)| before).to_owned()
}

/// What the header says of a tensor.
#[derive(Deserialize)]
struct Info {
    dtype: Dtype,
    #[serde(deserialize_with = "sides")]
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// A shape of at most [`limits::RANK`] sides. Those of a longer one are counted but not kept.
fn sides<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    struct Sides;
    impl<'de> Visitor<'de> for Sides {
        type Value = Vec<usize>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a shape")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<usize>, A::Error> {
            let mut sides = Vec::new();
            while let Some(side) = seq.next_element::<usize>()? {
                sides.push(side);
                if sides.len() > limits::RANK {
                    let mut rank = sides.len();
                    while seq.next_element::<IgnoredAny>()?.is_some() {
                        rank += 1;
                    }
                    return Err(A::Error::custom(format!("rank {rank}, at most {} is read", limits::RANK)));
                }
            }
            Ok(sides)
        }
    }
    deserializer.deserialize_seq(Sides)
}

struct Tensors;

impl<'de> Visitor<'de> for Tensors {
    type Value = Vec<(String, TensorInfo)>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the JSON object of a safetensors file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut seen, mut listed) = (BTreeSet::new(), Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let bad = |message: String| A::Error::custom(format!("tensor \"{}\"{message}", name.escape_debug()));
            if name.len() > limits::NAME_BYTES || !name.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                let most = limits::NAME_BYTES;
                return Err(bad(format!(": expected a name of at most {most} bytes of printable ASCII")));
            }
            if !seen.insert(name.clone()) {
                return Err(bad(" is listed twice; which of the two is meant cannot be told".into()));
            }
            if seen.len() > limits::TENSORS {
                let most = limits::TENSORS;
                return Err(A::Error::custom(format!("more than {most} tensors, at most {most} are read")));
            }
            let info: Info = map.next_value().map_err(|e| bad(format!(": {}", without_place(&e.to_string()))))?;
            let Info { dtype, shape, data_offsets } = info;
            listed.push((name, TensorInfo { dtype, shape, data_offsets }));
        }
        Ok(listed)
    }
}
