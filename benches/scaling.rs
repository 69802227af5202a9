//! Processor seconds and peak memory of a spectrum against batch, directions, latent width and resolution.
//!
//! `cargo bench --bench scaling -- docs` writes `docs/performance.md` and `docs/performance.svg`. Each figure comes
//! from a process of its own, so that its peak memory is its own.
// A benchmark that cannot run has nothing to say but why.
#![allow(clippy::expect_used, clippy::print_stdout)]

use isoline::device;
use isoline::generator::{Card, OneShot, build};
use isoline::geometry::{EstimatorSettings, estimator_with};
use isoline::nn::Parameters;
use isoline::noise::{Stream, normals};
use isoline::render::plot::lines;
use isoline::store::write_atomic;
use std::fmt::Write;
use std::path::Path;

/// One figure: what is varied, and the four numbers.
#[derive(Clone, Copy)]
struct Point {
    batch: usize,
    /// 0 for the exact Jacobian, else P of the input subspace.
    directions: usize,
    width: usize,
    side: usize,
}

/// Where all rows start from.
const START: Point = Point { batch: 4, directions: 0, width: 64, side: 32 };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["point", batch, directions, width, side] => {
            let number = |s: &str| s.parse().expect("a number");
            measure(Point {
                batch: number(batch),
                directions: number(directions),
                width: number(width),
                side: number(side),
            });
        }
        [folder] => report(Path::new(folder)),
        _ => println!("cargo bench --bench scaling -- FOLDER"),
    }
}

/// A generator of DCGAN's kind with random weights: 4×4 planes, doubled until `side`, 256 channels halved down to 32.
fn generator(p: Point) -> OneShot {
    let up = |key: usize, out: usize, stride: usize, padding: usize| {
        format!(
            "{{ kind = \"conv_transpose2d\", key = \"{key}\", out = {out}, kernel = 4, stride = {stride}, padding = {padding} }}"
        )
    };
    let mut layers = vec![up(0, 256, 1, 0)];
    let (mut side, mut channels) = (4, 256);
    while side < p.side {
        (side, channels) = (side * 2, (channels / 2).max(32));
        let out = if side == p.side { 3 } else { channels };
        layers.extend(["{ kind = \"relu\" }".to_owned(), up(layers.len(), out, 2, 1)]);
    }
    let text = format!(
        "format = 1\nid = \"scaling\"\nfamily = \"gan\"\nabout = \"random weights\"\nlayers = [{}]\n[latent]\nshape = [{}, 1, 1]\n\
         prior = \"normal\"\n[sample]\nshape = [3, {side}, {side}]\nrange = [-1.0, 1.0]\n\
         [provenance]\ntrained_on = \"\"\nlicence = \"\"\nhow = \"\"\n",
        layers.join(", "),
        p.width
    );
    let card = Card::check(toml::from_str(&text).expect("a card"), Path::new("scaling.toml")).expect("a complete card");
    let network = build(&card).expect("layers that fit");
    let (_, device) = device::open("cpu").expect("the cpu feature is on by default");
    let values = network.parameters().into_iter().map(|s| (s.key.clone(), s.start(0, None)));
    let parameters = Parameters::from_values(values.collect::<Vec<_>>(), &device);
    OneShot::from_parts(&card, network, parameters, &device).expect("a generator")
}

fn measure(p: Point) {
    let generator = generator(p);
    let directions = (p.directions > 0).then_some(p.directions);
    let settings = EstimatorSettings { directions, replicates: 0, ..EstimatorSettings::default() };
    let name = if directions.is_some() { "input-subspace" } else { "exact" };
    let estimator = estimator_with(name, &settings).expect("in the table");
    let z: Vec<f32> = (0..p.batch as u64).flat_map(|s| normals(0, s, Stream::Latent, 0, p.width)).collect();
    estimator.spectra(&generator, &z[..p.width]).expect("the device works");
    let before = peak_mib();
    let started = processor_seconds();
    estimator.spectra(&generator, &z).expect("the device works");
    println!("{} {} {}", processor_seconds() - started, before, peak_mib());
}

/// Processor time of all threads of this process, which others on the machine disturb less than the clock; NaN
/// where /proc does not tell.
fn processor_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ns = tasks.filter_map(|t| {
        std::fs::read_to_string(t.path().join("schedstat")).ok()?.split(' ').next()?.parse::<f64>().ok()
    });
    ns.reduce(|a, b| a + b).map_or(f64::NAN, |ns| ns / 1e9)
}

/// Most memory that this process ever had resident; NaN where /proc does not tell.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1024.0)
}

/// Least seconds of three processes, and peak memory.
fn ask(p: Point) -> (f64, f64) {
    let this = std::env::current_exe().expect("a running program has a path");
    let words = [p.batch, p.directions, p.width, p.side].map(|n| n.to_string());
    let once = || {
        let out = std::process::Command::new(&this).arg("point").args(&words).output().expect("this program starts");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        (numbers[0], numbers[2])
    };
    (0..3).map(|_| once()).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).expect("three times")
}

fn report(folder: &Path) {
    let rows: [(&str, Vec<Point>); 4] = [
        ("batch", [1, 2, 4, 8, 16, 32].map(|batch| Point { batch, ..START }).to_vec()),
        ("directions P", [8, 16, 32, 64].map(|directions| Point { directions, ..START }).to_vec()),
        ("latent width d", [16, 32, 64, 128, 256, 512].map(|width| Point { width, ..START }).to_vec()),
        ("side in pixels", [8, 16, 32, 64, 128].map(|side| Point { side, ..START }).to_vec()),
    ];
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut text = format!(
        "# Seconds and memory\n\nWritten by `cargo bench --bench scaling -- docs`. A generator of DCGAN's kind with random \
         weights; one row of each table is varied, the rest stays at {} latents, d = {}, {}×{} pixels, exact Jacobian \
         (input subspace where P is varied), a budget of {} MiB. {threads} threads; seconds of processor time, the least of \
         three processes; the memory of the whole process with its weights.\n\n![seconds against each](performance.svg)\n",
        START.batch,
        START.width,
        START.side,
        START.side,
        EstimatorSettings::default().memory >> 20
    );
    let mut series = Vec::new();
    for (name, points) in rows {
        let _ = write!(text, "\n| {name} | seconds | ms per latent | peak memory, MiB |\n|---|---|---|---|\n");
        let of = |p: &Point| match name {
            "batch" => p.batch,
            "directions P" => p.directions,
            "latent width d" => p.width,
            _ => p.side,
        };
        let mut line = Vec::new();
        for p in &points {
            let (seconds, mib) = ask(*p);
            println!("{name} {}: {seconds:.4} s, {mib:.0} MiB", of(p));
            let _ = writeln!(text, "| {} | {seconds:.4} | {:.2} | {mib:.0} |", of(p), 1e3 * seconds / p.batch as f64);
            line.push((of(p) as f64, seconds.log10()));
        }
        series.push((name, line));
    }
    let svg = lines("Time for the spectra of a batch", "what is varied", "log10 of seconds", &series, true);
    let svg = svg.expect("a plot");
    write_atomic(&folder.join("performance.svg"), svg.as_bytes()).expect("the folder can be written");
    write_atomic(&folder.join("performance.md"), text.as_bytes()).expect("the folder can be written");
}
