//! `lid curve`: dimension over noise levels, and the knee of the curve.

use super::super::{Provenance, Report, write_page, write_table, write_text};
use super::{Pictures, diffusion};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::flipd;
use crate::diffusion::lid::{SLOPE, WIDTH, knee};
use crate::diffusion::log_grid;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::progress::Progress;
use crate::render::page::{Page, number, row};
use crate::render::plot::{self, Extras};
use crate::table::{Column, Table, Values};
use crate::tensors::rows;
use serde::Serialize;
use std::path::Path;

/// Curves that are asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Curve {
    /// Diffusion model, name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The pictures.
    #[command(flatten)]
    pub pictures: Pictures,
    /// Least and greatest noise level [default: 0.02,10, or what the model knows]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub sigma: Vec<f64>,
    /// Noise levels between them
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub points: usize,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct CurveReport {
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// The ambient dimension: the number of values of a picture.
    pub ambient: usize,
    /// For each picture, by seed or index in the set, the σ at the knee of its curve, if there is one.
    pub knees: Vec<(u64, Option<f64>)>,
    /// One point per picture and noise level: picture by picture, each from the lowest level.
    pub points: Vec<CurvePoint>,
}

/// The dimension at one picture and noise level.
#[derive(Clone, Debug, Serialize)]
pub struct CurvePoint {
    /// Seed, or index in the set.
    pub seed: u64,
    /// The noise level σ.
    pub sigma: f64,
    /// The estimated dimension.
    pub dimension: f64,
    /// Standard error of the dimension, from the probes.
    pub stderr: f64,
    /// Trace of the denoiser's Jacobian.
    pub trace: f64,
    /// ‖D(x) − x‖²/σ²
    pub residual: f64,
    /// Why this is no dimension, where it is none.
    pub note: Option<String>,
}

impl Curve {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        match (3..=512).contains(&self.points) {
            true => Ok(()),
            false => Err(Error::key("points", format!("expected 3 to 512, found {}", self.points))),
        }
    }

    /// Measures the curves.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model, the pictures and the device, or a stop.
    pub fn run(&self, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<CurveReport> {
        self.check()?;
        let sampler = diffusion(&self.model, device)?;
        let [low, high] = sampler.denoiser().range();
        let (from, to) = match self.sigma[..] {
            [] => (low.max(0.02), high.min(10.0)),
            [a, b] if a > 0.0 && a < b => (a, b),
            _ => return Err(Error::key("sigma", format!("expected A,B with 0 < A < B, found {:?}", self.sigma))),
        };
        sampler.check_level(from)?;
        sampler.check_level(to)?;
        let seeds = self.pictures.seeds()?;
        let ambient = sampler.spec().latent_width;
        let x = rows(self.pictures.values(&sampler)?, ambient, device);
        let grid = log_grid(from, to, self.points);
        let bar = progress.start("measuring", grid.len() as u64);
        let mut levels = Vec::new();
        for sigma in &grid {
            cancel.check(|| "nothing was written".into())?;
            levels.push(flipd(sampler.posterior_mean("model")?, &x, *sigma, self.pictures.trace())?);
            bar.advance(1);
        }
        bar.finish();
        let point = |i: usize, j: usize| {
            let (found, dimension) = (&levels[j][i], levels[j][i].dimension());
            CurvePoint {
                seed: seeds[i],
                sigma: grid[j],
                dimension: dimension.value,
                stderr: dimension.stderr,
                trace: found.trace.value,
                residual: found.residual,
                note: found.fault(ambient).map(|f| f.to_string()),
            }
        };
        let points: Vec<CurvePoint> =
            (0..seeds.len()).flat_map(|i| (0..grid.len()).map(move |j| (i, j))).map(|(i, j)| point(i, j)).collect();
        let (model, model_sha256) = (sampler.spec().id.clone(), sampler.model_sha256().to_owned());
        Ok(CurveReport { knees: knees(&points, &grid, ambient), model, model_sha256, ambient, points })
    }
}

/// The knee of each picture's curve; `points` has them one after another, each at the levels of `grid`.
fn knees(points: &[CurvePoint], grid: &[f64], ambient: usize) -> Vec<(u64, Option<f64>)> {
    let logs: Vec<f64> = grid.iter().map(|s| s.ln()).collect();
    let of = |curve: &[CurvePoint]| {
        let dimensions: Vec<f64> = curve.iter().map(|p| p.dimension).collect();
        (curve[0].seed, knee(&logs, &dimensions, ambient as f64).map(|at| grid[at]))
    };
    points.chunks(grid.len()).map(of).collect()
}

