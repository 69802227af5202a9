//! What a steered picture has left of the unguided picture of its seed, sample by sample and level by level.

use super::row::SampleRow;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::generator::Classifier;
use crate::render::Picture;
use crate::statistics::{pearson, quantile};
use crate::steer::{self, Denoising, Engine, Finished, Starts, guide};
use crate::units::Latents;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The comparison of one picture with the unguided one of its seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Likeness {
    /// Pearson correlation of the pixels of the two pictures, all channels together; absent if one of them is constant.
    pub correlation: Option<f64>,
    /// Angle between the two pictures as vectors of pixel values above black, in degrees; absent if one of them is black.
    pub picture_angle: Option<f64>,
    /// Angle between the latent and the seed's own, in degrees; absent where no latent stands for the picture.
    pub latent_angle: Option<f64>,
    /// Class of this picture and class of the unguided one; absent without a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<[usize; 2]>,
    /// Why a number is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Likeness {
    /// Compares the pixels of `picture` with those of the `unguided` one, which has the same shape.
    pub fn of(picture: &Picture, unguided: &Picture) -> Self {
        let values = |p: &Picture| p.pixels.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let (a, b) = (values(picture), values(unguided));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let lengths = (dot(&a, &a) * dot(&b, &b)).sqrt();
        let cosine = (lengths > 0.0).then(|| (dot(&a, &b) / lengths).clamp(-1.0, 1.0));
        let constant = |v: &[f64]| v.iter().all(|x| *x == v[0]);
        let note = match [constant(&a), constant(&b)] {
            [false, false] => None,
            [true, false] => Some("the picture is constant".to_owned()),
            [false, true] => Some("the unguided picture is constant".to_owned()),
            [true, true] => Some("both pictures are constant".to_owned()),
        };
        let correlation = pearson(&a, &b).filter(|_| note.is_none());
        Self { correlation, picture_angle: cosine.map(|c| c.acos().to_degrees()), note, ..Self::default() }
    }

    /// Whether both pictures are of one class; `None` without a classifier.
    pub fn keeps_class(&self) -> Option<bool> {
        self.classes.map(|[this, unguided]| this == unguided)
    }

    /// Compares each finished sample, made by a method and as its keys of denoising say, with the unguided picture of where
    /// it started, which is made here; a class that was asked for is asked of both. `None` for a picture with a value that is
    /// not finite.
    ///
    /// # Errors
    /// When the device fails or the run is stopped.
    pub fn of_each(
        engine: &Engine,
        (method, denoising): (&str, Option<&Denoising>),
        finished: &[Finished],
        classifier: Option<&Classifier>,
        cancel: &Cancel,
    ) -> Result<Vec<Option<Self>>> {
        let condition = denoising.map(|d| d.condition.clone()).unwrap_or_default();
        let spec = engine.generator.spec();
        // Where each began: at its seed's noise, or at other noise where the guard made it again.
        let noise = finished.iter().flat_map(|f| &f.steered.start).copied().collect();
        let samples: Vec<u64> = finished.iter().map(|f| f.steered.sample).collect();
        let starts = Starts { samples: &samples, noise: Latents::new(noise, spec.latent_width) };
        let unguided = engine.unguided(&condition, &starts, cancel)?;
        let drawn = |values: &[f32]| {
            let whole = values.iter().all(|v| v.is_finite());
            whole.then(|| Picture::from_values(values, spec.sample_shape, spec.range)).transpose()
        };
        let pairs = finished.iter().zip(&unguided).map(|(f, u)| Ok(drawn(&f.picture)?.zip(drawn(u)?)));
        let pairs: Vec<Option<(Picture, Picture)>> = pairs.collect::<Result<_>>()?;
        let shown: Vec<&Picture> = pairs.iter().flatten().flat_map(|(a, b)| [a, b]).collect();
        let classes = classifier.map(|c| c.classify(&shown)).transpose()?;
        let mut classes = classes.as_deref().map(|c| c.chunks_exact(2));
        let no_latent = denoising.is_some_and(|d| d.is_guided(guide(method)));
        let each = finished.iter().zip(&pairs).map(|(f, pair)| {
            let (picture, unguided) = pair.as_ref()?;
            let mut found = Self::of(picture, unguided);
            if let Some([Some(this), Some(other)]) = classes.as_mut().and_then(Iterator::next) {
                found.classes = Some([*this, *other]);
            }
            let s = &f.steered;
            match no_latent {
                false => found.latent_angle = Some(steer::angle_between(&s.start, &s.latent).to_degrees()),
                true => {
                    let why = "made during denoising from the seed's own noise, so no latent stands for it";
                    found.note = Some(found.note.map_or(why.to_owned(), |note| format!("{note}; {why}")));
                }
            }
            Some(found)
        });
        Ok(each.collect())
    }
}

