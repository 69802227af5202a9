//! Products of matrices: `Gemm`, `MatMul`, `Einsum`.

use super::super::arithmetic::Op;
use super::super::build::{Builder, Value};
use super::super::kind::{Kind, View};
use super::super::shapes::{self, told};
use super::super::tensor::{Constant, Element};
use super::Call;
use crate::error::Result;

type Made = Result<Vec<Value>>;

impl Builder<'_> {
    /// Product of matrices in the last two axes; the axes before broadcast. Both have at least two axes.
    pub fn matmul(&mut self, a: &Value, b: &Value, bias: Option<&Constant>) -> Result<Value> {
        let (p, q) = (a.shape().len() - 2, b.shape().len() - 2);
        let (m, k, n) = (a.shape()[p], a.shape()[p + 1], b.shape()[q + 1]);
        let batch = shapes::broadcast(&a.shape()[..p], &b.shape()[..q]).filter(|_| b.shape()[q] == k);
        let Some(batch) = batch else {
            let (a, b) = (told(a.shape()), told(b.shape()));
            return Err(self.refuse(format!("matrices of shapes {a} and {b} do not fit together")));
        };
        let (first, second): (usize, usize) = (a.shape()[..p].iter().product(), b.shape()[..q].iter().product());
        let pairs: usize = batch.iter().product();
        let mut shape = batch.clone();
        shape.extend([m, n]);
        self.size(&shape)?;
        let constants = (a.constant(), b.constant());
        if let (_, Some(weight)) = constants
            && second == 1
        {
            let weight = self.transposed(&weight.reshaped(vec![k, n]))?;
            return self.dense(a, weight, bias.cloned(), shape);
        }
        if let (Some(matrix), None) = constants
            && first == 1
            && bias.is_none()
        {
            let view = View { outer: pairs, mid: k, inner: n };
            return self.emit(Kind::AxisMix { matrix: matrix.reshaped(vec![m, k]), view }, &[b], shape, Element::Float);
        }
        let (mut left, mut right) = (batch.clone(), batch);
        left.extend([m, k]);
        right.extend([k, n]);
        let (a, b) = (self.spread(a, &left)?, self.spread(b, &right)?);
        let y = self.emit(Kind::MatMul { batch: pairs, m, k, n }, &[&a, &b], shape, Element::Float)?;
        match bias {
            Some(bias) => self.binary(Op::Add, &y, &Value::Constant(bias.clone())),
            None => Ok(y),
        }
    }

    /// A matrix `[out, in]` along the last axis.
    pub fn dense(&mut self, x: &Value, weight: Constant, bias: Option<Constant>, shape: Vec<usize>) -> Result<Value> {
        let rows = x.features() / weight.shape.get(1).copied().unwrap_or(1).max(1);
        self.emit(Kind::Dense { weight, bias, rows }, &[x], shape, Element::Float)
    }
}

pub fn matmul(call: &mut Call) -> Made {
    let (a, b) = (call.x(0)?, call.x(1)?);
    if a.shape().is_empty() || b.shape().is_empty() {
        return Err(call.build.refuse("an input is a single number"));
    }
    let (row, column) = (a.shape().len() == 1, b.shape().len() == 1);
    let a = if row { call.build.reshape(&a, vec![1, a.features()])? } else { a };
    let b = if column { call.build.reshape(&b, vec![b.features(), 1])? } else { b };
    let y = call.build.matmul(&a, &b, None)?;
    let mut shape = y.shape().to_vec();
    if column {
        shape.pop();
    }
    if row {
        shape.remove(shape.len() - if column { 1 } else { 2 });
    }
    Ok(vec![call.build.reshape(&y, shape)?])
}

