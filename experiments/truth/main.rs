//! Does novel mean rare? Portraits whose probability is known, read by a network that was trained to tell what they show.
//!
//! ```text
//! cargo bench --bench truth -- data                                   the network on the test pictures
//! cargo bench --bench truth -- unguided MODEL COUNT QUANTITY@ESTIMATOR…
//! cargo bench --bench truth -- steered RUN…
//! ```
//!
//! A quantity is one of `isoline list quantities`; with `OTHER/` before it, it is measured on that model at the codes of the pictures of
//! MODEL: at the standardised ones if it is a quantity of pictures, else at OTHER's own latents. OTHER must have the same decoder, or
//! be it.
//! The data set is found below `ISOLINE_SHARED` or `../shared/data`. Tables go to standard output, with 95 % intervals from 1,000
//! resamples of the pictures.
// An experiment without its data or model has nothing to say but why.
#![allow(clippy::expect_used, clippy::print_stdout)]

mod known;

use isoline::data::Packed;
use isoline::device::{self, Device};
use isoline::evaluate::{Features, METRICS, Sets, Settings};
use isoline::generator::{Encoder, Generator, find_model, load};
use isoline::noise::{self, Stream};
use isoline::render::{Picture, png};
use isoline::reward::{Place, quantity};
use isoline::statistics::{quantile, spearman};
use isoline::table::{Values, read_parquet};
use isoline::tensors::{host, rows};
use known::{DISCRETE, Known, Told, judge};
use rand::RngExt;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Pictures of one call.
const TILE: usize = 16;
/// Resamples of an interval.
const RESAMPLES: u64 = 1000;
/// Leading directions that a spectrum is summed over.
const RANKS: [usize; 5] = [11, 32, 64, 128, 256];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let device = device::open("cpu").expect("there is a processor").1;
    match &words[..] {
        ["data"] => data(&device),
        ["unguided", model, count, quantities @ ..] => {
            unguided(model, count.parse().expect("a whole number"), quantities, &device);
        }
        ["steered", runs @ ..] => runs.iter().for_each(|run| steered(Path::new(run), &device)),
        _ => println!("see the head of experiments/truth/main.rs"),
    }
}

fn data_set(name: &str) -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    std::env::var_os("ISOLINE_SHARED").map_or_else(beside, PathBuf::from).join("datasets/peeps").join(name)
}

fn known() -> Known {
    Known::read(&data_set("peeps-64-train.zip"))
}

fn pictures(path: &Path) -> Vec<Picture> {
    let mut packed = Packed::open(path).expect("pictures");
    let mut read = Vec::new();
    let taken = packed.decode(None, |picture| {
        read.push(picture);
        Ok(())
    });
    taken.expect("pictures that can be read");
    read
}

/// The mean and the ends of its 95 % interval.
fn mean_of(values: &[f64], key: u64) -> [f64; 3] {
    interval(values.len(), key, |rows| Some(rows.iter().map(|r| values[*r]).sum::<f64>() / rows.len() as f64))
}

/// A statistic of rows, and the ends of its interval; NaN where it is not defined.
fn interval(count: usize, key: u64, of: impl Fn(&[usize]) -> Option<f64> + Sync) -> [f64; 3] {
    let all: Vec<usize> = (0..count).collect();
    let draw = |i: u64| {
        let mut rng = noise::generator(key, i, Stream::Bootstrap, 0);
        of(&(0..count).map(|_| rng.random_range(0..count)).collect::<Vec<_>>())
    };
    let mut drawn: Vec<f64> = (0..RESAMPLES).into_par_iter().filter_map(draw).collect();
    drawn.sort_by(f64::total_cmp);
    [of(&all), quantile(&drawn, 0.025), quantile(&drawn, 0.975)].map(|v| v.unwrap_or(f64::NAN))
}

fn shown([value, low, high]: [f64; 3]) -> String {
    format!("{value:.2} ({low:.2} to {high:.2})")
}

/// How the network reads the test pictures: the floor of everything below.
fn data(device: &Device) {
    let known = known();
    let test = pictures(&data_set("peeps-64-test.zip"));
    let told = known.tell(&judge(device), &test.iter().collect::<Vec<_>>());
    println!("{} test pictures", test.len());
    for attribute in DISCRETE {
        println!("mean −ln p({attribute}) of the distribution itself: {:.3}", known.entropy(attribute));
    }
    println!("{}", summary_head());
    println!("{}", summary("test pictures", &told));
}

fn summary_head() -> String {
    "set\tpictures\theads\tsure of the head\t−ln p(head)\t−ln p(discrete)\t−ln p(continuous)".to_owned()
}

