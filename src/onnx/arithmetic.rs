//! Arithmetic of two values that broadcast to each other, for all pairings of constants and values that depend on the
//! latent.

use super::build::{Builder, Value};
use super::kind::Kind;
use super::shapes::{self, view_of};
use super::tensor::{Constant, Element};
use crate::error::Result;

/// An operation on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a * b
    Mul,
    /// a / b
    Div,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// a to the power of b
    Pow,
    /// The rest of a / b, with the sign of b.
    Mod,
    /// The rest of a / b, with the sign of a.
    Fmod,
}

impl Op {
    fn on_floats(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
            Self::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Self::Pow => a.powf(b),
            Self::Mod => a - b * (a / b).floor(),
            Self::Fmod => a % b,
        }
    }

    fn on_ints(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Sub => a.checked_sub(b),
            Self::Mul => a.checked_mul(b),
            Self::Div => a.checked_div(b),
            Self::Max => Some(a.max(b)),
            Self::Min => Some(a.min(b)),
            Self::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
            Self::Mod => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
            Self::Fmod => a.checked_rem(b),
        }
    }
}

impl Builder<'_> {
    /// The result of an operation on two values that broadcast.
    pub fn binary(&mut self, op: Op, a: &Value, b: &Value) -> Result<Value> {
        let Some(shape) = shapes::broadcast(a.shape(), b.shape()) else {
            let (a, b) = (shapes::told(a.shape()), shapes::told(b.shape()));
            return Err(self.refuse(format!("values of shapes {a} and {b} do not broadcast to each other")));
        };
        self.size(&shape)?;
        if let Some(zero) = self.silenced(op, a, b, &shape)? {
            return Ok(zero);
        }
        self.no_noise(&[a, b])?;
        match (a, b) {
            (Value::Constant(x), Value::Constant(y)) => self.constants(op, x, y, shape),
            (_, Value::Constant(c)) => self.with_constant(op, a, c, &shape, false),
            (Value::Constant(c), _) => self.with_constant(op, b, c, &shape, true),
            _ => self.live(op, a, b, &shape),
        }
    }

    /// Noise times 0.
    fn silenced(&mut self, op: Op, a: &Value, b: &Value, shape: &[usize]) -> Result<Option<Value>> {
        let zero = |v: &Value| v.constant().and_then(Constant::uniform) == Some(0.0);
        let noise = |v: &Value| matches!(v, Value::Noise(..));
        if op != Op::Mul || !((noise(a) && zero(b)) || (noise(b) && zero(a))) {
            return Ok(None);
        }
        let count = self.size(shape)?;
        self.spend(count)?;
        Ok(Some(Value::Constant(Constant::floats(shape.to_vec(), vec![0.0; count]))))
    }

    fn constants(&mut self, op: Op, a: &Constant, b: &Constant, shape: Vec<usize>) -> Result<Value> {
        let count = self.size(&shape)?;
        self.spend(count)?;
        let (i, j) = self.indices(a, b, &shape)?;
        let at = |index: &Option<Vec<i32>>, k: usize| index.as_ref().map_or(k, |index| index[k] as usize);
        if a.element() == Element::Float || b.element() == Element::Float {
            let (x, y) = (a.as_floats(), b.as_floats());
            let one = |k| op.on_floats(f64::from(x[at(&i, k)]), f64::from(y[at(&j, k)])) as f32;
            // An exponent may be an integer; the base says what comes out.
            let made = Constant::floats(shape, (0..count).map(one).collect());
            return Ok(Value::Constant(match op == Op::Pow && a.element() == Element::Int {
                true => Constant::ints(made.shape.clone(), made.as_ints().into_owned()),
                false => made,
            }));
        }
        let (x, y) = (a.as_ints(), b.as_ints());
        let made: Option<Vec<i64>> = (0..count).map(|k| op.on_ints(x[at(&i, k)], y[at(&j, k)])).collect();
        match made {
            Some(made) => Ok(Value::Constant(Constant::ints(shape, made))),
            None => Err(self.refuse("its integers are too large, or it divides by 0")),
        }
    }

    /// Index vectors that spread two constants over a shape, where they differ from it.
    #[allow(clippy::type_complexity, reason = "a pair of the same thing, used in two places")]
    fn indices(&mut self, a: &Constant, b: &Constant, shape: &[usize]) -> Result<(Option<Vec<i32>>, Option<Vec<i32>>)> {
        let count = self.size(shape)?;
        let mut one = |c: &Constant| match c.len() == count || count == 0 {
            true => Ok(None),
            false => {
                self.work(count)?;
                Ok(Some(shapes::spread(&c.shape, shape)))
            }
        };
        Ok((one(a)?, one(b)?))
    }

    /// An operation on a live value and a constant, which comes first if `swapped`.
    fn with_constant(&mut self, op: Op, x: &Value, c: &Constant, shape: &[usize], swapped: bool) -> Result<Value> {
        let integer = x.element() != Element::Float && c.element() != Element::Float;
        let x = &self.spread(x, shape)?;
        if matches!(op, Op::Sub | Op::Div | Op::Pow) {
            self.spend(c.len())?;
        }
        let each = |f: &dyn Fn(f32) -> f32| c.as_floats().iter().map(|&v| f(v)).collect::<Vec<f32>>();
        let same = |values| Constant::floats(c.shape.clone(), values);
        match (op, swapped) {
            (Op::Add, _) => self.affine_with(x, None, Some(c)),
            (Op::Sub, false) => self.affine_with(x, None, Some(&same(each(&|v| -v)))),
            (Op::Sub, true) => self.affine_with(x, Some(&Constant::floats(vec![1], vec![-1.0])), Some(c)),
            (Op::Mul, _) => self.affine_with(x, Some(c), None),
            (Op::Div, false) => {
                let scaled = self.affine_with(x, Some(&same(each(&|v| (1.0 / f64::from(v)) as f32))), None)?;
                if integer { self.truncated(&scaled) } else { Ok(scaled) }
            }
            (Op::Div, true) if !integer => {
                let inverse = self.unary(x, "reciprocal", None, None)?;
                self.affine_with(&inverse, Some(c), None)
            }
            (Op::Max, false) if c.uniform().is_some_and(f32::is_finite) => self.unary(x, "clip", c.uniform(), None),
            (Op::Min, false) if c.uniform().is_some_and(f32::is_finite) => self.unary(x, "clip", None, c.uniform()),
            (Op::Pow, false) => match c.uniform() {
                Some(exponent) => self.power(x, exponent),
                None => Err(self.refuse("its exponents differ from entry to entry; such a power is not read")),
            },
            (Op::Pow, true) if c.as_floats().iter().all(|&v| v > 0.0) => {
                let logs = same(each(&|v| f64::from(v).ln() as f32));
                let scaled = self.affine_with(x, Some(&logs), None)?;
                self.unary(&scaled, "exp", None, None)
            }
            _ => {
                let (x, c) = (x.clone(), Value::Constant(c.clone()));
                if swapped { self.live(op, &c, &x, shape) } else { self.live(op, &x, &c, shape) }
            }
        }
    }

    /// `scale * x + shift` with constants that broadcast to x.
    pub fn affine_with(&mut self, x: &Value, scale: Option<&Constant>, shift: Option<&Constant>) -> Result<Value> {
        let shape = x.shape().to_vec();
        let placed = |c: &Constant| view_of(&c.shape, &shape);
        let full = |c: &Constant| padded_full(c, &shape);
        let y = match scale {
            None => x.clone(),
            Some(c) => {
                let (view, own) = placed(c);
                let scale = self.middle(c, view.mid, &own, full(c))?;
                self.affine(x, view, Some(scale), None)?
            }
        };
        match shift {
            None => Ok(y),
            Some(c) => {
                let (view, own) = placed(c);
                let shift = self.middle(c, view.mid, &own, full(c))?;
                self.affine(&y, view, None, Some(shift))
            }
        }
    }

    /// The constant `c`, of shape `own` without its outer ones, spread over a middle axis whose sides are `sides`.
    pub(super) fn middle(&mut self, c: &Constant, mid: usize, own: &[usize], sides: Vec<usize>) -> Result<Constant> {
        if c.len() == mid {
            return Ok(c.reshaped(vec![mid]));
        }
        let constant = Value::Constant(Constant { name: None, ..c.reshaped(own.to_vec()) });
        match self.spread(&constant, &sides)? {
            Value::Constant(spread) => Ok(spread.reshaped(vec![mid])),
            _ => Err(self.refuse("its sizes do not fit together")),
        }
    }

    fn live(&mut self, op: Op, a: &Value, b: &Value, shape: &[usize]) -> Result<Value> {
        let integer = a.element() != Element::Float && b.element() != Element::Float;
        let element = if integer { Element::Int } else { Element::Float };
        let (a, b) = (&self.spread(a, shape)?, &self.spread(b, shape)?);
        let kind = match op {
            Op::Add => Kind::Sum([1.0, 1.0]),
            Op::Sub => Kind::Sum([1.0, -1.0]),
            Op::Mul => Kind::Product,
            Op::Div => Kind::Quotient,
            Op::Max => Kind::Extreme("max"),
            Op::Min => Kind::Extreme("min"),
            Op::Pow => {
                let log = self.unary(a, "log", None, None)?;
                let scaled = self.emit(Kind::Product, &[&log, b], shape.to_vec(), Element::Float)?;
                return self.unary(&scaled, "exp", None, None);
            }
            Op::Mod | Op::Fmod => {
                let ratio = self.emit(Kind::Quotient, &[a, b], shape.to_vec(), Element::Float)?;
                let whole = match op {
                    Op::Mod => self.emit(Kind::Step("floor"), &[&ratio], shape.to_vec(), Element::Float)?,
                    _ => self.truncated(&ratio)?,
                };
                let taken = self.emit(Kind::Product, &[&whole, b], shape.to_vec(), element)?;
                return self.emit(Kind::Sum([1.0, -1.0]), &[a, &taken], shape.to_vec(), element);
            }
        };
        let made = self.emit(kind, &[a, b], shape.to_vec(), element)?;
        if op == Op::Div && integer { self.truncated(&made) } else { Ok(made) }
    }

    /// What stands before the point: integers.
    pub fn truncated(&mut self, x: &Value) -> Result<Value> {
        let shape = x.shape().to_vec();
        let size = self.unary(x, "abs", None, None)?;
        let size = self.emit(Kind::Step("floor"), &[&size], shape.clone(), Element::Float)?;
        let sign = self.emit(Kind::Step("sign"), &[x], shape.clone(), Element::Float)?;
        self.emit(Kind::Product, &[&sign, &size], shape, Element::Int)
    }

    /// x to a constant power.
    pub fn power(&mut self, x: &Value, exponent: f32) -> Result<Value> {
        if exponent == 1.0 {
            return Ok(x.clone());
        }
        if exponent == 0.5 {
            return self.unary(x, "sqrt", None, None);
        }
        if exponent == -1.0 {
            return self.unary(x, "reciprocal", None, None);
        }
        self.unary(x, "power", Some(exponent), None)
    }

    /// 1 where a comparison holds, else 0.
    pub fn compare(&mut self, function: &'static str, a: &Value, b: &Value) -> Result<Value> {
        let Some(shape) = shapes::broadcast(a.shape(), b.shape()) else {
            return Err(self.refuse("its inputs do not broadcast to each other"));
        };
        let count = self.size(&shape)?;
        if let (Value::Constant(x), Value::Constant(y)) = (a, b)
            && x.element() == Element::Int
            && y.element() == Element::Int
        {
            self.spend(count)?;
            let (i, j) = self.indices(x, y, &shape)?;
            let (x, y) = (x.as_ints(), y.as_ints());
            let at = |index: &Option<Vec<i32>>, k: usize| index.as_ref().map_or(k, |index| index[k] as usize);
            let sign = |k| (x[at(&i, k)].cmp(&y[at(&j, k)]) as i8) as f64;
            let made = (0..count).map(|k| super::host::step(function, sign(k), 0.0) != 0.0).collect();
            return Ok(Value::Constant(Constant::bools(shape, made)));
        }
        let (a, b) = (&self.spread(a, &shape)?, &self.spread(b, &shape)?);
        self.emit(Kind::Step(function), &[a, b], shape, Element::Bool)
    }
}

/// The sides of `shape` between the first and last axis over which `c` varies.
fn padded_full(c: &Constant, shape: &[usize]) -> Vec<usize> {
    let from = shapes::padded(&c.shape, shape.len());
    let first = from.iter().position(|&side| side != 1).unwrap_or(0);
    let last = from.iter().rposition(|&side| side != 1).map_or(0, |last| last + 1);
    shape.get(first..last).map_or(Vec::new(), <[usize]>::to_vec)
}
