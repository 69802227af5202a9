//! From a picture to what a network sees of it: the `[input]` table of a classifier's or an encoder's card. Figures of one
//! network differ by how pictures were made to fit it, so all of it stands in the card.

use crate::error::{Error, Result, did_you_mean};
use crate::limits;
use crate::render::Picture;
use crate::render::resize::{self, METHODS};
use serde::{Deserialize, Serialize};

/// What a network sees of a picture: the picture resized, or resized and cut; its bytes on `range`; then less `mean`, over
/// `std`. A key that is not given changes neither values nor hash.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// `[channels, height, width]`. A picture with other channels is turned to grey (BT.601) or has its grey repeated.
    pub shape: [usize; 3],
    /// The values of black and of white, before `mean` and `std`.
    pub range: [f32; 2],
    /// Name of one of [`METHODS`]; the first if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpolation: Option<String>,
    /// The shorter side of a picture is brought to this length, its sides in proportion, and `shape` is cut from its middle. If
    /// none is given, the whole picture is brought to `shape`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_side: Option<usize>,
    /// What is taken off each channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f32>>,
    /// What each channel is divided by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f32>>,
}

impl Input {
    /// An input without any but the needed keys.
    pub fn plain(shape: [usize; 3], range: [f32; 2]) -> Self {
        Self { shape, range, interpolation: None, short_side: None, mean: None, std: None }
    }

    /// Checks all keys.
    ///
    /// # Errors
    /// [`Error::Key`] at the first wrong one.
    pub fn check(&self) -> Result<()> {
        let ([channels, height, width], [low, high]) = (self.shape, self.range);
        let side = 1..=limits::IMAGE_SIDE_OUT;
        let most = side.end();
        if !(matches!(channels, 1 | 3) && side.contains(&height) && side.contains(&width)) {
            let message = format!("expected [1 or 3, height, width] with sides up to {most}, found {:?}", self.shape);
            return Err(Error::key("shape", message));
        }
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(Error::key("range", format!("expected [low, high] with low < high, found [{low}, {high}]")));
        }
        if let Some(name) = self.interpolation.as_ref().filter(|name| resize::method(name).is_none()) {
            let near = did_you_mean(name, METHODS.iter().map(|m| m.name).collect::<Vec<_>>());
            let all = METHODS.iter().map(|m| m.name).collect::<Vec<_>>().join(", ");
            let message = format!("expected one of {all}, found \"{}\"{near}", name.escape_debug());
            return Err(Error::key("interpolation", message));
        }
        let longest = height.max(width);
        if let Some(short) = self.short_side.filter(|s| !(longest..=*most).contains(s)) {
            let message = format!("expected {longest} to {most}, so that {height}×{width} can be cut, found {short}");
            return Err(Error::key("short_side", message));
        }
        for (key, values) in [("mean", &self.mean), ("std", &self.std)] {
            let Some(values) = values else { continue };
            if values.len() != channels {
                let message = format!("expected a number for each of {channels} channels, found {}", values.len());
                return Err(Error::key(key, message));
            }
            let fits = |v: &f32| v.is_finite() && (key == "mean" || *v > 0.0);
            if let Some(v) = values.iter().find(|v| !fits(v)) {
                let expected = if key == "mean" { "finite numbers" } else { "finite numbers above 0" };
                return Err(Error::key(key, format!("expected {expected}, found {v}")));
            }
        }
        Ok(())
    }

    /// The picture's values as the network sees them, `[channels, height, width]`.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture that is so narrow that one side would grow beyond what is read.
    pub fn values(&self, picture: &Picture) -> Result<Vec<f32>> {
        let [channels, height, width] = self.shape;
        let method = self.interpolation.as_deref().and_then(resize::method).unwrap_or(resize::DEFAULT);
        let own = [picture.height, picture.width];
        let range = if method.is_of_bytes() { [0.0, 255.0] } else { self.range };
        let mut values = picture.to_values([channels, own[0], own[1]], range)?;
        let whole = match self.short_side {
            None => [height, width],
            Some(short) => in_proportion(own, short)?,
        };
        if own != whole || method.is_of_bytes() {
            values = planes(&values, own).flat_map(|plane| method.resize(plane, own, whole)).collect();
        }
        if whole != [height, width] {
            values = planes(&values, whole).flat_map(|plane| cut(plane, whole, [height, width])).collect();
        }
        if method.is_of_bytes() {
            let [low, high] = self.range;
            values.iter_mut().for_each(|v| *v = low + (high - low) * (*v / 255.0));
        }
        for (channel, plane) in values.chunks_exact_mut(height * width).enumerate() {
            if let Some(mean) = &self.mean {
                plane.iter_mut().for_each(|v| *v -= mean[channel]);
            }
            if let Some(std) = &self.std {
                plane.iter_mut().for_each(|v| *v /= std[channel]);
            }
        }
        Ok(values)
    }
}