/// How much of the unguided pictures is left in the samples of one level.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// The percentile asked for; `None` for samples that were not steered to one.
    pub asked: Option<f64>,
    /// Samples that were compared.
    pub samples: usize,
    /// Median of |asked − reached|, in points of the percentile.
    pub miss: Option<f64>,
    /// 10th percentile, median and 90th percentile of the correlations of pixels.
    pub correlation: [Option<f64>; 3],
    /// Median angle between pictures, in degrees.
    pub picture_angle: Option<f64>,
    /// Median angle between latents, in degrees.
    pub latent_angle: Option<f64>,
    /// Samples whose class is known, before and after.
    pub classified: usize,
    /// Share of them whose class is kept.
    pub class_kept: Option<f64>,
}

impl Identity {
    /// Of the rows that were compared, one for each level, in ascending order of the levels.
    pub fn by_level<'a>(rows: impl IntoIterator<Item = &'a SampleRow>) -> Vec<Self> {
        let mut levels: BTreeMap<Option<u64>, Vec<&SampleRow>> = BTreeMap::new();
        for row in rows.into_iter().filter(|r| r.likeness.is_some()) {
            // Bits of numbers from 0 to 100 are in the order of the numbers.
            levels.entry(row.novelty_asked.map(f64::to_bits)).or_default().push(row);
        }
        levels.into_iter().map(|(asked, rows)| Self::of(asked.map(f64::from_bits), &rows)).collect()
    }

    fn of(asked: Option<f64>, rows: &[&SampleRow]) -> Self {
        let sorted = |get: &dyn Fn(&SampleRow) -> Option<f64>| {
            let mut values: Vec<f64> = rows.iter().filter_map(|r| get(r)).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let of = |get: fn(&Likeness) -> Option<f64>| sorted(&|r| r.likeness.as_ref().and_then(get));
        let kept: Vec<bool> = rows.iter().filter_map(|r| r.likeness.as_ref()?.keeps_class()).collect();
        let correlations = of(|l| l.correlation);
        Self {
            asked,
            samples: rows.len(),
            miss: quantile(&sorted(&|r| Some((r.novelty_asked? - r.novelty_reached?).abs())), 0.5),
            correlation: [0.1, 0.5, 0.9].map(|q| quantile(&correlations, q)),
            picture_angle: quantile(&of(|l| l.picture_angle), 0.5),
            latent_angle: quantile(&of(|l| l.latent_angle), 0.5),
            classified: kept.len(),
            class_kept: (!kept.is_empty()).then(|| kept.iter().filter(|k| **k).count() as f64 / kept.len() as f64),
        }
    }

    /// Heads of the columns of [`cells`](Self::cells).
    pub fn head() -> Vec<String> {
        ["same picture (10 %, median, 90 %)", "picture angle", "latent angle", "class kept"].map(str::to_owned).to_vec()
    }

    /// Correlation of the pictures, angles, and the share of samples that keep their class, for a table.
    pub fn cells(&self) -> Vec<String> {
        let number = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.2}"));
        let angle = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.0}°"));
        let [low, median, high] = self.correlation.map(number);
        let kept = self.class_kept.map_or("-".to_owned(), |k| format!("{:.0} %", 100.0 * k));
        vec![format!("{low} {median} {high}"), angle(self.picture_angle), angle(self.latent_angle), kept]
    }
}
