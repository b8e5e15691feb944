//! Regular expressions: random ones in HAProxy, which asks PCRE, and in the library; and
//! rules with some, in HAProxy and in `examples/proxy -f`.

use std::fmt::Write as _;

use stickroute::haproxy::{AclCondition, Acls, expression};
use stickroute::{Expression, SimpleRequest};

use crate::generator::Random;
use crate::rules::{self, Answer};
use crate::seed;
use crate::support::configuration::Folder;

const REPLACING: &str = r#"
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
frontend web
    bind LISTEN
    acl digits path_reg ^/[0-9]+$
    acl digits hdr_reg(x-n) -i ^N[0-9]{2}$
    http-request set-header X-Digits yes if digits
    http-request replace-header X-Whole ^(.*)\ (.*)$ \2-\1
    http-request replace-header X-Path "^a.*" "%[path]%%-\0"
    http-request replace-value X-Value ^b$ <\0>
    http-request replace-value X-Quoted "(.*)" [\1]
    http-request replace-value X-Empty ^$ E
    http-request replace-value X-Case (?i)b\b c
    http-request replace-value Cookie ^(\w+)=.* \1=gone
    http-request replace-header X-Asked (.*) %[hdr(x-template)]
    http-request replace-path ^/old/(.*) /new/\1 if { path_reg ^/old/ }
    http-request replace-path (.*) %[hdr(x-template)] if { path /template }
    http-request replace-pathq ^/pq/([^?]*)\?(.*) /\2?\1
    http-request replace-uri ^/uri/([^/]*)/(.*) http://\1/\2
    http-request set-header X-Sub "%[path,regsub(/,-,g)]:%[path,regsub('^/(.)','\1\1',)]"
    http-request deny if { url_reg \.\. } !{ path_reg -i SAFE }
    http-response replace-value X-List two 2
    http-response replace-header X-Path ^/(.*)$ "%[status]: \1"
    http-response replace-header X-Origin one %[res.hdr(x-bad)]x
    http-after-response replace-value X-Origin o(.)x? \1
    default_backend app
backend app
    server s1 SERVER
"#;

#[test]
#[ignore = "runs a real HAProxy"]
fn rules_replace_what_they_replace_in_haproxy() {
    let server = rules::echo();
    let folders = ["patterns-theirs", "patterns-ours"].map(Folder::new);
    let (theirs, _haproxy) = rules::haproxy(REPLACING, &folders[0], server);
    let (ours, _running) = rules::ours(REPLACING, &folders[1], server);
    let mut changed = 0;
    for (path, fields) in REPLACED {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{}\r\n",
            fields.replace('|', "\r\n")
        );
        let expected = rules::send(theirs, &request);
        assert_eq!(rules::send(ours, &request), expected, "{request}");
        changed += usize::from(has_changed(&expected, path, fields));
    }
    assert!(changed > 15, "{changed} requests were changed");
}

/// Whether a server got a field otherwise than it was sent.
fn has_changed(answer: &Answer, path: &str, fields: &str) -> bool {
    let sent = fields.split('|').filter(|line| !line.is_empty());
    let mut sent = sent.map(str::to_ascii_lowercase);
    let got: Vec<_> = answer
        .body
        .iter()
        .map(|it| it.to_ascii_lowercase())
        .collect();
    let kept = format!("x-path: 200: {}", path.trim_start_matches('/'));
    sent.any(|line| !got.contains(&line)) || !answer.fields.contains(&kept)
}

