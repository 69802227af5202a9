//! Products of a batch with a matrix, of which no row knows how many others there are.
//!
//! A matrix kernel chooses the order of its sums by the shape of the product. On the processor that order must not depend
//! on the number of rows, or the last bits of a sample would depend on how many others are computed beside it. So the
//! kernel is only ever shown blocks of one size:
//!
//!   rows  0 … 15 | 16 … 31 | 32 33 0 … 0     each block [16, in] · [in, out], the last one filled up with zeros

use super::Rows;
use crate::device::is_host;
use burn::tensor::Tensor;

/// Rows in a block.
const BLOCK: usize = 16;

/// x·w, `[n, in]·[in, out]`. On the processor row i of the result depends, to the bit, on row i of x alone; other devices
/// choose their kernels by the whole shape. In training, where w is tracked and a batch is all or nothing, x is not
/// divided.
pub fn product(x: Rows, w: Tensor<2>) -> Rows {
    let [n, inputs] = x.dims();
    if w.is_require_grad() || n == 0 || !is_host(&x.device()) {
        return x.matmul(w);
    }
    let outputs = w.dims()[1];
    let blocks = n.div_ceil(BLOCK);
    let missing = blocks * BLOCK - n;
    let x = if missing == 0 {
        x
    } else {
        Tensor::cat(vec![x.clone(), Tensor::zeros([missing, inputs], (&x.device(), x.dtype()))], 0)
    };
    // One block needs no batch of products: it is the same call of the kernel.
    let y = match blocks {
        1 => x.matmul(w),
        _ => x
            .reshape([blocks, BLOCK, inputs])
            .matmul(w.reshape([1, inputs, outputs]))
            .reshape([blocks * BLOCK, outputs]),
    };
    if missing == 0 { y } else { y.narrow(0, 0, n) }
}
