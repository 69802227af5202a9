//! Scale and shift per channel.

use super::{HostLayer, HostRows, Linearisation};

/// y = scale·x + shift with one pair per channel, as in a batch norm with frozen statistics.
pub struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
    area: usize,
}

impl Affine {
    /// From one scale and one shift per channel (`[channels]` each), for channels of `area` values.
    pub fn new(scale: Vec<f32>, shift: Vec<f32>, area: usize) -> Self {
        Self { scale, shift, area }
    }
}

impl HostLayer for Affine {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let channel = |(x, (a, b)): (&[f32], (&f32, &f32))| x.iter().map(|x| a * x + b).collect::<Vec<_>>();
        (
            x.chunks(self.area).zip(self.scale.iter().zip(&self.shift)).flat_map(channel).collect(),
            Linearisation::default(),
        )
    }

    fn tangent(&self, _: &Linearisation, t: HostRows, wanted: Option<&[bool]>) -> HostRows {
        let slopes: Vec<f32> = self.scale.iter().flat_map(|s| std::iter::repeat_n(*s, self.area)).collect();
        t.scaled(&slopes, wanted)
    }

    fn values(&self, x: HostRows) -> HostRows {
        x.changed(|f, row| {
            let (scale, shift) = (self.scale[f / self.area], self.shift[f / self.area]);
            row.iter_mut().for_each(|x| *x = scale * *x + shift);
        })
    }

    fn wanted(&self, _: &Linearisation, wanted: Option<&[bool]>) -> Option<Vec<bool>> {
        wanted.map(<[bool]>::to_vec)
    }

    fn is_linear(&self) -> bool {
        true
    }

    fn affine(&self) -> Option<(&[f32], &[f32])> {
        Some((&self.scale, &self.shift))
    }

    fn peak_rows(&self, before: usize) -> usize {
        2 * before
    }

    fn features(&self, before: usize) -> usize {
        before
    }
}