const REPLACED: &[(&str, &str)] = &[
    ("/12", "X-Whole: a b c|"),
    ("/12a", "X-N: n12|"),
    ("/12a", "X-N: n123, N45|"),
    ("/x", "X-N: n123|"),
    ("/x", "X-Path: abc, d|X-Path: bcd|X-Path: a|"),
    ("/x", "X-Value: a b, b ,c|X-Value: b|X-Value: \"a,b\",b|"),
    (
        "/x",
        "X-Quoted: \"a,b\", c|X-Quoted: |X-Quoted: \"a\\\",b\",c|",
    ),
    ("/x", "X-Quoted: \"not closed, a|"),
    ("/x", "X-Empty: a,,b ,|X-Empty: ,|X-Empty:|"),
    ("/x", "X-Case: B, bb, Ab|X-Case: a B c|"),
    ("/x", "Cookie: a=1; b=2, c=3|"),
    ("/x", "X-Asked: q|X-Template: \\0\\0|"),
    ("/x", "X-Asked: q|X-Template: [\\1\\x41\\9]|"),
    ("/x", "X-Asked: q|X-Template: bad\\|"),
    ("/x", "X-Template: bad\\|"),
    ("/template", "X-Template: /t\\0|"),
    ("/template", "X-Template: /t\\x4|"),
    ("/old/a/b?c=/old/", ""),
    ("/Old/a", ""),
    ("/pq/a/b?c=d", ""),
    ("/pq/a", ""),
    ("/uri/host/a/b?c", ""),
    ("http://h/old/a?b", ""),
    ("http://h/uri/host/a", ""),
    ("/a/../b", ""),
    ("/safe/../b", ""),
    ("/", ""),
    ("/missing", ""),
];

/// Patterns of one configuration; a message has no more than 101 fields.
const PATTERNS: usize = 40;
const TEXTS: usize = 40;
const ROUNDS: u64 = 4;

#[test]
#[ignore = "runs a real HAProxy"]
fn random_patterns_mean_what_they_mean_to_haproxy() {
    let seed = seed();
    println!("STICKROUTE_LIVE_SEED={seed}");
    let server = rules::echo();
    let (mut matches, mut changes) = (0, 0);
    for round in 0..ROUNDS {
        let mut random = Random(seed ^ (round << 40));
        let questions: Vec<_> = (0..PATTERNS)
            .map(|_| Question::random(&mut random))
            .collect();
        let ours: Vec<_> = questions.iter().map(Question::ours).collect();
        let folder = Folder::new("patterns-random");
        let text = configuration(&questions);
        let (theirs, _haproxy) = rules::haproxy(&text, &folder, server);
        for _ in 0..TEXTS {
            let sample = sample(&mut random);
            let request =
                format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: {sample}\r\n\r\n");
            let answer = rules::send(theirs, &request);
            assert_eq!(answer.status, "200", "{sample:?}");
            for (number, (question, ours)) in questions.iter().zip(&ours).enumerate() {
                let line = |name: &str| {
                    let prefix = format!("{name}-{number}: ");
                    let mut lines = answer.body.iter();
                    lines.find_map(|line| line.strip_prefix(&prefix))
                };
                let (is_match, result) = ours.answer(&sample);
                assert_eq!(is_match, line("m").is_some(), "{question:?} {sample:?}");
                assert_eq!(line("r"), Some(result.as_str()), "{question:?} {sample:?}");
                matches += usize::from(is_match);
                changes += usize::from(result != format!("[{sample}]"));
            }
        }
    }
    println!("{matches} matches, {changes} changes");
    assert!(matches > 500 && changes > 500, "{matches} {changes}");
}

fn configuration(questions: &[Question]) -> String {
    let mut text = "\ndefaults\n mode http\n timeout connect 1s\n timeout client 60s\n \
                    timeout server 60s\nfrontend web\n bind LISTEN\n"
        .to_owned();
    for (number, question) in questions.iter().enumerate() {
        let (condition, converter) = (&question.condition, question.converter());
        let _ = write!(
            text,
            " http-request set-header m-{number} 1 if {{ {condition} }}\n \
             http-request set-header r-{number} [%[req.fhdr(x),{converter}]]\n"
        );
    }
    text + " default_backend app\nbackend app\n server s1 SERVER\n"
}

/// A condition and a substitution with one pattern.
#[derive(Debug)]
struct Question {
    condition: String,
    pattern: String,
    replacement: &'static str,
    flags: &'static str,
}

