//! Functions of one value, by name. Those that a card may name as a layer are that layer; the others are the rows of
//! [`FUNCTIONS`].

use super::{Made, OperatorKind};
use crate::error::{Error, Result, did_you_mean};
use crate::nn::layers::KINDS;
use crate::nn::{Build, Elementwise, ElementwiseRule, OneInput, Operator, Rows, fast};
use std::f64::consts::{FRAC_2_SQRT_PI, PI};
use std::sync::Arc;

pub const KIND: OperatorKind = OperatorKind {
    name: "unary",
    inputs: Some(1),
    about: "a function of each value; keys: function, and a, b where it has parameters",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    function: String,
    #[serde(default)]
    a: Option<f64>,
    #[serde(default)]
    b: Option<f64>,
}

/// Replaces each number of a list by a function of it, with the parameters a and b.
type Each = fn(&mut [f32], [f64; 2]);

/// A function of one number with up to two parameters.
pub struct Function {
    /// Its name in a graph file.
    pub name: &'static str,
    /// The parameters a and b where a node gives none; `None` for one that it must give, or does not have.
    defaults: [Option<f64>; 2],
    /// Number of parameters.
    parameters: usize,
    /// f(x).
    value: fn(Rows, [f64; 2]) -> Rows,
    /// f'(x), given x and y = f(x).
    slope: fn(Rows, Rows, [f64; 2]) -> Rows,
    /// f and f' of one number.
    at: fn(f64, [f64; 2]) -> (f64, f64),
    /// Whether f is piecewise linear.
    pieces: bool,
    /// Where f changes from one piece to another.
    kinks: fn([f64; 2]) -> Vec<f64>,
    /// f of a list of numbers, where there is a faster way than one after another.
    each: Option<Each>,
}

fn at_zero(_: [f64; 2]) -> Vec<f64> {
    vec![0.0]
}

fn nowhere(_: [f64; 2]) -> Vec<f64> {
    Vec::new()
}

/// 1 where x > bound, else 0.
fn above(x: &Rows, bound: f64) -> Rows {
    x.clone().greater_scalar(bound).float().cast(x.dtype())
}

/// 1 where low ≤ x ≤ high, else 0.
fn within(x: &Rows, low: f64, high: f64) -> Rows {
    let outside = x.clone().lower_scalar(low).bool_or(x.clone().greater_scalar(high));
    outside.bool_not().float().cast(x.dtype())
}

fn exp_unit(x: Rows, alpha: f64, gamma: f64, width: f64) -> Rows {
    // exp only of what is negative, so that it does not overflow where it is not taken.
    let negative = ((x.clone().clamp_max(0.0) / width).exp() - 1.0) * (alpha * gamma);
    x.clamp_min(0.0) * gamma + negative
}

fn exp_unit_slope(x: Rows, alpha: f64, gamma: f64, width: f64) -> Rows {
    let open = above(&x, 0.0);
    let negative = (x.clamp_max(0.0) / width).exp() * (alpha * gamma / width);
    open.clone() * gamma + (open.neg() + 1.0) * negative
}

