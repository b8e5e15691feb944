use super::*;

fn is_match(pattern: &str, text: &[u8]) -> bool {
    Pattern::new(pattern).expect(pattern).is_match(text)
}

fn replacement(text: &str) -> Replacement {
    Replacement::parse(text).expect(text)
}

/// As `regsub`: an `i` and a `g` may be among the flags.
fn substituted(text: &str, pattern: &str, with: &str, flags: &str) -> String {
    let pattern = if flags.contains('i') {
        Pattern::ignoring_case(pattern)
    } else {
        Pattern::new(pattern)
    };
    let text = Cow::Borrowed(text.as_bytes());
    let pattern = pattern.expect("it is a pattern");
    let out = pattern.substitute(text, &replacement(with), flags.contains('g'));
    String::from_utf8_lossy(&out).into_owned()
}

// What means something else to the crate that does the work. Said by PCRE 10.42.
#[test]
fn patterns_mean_what_they_mean_to_pcre() {
    for (pattern, yes, no) in [
        (r"a.c", "abc", "a\nc"),
        (r"(?s)a.c", "a\nc", "ac"),
        (r"^b$", "b\n", "b\n\n"),
        (r"a\Z", "a\n", "a\nb"),
        (r"a\z", "a", "a\n"),
        (r"^[[a]b]$", "[b]", "ab"),
        (r"^[]a]+$", "]a", "["),
        (r"^[^]a]+$", "b[", "]"),
        (r"^[a&&b]+$", "&", "[a"),
        (r"^[a~~b]+$", "~", "-"),
        (r"^[+--b]+$", ",b", "a"),
        (r"^[-a]+$", "a-", "b"),
        (r"^[a-]+$", "a-", "b"),
        (r"^[!--]$", "+", "."),
        (r"^[\d-]+$", "1-", "a"),
        (r"^[\b]$", "\x08", "b"),
        (r"^[[:alpha:]_]+$", "a_", "1"),
        (r"^[[:^digit:]]+$", "a", "1"),
        (r"^[[:]$", ":", "a"),
        (r"\<a\>", "<a>", "a"),
        (r"^a{,2}$", "a{,2}", "aa"),
        (r"^a{2$", "a{2", "aa"),
        (r"^a{2}$", "aa", "a"),
        (r"^a{2,}?$", "aaa", "a"),
        (r"^{x}$", "{x}", "x"),
        (r"\bb{s", "b{s", "ab{s"),
        (r"^\x41\x{42}\x4$", "AB\x04", "AB4"),
        (r"^a#b c$", "a#b c", "a"),
        (r"^(?#nothing)a$", "a", "b"),
        (r"(?i)A", "a", "b"),
        (r"^(?i:A)B$", "aB", "ab"),
        (r"^(?<n>a)(?'m'b)(?P<o>c)$", "abc", "ab"),
        (r"^()(?)$", "", "a"),
        (r"^\/\-\:\ \e$", "/-: \x1b", "/-:"),
    ] {
        assert!(is_match(pattern, yes.as_bytes()), "{pattern} {yes:?}");
        assert!(!is_match(pattern, no.as_bytes()), "{pattern} {no:?}");
    }
}

