//! `memorisation audit`: which samples of a model are copies of what it was trained on, by the manifold memorisation hypothesis (Ross
//! et al. 2024; theory, 43).
//!
//! At a sample that a model knows by heart, the model's local dimension is too low: it has a point where there should be a surface.
//! Whether it *should* is for the data to say. If their own dimension there is not low, the model is to blame and the sample is
//! *overfitted*; if it is, because a picture is repeated or is one of many made from a template, the copy is *data-driven*, and
//! another model of the same data would make it too.

mod audit;
mod beside;
mod report;

pub use audit::{Audit, Audited, Verdict, judge};
pub use beside::{Beside, Training};
pub use report::{AuditReport, Detector};
