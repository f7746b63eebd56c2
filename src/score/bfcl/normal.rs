//! The form in which BFCL compares strings.
//!
//! Data in: a string. Data out: the string without ` ,./-_*^`, in lower case, with double quotes
//! for single ones. Invariants: other white space and punctuation stay; lower case is Unicode's.

/// What becomes of each ASCII byte: 0 when it is dropped.
const ASCII: [u8; 128] = {
    let mut table = [0_u8; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.to_ascii_lowercase();
        byte += 1;
    }
    let dropped = b" ,./-_*^";
    let mut index = 0;
    while index < dropped.len() {
        table[dropped[index] as usize] = 0;
        index += 1;
    }
    table[b'\'' as usize] = b'"';
    table
};

/// Whether a character is left out of comparisons.
fn is_dropped(c: char) -> bool {
    matches!(c, ' ' | ',' | '.' | '/' | '-' | '_' | '*' | '^')
}

/// The form that is compared.
pub(super) fn normalise(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !is_dropped(*c)).collect();
    kept.to_lowercase().replace('\'', "\"")
}

/// Whether `text` in the form that is compared is `normal`, without building it for ASCII.
pub(super) fn is_normally(text: &str, normal: &[u8]) -> bool {
    let mut wanted = normal.iter();
    for &byte in text.as_bytes() {
        let Some(&mapped) = ASCII.get(usize::from(byte)) else {
            return normalise(text).as_bytes() == normal;
        };
        // A NUL byte is kept as it is; every other 0 in the table means dropped.
        if mapped == 0 && byte != 0 {
            continue;
        }
        if wanted.next() != Some(&mapped) {
            // The rest may still hold a letter whose lower case changes what stands before it.
            return !text.is_ascii() && normalise(text).as_bytes() == normal;
        }
    }
    wanted.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_and_what_stays() {
        assert_eq!(normalise("April 1, 2024"), "april12024");
        assert_eq!(normalise("it's_a-*test*^/."), "it\"satest");
        assert_eq!(normalise("a\tb\u{a0}c;d"), "a\tb\u{a0}c;d");
        assert_eq!(normalise("ÀÉİΣΑΣ"), "àéi\u{307}σας");
    }

    proptest::proptest! {
        #[test]
        fn the_short_way_equals_the_long_one(one in "[ -~\\x00\\n'_A-Zäß]{0,8}", two in "[ -~\\x00'a-z]{0,8}") {
            proptest::prop_assert!(is_normally(&one, normalise(&one).as_bytes()));
            proptest::prop_assert_eq!(is_normally(&one, normalise(&two).as_bytes()), normalise(&one) == normalise(&two));
        }
    }
}