pub fn gemm(call: &mut Call) -> Made {
    let (a, b) = (call.x(0)?, call.x(1)?);
    if a.shape().len() != 2 || b.shape().len() != 2 {
        return Err(call.build.refuse("an input is no matrix"));
    }
    let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
    let a = if call.int("transA", 0)? != 0 { call.build.transpose(&a, &[1, 0])? } else { a };
    let c = call.optional(2);
    let out = b.shape()[usize::from(call.int("transB", 0)? == 0)];
    let constant = c.as_ref().and_then(|c| c.constant()).cloned();
    let bias = constant.filter(|c| alpha == 1.0 && beta == 1.0 && c.len() == out && c.shape.last() == Some(&out));
    let y = match (&b, call.int("transB", 0)? != 0) {
        (Value::Constant(weight), true) => {
            if weight.shape[1] != a.shape()[1] {
                let (a, b) = (told(a.shape()), told(b.shape()));
                return Err(call.build.refuse(format!("matrices of shapes {a} and {b} (transposed) do not fit")));
            }
            let shape = vec![a.shape()[0], out];
            let bias = bias.as_ref().map(|c| c.reshaped(vec![out]));
            call.build.dense(&a, weight.clone(), bias, shape)?
        }
        (_, transposed) => {
            let b = if transposed { call.build.transpose(&b, &[1, 0])? } else { b };
            let bias = bias.as_ref().map(|c| c.reshaped(vec![out]));
            call.build.matmul(&a, &b, bias.as_ref())?
        }
    };
    let y = if alpha == 1.0 { y } else { call.build.line(&y, alpha, 0.0)? };
    let Some(c) = c.filter(|_| bias.is_none() && beta != 0.0) else { return Ok(vec![y]) };
    let c = if beta == 1.0 { c } else { call.build.line(&c, beta, 0.0)? };
    if shapes::broadcast(y.shape(), c.shape()).as_deref() != Some(y.shape()) {
        return Err(call.build.refuse("its third input does not broadcast to the product"));
    }
    Ok(vec![call.build.binary(Op::Add, &y, &c)?])
}

/// A value with a letter for each axis.
struct Lettered {
    value: Value,
    letters: Vec<char>,
}

pub fn einsum(call: &mut Call) -> Made {
    let text: String = call.any_text("equation")?.chars().filter(|c| !c.is_whitespace()).collect();
    let inputs = (0..call.inputs.len()).map(|at| call.x(at)).collect::<Result<Vec<_>>>()?;
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left.to_owned(), Some(right.to_owned())),
        None => (text.clone(), None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    let ranks: Vec<usize> = inputs.iter().map(|v| v.shape().len()).collect();
    // The axes that "..." stands for in each term; they get digits as letters, counted from the last.
    let rest = |(term, rank): (&&str, &usize)| (rank + 3).saturating_sub(term.chars().count()).min(9);
    let more = |(term, rank): (&&str, &usize)| if term.contains("...") { rest((term, rank)) } else { 0 };
    let dots: Vec<usize> = terms.iter().zip(&ranks).map(more).collect();
    let spelled = |term: &str, dots: usize| -> Vec<char> {
        let digits: String = (0..dots).rev().filter_map(|d| char::from_digit(d as u32, 10)).collect();
        term.replacen("...", &digits, 1).chars().collect()
    };
    if text.contains(|c: char| c.is_ascii_digit()) {
        return Err(call.build.refuse(format!("its equation \"{}\" is not read", text.escape_debug())));
    }
    let terms: Vec<Vec<char>> = terms.iter().zip(&dots).map(|(t, d)| spelled(t, *d)).collect();
    let right = right.map(|r| spelled(&r, dots.iter().copied().max().unwrap_or(0)).into_iter().collect::<String>());
    let plain = |t: &Vec<char>| t.iter().enumerate().all(|(i, c)| c.is_ascii_alphanumeric() && !t[..i].contains(c));
    let fits = terms.len() == inputs.len() && terms.iter().zip(&inputs).all(|(t, v)| t.len() == v.shape().len());
    let out: Vec<char> = match right {
        Some(right) => right.chars().collect(),
        None => {
            let mut once: Vec<char> = terms.concat();
            once.sort_unstable();
            let all = once.clone();
            once.retain(|c| all.iter().filter(|d| *d == c).count() == 1);
            once
        }
    };
    let known = out.iter().all(|c| terms.iter().any(|t| t.contains(c)));
    if !fits || !known || !terms.iter().all(plain) || !plain(&out) {
        return Err(call.build.refuse(format!("its equation \"{}\" is not read", text.escape_debug())));
    }
    let mut rest = inputs.into_iter().zip(terms).map(|(value, letters)| Lettered { value, letters });
    let Some(mut done) = rest.next() else { return Err(call.build.refuse("it has no input")) };
    let mut rest: Vec<Lettered> = rest.collect();
    while !rest.is_empty() {
        let next = rest.remove(0);
        let later: Vec<char> = rest.iter().flat_map(|l| l.letters.clone()).chain(out.iter().copied()).collect();
        done = pair(call, done, next, &later)?;
    }
    let done = summed(call, done, &out)?;
    let order = out.iter().filter_map(|c| done.letters.iter().position(|d| d == c)).collect::<Vec<_>>();
    Ok(vec![call.build.transpose(&done.value, &order)?])
}

