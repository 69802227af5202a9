//! What the page is told of one picture.

use crate::acts::generate::SampleRow;
use crate::steer::Status;
use serde::Serialize;

/// One picture, as lists and events have it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Picture {
    /// The seed. As text: a number of JavaScript ends at 2^53.
    pub seed: String,
    /// The novelty asked for.
    pub asked: Option<f64>,
    /// The novelty measured.
    pub reached: Option<f64>,
    /// The measured value of what the reward has learnt.
    pub value: Option<f64>,
    /// Standard deviations beyond everything that was measured of the model's own pictures.
    pub beyond: Option<f64>,
    /// Degrees that its noise was turned by.
    pub angle: f64,
    /// ok, unreached, unmeasured, flagged, off_manifold or non_finite.
    pub status: String,
    /// Why it did not reach what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed: Option<String>,
    /// The first digits of its file's SHA-256; `None` where there is no picture.
    pub sha8: Option<String>,
}

impl Picture {
    /// What is told of the sample with this row.
    pub fn of(row: &SampleRow) -> Self {
        Self {
            seed: row.seed.to_string(),
            asked: row.novelty_asked,
            reached: row.novelty_reached,
            value: row.psi_k.or(row.measured),
            beyond: row.beyond,
            angle: row.angle,
            status: name(row.status).to_owned(),
            missed: row.missed.map(|m| m.name().to_owned()),
            sha8: row.sha256.as_ref().map(|s| format!("{s:.8}")),
        }
    }
}

/// A status as records spell it.
fn name(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Unreached => "unreached",
        Status::Unmeasured => "unmeasured",
        Status::Flagged => "flagged",
        Status::OffManifold => "off_manifold",
        Status::NonFinite => "non_finite",
    }
}