fn exp_unit_at(x: f64, alpha: f64, gamma: f64, width: f64) -> (f64, f64) {
    if x > 0.0 {
        (gamma * x, gamma)
    } else {
        (gamma * alpha * (x / width).exp_m1(), gamma * alpha / width * (x / width).exp())
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// ln(1 + exp x) without overflow.
fn softplus_rows(x: Rows) -> Rows {
    x.clone().clamp_min(0.0) + (x.abs().neg().exp() + 1.0).log()
}

fn sigmoid_rows(x: Rows) -> Rows {
    burn::tensor::activation::sigmoid(x)
}

/// √(2/π), the factor of the approximate gelu.
fn root() -> f64 {
    (2.0 / PI).sqrt()
}

const CUBE: f64 = 0.044_715;

/// The functions that no layer has.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "elu",
        defaults: [Some(1.0), None],
        parameters: 1,
        value: |x, [a, _]| exp_unit(x, a, 1.0, 1.0),
        slope: |x, _, [a, _]| exp_unit_slope(x, a, 1.0, 1.0),
        at: |x, [a, _]| exp_unit_at(x, a, 1.0, 1.0),
        pieces: false,
        kinks: at_zero,
        each: None,
    },
    Function {
        name: "selu",
        defaults: [Some(1.673_263_242_354_377_2), Some(1.050_700_987_355_480_5)],
        parameters: 2,
        value: |x, [a, b]| exp_unit(x, a, b, 1.0),
        slope: |x, _, [a, b]| exp_unit_slope(x, a, b, 1.0),
        at: |x, [a, b]| exp_unit_at(x, a, b, 1.0),
        pieces: false,
        kinks: at_zero,
        each: None,
    },
    Function {
        name: "celu",
        defaults: [Some(1.0), None],
        parameters: 1,
        value: |x, [a, _]| exp_unit(x, a, 1.0, a),
        slope: |x, _, [a, _]| exp_unit_slope(x, a, 1.0, a),
        at: |x, [a, _]| exp_unit_at(x, a, 1.0, a),
        pieces: false,
        kinks: at_zero,
        each: None,
    },
    Function {
        name: "softplus",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| softplus_rows(x),
        slope: |x, _, _| sigmoid_rows(x),
        at: |x, _| (softplus(x), sigmoid(x)),
        pieces: false,
        kinks: at_zero,
        each: None,
    },
    Function {
        name: "softsign",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.clone() / (x.abs() + 1.0),
        slope: |x, _, _| (x.abs() + 1.0).powi_scalar(-2),
        at: |x, _| (x / (1.0 + x.abs()), (1.0 + x.abs()).powi(-2)),
        pieces: false,
        kinks: at_zero,
        each: None,
    },
    Function {
        name: "hard_sigmoid",
        defaults: [Some(0.2), Some(0.5)],
        parameters: 2,
        value: |x, [a, b]| (x * a + b).clamp(0.0, 1.0),
        slope: |x, _, [a, b]| {
            let y = x * a + b;
            above(&y, 0.0) * y.clone().lower_scalar(1.0).float().cast(y.dtype()) * a
        },
        at: |x, [a, b]| {
            let y = a * x + b;
            (y.clamp(0.0, 1.0), if y > 0.0 && y < 1.0 { a } else { 0.0 })
        },
        pieces: true,
        kinks: |[a, b]| if a == 0.0 { Vec::new() } else { vec![-b / a, (1.0 - b) / a] },
        each: None,
    },
    Function {
        name: "hard_swish",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.clone() * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        slope: |x, _, _| {
            let inside = above(&x, -3.0) * x.clone().lower_scalar(3.0).float().cast(x.dtype());
            let beyond = x.clone().greater_equal_scalar(3.0).float().cast(x.dtype());
            inside * (x / 3.0 + 0.5) + beyond
        },
        at: |x, _| {
            let y = x * (x / 6.0 + 0.5).clamp(0.0, 1.0);
            (
                y,
                if x <= -3.0 {
                    0.0
                } else if x >= 3.0 {
                    1.0
                } else {
                    x / 3.0 + 0.5
                },
            )
        },
        pieces: false,
        kinks: |_| vec![-3.0, 3.0],
        each: None,
    },
    Function {
        name: "gelu_tanh",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| {
            let inner = (x.clone() + x.clone().powi_scalar(3) * CUBE) * root();
            x * 0.5 * (inner.tanh() + 1.0)
        },
        slope: |x, _, _| {
            let square = x.clone() * x.clone();
            let tanh = ((x.clone() + square.clone() * x.clone() * CUBE) * root()).tanh();
            let inner = (square * (3.0 * CUBE) + 1.0) * root();
            (tanh.clone() + 1.0) * 0.5 + x * 0.5 * (tanh.clone() * tanh).neg().add_scalar(1.0) * inner
        },
        at: |x, _| {
            let tanh = (root() * (x + CUBE * x.powi(3))).tanh();
            let inner = root() * (1.0 + 3.0 * CUBE * x * x);
            (0.5 * x * (1.0 + tanh), 0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner)
        },
        pieces: false,
        kinks: at_zero,
        each: Some(|x, _| fast::each(x, fast::gelu_tanh)),
    },
    Function {
        name: "mish",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.clone() * softplus_rows(x).tanh(),
        slope: |x, _, _| {
            let tanh = softplus_rows(x.clone()).tanh();
            tanh.clone() + x.clone() * sigmoid_rows(x) * ((tanh.clone() * tanh).neg() + 1.0)
        },
        at: |x, _| {
            let tanh = softplus(x).tanh();
            (x * tanh, tanh + x * sigmoid(x) * (1.0 - tanh * tanh))
        },
        pieces: false,
        kinks: at_zero,
        each: None,
    },
    Function {
        name: "exp",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.exp(),
        slope: |_, y, _| y,
        at: |x, _| (x.exp(), x.exp()),
        pieces: false,
        kinks: nowhere,
        each: Some(|x, _| fast::each(x, fast::exp)),
    },
    Function {
        name: "log",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.log(),
        slope: |x, _, _| x.recip(),
        at: |x, _| (x.ln(), 1.0 / x),
        pieces: false,
        kinks: nowhere,
        each: None,
    },
    Function {
        name: "sqrt",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.sqrt(),
        slope: |_, y, _| y.recip() * 0.5,
        at: |x, _| (x.sqrt(), 0.5 / x.sqrt()),
        pieces: false,
        kinks: nowhere,
        each: None,
    },
    Function {
        name: "reciprocal",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.recip(),
        slope: |_, y, _| (y.clone() * y).neg(),
        at: |x, _| (1.0 / x, -1.0 / (x * x)),
        pieces: false,
        kinks: nowhere,
        each: None,
    },
    Function {
        name: "erf",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.erf(),
        slope: |x, _, _| (x.clone() * x).neg().exp() * FRAC_2_SQRT_PI,
        at: |x, _| (libm::erf(x), FRAC_2_SQRT_PI * (-x * x).exp()),
        pieces: false,
        kinks: nowhere,
        each: Some(|x, _| fast::each(x, fast::erf)),
    },
    Function {
        name: "abs",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.abs(),
        slope: |x, _, _| x.sign(),
        at: |x, _| (x.abs(), if x == 0.0 { 0.0 } else { x.signum() }),
        pieces: true,
        kinks: at_zero,
        each: None,
    },
    Function {
        name: "sin",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.sin(),
        slope: |x, _, _| x.cos(),
        at: |x, _| (x.sin(), x.cos()),
        pieces: false,
        kinks: nowhere,
        each: None,
    },
    Function {
        name: "cos",
        defaults: [None; 2],
        parameters: 0,
        value: |x, _| x.cos(),
        slope: |x, _, _| x.sin().neg(),
        at: |x, _| (x.cos(), -x.sin()),
        pieces: false,
        kinks: nowhere,
        each: None,
    },
    Function {
        name: "clip",
        defaults: [Some(f64::MIN), Some(f64::MAX)],
        parameters: 2,
        value: |x, [a, b]| {
            let x = if a > f64::MIN { x.clamp_min(a) } else { x };
            if b < f64::MAX { x.clamp_max(b) } else { x }
        },
        // 1 on the bounds, as in PyTorch.
        slope: |x, _, [a, b]| within(&x, a.max(f64::from(f32::MIN)), b.min(f64::from(f32::MAX))),
        at: |x, [a, b]| (x.max(a).min(b), if x >= a && x <= b { 1.0 } else { 0.0 }),
        pieces: true,
        kinks: |[a, b]| [a, b].into_iter().filter(|v| v.abs() < f64::from(f32::MAX)).collect(),
        each: None,
    },
    Function {
        name: "power",
        defaults: [None; 2],
        parameters: 1,
        value: |x, [a, _]| power(x, a),
        slope: |x, _, [a, _]| if a == 0.0 { x.zeros_like() } else { power(x, a - 1.0) * a },
        at: |x, [a, _]| match a {
            2.0 => (x * x, 2.0 * x),
            0.0 => (1.0, 0.0),
            _ => (x.powf(a), a * x.powf(a - 1.0)),
        },
        pieces: false,
        kinks: nowhere,
        // Squares are frequent on whole pictures and weights.
        each: Some(|x, [a, _]| match a {
            2.0 => fast::each(x, |x| x * x),
            _ => x.iter_mut().for_each(|x| *x = f64::from(*x).powf(a) as f32),
        }),
    },
];

