//! Recorded vectors, checked one pure function at a time.

use serde_json::Value;

use super::{CookiePolicy, FieldEdit, dynamic_identifier, edit_request};

fn lines(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Vectors store bytes as ISO-8859-1 code points.
fn bytes(value: &Value) -> Vec<u8> {
    let code_points = value.as_str().unwrap().chars();
    code_points.map(|c| u8::try_from(c).unwrap()).collect()
}

fn policy(line: &Value) -> CookiePolicy {
    let text = bytes(line);
    let text = text.strip_prefix(b"cookie").unwrap();
    CookiePolicy::from_directive(text).unwrap().policy
}

fn forwarded(policy: &CookiePolicy, request: &Value) -> Vec<Vec<u8>> {
    let headers = request["headers"].as_array().unwrap();
    let cookies = headers
        .iter()
        .filter(|header| header[0].as_str().unwrap().eq_ignore_ascii_case("cookie"));
    cookies
        .map(|header| bytes(&header[1]))
        .filter_map(|value| match edit_request(policy, &value) {
            FieldEdit::Keep => Some(value.trim_ascii().to_vec()),
            FieldEdit::Remove => None,
            FieldEdit::Replace(value) => Some(value),
        })
        .collect()
}

#[test]
fn requests_are_forwarded_as_recorded() {
    let mut run = 0;
    for case in lines("cookie.jsonl") {
        let Some(expected) = case["expect"]["forwarded_cookie_headers"].as_array() else {
            continue;
        };
        let expected: Vec<_> = expected.iter().map(bytes).collect();
        let policy = policy(&case["config"]["cookie"]);
        assert_eq!(
            forwarded(&policy, &case["request"]),
            expected,
            "{}",
            case["id"]
        );
        run += 1;
    }
    println!("{run} cases run");
    assert!(run > 600);
}

#[test]
fn directives_are_accepted_and_refused_as_recorded() {
    let cases = lines("cookie_config.jsonl");
    for case in &cases {
        let line = bytes(&case["line"]);
        let text = line.strip_prefix(b"cookie").unwrap();
        let (result, findings) = match CookiePolicy::from_directive(text) {
            Ok(directive) if directive.warnings.is_empty() => ("ok", Vec::new()),
            Ok(directive) => ("warning", directive.warnings),
            Err(error) => ("error", error.findings().to_vec()),
        };
        assert_eq!(case["result"], result, "{}", case["line"]);
        let mut reasons: Vec<_> = findings.iter().map(|f| f.reason().code()).collect();
        reasons.sort_unstable();
        assert_eq!(case["reasons"], Value::from(reasons), "{}", case["line"]);
    }
    assert_eq!(cases.len(), 63);
}

#[test]
fn dynamic_identifiers_are_those_recorded() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/dynamic_cookie.csv"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let mut run = 0;
    for line in text.lines().skip(1) {
        let (ip, rest) = line.split_once(',').unwrap();
        let (port, rest) = rest.split_once(',').unwrap();
        let (key, cookie) = rest.rsplit_once(',').unwrap();
        let key = key.trim_matches('"').replace("\"\"", "\"");
        let (ip, port) = (ip.parse().unwrap(), port.parse().unwrap());
        assert_eq!(
            dynamic_identifier(key.as_bytes(), ip, port),
            *cookie.as_bytes(),
            "{line}"
        );
        run += 1;
    }
    println!("{run} identifiers run");
    assert!(run >= 60);
}