fn summary(name: &str, told: &[Told]) -> String {
    let heads: BTreeSet<&str> = told.iter().map(|t| t.head.as_str()).collect();
    let sure = told.iter().filter(|t| t.sure > 0.9).count() as f64 / told.len() as f64;
    let of = |f: fn(&Told) -> f64| shown(mean_of(&told.iter().map(f).collect::<Vec<_>>(), 1));
    format!(
        "{name}\t{}\t{}\t{sure:.3}\t{}\t{}\t{}",
        told.len(),
        heads.len(),
        of(|t| t.rarity.head),
        of(|t| t.rarity.discrete),
        of(|t| t.rarity.continuous)
    )
}

/// What was sampled: latents, states and pictures of seeds 0, 1, …
struct Sampled {
    latents: Vec<f32>,
    states: Vec<f32>,
    pictures: Vec<Picture>,
}

fn sampled(model: &dyn Generator, count: usize) -> Sampled {
    let (spec, width) = (model.spec(), model.spec().latent_width);
    let mut all = Sampled { latents: Vec::new(), states: Vec::new(), pictures: Vec::new() };
    for first in (0..count).step_by(TILE) {
        let seeds = first..(first + TILE).min(count);
        let z: Vec<f32> = seeds.flat_map(|s| noise::normals(0, s as u64, Stream::Latent, 0, width)).collect();
        let states = model.states(rows(z.clone(), width, model.device()));
        all.states.extend(host(states.clone()).expect("the device works"));
        let values = host(model.pictures_of(states)).expect("the device works");
        let one = |v: &[f32]| Picture::from_values(v, spec.sample_shape, spec.range).expect("finite values");
        all.pictures.extend(values.chunks_exact(spec.sample_shape.iter().product()).map(one));
        all.latents.extend(z);
    }
    all
}

/// How every quantity goes along with what is known, over unguided samples.
fn unguided(name: &str, count: usize, quantities: &[&str], device: &Device) {
    let known = known();
    let open = |name: &str| load(&find_model(name).expect("a model"), device).expect("a model that loads");
    let model = open(name);
    let samples = sampled(&*model, count);
    let told = known.tell(&judge(device), &samples.pictures.iter().collect::<Vec<_>>());
    println!("{}\n{}\n", summary_head(), summary(name, &told));
    let bright: Vec<f64> = samples.pictures.iter().map(brightness).collect();
    let truth: [(&str, Vec<f64>); 4] = [
        ("−ln p(head)", told.iter().map(|t| t.rarity.head).collect()),
        ("−ln p(discrete)", told.iter().map(|t| t.rarity.discrete).collect()),
        ("−ln p(continuous)", told.iter().map(|t| t.rarity.continuous).collect()),
        ("brightness", bright.clone()),
    ];
    println!("Spearman\t{}", truth.each_ref().map(|t| t.0).join("\t"));
    let line = |name: &str, values: &[Option<f64>]| {
        let kept: Vec<usize> = (0..count).filter(|i| values[*i].is_some()).collect();
        let cells = truth.each_ref().map(|(_, truth)| {
            let found = interval(kept.len(), 2, |r| {
                let [a, b]: [Vec<f64>; 2] =
                    [r.iter().filter_map(|i| values[kept[*i]]).collect(), r.iter().map(|i| truth[kept[*i]]).collect()];
                spearman(&a, &b)
            });
            shown(found)
        });
        let missing = count - kept.len();
        let left_out = if missing > 0 { format!("\t{missing} left out") } else { String::new() };
        println!("{name}\t{}{left_out}", cells.join("\t"));
    };
    for asked in quantities {
        let (what, estimator) = asked.split_once('@').expect("QUANTITY@ESTIMATOR");
        let (other, what) = what.split_once('/').map_or((None, what), |(other, what)| (Some(open(other)), what));
        let of = other.as_ref().unwrap_or(&model);
        let measure = quantity(what, estimator).expect("a quantity and an estimator");
        let shared = |of: &dyn Generator| {
            let first =
                rows(samples.states[..samples.states.len() / count].to_vec(), samples.states.len() / count, device);
            host(of.pictures_of(first)).expect("the device works")
        };
        let codes;
        let points = match (&other, measure.row().place) {
            (None, Place::Latent) => &samples.latents,
            (None, _) => &samples.states,
            (Some(other), Place::Latent) => {
                codes = decoded_from(name, &samples.states, count);
                let first = rows(codes[..codes.len() / count].to_vec(), codes.len() / count, device);
                let made = host(other.generate(first)).expect("the device works");
                assert!(made == shared(&*model), "{asked}: not the decoder of {name}");
                &codes
            }
            (Some(other), _) => {
                assert!(shared(&**other) == shared(&*model), "{asked}: another decoder than {name}");
                &samples.states
            }
        };
        let width = points.len() / count;
        let mut found = Vec::with_capacity(count);
        for tile in points.chunks(TILE * width) {
            found.extend(measure.read(&**of, tile).expect("it can be measured"));
        }
        match measure.row().of_spectrum {
            true => {
                let longest = found.iter().flatten().filter_map(|r| Some(r.spectrum()?.singular_values.len())).max();
                for k in RANKS.iter().filter(|k| Some(**k) <= longest) {
                    let values: Vec<_> = found.iter().map(|r| r.as_ref()?.value(*k)).collect();
                    line(&format!("{asked}, k = {k}"), &values);
                }
            }
            false => {
                let values: Vec<_> = found.iter().map(|r| r.as_ref()?.value(0)).collect();
                line(asked, &values);
                let mut sorted: Vec<f64> = values.iter().flatten().copied().collect();
                sorted.sort_by(f64::total_cmp);
                println!("  its median {:.1}", quantile(&sorted, 0.5).unwrap_or(f64::NAN));
            }
        }
    }
    let norm = |values: &[f32]| -> Vec<Option<f64>> {
        let of = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        values.chunks_exact(values.len() / count).map(|row| Some(of(row))).collect()
    };
    line("norm of the noise", &norm(&samples.latents));
    line("norm of the code", &norm(&samples.states));
    let bytes = |p: &Picture| png::smallest(p).ok().map(|b| b.len() as f64);
    line("bytes of the PNG", &samples.pictures.iter().map(bytes).collect::<Vec<_>>());
    line("brightness", &bright.iter().map(|b| Some(*b)).collect::<Vec<_>>());
}