impl Question {
    fn random(random: &mut Random) -> Self {
        let pattern = pattern(random, 3);
        let flag = random.one_of(&["", "-i "]);
        // What is before a match that begins where another has ended is no business of
        // HAProxy's: see docs/differences.md.
        let flags: &[_] = if pattern.contains(r"\b") || pattern.contains(r"\B") {
            &["", "i"]
        } else {
            &["", "g", "i", "gi"]
        };
        Self {
            condition: format!("req.fhdr(x) -m reg {flag}-- '{pattern}'"),
            replacement: random.one_of(&["-", "", r"<\0>", r"\2\1", r"[\1|\2|\3]"]),
            flags: random.one_of(flags),
            pattern,
        }
    }

    /// In quotes for the argument, within those for the line.
    fn converter(&self) -> String {
        let Self {
            pattern,
            replacement,
            flags,
            ..
        } = self;
        let pattern = pattern.replace('\\', r"\\");
        let replacement = replacement.replace('\\', r"\\");
        format!("regsub('\"{pattern}\"','\"{replacement}\"',{flags})")
    }

    fn ours(&self) -> Ours {
        let condition = Acls::new().condition(format!("if {{ {} }}", self.condition));
        let converter = self.converter().replace('\'', "");
        let expression = expression(format!("req.fhdr(x),{converter}"));
        Ours {
            condition: condition.expect("HAProxy reads it, too"),
            expression: expression.expect("HAProxy reads it, too"),
        }
    }
}

/// The same, read by the library.
struct Ours {
    condition: AclCondition,
    expression: Expression,
}

impl Ours {
    fn answer(&self, sample: &str) -> (bool, String) {
        let request = SimpleRequest::new("GET", "/").header("X", sample);
        let result = self.expression.on_request(&request);
        let result = result.expect("there is such a field");
        let result = result.with_text(|text| String::from_utf8_lossy(text).into_owned());
        (self.condition.on_request(&request), format!("[{result}]"))
    }
}

fn pattern(random: &mut Random, depth: usize) -> String {
    let mut out = String::new();
    for _ in 0..=random.below(4) {
        let atom = match random.below(if depth == 0 { 14 } else { 19 }) {
            0..=3 => random.one_of(&["a", "b", "A", "é", "1", "-"]).to_owned(),
            4 => ".".to_owned(),
            5..=7 => random
                .one_of(&[
                    "[ab]",
                    "[^a]",
                    "[]a]",
                    "[[b]",
                    "[a-c1]",
                    "[é]",
                    "[&&]",
                    "[^[:alpha:]]",
                ])
                .to_owned(),
            8..=10 => random
                .one_of(&[
                    r"\d", r"\w", r"\s", r"\W", r"\.", r"\x41", r"\<", "{", "a{,2}",
                ])
                .to_owned(),
            11 => random.one_of(&["^", "$", r"\b", r"\B"]).to_owned(),
            12..=13 => "ab".to_owned(),
            14..=16 => format!("({})", pattern(random, depth - 1)),
            17 => format!("(?:{})", pattern(random, depth - 1)),
            _ => {
                let [left, right] = [(); 2].map(|()| pattern(random, depth - 1));
                format!("({left}|{right})")
            }
        };
        let is_place = ["^", "$", r"\b", r"\B"].contains(&atom.as_str());
        out.push_str(&atom);
        if !is_place && random.percent(40) {
            out.push_str(
                random.one_of(&["*", "+", "?", "{2}", "{1,2}", "*?", "+?", "??", "{1,}?"]),
            );
        }
    }
    out
}

fn sample(random: &mut Random) -> String {
    let mut out = "x".to_owned();
    for _ in 0..random.below(10) {
        out.push_str(random.one_of(&["a", "b", "A", "B", "1", ".", "-", "é", "<", "{", "]", "ab"]));
    }
    out.split_off(random.below(2))
}