/// x^a; by whole exponents also of negative numbers.
fn power(x: Rows, a: f64) -> Rows {
    if a.fract() == 0.0 && a.abs() < 1e6 { x.powi_scalar(a as i32) } else { x.powf_scalar(a) }
}

struct Named {
    function: &'static Function,
    parameters: [f64; 2],
}

fn build(made: Made) -> Result<Arc<dyn Operator>> {
    let c: Config = made.keys()?;
    made.same_size()?;
    if let Some(layer) = LAYERS.iter().find(|l| l.0 == c.function) {
        return as_layer(layer, &c, &made.shape);
    }
    let Some(function) = FUNCTIONS.iter().find(|f| f.name == c.function) else {
        let known = FUNCTIONS.iter().map(|f| f.name).chain(LAYERS.iter().map(|l| l.0)).collect::<Vec<_>>();
        return Err(Error::key("function", format!("unknown function{}", did_you_mean(&c.function, known))));
    };
    let mut parameters = [0.0; 2];
    for (i, (key, given)) in [("a", c.a), ("b", c.b)].into_iter().enumerate() {
        if given.is_some() && i >= function.parameters {
            return Err(Error::key(key, format!("{} has no such parameter", function.name)));
        }
        if i < function.parameters {
            let value = given.or(function.defaults[i]).filter(|v| !v.is_nan());
            parameters[i] = value.ok_or_else(|| Error::key(key, format!("missing; {} needs it", function.name)))?;
        }
    }
    Ok(OneInput::of(Box::new(Elementwise::new(Named { function, parameters }, &made.shape))))
}

