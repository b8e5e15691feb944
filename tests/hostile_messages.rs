//! Promise: bytes from clients and servers never panic, take bounded work, never bring a
//! line break into a header, and never cost the application a cookie of its own.

use proptest::prelude::*;
use stickroute::cookie::items;
use stickroute::{
    Backend, CookieMode, CookiePolicy, FieldEdit, Now, Selection, Server, SimpleRequest,
    SimpleResponse,
};

const NAME: &[u8] = b"SRV";

fn policies() -> [CookiePolicy; 7] {
    let minute = std::time::Duration::from_secs(60);
    [
        CookiePolicy::passive("SRV").into(),
        CookiePolicy::rewrite("SRV").into(),
        CookiePolicy::prefix("SRV").into(),
        CookiePolicy::prefix("SRV").indirect().into(),
        CookiePolicy::insert("SRV").into(),
        CookiePolicy::insert("SRV").indirect().nocache().into(),
        CookiePolicy::insert("SRV")
            .indirect()
            .preserve()
            .maxidle(minute)
            .maxlife(minute)
            .into(),
    ]
}

fn backend(policy: CookiePolicy) -> Backend {
    Backend::builder("be")
        .server(Server::new("s1", "10.0.0.1:80").cookie("c1"))
        .server(Server::new("s2", "10.0.0.2:80").cookie("c~|2"))
        .server(Server::new("s3", "10.0.0.3:80"))
        .cookie(policy)
        .build()
        .unwrap()
}

/// Bytes that matter to cookies, and any others.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => prop::sample::select(vec![
            &b"SRV"[..], b"SRV=c1", b"SRV=c2|AAAAA", b"=", b";", b",", b"; ", b" ", b"\t",
            b"\"", b"\\", b"$", b"$Path=/", b"~", b"|", b"x=1", b"lang=en", b"\0", b"\xff",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

fn select(backend: &Backend, fields: &[Vec<u8>]) -> (Selection, SimpleRequest) {
    let request = fields
        .iter()
        .fold(SimpleRequest::new("GET", "/"), |request, field| {
            request.header("Cookie", field.clone())
        });
    let selection = backend.select(&request, Now::system()).unwrap();
    (selection, request)
}

/// The fields after the edits, those removed left out.
fn edited(fields: &[Vec<u8>], edits: &[FieldEdit]) -> Vec<Vec<u8>> {
    let edit_of = |index: usize| edits.get(index).unwrap_or(&FieldEdit::Keep);
    let edited = fields
        .iter()
        .enumerate()
        .map(|(index, field)| match edit_of(index) {
            FieldEdit::Keep => Some(field.clone()),
            FieldEdit::Remove => None,
            FieldEdit::Replace(bytes) => Some(bytes.clone()),
        });
    edited.flatten().collect()
}

/// Names and values of the cookies that are not ours, in order.
fn foreign(fields: &[Vec<u8>]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let pairs = fields.iter().flat_map(|field| items(field)).filter(|item| {
        item.value().is_some() && item.name() != NAME && !item.name().starts_with(b"$")
    });
    pairs
        .map(|item| (item.name().to_vec(), item.value().map(<[u8]>::to_vec)))
        .collect()
}

fn breaks(fields: &[Vec<u8>]) -> usize {
    let bytes = fields.iter().flatten();
    bytes
        .filter(|byte| matches!(byte, b'\r' | b'\n' | 0))
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn requests(fields in prop::collection::vec(field(), 0..4)) {
        for policy in policies() {
            // Cutting a prefix can take one of two quotes away, as HAProxy does, and
            // what follows then reads differently.
            let reads_the_same = policy.mode() != CookieMode::Prefix
                || !fields.iter().flatten().any(|byte| *byte == b'"');
            let backend = backend(policy);
            let (selection, request) = select(&backend, &fields);
            let edits = selection.request_edits(&request);
            let after = edited(&fields, edits.cookie_fields());
            if reads_the_same {
                prop_assert_eq!(foreign(&after), foreign(&fields));
            }
            prop_assert!(breaks(&after) <= breaks(&fields));
        }
    }

    #[test]
    fn responses(
        cookie in field(),
        fields in prop::collection::vec(field(), 0..4),
        cache in field(),
        status in 100_u16..600,
    ) {
        let response = fields.iter().fold(
            SimpleResponse::new(status).header("Cache-Control", cache).header("ETag", "1"),
            |response, field| response.header("Set-Cookie", field.clone()),
        );
        for policy in policies() {
            let backend = backend(policy);
            let (mut selection, _) = select(&backend, std::slice::from_ref(&cookie));
            let edits = backend.respond(&mut selection, &response, Now::system());
            for (index, edit) in edits.set_cookie_fields() {
                if let FieldEdit::Replace(after) = edit {
                    let before = &fields[*index..=*index];
                    prop_assert!(breaks(std::slice::from_ref(after)) <= breaks(before));
                }
            }
            let inserted = edits.set_cookie().map(<[u8]>::to_vec);
            prop_assert_eq!(breaks(inserted.as_slice()), 0);
        }
    }
}

#[test]
fn ten_thousand_cookies_and_megabytes_are_read_to_the_end() {
    let many: Vec<_> = (0..10_000)
        .map(|n| format!("SRV{n}=c1; SRV=zz{n}"))
        .collect();
    let fields = [many.join("; "), "x".repeat(1 << 20), "SRV=c1".to_owned()];
    let fields = fields.map(String::into_bytes);
    for policy in policies() {
        let backend = backend(policy);
        let (selection, request) = select(&backend, &fields);
        assert_eq!(selection.server().name(), "s1");
        let edits = selection.request_edits(&request);
        let after = edited(&fields, edits.cookie_fields());
        assert_eq!(foreign(&after), foreign(&fields));
    }
}

#[test]
fn nested_quotes_and_backslashes_take_linear_time() {
    // Quadratic work on a quarter of a megabyte would take minutes.
    for unit in ["\"\\", "SRV=\"", "=;,", "$;", "SRV =", " \t", "SRV;"] {
        let field = unit.repeat((1 << 18) / unit.len()).into_bytes();
        for policy in policies() {
            let backend = backend(policy);
            let (selection, request) = select(&backend, std::slice::from_ref(&field));
            let _ = selection.request_edits(&request);
        }
    }
}