#[test]
fn bytes_are_matched_and_not_characters() {
    assert!(is_match("^é+$", &[0xc3, 0xa9, 0xa9]));
    assert!(is_match("^[é]$", &[0xc3]));
    assert!(is_match(r"^\xff.$", &[0xff, 0xfe]));
    assert!(!is_match(r"^\w$", &[0xe9]));
    let either = Pattern::ignoring_case("^É$").unwrap();
    assert!(!either.is_match("é".as_bytes()));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_place() {
    for (pattern, expected) in [
        (
            "a(?=b)",
            "character 2: \"(?=\": look-around is not supported",
        ),
        ("(?<!a)", "character 1: \"(?<!\": look-around is"),
        (
            r"(a)\1",
            "character 4: \"\\\\1\": a back-reference in the pattern is",
        ),
        (r"(?P=n)", "character 1: \"(?P=\": a back-reference"),
        ("a++", "character 2: \"++\": possessive repetitions are"),
        ("a{2}+", "character 4: \"}+\": possessive"),
        ("(?>a)", "character 1: \"(?>\": an atomic group is"),
        ("(?R)", "character 1: \"(?R\": recursion is"),
        ("(?m)a", "character 1: \"(?m\": this group, or a flag other"),
        ("(*UTF)a", "character 1: \"(*\": verbs are"),
        (r"\pL", "character 1: \"\\\\p\": this escape is"),
        (r"a\Qb", "character 2: \"\\\\Q\": this escape is"),
        (r"\v", "character 1: \"\\\\v\": this escape is"),
        (r"\01", "character 1: \"\\\\0\": this escape is"),
        (
            r"\x{100}",
            "character 1: \"\\\\x{100}\": a character beyond one byte",
        ),
        ("[[:nothing:]]", "character 2: \"[:nothing:]\": this set is"),
        ("[[=a=]]", "character 2: \"[=a=]\": this set is"),
        ("[b-a]", "character 2: found \"b-a\"; expected a range"),
        (
            r"[\d-z]",
            "character 2: found \"\\\\d-z\"; expected a range",
        ),
        ("a[", "character 2: found \"[\"; expected a ]"),
        ("[]", "character 1: found \"[]\"; expected a ]"),
        ("a\\", "character 2: found \"\\\\\"; expected a byte"),
        ("(?<1>a)", "character 4: found \"1\"; expected a name"),
        (
            "(?#a",
            "character 1: found \"(?#a\"; expected something that closes",
        ),
        ("(a", "character 1: no regular expression: unclosed group"),
        ("a)", "character 1: no regular expression: unopened group"),
        (
            "*a",
            "character 1: no regular expression: repetition operator",
        ),
        (
            "((a{1000}){1000}){1000}",
            "character 1: the pattern takes more than 1 MiB",
        ),
    ] {
        let error = Pattern::new(pattern).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{pattern}: {error}");
    }
    let deep = "(".repeat(1_000) + &")".repeat(1_000);
    assert!(Pattern::new(deep).is_err());
}

// All of HAProxy 2.6.12.
#[test]
fn substitutions_are_those_of_haproxy() {
    for (text, pattern, with, flags, expected) in [
        ("abab", "a", "b", "", "bbab"),
        ("abab", "a", "b", "g", "bbbb"),
        ("A.ba", "A", "b", "gi", "b.bb"),
        ("abab", "a", "", "g", "bb"),
        ("abab", "(a)(b)", r"<\2\1\0>", "g", "<baab><baab>"),
        (
            "abab",
            "(a|b)",
            "\\x41\n\\\\q\\3",
            "g",
            "A\n\\qA\n\\qA\n\\qA\n\\q",
        ),
        ("abab", "^(.*)$", r"x\1", "g", "xabab"),
        ("", "^(.*)$", r"x\1", "g", "x"),
        ("abab", "x*", "-", "g", "-a-b-a-b-"),
        ("xxxa", "x*", "-", "g", "--a-"),
        ("xxxa", "x*", "-", "", "-a"),
        ("", "x*", "-", "g", "-"),
        ("abab", "b|$", "-", "g", "a-a--"),
        ("A.ba", "b|$", "-", "g", "A.-a--"),
        ("xxxa", "b|$", "-", "g", "xxxa--"),
        ("", "b|$", "-", "g", "-"),
        ("abab", "^a", "-", "g", "-bab"),
        ("A.ba", r"\bb", "-", "g", "A.-a"),
        ("abab", "(z)?a", r"[\1]", "", "[]bab"),
        ("abab", "a", r"[\9]", "", "[]bab"),
        ("abab", "a", r"\q\10\\x", "", "q0\\xbab"),
        ("abab", "(a)|b", r"[\1]", "g", "[a][][a][]"),
        ("a\n", "a$", "-", "", "-\n"),
        ("a\n", "(a$)", r"<\1>", "", "<a>\n"),
        ("a\n", ".*", "-", "", "-\n"),
        ("é", "é", "e", "", "e"),
    ] {
        assert_eq!(
            substituted(text, pattern, with, flags),
            expected,
            "{text:?} {pattern} {with}"
        );
    }
}

#[test]
fn a_substitution_gives_no_more_than_a_buffer() {
    let text = "a".repeat(10_000);
    assert_eq!(substituted(&text, "a", "bb", "g").len(), 16_384);
    assert_eq!(substituted(&text, "a", "b", "g").len(), 10_000);
    let (pattern, same) = (Pattern::new("b").unwrap(), text.as_bytes());
    let out = pattern.substitute(Cow::Borrowed(same), &replacement("c"), true);
    assert!(matches!(out, Cow::Borrowed(_)));
}

// All of HAProxy 2.6.12: `replace-header` and `replace-value`.
#[test]
fn rewriting_takes_all_of_a_text_or_of_an_element() {
    let whole = |text: &str, pattern: &str, with: &str| {
        let out = Pattern::new(pattern)
            .unwrap()
            .rewrite(text.as_bytes(), &replacement(with));
        out.map(|out| String::from_utf8(out).unwrap())
    };
    assert_eq!(whole("a b, b ,c", "b", "B").as_deref(), Some("B"));
    assert_eq!(whole("a", "b", "B"), None);
    assert_eq!(
        whole("b B", "^(.*) (.*)$", r"\2-\1").as_deref(),
        Some("B-b")
    );
    for (field, pattern, with, expected) in [
        ("a b, b ,c", "(.*)", r"<\1>", Some("<a b>,<b>,<c>")),
        ("\"a,b\", b", "(.*)", r"<\1>", Some("<\"a,b\">,<b>")),
        ("a b, b ,c", "^b$", "B", Some("a b,B,c")),
        ("a b, b ,c", "a,?", "B", Some("B, b ,c")),
        ("a,,b ,", "^$", "E", Some("a,E,b ,E")),
        (",", "^$", "E", Some("E,E")),
        ("", "^$", "E", Some("E")),
        ("\"a\\\",c\",c", "\"?c", "E", Some("E,E")),
        ("\"b, c", "c", "E", Some("E")),
        ("a", "b", "E", None),
    ] {
        let pattern = Pattern::new(pattern).unwrap();
        let out = pattern.rewrite_elements(field.as_bytes(), &replacement(with));
        let out = out.map(|out| String::from_utf8(out).unwrap());
        assert_eq!(out.as_deref(), expected, "{field} {pattern:?}");
    }
}

#[test]
fn replacements_that_cannot_be_followed_are_refused() {
    for text in ["\\", "a\\x4", "\\xZZ", "\\x"] {
        assert!(Replacement::parse(text).is_err(), "{text}");
    }
    let error = Replacement::parse("a\\").unwrap_err().to_string();
    assert_eq!(
        error,
        "\"a\\\\\" is no replacement; expected a digit, xHH or another byte behind each \\"
    );
}

#[test]
fn equal_patterns_are_those_of_the_same_text() {
    let patterns = [
        Pattern::new("a"),
        Pattern::ignoring_case("a"),
        Pattern::new("b"),
    ];
    let [plain, either, other] = patterns.map(Result::unwrap);
    assert_eq!(plain, Pattern::new("a").unwrap());
    assert_ne!(plain, either);
    assert_ne!(plain, other);
    assert_eq!(format!("{either:?}"), "Pattern(/a/i)");
}