/// Functions that are layers, with what that layer calls the parameter a.
static LAYERS: &[(&str, Option<&str>)] =
    &[("relu", None), ("leaky_relu", Some("slope")), ("silu", None), ("gelu", None), ("tanh", None), ("sigmoid", None)];

fn as_layer((name, a): &(&str, Option<&str>), c: &Config, shape: &[usize]) -> Result<Arc<dyn Operator>> {
    let mut keys = toml::Table::new();
    match (a, c.a) {
        (Some(key), Some(value)) => drop(keys.insert((*key).to_owned(), value.into())),
        (None, Some(_)) => return Err(Error::key("a", format!("{name} has no such parameter"))),
        _ => {}
    }
    match KINDS.iter().find(|k| k.name == *name).map(|k| &k.build) {
        Some(Build::Layer(build)) => Ok(OneInput::of(build(keys, shape)?)),
        _ => Err(Error::Bug(format!("no layer {name}"))),
    }
}

impl ElementwiseRule for Named {
    fn value(&self, x: Rows) -> Rows {
        (self.function.value)(x, self.parameters)
    }

    fn slope(&self, x: Rows, y: Rows) -> Rows {
        (self.function.slope)(x, y, self.parameters)
    }

    fn at(&self, x: f32) -> (f32, f32) {
        let (y, slope) = (self.function.at)(f64::from(x), self.parameters);
        (y as f32, slope as f32)
    }

    fn replace_each(&self, x: &mut [f32]) {
        match self.function.each {
            Some(each) => each(x, self.parameters),
            None => x.iter_mut().for_each(|x| *x = self.at(*x).0),
        }
    }

    fn kinks(&self) -> Vec<f64> {
        (self.function.kinks)(self.parameters)
    }

    fn is_piecewise_linear(&self) -> bool {
        self.function.pieces
    }

    fn describe(&self) -> String {
        let given: Vec<String> = self.parameters[..self.function.parameters].iter().map(|p| p.to_string()).collect();
        let given = if given.is_empty() { String::new() } else { format!(" {}", given.join(", ")) };
        format!("{}{given}", self.function.name)
    }
}
