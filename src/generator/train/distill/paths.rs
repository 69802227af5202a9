//! The teacher's paths: from each of many noises, the states that its solver passes through, down to the end.
//!
//! They are made once and kept in parts, so a training that was stopped does not make them again.

use super::Solve;
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::State;
use crate::error::{Error, Result};
use crate::noise::{self, Stream};
use crate::progress::Progress;
use crate::store::{self, WeightTensor, Weights};
use crate::tensors::{host, rows};
use std::collections::BTreeMap;
use std::path::Path;

/// Paths of one part.
const PART: usize = 512;
/// Paths of one call of the teacher.
const CALL: usize = 64;
/// Name of the tensor of a part.
const NAME: &str = "states";

/// Paths `[n, levels + 1, d]`: the state at each noise level, and the one at 0.
pub struct Paths {
    values: Vec<f32>,
    width: usize,
    /// The noise levels, descending, and 0.
    sigmas: Vec<f64>,
}

/// The noise from which path `number` of a kind starts, before it is scaled to the greatest level. Kind 0 is for training,
/// kind 1 is held out.
pub fn start(seed: u64, kind: u32, number: u64, width: usize) -> Vec<f32> {
    noise::normals(seed, number, Stream::Training, 200 + kind, width)
}

impl Paths {
    /// Follows the paths `numbers` of a kind, without keeping them anywhere.
    ///
    /// # Errors
    /// Those of the teacher.
    pub fn follow(solve: &Solve, seed: u64, kind: u32, numbers: std::ops::Range<u64>, device: &Device) -> Result<Self> {
        let width = solve.teacher.width();
        let sigmas = solve.sampling.sigmas.clone();
        let mut values = Vec::new();
        let all: Vec<u64> = numbers.collect();
        for part in all.chunks(CALL) {
            let z = part.iter().flat_map(|n| start(seed, kind, *n, width)).collect();
            let z = State::plain(rows(z, width, device) * sigmas[0]);
            let mut states = Vec::with_capacity(sigmas.len());
            let mut before = |_: usize, x: &State| {
                states.push(host(x.value.clone())?);
                Ok(())
            };
            let mut denoise = |x: &State, sigma: f64| solve.teacher.denoise(x, sigma, None);
            let mut noise = |_, _| rows(vec![0.0; width], width, device);
            let end = solve.sampling.run(z, &mut denoise, &mut noise, &mut before)?;
            states.push(host(end.value)?);
            for i in 0..part.len() {
                states.iter().for_each(|s| values.extend_from_slice(&s[i * width..(i + 1) * width]));
            }
        }
        Ok(Self { values, width, sigmas })
    }

    /// The first `count` paths for training. Those in `folder` are read, the others are made and written there. `told` says what the
    /// teacher's values depend on beside noise and levels; paths of another teacher, solver or seed have other names.
    ///
    /// # Errors
    /// Those of the teacher and of the disk, or a stop.
    pub fn of(
        solve: &Solve,
        [seed, count]: [u64; 2],
        (folder, told): (&Path, &str),
        device: &Device,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<Self> {
        store::create_dir(folder)?;
        let width = solve.teacher.width();
        let sigmas = solve.sampling.sigmas.clone();
        let mut values = Vec::new();
        let of = format!("{told}\n{seed} {sigmas:?}\n{}", noise::SCHEME);
        let of = &store::sha256_hex(of.as_bytes())[..12];
        let bar = progress.start("paths of the teacher", count);
        for first in (0..count).step_by(PART) {
            let numbers = first..(first + PART as u64).min(count);
            let expected = (numbers.end - numbers.start) as usize * sigmas.len() * width;
            let file = folder.join(format!("paths-{of}-{first:06}.safetensors"));
            let kept = Weights::read(&file).ok().and_then(|w| w.get(NAME).map(|t| t.values.clone()));
            let part = match kept.filter(|values| values.len() == expected) {
                Some(values) => values,
                None => {
                    cancel.check(|| "the paths that are made are kept".into())?;
                    let made = Self::follow(solve, seed, 0, numbers.clone(), device)?.values;
                    if made.iter().any(|v| !v.is_finite()) {
                        return Err(Error::Stopped(
                            "a path of the teacher is not finite; nothing can be learned".into(),
                        ));
                    }
                    let tensor = WeightTensor { shape: vec![made.len()], values: made.clone() };
                    let bytes = store::write_safetensors(&BTreeMap::from([(NAME.to_owned(), tensor)]))?;
                    store::write_atomic(&file, &bytes)?;
                    made
                }
            };
            values.extend(part);
            bar.advance(numbers.end - numbers.start);
        }
        bar.finish();
        Ok(Self { values, width, sigmas })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.values.len() / (self.sigmas.len() * self.width)
    }

    /// How many steps each has.
    pub fn steps(&self) -> usize {
        self.sigmas.len() - 1
    }

    /// σ of a level; level `steps` is 0.
    pub fn sigma(&self, level: usize) -> f64 {
        self.sigmas[level]
    }

    /// The state of a path at a level.
    pub fn state(&self, path: usize, level: usize) -> &[f32] {
        let from = (path * self.sigmas.len() + level) * self.width;
        &self.values[from..from + self.width]
    }
}
