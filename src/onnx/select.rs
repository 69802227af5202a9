//! Where: entries of one value or of another.

use super::build::{Builder, Value};
use super::kind::Kind;
use super::shapes;
use super::tensor::{Constant, Data};
use crate::error::Result;

impl Builder<'_> {
    /// Entries of `a` where `c` holds, else those of `b`.
    pub fn select(&mut self, c: &Value, a: &Value, b: &Value) -> Result<Value> {
        let both = shapes::broadcast(a.shape(), b.shape());
        let Some(shape) = both.and_then(|both| shapes::broadcast(&both, c.shape())) else {
            return Err(self.refuse("its inputs do not broadcast to each other"));
        };
        let count = self.size(&shape)?;
        let Value::Constant(condition) = c else {
            self.no_noise(&[c])?;
            let (c, a, b) = (&self.spread(c, &shape)?, &self.spread(a, &shape)?, &self.spread(b, &shape)?);
            return self.emit(Kind::Select, &[c, a, b], shape, a.element());
        };
        match condition.as_bools().iter().filter(|&&v| v).count() {
            0 => return self.spread(b, &shape),
            n if n == condition.len() => return self.spread(a, &shape),
            _ => {}
        }
        let Value::Constant(condition) = self.spread(c, &shape)? else {
            return Err(self.refuse("its sizes do not fit together"));
        };
        let condition = condition.as_bools();
        if let (Value::Constant(a), Value::Constant(b)) = (self.spread(a, &shape)?, self.spread(b, &shape)?) {
            self.spend(count)?;
            return Ok(Value::Constant(chosen(&condition, &a, &b, shape)));
        }
        match (a, b) {
            (_, Value::Constant(b)) => self.masked(&condition, a, b, &shape),
            (Value::Constant(a), _) => {
                let other: Vec<bool> = condition.iter().map(|v| !v).collect();
                self.masked(&other, b, a, &shape)
            }
            _ => self.woven(&condition, a, b, shape),
        }
    }

    /// Entries of a live value where `keep`, else constants: the live ones go through a rearrangement with 0 elsewhere,
    /// and the constants are added.
    fn masked(&mut self, keep: &[bool], x: &Value, other: &Constant, shape: &[usize]) -> Result<Value> {
        self.index(keep.len())?;
        let from: Vec<i32> = shapes::spread(x.shape(), shape);
        let index = from.iter().zip(keep).map(|(&at, &keep)| if keep { at } else { -1 }).collect();
        if let Some(fill) = other.uniform() {
            return self.rearrange(x, index, fill, shape.to_vec());
        }
        let masked = self.rearrange(x, index, 0.0, shape.to_vec())?;
        let Value::Constant(other) = self.spread(&Value::Constant(other.clone()), shape)? else {
            return Err(self.refuse("its sizes do not fit together"));
        };
        self.spend(keep.len())?;
        let shift = other.as_floats().iter().zip(keep).map(|(&v, &keep)| if keep { 0.0 } else { v }).collect();
        self.affine_with(&masked, None, Some(&Constant::floats(shape.to_vec(), shift)))
    }

    /// Entries of two live values, through a rearrangement of both side by side.
    fn woven(&mut self, condition: &[bool], a: &Value, b: &Value, shape: Vec<usize>) -> Result<Value> {
        let (first, second) = (a.features(), b.features());
        self.size(&[first, 2])?;
        self.size(&[second, 2])?;
        self.index(condition.len())?;
        let (i, j) = (shapes::spread(a.shape(), &shape), shapes::spread(b.shape(), &shape));
        let (flat_a, flat_b) = (self.reshape(a, vec![first])?, self.reshape(b, vec![second])?);
        let both = self.concat(&[flat_a, flat_b], 0)?;
        let pick = |(k, &c): (usize, &bool)| if c { i[k] } else { j[k] + first as i32 };
        let index = condition.iter().enumerate().map(pick).collect();
        self.rearrange(&both, index, 0.0, shape)
    }
}

fn chosen(condition: &[bool], a: &Constant, b: &Constant, shape: Vec<usize>) -> Constant {
    fn pick<T: Copy>(condition: &[bool], a: &[T], b: &[T]) -> Vec<T> {
        condition.iter().zip(a.iter().zip(b)).map(|(&c, (&a, &b))| if c { a } else { b }).collect()
    }
    match (&*a.data, &*b.data) {
        (Data::Int(a), Data::Int(b)) => Constant::ints(shape, pick(condition, a, b)),
        (Data::Bool(a), Data::Bool(b)) => Constant::bools(shape, pick(condition, a, b)),
        _ => Constant::floats(shape, pick(condition, &a.as_floats(), &b.as_floats())),
    }
}
