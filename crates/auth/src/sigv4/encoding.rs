//! Percent-encoding as signers do it, and hexadecimal digits.

use std::borrow::Cow;

const UPPER: &[u8; 16] = b"0123456789ABCDEF";
const LOWER: &[u8; 16] = b"0123456789abcdef";

/// Writes `byte` as it is if RFC 3986 calls it unreserved, else as `%XX`.
pub(crate) fn push_encoded(out: &mut Vec<u8>, byte: u8) {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        out.push(byte);
    } else {
        out.extend_from_slice(&[
            b'%',
            UPPER[usize::from(byte >> 4)],
            UPPER[usize::from(byte & 15)],
        ]);
    }
}

/// The byte that the escape at the start of `text` stands for: `%XX`, in either case.
pub(crate) fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// Calls `each` with every byte that `text` stands for, and whether it was written bare. What looks like an escape and
/// is none stands for itself.
pub(crate) fn for_each_decoded(text: &[u8], mut each: impl FnMut(u8, Bare)) {
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(byte) = escape(rest) {
            each(byte, Bare::No);
            rest = &rest[3..];
        } else {
            each(first, Bare::Yes);
            rest = after;
        }
    }
}

/// Whether a byte stood in the text as it is, or as an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    Yes,
    No,
}

/// `text` with its escapes replaced. A `+` stays a plus: whoever looks for a credential or a token never means a space.
pub(crate) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    for_each_decoded(text.as_bytes(), |byte, _| bytes.push(byte));
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Whether every `%` of a query begins an escape.
pub(crate) fn is_well_formed(query: &str) -> bool {
    query.match_indices('%').all(|(at, _)| escape(&query.as_bytes()[at..]).is_some())
}

/// The first value of the parameter `name` in a raw query, decoded. An absent `=` makes an empty value.
pub(crate) fn first_parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    query.split('&').find_map(|piece| {
        let (found, value) = piece.split_once('=').unwrap_or((piece, ""));
        (decoded(found) == name).then(|| decoded(value))
    })
}

/// 64 lower-case digits.
pub(crate) fn hex(digest: &[u8; 32]) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = LOWER[usize::from(byte >> 4)];
        pair[1] = LOWER[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_two_digits_of_either_case() {
        assert_eq!(escape(b"%3a"), Some(b':'));
        assert_eq!(escape(b"%3Arest"), Some(b':'));
        for text in ["", "%", "%3", "%zz", "%+1", "3A"] {
            assert_eq!(escape(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_percent_sign_begins_an_escape() {
        assert!(is_well_formed("a=%25&=&&"));
        assert!(!is_well_formed("a=%20&b=%zz&c"));
        assert!(!is_well_formed("a=%"));
        assert!(!is_well_formed("a=%2"));
    }

    #[test]
    fn the_first_of_repeated_parameters_counts() {
        let query = "a=1&X%2DAmz-Date=2%2B3&X-Amz-Date=4&b";
        assert_eq!(first_parameter(query, "X-Amz-Date").as_deref(), Some("2+3"));
        assert_eq!(first_parameter(query, "b").as_deref(), Some(""));
        assert_eq!(first_parameter(query, "x-amz-date"), None);
    }
}
