//! Pretrained models of others, through their cards: import, values, Jacobians and singular values, compared with
//! PyTorch.
//!
//! Bounds: values and Jacobian entries are f32 sums of at most some thousand terms in a few layers, and the references
//! are in f64, so 1e-5 in relative L2. Singular values carry an absolute error of about the same size relative to σ₁;
//! those above 1e-3·σ₁ must be right to 1e-4 of themselves.

use crate::shared::{self, Fixtures, relative_l2};
use isoline::device::{self, Device};
use isoline::generator::{Generator, ImportOptions, Imported, OneShot, import};
use isoline::geometry::estimator;
use isoline::nn::Tangents;
use isoline::store::{Weights, write_atomic};
use isoline::tensors::{host, rows};
use std::path::{Path, PathBuf};

const VALUES: f64 = 1e-5;
const SINGULAR: f64 = 1e-4;
const STRONG: f64 = 1e-3;
/// Relative steps away from a latent that lies on a kink; see [`Model::on_a_kink`].
const STEPS: [f32; 4] = [0.0, 1e-6, 2e-6, 4e-6];

/// A pretrained model: its card, its files, and what its reference values are called.
struct Model {
    id: &'static str,
    weights: &'static str,
    /// The same model as written by PyTorch.
    pth: Option<&'static str>,
    fixtures: &'static str,
    /// Name of the input of the last activation, and prefix of the singular values of the image.
    pre: Option<&'static str>,
    image_sv: &'static str,
    /// Latents where rounding decides the sign of a ReLU's input: f32 and the reference in f64 may be on opposite sides
    /// of a kink, where the Jacobian jumps. Their singular values are compared at the first of [`STEPS`] that reaches
    /// the side of the reference, within the same bound.
    on_a_kink: &'static [usize],
}

const BURGESS: Model = Model {
    id: "",
    weights: "",
    pth: None,
    fixtures: "",
    pre: Some("pre_sigmoid_f64"),
    image_sv: "sv_img_",
    on_a_kink: &[],
};
const DENSE: Model = Model { pre: Some("pre_f64"), ..BURGESS };

#[test]
#[ignore = "needs the shared data"]
fn burgess_celeba() {
    let weights = "burgess-vae/VAE_celeba.safetensors";
    let fixtures = "burgess-vae/VAE_celeba.fixtures.safetensors";
    agrees(&Model { id: "burgess-celeba", weights, fixtures, ..BURGESS });
}

#[test]
#[ignore = "needs the shared data"]
fn burgess_btcvae_celeba() {
    let weights = "burgess-vae/btcvae_celeba.safetensors";
    let fixtures = "burgess-vae/btcvae_celeba.fixtures.safetensors";
    agrees(&Model { id: "burgess-btcvae-celeba", weights, fixtures, ..BURGESS });
}

#[test]
#[ignore = "needs the shared data"]
fn burgess_mnist() {
    let weights = "burgess-vae/VAE_mnist.safetensors";
    let fixtures = "burgess-vae/VAE_mnist.fixtures.safetensors";
    let pth = Some("burgess-vae/VAE_mnist.pth");
    agrees(&Model { id: "burgess-mnist", weights, fixtures, pth, ..BURGESS });
}

#[test]
#[ignore = "needs the shared data"]
fn burgess_dsprites() {
    let weights = "burgess-vae/betaB_dsprites.safetensors";
    let fixtures = "burgess-vae/betaB_dsprites.fixtures.safetensors";
    agrees(&Model { id: "burgess-dsprites", weights, fixtures, ..BURGESS });
}

#[test]
#[ignore = "needs the shared data"]
fn mnist_vae() {
    let weights = "mnist-vae/mnist_vae.safetensors";
    let fixtures = "mnist-vae/mnist_vae.fixtures.safetensors";
    agrees(&Model { id: "mnist-vae", weights, fixtures, pth: Some("mnist-vae/mnist_vae.pth"), ..DENSE });
}

#[test]
#[ignore = "needs the shared data"]
fn mnist_gan_mlp() {
    let weights = "mnist-gan-mlp/mnist_gan_mlp_G.safetensors";
    let fixtures = "mnist-gan-mlp/mnist_gan_mlp_G.fixtures.safetensors";
    agrees(&Model { id: "mnist-gan-mlp", weights, fixtures, ..DENSE });
}

