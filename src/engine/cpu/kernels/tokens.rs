//! What only token networks need: a learned token in front.

use crate::engine::cpu::vector::Number;

/// `y = [token, x]`.
pub fn class_forward<T: Number>(x: &[T], token: &[T], y: &mut [T]) {
    let (first, rest) = y.split_at_mut(token.len());
    first.copy_from_slice(token);
    rest.copy_from_slice(x);
}