fn planes(values: &[f32], [height, width]: [usize; 2]) -> impl Iterator<Item = &[f32]> {
    values.chunks_exact((height * width).max(1))
}

/// The sides of a picture whose shorter one is `short`, as torchvision's `Resize(short)` has them: the longer is cut to whole
/// pixels.
fn in_proportion([height, width]: [usize; 2], short: usize) -> Result<[usize; 2]> {
    let long = |side: usize, other: usize| short * side / other.max(1);
    let sides = if height <= width { [short, long(width, height)] } else { [long(height, width), short] };
    let most = limits::IMAGE_SIDE_IN as usize;
    match sides.iter().all(|side| *side <= most) {
        true => Ok(sides),
        false => {
            let message =
                format!("of {height}×{width} would become {}×{}, at most {most} are read", sides[0], sides[1]);
            Err(Error::key("short_side", format!("a picture {message}")))
        }
    }
}

/// The middle of a plane, as torchvision's `CenterCrop` cuts it: half a pixel too much is left on the even side.
fn cut(plane: &[f32], [height, width]: [usize; 2], [tall, wide]: [usize; 2]) -> Vec<f32> {
    // Python rounds halves to the even number.
    let start = |all: usize, part: usize| ((all - part) as f64 / 2.0).round_ties_even() as usize;
    let (top, left) = (start(height, tall), start(width, wide));
    plane.chunks_exact(width).skip(top).take(tall).flat_map(|row| &row[left..left + wide]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(change: impl Fn(&mut Input)) -> String {
        let mut input = Input::plain([3, 8, 10], [0.0, 1.0]);
        change(&mut input);
        input.check().map_or_else(|e| e.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn wrong_keys_are_named() {
        let says = |change: &dyn Fn(&mut Input), words: &str| {
            let found = message(change);
            assert!(found.contains(words), "{words:?} not in {found}");
        };
        says(&|_| (), "fine");
        says(&|i| i.shape[0] = 2, "shape: expected [1 or 3, height, width]");
        says(&|i| i.range = [1.0, 1.0], "range: expected [low, high]");
        says(&|i| i.interpolation = Some("pil-bicubik".into()), "did you mean \"pil-bicubic\"?");
        says(&|i| i.short_side = Some(9), "short_side: expected 10 to 2048, so that 8×10 can be cut, found 9");
        says(&|i| i.mean = Some(vec![0.5]), "mean: expected a number for each of 3 channels, found 1");
        says(&|i| i.mean = Some(vec![0.5, f32::NAN, 0.0]), "mean: expected finite numbers, found NaN");
        says(&|i| i.std = Some(vec![1.0; 4]), "std: expected a number for each of 3 channels, found 4");
        says(&|i| i.std = Some(vec![0.5, 0.0, 1.0]), "std: expected finite numbers above 0, found 0");
    }

    /// What is not given is not written, so that the hash of a card that says no more than shape and range is what it was.
    #[test]
    fn what_is_not_given_is_not_in_the_hash() {
        let text = serde_json::to_string(&Input::plain([1, 32, 32], [0.0, 1.0])).unwrap();
        assert_eq!(text, r#"{"shape":[1,32,32],"range":[0.0,1.0]}"#);
    }

    /// torchvision.transforms: Resize(4) of 6×9 gives 4×6, CenterCrop(3) starts at round(0.5) = 0 and round(1.5) = 2.
    #[test]
    fn the_middle_is_cut_as_torchvision_does() {
        assert_eq!(in_proportion([6, 9], 4).unwrap(), [4, 6]);
        assert_eq!(in_proportion([9, 6], 4).unwrap(), [6, 4]);
        assert_eq!(in_proportion([5, 5], 7).unwrap(), [7, 7]);
        assert!(in_proportion([1, 2000], 224).unwrap_err().to_string().contains("short_side: a picture of 1×2000"));
        let plane: Vec<f32> = (0..24).map(|v| v as f32).collect();
        assert_eq!(cut(&plane, [4, 6], [3, 3]), [2.0, 3.0, 4.0, 8.0, 9.0, 10.0, 14.0, 15.0, 16.0]);
    }

    /// (v/255 − mean)/std per channel, without a resize.
    #[test]
    fn channels_are_centred_and_scaled() {
        let picture = Picture::from_pixels(vec![0, 51, 255, 255, 102, 0], [3, 1, 2]).unwrap();
        let (mean, std) = (Some(vec![0.5, 0.0, 0.25]), Some(vec![0.5, 2.0, 0.25]));
        let input = Input { mean, std, ..Input::plain([3, 1, 2], [0.0, 1.0]) };
        let expected = [-1.0, 1.0, 0.1, 0.2, 3.0, -1.0];
        for interpolation in [None, Some("pil-bicubic".to_owned()), Some("clean-fid".to_owned())] {
            let found = Input { interpolation, ..input.clone() }.values(&picture).unwrap();
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        }
    }
}
