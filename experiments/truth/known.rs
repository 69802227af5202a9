//! What is known of the portraits: the probability of every attribute, and the attributes that a network reads off pictures.

use isoline::device::Device;
use isoline::generator::{Attribute, Classifier};
use isoline::render::Picture;
use nalgebra::{DMatrix, DVector};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// The attributes that are one of several, each independent of the others.
pub const DISCRETE: [&str; 5] = ["head", "face", "facialHair", "accessories", "mask"];

/// −ln p of what a picture shows, in nats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rarity {
    /// Of the head alone.
    pub head: f64,
    /// Of all five discrete attributes.
    pub discrete: f64,
    /// Density of skin tone, rotation, scale and shift. Hair tone is left out: most heads do not show it.
    pub continuous: f64,
}

/// A picture's attributes as the network reads them.
#[derive(Clone, Debug)]
pub struct Told {
    /// The name of the head.
    pub head: String,
    /// The network's probability of it.
    pub sure: f64,
    /// How rare all this is.
    pub rarity: Rarity,
}

/// ln p of each class of each discrete attribute.
pub struct Known(BTreeMap<&'static str, BTreeMap<String, f64>>);

fn class(row: &Value, attribute: &str) -> String {
    row[attribute].as_str().unwrap_or("none").to_owned()
}

/// −ln of the density 2(1 − t) on [0, 1], held off the rare end, where it has no bound, at t = 0.99.
fn tone(t: f64) -> f64 {
    -(2.0 * (1.0 - t.clamp(0.0, 0.99))).ln()
}

/// −ln of the normal density.
fn normal(x: f64, mean: f64, std: f64) -> f64 {
    0.5 * ((x - mean) / std).powi(2) + std.ln() + 0.5 * std::f64::consts::TAU.ln()
}

fn continuous(skin: f64, rotation: f64, scale: f64, dx: f64, dy: f64) -> f64 {
    tone(skin) + normal(rotation, 0.0, 4.0) + normal(scale, 1.0, 0.04) + normal(dx, 0.0, 2.0) + normal(dy, 0.0, 1.5)
}

impl Known {
    /// Reads `truth.jsonl` of the data set in this zip file and solves for the probability of every class: its rows say what
    /// the five discrete attributes are, and the logarithm of their joint probability, which is a sum of one term for each.
    pub fn read(zip: &Path) -> Self {
        let file = std::fs::File::open(zip).expect("the data set of docs/data.md");
        let mut zip = zip::ZipArchive::new(file).expect("a zip file");
        let mut text = String::new();
        zip.by_name("truth.jsonl").expect("is in it").read_to_string(&mut text).expect("is text");
        let rows: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("is JSON")).collect();
        let mut terms: Vec<(&'static str, String)> = Vec::new();
        for attribute in DISCRETE {
            let names: std::collections::BTreeSet<String> = rows.iter().map(|r| class(r, attribute)).collect();
            terms.extend(names.into_iter().map(|name| (attribute, name)));
        }
        let place: BTreeMap<_, usize> = terms.iter().cloned().enumerate().map(|(i, term)| (term, i)).collect();
        // Normal equations; a constant may move from one attribute to another, which a small ridge settles.
        let (mut a, mut b) = (DMatrix::<f64>::identity(terms.len(), terms.len()) * 1e-6, DVector::zeros(terms.len()));
        for row in &rows {
            let at = DISCRETE.map(|attribute| place[&(attribute, class(row, attribute))]);
            let joint = row["log_p_discrete"].as_f64().expect("a number");
            for i in at {
                at.iter().for_each(|j| a[(i, *j)] += 1.0);
                b[i] += joint;
            }
        }
        let solved = a.cholesky().expect("positive definite").solve(&b);
        let mut known = Self(BTreeMap::new());
        for ((attribute, name), value) in terms.iter().zip(solved.iter()) {
            known.0.entry(attribute).or_default().insert(name.clone(), *value);
        }
        // The probabilities of one attribute sum to 1, which says what the constants are.
        for classes in known.0.values_mut() {
            let sum: f64 = classes.values().map(|v| v.exp()).sum();
            classes.values_mut().for_each(|v| *v -= sum.ln());
        }
        let wrong = rows.iter().map(|row| {
            let sum: f64 = DISCRETE.iter().map(|d| known.0[d][&class(row, d)]).sum();
            (sum - row["log_p_discrete"].as_f64().expect("a number")).abs()
        });
        let worst = wrong.fold(0.0, f64::max);
        // A class that no picture shows is missing from its sum.
        assert!(worst < 0.02, "the attributes are not independent as the data set's page says: off by {worst} nats");
        known
    }

    /// Mean −ln p of an attribute under its own distribution: what plain data have on average.
    pub fn entropy(&self, attribute: &str) -> f64 {
        self.0[attribute].values().map(|v| -v * v.exp()).sum()
    }

    /// What the network says of these pictures.
    pub fn tell(&self, judge: &Classifier, pictures: &[&Picture]) -> Vec<Told> {
        let found = judge.attributes(pictures).expect("the device works");
        let mut classes: BTreeMap<&str, Vec<(String, f64)>> = BTreeMap::new();
        let mut numbers: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (output, attribute) in judge.outputs().iter().zip(found) {
            match attribute {
                Attribute::Classes(p) => {
                    let best = |row: &[f32]| {
                        let i = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).expect("there are classes");
                        (output.classes[i].clone(), f64::from(row[i]))
                    };
                    classes.insert(&output.name, p.chunks_exact(output.width()).map(best).collect());
                }
                Attribute::Numbers(values) => {
                    numbers.insert(&output.name, values.iter().map(|v| f64::from(*v)).collect());
                }
            }
        }
        let one = |i: usize| {
            let minus = |d: &str| -self.0[d].get(&classes[d][i].0).copied().unwrap_or(f64::NEG_INFINITY);
            let n = |name: &str| numbers[name][i];
            Told {
                head: classes["head"][i].0.clone(),
                sure: classes["head"][i].1,
                rarity: Rarity {
                    head: minus("head"),
                    discrete: DISCRETE.iter().map(|d| minus(d)).sum(),
                    continuous: continuous(n("skin"), n("rotation"), n("scale"), n("dx"), n("dy")),
                },
            }
        };
        (0..pictures.len()).map(one).collect()
    }
}

/// The network that reads attributes, of the models that ship.
pub fn judge(device: &Device) -> Classifier {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/peeps-attributes");
    Classifier::load(&folder, device).expect("it ships")
}