/// The codes that the decoder of a model is given for its `states`: its card says how those are standardised.
fn decoded_from(name: &str, states: &[f32], count: usize) -> Vec<f32> {
    let path = find_model(name).expect("a model").join("card.toml");
    let card: toml::Table = toml::from_str(&std::fs::read_to_string(path).expect("a card")).expect("a card");
    let of = |key: &str| -> Vec<f32> {
        let values = card["decoder"][key].as_array().expect("one for each channel");
        values.iter().map(|v| v.as_float().expect("a number") as f32).collect()
    };
    let (mean, std) = (of("mean"), of("std"));
    let area = states.len() / count / mean.len();
    let one = |(i, v): (usize, &f32)| v * std[i / area % std.len()] + mean[i / area % mean.len()];
    states.iter().enumerate().map(one).collect()
}

/// Mean of the luma, 0 to 1.
fn brightness(p: &Picture) -> f64 {
    let luma = |c: &[u8]| match c {
        [r, g, b] => 0.2126 * f64::from(*r) + 0.7152 * f64::from(*g) + 0.0722 * f64::from(*b),
        grey => f64::from(grey[0]),
    };
    p.pixels.chunks_exact(p.channels).map(luma).sum::<f64>() / (255 * p.height * p.width) as f64
}

/// What the pictures of a run show, level by level.
fn steered(run: &Path, device: &Device) {
    let (known, judge) = (known(), judge(device));
    let (table, _) = read_parquet(&run.join("samples.parquet")).expect("a run folder of isoline generate");
    let column = |name: &str| table.columns().iter().find(|c| c.name == name).map(|c| &c.values).expect("a column");
    let (Values::Text(jobs), Values::Text(files), Values::F64(asked)) =
        (column("job"), column("file"), column("novelty_asked"))
    else {
        panic!("other columns than isoline generate writes");
    };
    let mut levels: Vec<Option<f64>> = asked.clone();
    levels.sort_by(|a, b| a.unwrap_or(-1.0).total_cmp(&b.unwrap_or(-1.0)));
    levels.dedup();
    let test = pictures(&data_set("peeps-64-test.zip"));
    let encoder = Encoder::load(&find_model("peeps-attributes").expect("it ships"), device).expect("it loads");
    let features = |pictures: &[Picture]| {
        let (values, width) = encoder.see(&pictures.iter().collect::<Vec<_>>()).expect("the device works").features;
        Features { values, width }
    };
    let real = features(&test);
    println!("{}\tprecision\trecall", summary_head());
    println!("{}", summary("test pictures", &known.tell(&judge, &test.iter().collect::<Vec<_>>())));
    for level in levels {
        let own = jobs.iter().zip(files).zip(asked).filter(|(_, a)| **a == level);
        // Where there are several jobs, each has a folder.
        let own = own.filter_map(|((job, file), _)| {
            Some([run.join(job.as_ref()?).join(file.as_ref()?), run.join(file.as_ref()?)])
        });
        let read = |[below, beside]: [PathBuf; 2]| {
            png::read_picture(if below.is_file() { &below } else { &beside }).expect("a picture of the run")
        };
        let made: Vec<Picture> = own.map(read).collect();
        let told = known.tell(&judge, &made.iter().collect::<Vec<_>>());
        let of = features(&made);
        let settings = Settings { seed: 0, nearest: 5, resamples: 200, block: 240 };
        let metric = |name: &str| {
            let row = METRICS.iter().find(|m| m.name == name).expect("in the table");
            let found = (row.measure)(&Sets::new(&real, &of), &settings).expect("there are enough pictures");
            shown([found.value, found.interval[0], found.interval[1]])
        };
        let name = level.map_or("unguided".to_owned(), |l| format!("novelty {l}"));
        println!("{}\t{}\t{}", summary(&name, &told), metric("precision"), metric("recall"));
    }
}
