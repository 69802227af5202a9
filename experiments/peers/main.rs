//! The isoline side of `experiments/peers/run`: answers one line per request.
//!
//! `peers prepare DIR` writes the models, with the shipped one-step model of portraits, as folders with a card,
//! weights and latents. `peers serve DIR` reads
//! requests `MODEL ESTIMATOR COUNT` from standard input and answers each with one line of JSON: milliseconds
//! for the spectra of COUNT latents, and their singular values; `MODEL forward COUNT` times their pictures. So it
//! does for `experiments/graphs/run`. `peers features` and `peers evaluate` are for `experiments/peers/evaluation`.
// A benchmark without its model has nothing to say but why.
#![allow(clippy::expect_used, clippy::print_stdout)]

mod evaluation;

use isoline::device;
use isoline::generator::{Card, Generator, ImportOptions, build, finish_card, import, load};
use isoline::geometry::{EstimatorSettings, estimator_with};
use isoline::noise::{Stream, normals};
use isoline::store::{self, WeightTensor, write_atomic, write_safetensors};
use isoline::tensors::{host, rows};
use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// (card under tests/cards, weights under the folder of `docs/data.md` without the end of their name)
const SHARED: [(&str, &str); 8] = [
    ("burgess-celeba", "burgess-vae/VAE_celeba"),
    ("burgess-btcvae-celeba", "burgess-vae/btcvae_celeba"),
    ("burgess-mnist", "burgess-vae/VAE_mnist"),
    ("burgess-dsprites", "burgess-vae/betaB_dsprites"),
    ("mnist-vae", "mnist-vae/mnist_vae"),
    ("mnist-gan-mlp", "mnist-gan-mlp/mnist_gan_mlp_G"),
    ("mnist-gan-leaky", "mnist-gan-leaky/gan_mnist_01"),
    ("flux2-tiny-decoder", "flux2-tiny-autoencoder/taef2_decoder"),
];

/// Latents of each model, the unguided samples 0, 1, …
const LATENTS: usize = 256;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["prepare", dir] => prepare(Path::new(dir)),
        ["serve", dir] => serve(Path::new(dir)),
        ["features", dir, rows, width] => evaluation::features(Path::new(dir), whole(rows) as u64, whole(width)),
        ["evaluate", dir, case, width] => evaluation::measure(Path::new(dir), case, whole(width)),
        _ => println!("run by experiments/peers/run and experiments/peers/evaluation"),
    }
}

fn whole(text: &str) -> usize {
    text.parse().expect("a whole number")
}

fn prepare(dir: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    random_model(&root.join("experiments/peers/dcgan.toml"), &dir.join("dcgan"));
    let shared = std::env::var_os("ISOLINE_SHARED").map(|s| Path::new(&s).join("weights"));
    for (id, stem) in SHARED {
        let ends = ["safetensors", "pth", "pt", "ckpt"].iter();
        let files = shared.iter().flat_map(|s| ends.clone().map(move |end| s.join(format!("{stem}.{end}"))));
        let Some(weights) = files.into_iter().find(|f| f.is_file()) else { continue };
        let card = root.join("tests/cards").join(format!("{id}.toml"));
        import(&weights, &card, &dir.join(id), ImportOptions::default()).expect("a card of the tests fits its weights");
    }
    let (shipped, to) = (root.join("models/peeps"), dir.join("peeps"));
    for file in ["card.toml", "weights.safetensors"] {
        let bytes = std::fs::read(shipped.join(file)).expect("models/peeps ships");
        write_atomic(&to.join(file), &bytes).expect("the folder can be written");
    }
    for entry in std::fs::read_dir(dir).expect("the folder was just written") {
        let folder = entry.expect("a folder can be listed").path();
        let card = Card::read(&folder.join("card.toml")).expect("the card was just written");
        let d = card.latent_width;
        let values = (0..LATENTS as u64).flat_map(|s| normals(0, s, Stream::Latent, 0, d)).collect();
        let tensor = WeightTensor { shape: vec![LATENTS, d], values };
        let bytes = write_safetensors(&BTreeMap::from([("z".to_owned(), tensor)])).expect("shape and values agree");
        write_atomic(&folder.join("latents.safetensors"), &bytes).expect("the folder can be written");
    }
}

fn random_model(draft: &Path, folder: &Path) {
    let (raw, text) = store::read_toml(draft).expect("the card is TOML");
    let card = Card::check(raw, draft).expect("the card is complete");
    let network = build(&card).expect("its layers fit");
    let tensors: BTreeMap<String, WeightTensor> = network
        .parameters()
        .into_iter()
        .map(|p| (p.key.clone(), WeightTensor { shape: p.shape.clone(), values: p.start(0, None) }))
        .collect();
    let bytes = write_safetensors(&tensors).expect("shape and values agree");
    let done = finish_card(&text, draft, &store::sha256_hex(&bytes), None, &[]).expect("the card is TOML");
    write_atomic(&folder.join("weights.safetensors"), &bytes).expect("the folder can be written");
    write_atomic(&folder.join("card.toml"), done.as_bytes()).expect("the folder can be written");
}

fn serve(dir: &Path) {
    let (_, device) = device::open("cpu").expect("the cpu feature is on by default");
    let mut models: HashMap<String, Arc<dyn Generator>> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("requests are text");
        let [model, name, count] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
        let count: usize = count.parse().expect("a count");
        let generator = models
            .entry(model.to_owned())
            .or_insert_with(|| load(&dir.join(model), &device).expect("a prepared model loads"));
        let d = generator.spec().latent_width;
        if name == "forward" {
            let z = (0..count as u64).flat_map(|s| normals(0, s, Stream::Latent, 0, d)).collect();
            let z = rows(z, d, &device);
            let (started, processor) = (Instant::now(), processor_ms());
            host(generator.generate(z)).expect("the device works");
            let ms = started.elapsed().as_secs_f64() * 1e3;
            println!("{}", serde_json::json!({ "ms": ms, "processor_ms": processor_ms() - processor }));
            continue;
        }
        let z: Vec<f32> = (0..count as u64).flat_map(|s| normals(0, s, Stream::Latent, 0, d)).collect();
        // NAME or NAME:P, without the jackknife: the peers give no standard errors either.
        let (name, directions) = name.split_once(':').map_or((name, None), |(n, p)| (n, p.parse().ok()));
        let settings = EstimatorSettings { directions, replicates: 0, ..EstimatorSettings::default() };
        let estimator = estimator_with(name, &settings).expect("in the table");
        let (started, processor) = (Instant::now(), processor_ms());
        let spectra = estimator.spectra(&**generator, &z).expect("the device works");
        let (ms, processor_ms) = (started.elapsed().as_secs_f64() * 1e3, processor_ms() - processor);
        let values: Vec<Vec<f64>> = spectra.into_iter().map(|s| s.map_or(Vec::new(), |s| s.singular_values)).collect();
        println!("{}", serde_json::json!({ "ms": ms, "processor_ms": processor_ms, "singular_values": values }));
    }
}

/// Milliseconds of processor time that all threads of this process have had: on a machine that is shared with
/// others it says more than the clock. NaN where /proc does not tell.
fn processor_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ns =
        tasks.filter_map(|t| std::fs::read_to_string(t.path().join("schedstat")).ok()?.split(' ').next()?.parse().ok());
    let ns: Vec<f64> = ns.collect();
    if ns.is_empty() { f64::NAN } else { ns.iter().sum::<f64>() / 1e6 }
}