impl CurveReport {
    /// A table with one row per point.
    ///
    /// # Errors
    /// When the columns do not make a valid table.
    pub fn table(&self) -> Result<Table> {
        let column = |name: &str, f: fn(&CurvePoint) -> f64| {
            let finite = |p| Some(f(p)).filter(|v| v.is_finite());
            Column::new(name, Values::F64(self.points.iter().map(finite).collect()))
        };
        Table::new(vec![
            Column::new("seed", Values::U64(self.points.iter().map(|p| Some(p.seed)).collect())),
            column("sigma", |p| p.sigma),
            column("dimension", |p| p.dimension),
            column("stderr", |p| p.stderr),
            column("trace", |p| p.trace),
            column("residual", |p| p.residual),
            Column::new("note", Values::Text(self.points.iter().map(|p| p.note.clone()).collect())),
        ])
    }

    /// One line for each picture: where the knee of its curve is, or that there is none.
    pub fn knee_lines(&self) -> Vec<String> {
        let line = |(seed, knee): &(u64, Option<f64>)| match knee {
            Some(sigma) => format!("seed {seed}: knee at sigma {sigma:.4}"),
            None => format!("seed {seed}: no knee, since the curve falls to no plateau"),
        };
        self.knees.iter().map(line).collect()
    }

    /// The curve of each picture, with its knee.
    fn curves(&self) -> impl Iterator<Item = (&[CurvePoint], Option<f64>)> {
        let levels = self.points.len() / self.knees.len().max(1);
        self.points.chunks(levels.max(1)).zip(self.knees.iter().map(|k| k.1))
    }

    /// The curves of the first seven pictures, between 0 and the ambient dimension, with bars of 1.96 standard errors and a
    /// ring at each knee.
    fn plot(&self) -> Result<String> {
        let drawn: Vec<_> = self.curves().take(7).collect();
        let names: Vec<String> = drawn.iter().map(|(curve, _)| format!("seed {}", curve[0].seed)).collect();
        let line = |curve: &[CurvePoint]| curve.iter().map(|p| (p.sigma, p.dimension)).collect::<Vec<_>>();
        let bar = |p: &CurvePoint| (p.sigma, p.dimension - 1.96 * p.stderr, p.dimension + 1.96 * p.stderr);
        let lines: Vec<(&str, Vec<(f64, f64)>)> =
            names.iter().zip(&drawn).map(|(name, (curve, _))| (name.as_str(), line(curve))).collect();
        let bars: Vec<Vec<(f64, f64, f64)>> = drawn.iter().map(|(c, _)| c.iter().map(bar).collect()).collect();
        let ring = |(curve, knee): &(&[CurvePoint], Option<f64>)| {
            let at = curve.iter().filter(|p| Some(p.sigma) == *knee);
            at.map(|p| (p.sigma, p.dimension)).collect::<Vec<_>>()
        };
        let rings: Vec<Vec<(f64, f64)>> = drawn.iter().map(ring).collect();
        let ambient = format!("{}, the number of pixels", self.ambient);
        let extras = Extras {
            bounds: &[(0.0, "0"), (self.ambient as f64, &ambient)],
            bars: &bars,
            rings: &rings,
            said: if rings.iter().any(|r| !r.is_empty()) {
                "bars: 95 % interval; rings: knees"
            } else {
                "bars: 95 % interval; no curve falls to a plateau, so there is no knee"
            },
        };
        plot::lines_with("Local intrinsic dimension", "sigma", "dimension", &lines, true, &extras)
    }
}

impl Report for CurveReport {
    fn rows(&self) -> Vec<Vec<String>> {
        let line = |p: &CurvePoint| {
            let finite = |v: f64, digits: usize| number(Some(v).filter(|v| v.is_finite()), digits);
            row([
                &p.seed.to_string(),
                &finite(p.sigma, 4),
                &finite(p.dimension, 2),
                &finite(p.stderr, 2),
                &finite(p.trace, 2),
                &finite(p.residual, 2),
                p.note.as_deref().unwrap_or(""),
            ])
        };
        let head = row(["seed", "sigma", "dimension", "stderr", "trace", "residual", "note"]);
        [head].into_iter().chain(self.points.iter().map(line)).collect()
    }

