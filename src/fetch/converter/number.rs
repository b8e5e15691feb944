//! Converters of numbers.

use crate::sample::{Sample, SampleType};

/// A calculation with two numbers: the sample, and the operand of the converter.
///
/// Results that do not fit 64 bits are the nearest number that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arithmetic {
    /// The sum. HAProxy: `add`.
    Add,
    /// The sample less the operand. HAProxy: `sub`.
    Subtract,
    /// The product. HAProxy: `mul`.
    Multiply,
    /// The quotient, rounded towards 0; the largest number if the operand is 0.
    /// HAProxy: `div`.
    Divide,
    /// The remainder, of the sign of the sample; 0 if the operand is 0. HAProxy: `mod`.
    Remainder,
    /// The bits set in both. HAProxy: `and`.
    And,
    /// The bits set in either. HAProxy: `or`.
    Or,
    /// The bits set in one of the two. HAProxy: `xor`.
    Xor,
}

impl Arithmetic {
    pub(super) fn apply(self, number: i64, operand: i64) -> i64 {
        match self {
            Self::Add => number.saturating_add(operand),
            Self::Subtract => number.saturating_sub(operand),
            Self::Multiply => number.saturating_mul(operand),
            Self::Divide if operand == 0 => i64::MAX,
            Self::Divide => number.saturating_div(operand),
            Self::Remainder => number.checked_rem(operand).unwrap_or(0),
            Self::And => number & operand,
            Self::Or => number | operand,
            Self::Xor => number ^ operand,
        }
    }
}

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Negate,
    Complement,
    Odd,
    Even,
}

impl Unary {
    pub(super) fn output(self) -> SampleType {
        match self {
            Self::Negate | Self::Complement => SampleType::Integer,
            Self::Odd | Self::Even => SampleType::Bool,
        }
    }

    pub(super) fn apply(self, number: i64) -> Sample<'static> {
        match self {
            Self::Negate => Sample::Integer(number.saturating_neg()),
            Self::Complement => Sample::Integer(!number),
            Self::Odd => Sample::Bool(number & 1 == 1),
            Self::Even => Sample::Bool(number & 1 == 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Observed on HAProxy 2.6.12.
    #[test]
    fn results_saturate_and_division_by_zero_has_a_result() {
        let table = [
            (Arithmetic::Add, i64::MAX, 1, i64::MAX),
            (Arithmetic::Subtract, i64::MIN, 1, i64::MIN),
            (Arithmetic::Multiply, i64::MIN, 2, i64::MIN),
            (Arithmetic::Divide, 5, 0, i64::MAX),
            (Arithmetic::Divide, -5, 2, -2),
            (Arithmetic::Divide, i64::MIN, -1, i64::MAX),
            (Arithmetic::Remainder, 5, 0, 0),
            (Arithmetic::Remainder, -5, 3, -2),
            (Arithmetic::Remainder, i64::MIN, -1, 0),
        ];
        for (operation, number, operand, expected) in table {
            assert_eq!(operation.apply(number, operand), expected, "{operation:?}");
        }
    }
}
