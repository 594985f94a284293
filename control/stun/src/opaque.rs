//! The OpaqueString profile (RFC 8265 section 4.2), which names and passwords pass through.

use alloc::string::{String, ToString};

use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::PrecisFastInvocation;

/// The enforced form of a user name, realm or password; `None` where the profile forbids it
/// (empty, control characters, unassigned code points).
///
/// Printable ASCII comes back unchanged.
#[must_use]
pub fn opaque_string(text: &str) -> Option<String> {
    if !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) {
        return Some(text.to_string());
    }
    OpaqueString::enforce(text)
        .ok()
        .map(|enforced| enforced.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_spaces_and_composes_but_keeps_case() {
        assert_eq!(
            opaque_string("Pass\u{A0}Word").as_deref(),
            Some("Pass Word")
        );
        assert_eq!(opaque_string("e\u{301}").as_deref(), Some("\u{E9}"));
        assert_eq!(
            opaque_string("plain ~ASCII").as_deref(),
            Some("plain ~ASCII")
        );
    }

    #[test]
    fn refuses_empty_strings_and_control_characters() {
        assert_eq!(opaque_string(""), None);
        assert_eq!(opaque_string("a\u{0}b"), None);
        assert_eq!(opaque_string("a\r\n"), None);
    }

    #[test]
    fn printable_ascii_is_its_own_enforced_form() {
        for byte in 0x20..=0x7Eu8 {
            let text = char::from(byte).to_string();
            let enforced = OpaqueString::enforce(text.as_str()).map(|text| text.to_string());
            assert_eq!(enforced.ok(), opaque_string(&text));
        }
    }
}