/// The same value, summed over letters that are not in `keep`.
fn summed(call: &mut Call, mut x: Lettered, keep: &[char]) -> Result<Lettered> {
    while let Some(axis) = x.letters.iter().position(|c| !keep.contains(c)) {
        let side = x.value.shape()[axis];
        call.build.spend(side)?;
        let ones = Constant::floats(vec![1, side], vec![1.0; side]);
        x.value = call.build.axis_mix(&x.value, axis..axis + 1, ones, &[])?;
        x.letters.remove(axis);
    }
    Ok(x)
}

/// Two values multiplied, summed over letters that both have and `later` does not.
fn pair(call: &mut Call, a: Lettered, b: Lettered, later: &[char]) -> Result<Lettered> {
    let in_later: Vec<char> = later.to_vec();
    let keep = |other: &Lettered| in_later.iter().chain(&other.letters).copied().collect::<Vec<char>>();
    let (keep_a, keep_b) = (keep(&b), keep(&a));
    let (a, b) = (summed(call, a, &keep_a)?, summed(call, b, &keep_b)?);
    let shared = |c: &&char| b.letters.contains(c);
    let batch: Vec<char> = a.letters.iter().filter(shared).filter(|c| later.contains(c)).copied().collect();
    let inside: Vec<char> = a.letters.iter().filter(shared).filter(|c| !later.contains(c)).copied().collect();
    let rows: Vec<char> = a.letters.iter().filter(|c| !b.letters.contains(c)).copied().collect();
    let columns: Vec<char> = b.letters.iter().filter(|c| !a.letters.contains(c)).copied().collect();
    let side = |c: &char| {
        let of = |l: &Lettered| l.letters.iter().position(|d| d == c).map(|at| l.value.shape()[at]);
        (of(&a), of(&b))
    };
    let mut sizes = std::collections::BTreeMap::new();
    for c in a.letters.iter().chain(&b.letters) {
        match side(c) {
            (Some(x), Some(y)) if x != y => {
                return Err(call.build.refuse(format!("sizes of \"{c}\" differ: {x}, {y}")));
            }
            (x, y) => sizes.insert(*c, x.or(y).unwrap_or(1)),
        };
    }
    let sides = |letters: &[char]| letters.iter().map(|c| sizes[c]).collect::<Vec<usize>>();
    let product = |letters: &[char]| sides(letters).iter().product::<usize>();
    let mut arranged = |l: &Lettered, groups: [&[char]; 3]| -> Result<Value> {
        let letters = groups.concat();
        let order: Vec<usize> = letters.iter().filter_map(|c| l.letters.iter().position(|d| d == c)).collect();
        let value = call.build.transpose(&l.value, &order)?;
        call.build.reshape(&value, groups.iter().map(|g| product(g)).collect())
    };
    let left = arranged(&a, [&batch, &rows, &inside])?;
    let right = arranged(&b, [&batch, &inside, &columns])?;
    let y = call.build.matmul(&left, &right, None)?;
    let letters = [&batch[..], &rows, &columns].concat();
    Ok(Lettered { value: call.build.reshape(&y, sides(&letters))?, letters })
}