#[test]
#[ignore = "needs the shared data"]
fn mnist_gan_leaky() {
    let weights = "mnist-gan-leaky/gan_mnist_01.safetensors";
    let fixtures = "mnist-gan-leaky/gan_mnist_01.fixtures.safetensors";
    let pth = Some("mnist-gan-leaky/gan_mnist_01.pth");
    agrees(&Model { id: "mnist-gan-leaky", weights, fixtures, pth, ..DENSE });
}

#[test]
#[ignore = "needs the shared data"]
fn flux2_tiny_decoder() {
    let weights = "flux2-tiny-autoencoder/taef2_decoder.safetensors";
    let fixtures = "flux2-tiny-autoencoder/fixtures.safetensors";
    // At latent 2, two of some 400,000 ReLU inputs are 1.2e-7 and −4.7e-8 in f64 but −1.7e-7 and 1.5e-8 in f32; the
    // root mean squares of their layers are 0.4 and 0.6.
    let on_a_kink = &[2];
    agrees(&Model { id: "flux2-tiny-decoder", weights, fixtures, pre: None, image_sv: "sv_", on_a_kink, ..DENSE });
}

#[test]
fn every_card_has_a_test() {
    let here = concat!(include_str!("pretrained.rs"), include_str!("diffusion/pretrained.rs"));
    for entry in std::fs::read_dir(cards()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let id = name.strip_suffix(".toml").unwrap();
        let tested = here.contains(&format!("id: \"{id}\"")) || here.contains(&format!("tests/cards/{id}.toml"));
        assert!(tested, "tests/cards/{name} is in no test");
    }
}

fn cards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cards")
}

fn import_into(model: &Model, source: &Path, folder: &Path) -> Imported {
    import(source, &cards().join(format!("{}.toml", model.id)), folder, ImportOptions::default()).unwrap()
}

/// Compares everything for which `model` has reference values.
fn agrees(model: &Model) {
    let data = shared::data();
    let weights = data.join("weights");
    let fixtures = Fixtures::read(&weights.join(model.fixtures));
    let (_, device) = device::open("cpu").unwrap();
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join(model.id);

    let source = weights.join(model.weights);
    let imported = import_into(model, &source, &folder);
    same_tensors(&source, &folder, imported.tensors);
    if let Some(pth) = model.pth {
        let other = temp.path().join("pth");
        import_into(model, &weights.join(pth), &other);
        let bytes = |folder: &Path| std::fs::read(folder.join("weights.safetensors")).unwrap();
        assert!(bytes(&folder) == bytes(&other), "{pth} gave other tensors than {}", model.weights);
    }

    let one_shot = OneShot::load(&folder, &device).unwrap();
    let d = one_shot.spec().latent_width;
    let z = fixtures.floats("z");
    let image = host(one_shot.generate(rows(z.clone(), d, one_shot.device()))).unwrap();
    let value = relative_l2(&image, fixtures.get("image_f64"));
    let singular = singular_values_agree(&one_shot, &fixtures, &z, model.image_sv, model.on_a_kink);
    println!("{:<22} image: values {value:.1e}, singular values {singular:.1e}", model.id);
    assert!(value < VALUES, "{}: image off by {value:e}", model.id);
    assert!(singular < SINGULAR, "{}: singular values of the image off by {singular:e}", model.id);

    if let Some(pre) = model.pre {
        preactivation_agrees(model, &folder, &device, &fixtures, pre);
    }
}

