//! Bytes as hexadecimal digits, so that any of them can travel in a field value.

/// Two digits a byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

/// The bytes of such digits; anything else is a mistake of this test.
pub(crate) fn decode(digits: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(digits).expect("hexadecimal digits");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}
