//! A U-Net with every kind of layer, compared with PyTorch's forward mode in f64 (tests/golden/unet/case.py): the
//! denoiser and the whole sampler, values and tangents, with tensors and on host memory.

use super::cpu;
use crate::shared::{Fixtures, relative_l2};
use isoline::diffusion::{Denoiser, State};
use isoline::generator::{AtSigma, Card, Generator, Sampler, read_model};
use isoline::host::{HostGraph, HostRows};
use isoline::nn::{Parameters, Tangents};
use isoline::tensors::{host, rows};
use std::path::Path;

/// Sixty sums of up to 72 terms in sequence, each passing on the relative error of the one before; the rounding error
/// of a sum of n terms grows as √n.
const BOUND: f64 = 60.0 * 8.5 * f32::EPSILON as f64;

struct Case {
    expected: Fixtures,
    x: Vec<f32>,
    directions: Vec<f32>,
}

impl Case {
    fn compare(&self, what: &str, case: &str, value: &[f32], tangents: &[f32]) {
        for (part, found) in [("value", value), ("tangents", tangents)] {
            let off = relative_l2(found, self.expected.get(&format!("expected.{case}.{part}")));
            println!("{case}, {what}: {part} off by {off:.1e}");
            assert!(off < BOUND, "{case}, {what}: {part} off by {off:e}, bound {BOUND:e}");
        }
    }

    fn on_host(&self, case: &str, chain: Option<&HostGraph>) {
        let chain = chain.expect("every layer of it has a host rule");
        let (k, d) = (self.directions.len() / 64, 64);
        let (mut values, mut tangents) = (Vec::new(), Vec::new());
        for x in self.x.chunks_exact(d) {
            let (value, trace) = chain.value(x);
            let start = chain.start(HostRows::directions(&self.directions, k));
            let t = chain.tangent(&trace, &start, None);
            values.extend(value);
            tangents.extend((0..k).flat_map(|j| (0..d).map(move |f| (f, j))).map(|(f, j)| t.row(f).unwrap()[j]));
        }
        self.compare("host memory", case, &values, &tangents);
    }
}

#[test]
fn unet_equals_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/unet");
    let card = Card::read(&folder.join("card.toml")).unwrap();
    let load = || {
        let weights = isoline::store::Weights::read(&folder.join("expected.safetensors")).unwrap();
        let parts = card.denoiser_parts().unwrap();
        let parameters = Parameters::upload(&parts.parameters(), &weights, &cpu());
        Sampler::from_parts(&card, parts, parameters, &cpu()).unwrap()
    };
    // The file holds the expected results beside the weights, so it is not a model by itself.
    assert!(
        read_model(&card, card.denoiser_parts().unwrap().parameters(), &folder)
            .is_err_and(|e| e.to_string().contains("read by no layer"))
    );
    let expected = Fixtures::read(&folder.join("expected.safetensors"));
    let (x, directions) = (expected.floats("expected.x"), expected.floats("expected.directions"));
    let case = Case { expected, x, directions };
    let shared = || Tangents::shared(rows(case.directions.clone(), 64, &cpu()));
    for (name, sigma, class) in [("denoiser_low", 0.2, Some(1)), ("denoiser_high", 3.0, None)] {
        let sampler = load().with_class(class).unwrap();
        let classes = class.map(|c| vec![c; 2]);
        let state = State { value: rows(case.x.clone(), 64, &cpu()), tangents: Some(shared()) };
        let out = sampler.denoiser().denoise(&state, sigma, classes.as_deref()).unwrap();
        let tangents = host(out.tangents.unwrap().expanded(2)).unwrap();
        case.compare("tensors", name, &host(out.value).unwrap(), &tangents);
        case.on_host(name, AtSigma::new(&sampler, sigma).unwrap().host());
    }
    let sampler = load().with_class(Some(2)).unwrap();
    let (value, t) = sampler.tangents(rows(case.x.clone(), 64, &cpu()), shared());
    case.compare("tensors", "sampler", &host(value).unwrap(), &host(t.expanded(2)).unwrap());
    case.on_host("sampler", sampler.host());
}