fn preactivation_agrees(model: &Model, folder: &Path, device: &Device, fixtures: &Fixtures, name: &str) {
    let path = folder.join("card.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let edited = text.replace("output = \"image\"", "output = \"preactivation\"");
    assert_ne!(text, edited);
    write_atomic(&path, edited.as_bytes()).unwrap();
    let one_shot = OneShot::load(folder, device).unwrap();
    assert!(one_shot.spec().piecewise_linear, "{}: expected a piecewise linear pre-activation", model.id);

    let d = one_shot.spec().latent_width;
    let z = fixtures.floats("z");
    let mut identity = vec![0.0; d * d];
    (0..d).for_each(|i| identity[i * (d + 1)] = 1.0);
    let directions = Tangents::shared(rows(identity, d, one_shot.device()));
    let (values, tangents) = one_shot.tangents(rows(z.clone(), d, one_shot.device()), directions);
    let value = relative_l2(&host(values).unwrap(), fixtures.get(name));

    let n = z.len() / d;
    let columns = host(tangents.expanded(n)).unwrap();
    let width = columns.len() / (n * d);
    let jacobian: Vec<f32> = (0..width * d).map(|i| columns[(i % d) * width + i / d]).collect();
    let entries = relative_l2(&jacobian, fixtures.get("jacobian_pre_0"));
    let singular = singular_values_agree(&one_shot, fixtures, &z, "sv_pre_", model.on_a_kink);
    println!(
        "{:<22} pre-activation: values {value:.1e}, Jacobian {entries:.1e}, singular values {singular:.1e}",
        model.id
    );
    assert!(value < VALUES, "{}: pre-activation off by {value:e}", model.id);
    assert!(entries < VALUES, "{}: Jacobian off by {entries:e}", model.id);
    assert!(singular < SINGULAR, "{}: singular values of the pre-activation off by {singular:e}", model.id);
}

/// The largest relative error of a singular value above [`STRONG`]·σ₁, over all latents with reference values.
fn singular_values_agree(one_shot: &OneShot, fixtures: &Fixtures, z: &[f32], prefix: &str, on_a_kink: &[usize]) -> f64 {
    let exact = estimator("exact").unwrap();
    let mut worst = 0.0f64;
    let mut compared = 0;
    for (i, z) in z.chunks(one_shot.spec().latent_width).enumerate() {
        if !fixtures.has(&format!("{prefix}{i}")) {
            continue;
        }
        let expected = fixtures.get(&format!("{prefix}{i}"));
        let mut inside = true;
        let mut off = |step: f32| {
            let z: Vec<f32> = z.iter().map(|v| v * (1.0 + step)).collect();
            let spectrum = exact.spectra(one_shot, &z).unwrap().remove(0).unwrap();
            let (rank, found) = (spectrum.rank(), spectrum.singular_values.clone());
            assert_eq!(found.len(), expected.len());
            let psi = |s: &[f64]| s[..rank].iter().map(|s| s.ln()).sum::<f64>();
            let (error, bound) = ((psi(&found) - psi(expected)).abs(), spectrum.psi_stderr(rank));
            inside &= step > 0.0 || error <= bound || on_a_kink.contains(&i);
            println!("{prefix}{i}: psi over {rank} off by {error:.1e}, bound {bound:.1e}");
            let strong = found.iter().zip(expected).filter(|(_, e)| **e > STRONG * expected[0]);
            strong.map(|(f, e)| (f - e).abs() / e).fold(0.0, f64::max)
        };
        let steps = if on_a_kink.contains(&i) { &STEPS[..] } else { &STEPS[..1] };
        let first = steps.iter().map(|step| (*step, off(*step))).find(|(_, off)| *off < SINGULAR);
        if let Some((step, _)) = first.filter(|(step, _)| *step > 0.0) {
            println!("{prefix}{i}: compared at z·(1 + {step:e})");
        }
        worst = worst.max(first.map_or_else(|| off(0.0), |(_, off)| off));
        assert!(inside, "psi of {prefix}{i} is further off than its bound");
        compared += 1;
    }
    assert!(compared > 0, "no reference value \"{prefix}0\"");
    worst
}

/// Asserts that every tensor of the imported folder has the bits of the source, cast to f32.
fn same_tensors(source: &Path, folder: &Path, count: usize) {
    let from = Weights::read(source).unwrap();
    let to = Weights::read(&folder.join("weights.safetensors")).unwrap();
    assert_eq!(to.names().count(), count);
    for name in to.names() {
        let (a, b) = (from.get(name).unwrap(), to.get(name).unwrap());
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert!(a.shape == b.shape && bits(&a.values) == bits(&b.values), "{name}");
    }
}