    /// Writes `curve.csv`, `curve.parquet`, `curve.svg`, `report.html` and `study.json`.
    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()> {
        let metadata = [("model", self.model.as_str()), ("model_sha256", &self.model_sha256)];
        write_table(folder, "curve", &self.table()?, &metadata)?;
        let mut page = Page::new(&format!("Local intrinsic dimension of pictures of {}", self.model));
        let text = format!(
            "The number of directions in which the data extend by more than sigma around a picture, by FLIPD. A knee is where a \
             curve falls to a plateau: at least three noise levels, a factor of {WIDTH} from the first to the last, between \
             which the dimension changes by less than {:.0} % of itself per unit of ln sigma and lies between ½ and the number \
             of pixels. Without a plateau there is no level at which the dimension could be read.",
            100.0 * SLOPE
        );
        page.section("Dimension over noise levels", &text);
        let svg = self.plot()?;
        write_text(folder, "curve.svg", &svg)?;
        page.plot(&svg);
        let faults = self.points.iter().filter(|p| p.note.is_some()).count();
        if faults > 0 {
            let text = format!(
                "{faults} of {} values are no dimension: below 0, above the number of pixels, or with a trace below 0, which no \
                 denoiser has. The network is wrong there, and what lies between them is not to be trusted either.",
                self.points.len()
            );
            page.section("Beyond what a dimension can be", &text);
        }
        let head = row(["seed", "knee at sigma", "dimension there"]);
        let knee = |(curve, knee): (&[CurvePoint], Option<f64>)| {
            let there = curve.iter().find(|p| Some(p.sigma) == knee).map(|p| p.dimension);
            let at = knee.map_or("no plateau".to_owned(), |sigma| format!("{sigma:.4}"));
            row([&curve[0].seed.to_string(), &at, &number(there, 2)])
        };
        page.section("Knees", "Where each curve can be read.");
        page.table(&[head].into_iter().chain(self.curves().map(knee)).collect::<Vec<_>>());
        page.section("Every point", "Dimension = trace + residual.");
        page.table(&self.rows());
        write_page(folder, page, self, provenance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pictures at eight levels: one falls to a plateau of 12, the other below 0.
    fn report() -> CurveReport {
        let sigma: Vec<f64> = (0..8).map(|i| 0.02 * 2f64.powi(i)).collect();
        let curve = |seed: u64, values: [f64; 8]| {
            let point = |(sigma, dimension): (f64, f64)| CurvePoint {
                seed,
                sigma,
                dimension,
                stderr: 0.5,
                trace: dimension - 1.0,
                residual: 1.0,
                note: (dimension < 0.0).then(|| "below 0, which is no dimension".to_owned()),
            };
            sigma.iter().copied().zip(values).map(point).collect::<Vec<_>>()
        };
        let points =
            [curve(3, [90., 40., 12.5, 12., 11.8, 8., 3., 1.]), curve(4, [90., 20., -30., -38., 10., 40., 20., 5.])];
        let points = points.concat();
        let knees = knees(&points, &sigma, 784);
        CurveReport { model: "m".into(), model_sha256: "0".into(), ambient: 784, knees, points }
    }

    #[test]
    fn a_knee_is_found_on_a_plateau_only() {
        let report = report();
        assert_eq!(report.knees, [(3, Some(0.08)), (4, None)]);
        let lines = report.knee_lines();
        assert_eq!(lines[0], "seed 3: knee at sigma 0.0800");
        assert!(lines[1].starts_with("seed 4: no knee"), "{lines:?}");
        // The note stands beside the number in print and in the table.
        assert_eq!(report.rows()[11][2..7], ["-30.00", "0.50", "-31.00", "1.00", "below 0, which is no dimension"]);
        let notes = report.table().unwrap().column("note").map(|c| c.values.clone());
        assert!(matches!(notes, Some(Values::Text(n)) if n.iter().flatten().count() == 2));
    }

    #[test]
    fn the_plot_has_bounds_bars_and_knees() {
        let report = report();
        let svg = report.plot().unwrap();
        assert!(svg.contains("784, the number of pixels") && svg.contains("rings: knees"), "{svg}");
        // Sixteen dots of radius 3 and one ring of radius 8.
        let circles = |r: u32| svg.matches(&format!("r=\"{r}\"")).count();
        assert_eq!((circles(3), circles(8)), (16, 1));
    }
}
