//! The text of an expression, of an ACL and of a condition, and a request to try them on:
//! the first line is the text, the second the target, the rest header fields.

use stickroute::haproxy::{self, Acls};
use stickroute::{Expression, Moment, Sample, SampleType, SimpleRequest, SimpleResponse};

pub(crate) fn check(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let text = lines.next().unwrap_or_default();
    let target = lines.next().unwrap_or_default();
    let values: Vec<&[u8]> = lines.collect();
    let request = values.iter().fold(
        SimpleRequest::new("GET", target)
            .source([192, 0, 2, 7].into())
            .payload(data),
        |request, value| {
            let request = request.header("x", *value).header("host", *value);
            request.header("cookie", *value)
        },
    );
    let response = values
        .iter()
        .fold(SimpleResponse::new(200), |response, value| {
            response.header("x", *value).header("set-cookie", *value)
        });
    check_expression(text, &request, &response);
    check_condition(text, &request, &response);
}

fn check_expression(text: &[u8], request: &SimpleRequest, response: &SimpleResponse) {
    match haproxy::expression(text) {
        Ok(expression) => {
            let samples = [
                expression.on_request(request),
                expression.on_response(response),
            ];
            for sample in samples.into_iter().flatten() {
                check_sample(&expression, &sample);
            }
            let never = !expression.is_available(Moment::Request);
            assert!(!never || expression.on_request(request).is_none());
        }
        Err(error) => assert!(error.position() <= text.len(), "{error}"),
    }
}

/// The type told beforehand is kept, and every cast that is said to be impossible is.
fn check_sample(expression: &Expression, sample: &Sample<'_>) {
    let found = sample.sample_type();
    let is_address = matches!(found, SampleType::Ipv4 | SampleType::Ipv6);
    let told = expression.output();
    assert!(
        told == found || (is_address && matches!(told, SampleType::Ipv4 | SampleType::Address))
    );
    let text = sample.with_text(<[u8]>::to_vec);
    let bytes = sample.with_bytes(<[u8]>::to_vec);
    let cast = |to| sample.clone().cast(to);
    assert_eq!(cast(SampleType::Str), Some(Sample::Str(text.into())));
    assert_eq!(cast(SampleType::Binary), Some(Sample::Binary(bytes.into())));
    for to in [
        SampleType::Address,
        SampleType::Ipv4,
        SampleType::Ipv6,
        SampleType::Integer,
        SampleType::Bool,
        SampleType::Method,
    ] {
        let cast = cast(to);
        assert!(cast.is_none() || found.casts_to(to), "{found} to {to}");
        if let Some(cast) = cast {
            assert!(to == SampleType::Address || cast.sample_type() == to);
        }
    }
}

fn check_condition(text: &[u8], request: &SimpleRequest, response: &SimpleResponse) {
    let mut acls = Acls::new();
    if let Err(error) = acls.declare([b"name ", text].concat()) {
        assert!(error.position() <= text.len() + 5, "{error}");
    } else {
        let plain = acls.condition("if name").unwrap();
        let negated = acls.condition("unless name").unwrap();
        assert_ne!(plain.on_request(request), negated.on_request(request));
        assert_ne!(plain.on_response(response), negated.on_response(response));
    }
    match acls.condition(text) {
        Ok(condition) => {
            condition.on_request(request);
            condition.on_response(response);
        }
        Err(error) => assert!(error.position() <= text.len(), "{error}"),
    }
}
