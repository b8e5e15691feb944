//! Sample expressions: `req.hdr(x-key,1),lower`.

mod arguments;
mod converters;
mod error;
mod fetches;
mod known;
mod tables;

use crate::fetch::{Converter, Expression, Fetch};

use arguments::Reader;
pub(super) use arguments::integer;
pub(super) use converters::{ipv4_mask, ipv6_mask};
pub use error::{ExpressionError, ExpressionProblem};
pub(super) use fetches::{binary, ipv6};
pub(super) use tables::Reference;

/// Reads a sample expression: a fetch, and converters behind commas.
///
/// The text is one word of a line, after the quotes of the line itself were taken off.
/// Quotes in an argument protect commas and parentheses.
///
/// ```
/// use stickroute::{Sample, SimpleRequest, haproxy};
///
/// let key = haproxy::expression("req.hdr(x-key,1),field(1,':'),lower")?;
/// let request = SimpleRequest::new("GET", "/").header("X-Key", "Alpha:7, beta");
/// assert_eq!(key.on_request(&request), Some(Sample::from("alpha")));
///
/// let error = haproxy::expression("hdr(x),lowr").unwrap_err();
/// assert_eq!(error.to_string(), "character 8: there is no converter \"lowr\"");
/// # Ok::<(), haproxy::ExpressionError>(())
/// ```
///
/// | fetches of a request | |
/// |---|---|
/// | connection | `src` `src_port` `dst` `dst_port` `ssl_fc` |
/// | request line | `method` `url` `path` `pathq` `query` `base` `base32` `base32+src` `url32` `url32+src` `url_param(NAME)` `urlp(NAME)` `urlp_val(NAME)` |
/// | header fields | `req.hdr(NAME,N)` `req.fhdr(NAME,N)` `req.hdr_ip(NAME,N)` `req.hdr_val(NAME,N)` `req.hdr_cnt(NAME)` `req.fhdr_cnt(NAME)`, without `req.` too |
/// | cookies | `req.cook(NAME)` `req.cook_val(NAME)` `req.cook_cnt(NAME)`, without `req.` too |
/// | first bytes | `req.payload(OFFSET,LENGTH)` `req.payload_lv(OFFSET,SIZE)` `req.len` `req.rdp_cookie(NAME)` `req.rdp_cookie_cnt(NAME)` `req.ssl_hello_type` |
/// | stick tables, about the client's address | `src_conn_cnt(T)` `src_conn_cur(T)` `src_conn_rate(T)` `src_sess_cnt(T)` `src_sess_rate(T)` `src_http_req_cnt(T)` `src_http_req_rate(T)` `src_http_err_cnt(T)` `src_http_err_rate(T)` `src_http_fail_cnt(T)` `src_http_fail_rate(T)` `src_bytes_in_rate(T)` `src_bytes_out_rate(T)` `src_kbytes_in(T)` `src_kbytes_out(T)` `src_get_gpt0(T)` `src_get_gpc0(T)` `src_get_gpc1(T)` `src_gpc0_rate(T)` `src_gpc1_rate(T)` `src_get_gpt(N,T)` `src_get_gpc(N,T)` `src_gpc_rate(N,T)` |
/// | constants | `always_true` `always_false` `wait_end` `bool(B)` `int(N)` `str(TEXT)` `bin(HEX)` `ipv4(A)` `ipv6(A)` `meth(M)` |
///
/// Of a response there are `status`, `res.` instead of `req.` in all of these but
/// `res.rdp_cookie`, and `shdr` and `scook`. `hdr`, `cookie`, `payload` and `payload_lv`
/// look at whichever message is at hand.
///
/// | converters | |
/// |---|---|
/// | letters, encodings | `lower` `upper` `hex` `hex2i` `base64` `b64dec` `url_dec` `url_enc` |
/// | pieces | `field(N,DELIMITERS,COUNT)` `word(N,DELIMITERS,COUNT)` `bytes(OFFSET,LENGTH)` `ltrim(BYTES)` `rtrim(BYTES)` `host_only` `length` `concat(TEXT)` `regsub(PATTERN,REPLACEMENT,FLAGS)` |
/// | addresses | `ipmask(BITS,BITS)` |
/// | hashes | `sdbm` `djb2` `wt6` `crc32` `crc32c`, each with `(1)` for the avalanche, `xxh32(SEED)` `xxh64(SEED)` |
/// | stick tables | `in_table(T)` `table_server_id(T)` `table_trackers(T)`, and as those of fetches `table_conn_cnt(T)` to `table_kbytes_out(T)`, `table_gpt0(T)` `table_gpc0(T)` `table_gpc1(T)` `table_gpc0_rate(T)` `table_gpc1_rate(T)` `table_gpt(N,T)` `table_gpc(N,T)` `table_gpc_rate(N,T)` |
/// | numbers | `add(N)` `sub(N)` `mul(N)` `div(N)` `mod(N)` `and(N)` `or(N)` `xor(N)` `neg` `cpl` `odd` `even` `bool` `not` |
///
/// Those about stick tables are for the rules and conditions of a
/// [`Configuration`](super::Configuration), which has tables; T is the section's own if it
/// is left out. Here they are refused. In Rust,
/// [`Converter::in_table`](crate::Converter::in_table) and its neighbours take a table.
///
/// # Errors
/// The first thing that is wrong, with its place and what would be right. A name that
/// HAProxy 2.6 knows and this library does not is told apart from one nobody knows.
pub fn expression(text: impl AsRef<[u8]>) -> Result<Expression, ExpressionError> {
    let mut references = Vec::new();
    let expression = read(text.as_ref(), None, &mut references)?;
    no_tables(references).map(|()| expression)
}

/// That no table is named where none is known.
pub(super) fn no_tables(references: Vec<Reference>) -> Result<(), ExpressionError> {
    match references.into_iter().next() {
        Some(Reference { position, of, .. }) => {
            Err(error::problem(position, ExpressionProblem::NoTables { of }))
        }
        None => Ok(()),
    }
}

/// That a table is not there.
pub(super) fn unknown_table(position: usize, found: &str) -> ExpressionError {
    let found = found.to_owned();
    error::problem(position, ExpressionProblem::UnknownTable { found })
}

/// As [`expression`], with tables added to `references`; the fetch is read as if it had
/// the name `alias`.
pub(super) fn read(
    text: &[u8],
    alias: Option<&str>,
    references: &mut Vec<Reference>,
) -> Result<Expression, ExpressionError> {
    let mut reader = Reader::new(text);
    let mut expression = Expression::from(fetch(&mut reader, alias, references)?);
    while reader.comma()? {
        let position = reader.position();
        let converter = converter(&mut reader, references)?;
        expression = expression
            .then(converter)
            .map_err(|mismatch| error::problem(position, ExpressionProblem::Type(mismatch)))?;
    }
    Ok(expression)
}

/// The name a text begins with, up to the first byte that is in no name.
pub(super) fn leading_name(text: &[u8]) -> &str {
    Reader::new(text).name()
}

fn fetch(
    reader: &mut Reader<'_>,
    alias: Option<&str>,
    references: &mut Vec<Reference>,
) -> Result<Fetch, ExpressionError> {
    let position = reader.position();
    let written = reader.name();
    let name = alias.unwrap_or(written);
    let mut arguments = reader.arguments(written)?;
    let fetch = match tables::of_fetch(name) {
        Some(question) => {
            let read = tables::read(question, position, &mut arguments, references)?;
            Some(Fetch::about_source(read))
        }
        None => fetches::read(name, &mut arguments)?,
    };
    let Some(fetch) = fetch else {
        let found = name.to_owned();
        return Err(error::problem(
            position,
            if known::is_fetch(name) {
                ExpressionProblem::NotSupportedFetch { found }
            } else {
                ExpressionProblem::UnknownFetch { found }
            },
        ));
    };
    arguments.end()?;
    Ok(fetch)
}

fn converter(
    reader: &mut Reader<'_>,
    references: &mut Vec<Reference>,
) -> Result<Converter, ExpressionError> {
    let position = reader.position();
    let name = reader.name();
    let mut arguments = reader.arguments(name)?;
    let converter = match tables::of_converter(name) {
        Some(question) => {
            let read = tables::read(question, position, &mut arguments, references)?;
            Some(Converter::of_table(read))
        }
        None => converters::read(name, &mut arguments)?,
    };
    let Some(converter) = converter else {
        let found = name.to_owned();
        return Err(error::problem(
            position,
            if known::is_converter(name) {
                ExpressionProblem::NotSupportedConverter { found }
            } else {
                ExpressionProblem::UnknownConverter { found }
            },
        ));
    };
    arguments.end()?;
    Ok(converter)
}

#[cfg(test)]
mod tests {
    use crate::fetch::{Moment, Origin};
    use crate::sample::{Sample, SampleType};
    use crate::{SimpleRequest, SimpleResponse};
    use proptest::prelude::*;

    fn text(expression: &str) -> Option<String> {
        let expression = super::expression(expression).expect(expression);
        let request = SimpleRequest::new("GET", "/a/b?c=d")
            .source("10.1.2.3".parse().unwrap())
            .header("Host", "Ex.com:80")
            .header("X", "a, b");
        let sample = expression.on_request(&request)?;
        Some(sample.with_text(|text| text.escape_ascii().to_string()))
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn values_are_those_of_haproxy() {
        for (expression, expected) in [
            ("src,ipmask(24)", Some("10.1.2.0")),
            ("path,regsub(/,-)", Some("-a/b")),
            ("path,regsub(/,-,g)", Some("-a-b")),
            ("path,regsub(/,,g)", Some("ab")),
            ("path,regsub(A,-,gi)", Some("/-/b")),
            ("path,regsub('/(.)/(.)','\\2,\\1')", Some("b,a")),
            ("src,regsub(10.,x,g)", Some("x1.2.3")),
            ("ipv6(2001:db8::1),ipmask(24)", None),
            ("ipv6(::ffff:1.2.3.4),ipmask(24)", Some("1.2.3.0")),
            ("ipv6(2001:db8::1),ipmask(24,32)", Some("2001:db8::")),
            ("src,ipmask(255.0.255.0)", Some("10.0.2.0")),
            ("base", Some("Ex.com:80/a/b")),
            ("base32", Some("3648902478")),
            ("url32", Some("4172439437")),
            ("base32,hex", Some("00000000D97DD54E")),
            ("base32+src,hex", Some("D97DD54E0A010203")),
            ("url32+src,hex", Some("F8B25F8D0A010203")),
            ("pathq", Some("/a/b?c=d")),
            ("query", Some("c=d")),
            ("src,neg", Some("-167838211")),
            ("str(12x),neg", Some("-12")),
            ("str(x),neg", Some("0")),
            ("str(),neg", None),
            ("src,length", Some("8")),
            ("src,crc32", Some("3825493623")),
            ("bool(1),hex", Some("0000000000000001")),
            ("ipv6(::1.2.3.4),lower", Some("::1.2.3.4")),
            ("bin(610062),lower", Some("a")),
            ("method,lower", Some("get")),
            ("int(5),xxh64", Some("-2651856156047985796")),
            ("int(5),xxh32(7)", Some("1811217382")),
            ("str(a),xxh64(-1)", Some("6972758980737027682")),
            ("str(a),crc32c", Some("3251651376")),
            ("str(a),crc32(2)", Some("1288200982")),
            ("hdr(host),host_only", Some("ex.com")),
            ("req.hdr(x),field(9,/)", None),
            ("req.hdr(x),word(9,/)", Some("")),
            ("str(abc),bytes(1,9),base64", Some("YmM=")),
            ("str(a),concat(b,,c)", Some("abc")),
        ] {
            assert_eq!(text(expression).as_deref(), expected, "{expression}");
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn quotes_and_backslashes_protect_in_arguments() {
        for (expression, expected) in [
            ("str('a,b')", "a,b"),
            ("str('a)b')", "a)b"),
            ("str(a\"b c\"d)", "ab cd"),
            ("str( a )", " a "),
            (r"str(a\ b)", "a b"),
            (r"str(a\tb)", r"a\tb"),
            (r"str(a\qb)", r"a\\qb"),
            (r"str('a\tb')", r"a\\tb"),
            ("str(a(b)", "a(b"),
            ("str()", ""),
            ("str", ""),
            ("path()", "/a/b"),
        ] {
            assert_eq!(text(expression).as_deref(), Some(expected), "{expression}");
        }
    }

    #[test]
    fn names_without_a_prefix_read_the_message_at_hand() {
        let response = SimpleResponse::new(404)
            .header("X", "r")
            .header("Set-Cookie", "s=1; a");
        for (expression, expected) in [
            ("hdr(x)", Some("r")),
            ("res.hdr(x)", Some("r")),
            ("req.hdr(x)", None),
            ("cookie(s)", Some("1")),
            ("scook(s)", Some("1")),
            ("status", Some("404")),
            ("src", None),
        ] {
            let expression = super::expression(expression).unwrap();
            let sample = expression.on_response(&response).map(Sample::into_owned);
            let expected = expected.map(|text| Sample::from(text).into_owned());
            let sample = sample.map(|sample| sample.cast(SampleType::Str).unwrap());
            assert_eq!(sample, expected, "{expression:?}");
        }
    }

    #[test]
    fn an_expression_tells_when_it_has_a_value() {
        for (expression, origin) in [
            ("src", Origin::Exchange),
            ("method", Origin::Exchange),
            ("path", Origin::Request),
            ("req.hdr(x),lower", Origin::Request),
            ("status", Origin::Response),
            ("res.cook(s)", Origin::Response),
            ("hdr(x)", Origin::Message),
            ("payload_lv(43,1)", Origin::Message),
            ("int(5)", Origin::Constant),
        ] {
            assert_eq!(super::expression(expression).unwrap().origin(), origin);
        }
        let status = super::expression("status").unwrap();
        assert!(status.is_available(Moment::Response) && !status.is_available(Moment::Request));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (expression, expected) in [
            ("", "character 1: there is no fetch \"\""),
            ("nosuch(1)", "character 1: there is no fetch \"nosuch\""),
            ("Hdr(x)", "character 1: there is no fetch \"Hdr\""),
            (
                "var(txn.x)",
                "character 1: the fetch \"var\" is not supported yet",
            ),
            (
                "path,nosuch",
                "character 6: there is no converter \"nosuch\"",
            ),
            (
                "path,regsub(a,b,x)",
                "character 17: argument 3 of \"regsub\"",
            ),
            (
                "path,regsub('(?=a)',b)",
                "character 13: in the pattern of \"regsub\", character 1: \"(?=\": look",
            ),
            ("path,regsub(a)", "character 15: argument 2 of \"regsub\""),
            (
                "path,regsub(a,b\\\\)",
                "character 15: argument 2 of \"regsub\"",
            ),
            (
                "path,json(ascii)",
                "character 6: the converter \"json\" is not supported yet",
            ),
            ("path,", "character 6: there is no converter \"\""),
            (
                "path ,lower",
                "character 5: found \" ,lower\"; expected a comma or the end",
            ),
            ("path)", "character 5: found \")\""),
            ("path(", "character 5: nothing closes this"),
            ("str('a)", "character 5: nothing closes this"),
            (
                "src(1)",
                "character 5: \"src\" has no argument 1; expected )",
            ),
            ("hdr", "character 4: argument 1 of \"hdr\" is missing"),
            (
                "hdr(a b)",
                "character 5: argument 1 of \"hdr\" is \"a b\"; expected the name",
            ),
            (
                "hdr(x,-11)",
                "character 7: argument 2 of \"hdr\" is \"-11\"; expected a number",
            ),
            ("hdr(x, 1)", "character 7: argument 2 of \"hdr\" is \" 1\""),
            ("hdr(x,1,2)", "character 9: \"hdr\" has no argument 3"),
            (
                "urlp(a,;)",
                "character 8: argument 2 of \"urlp\" is \";\", which is not supported",
            ),
            (
                "src,ipmask",
                "character 11: argument 1 of \"ipmask\" is missing",
            ),
            (
                "src,ipmask(33)",
                "character 12: argument 1 of \"ipmask\" is \"33\"; expected",
            ),
            (
                "path,field(0,/)",
                "character 12: argument 1 of \"field\" is \"0\"; expected",
            ),
            (
                "path,field(1)",
                "character 14: argument 2 of \"field\" is missing",
            ),
            (
                "path,concat(a,txn.x)",
                "character 15: argument 2 of \"concat\" is \"txn.x\"",
            ),
            (
                "int(0x10)",
                "character 5: argument 1 of \"int\" is \"0x10\"; expected a whole",
            ),
            (
                "bin(0a0)",
                "character 5: argument 1 of \"bin\" is \"0a0\"; expected pairs",
            ),
            (
                "ipv6(::1),neg",
                "character 11: an IPv6 address cannot become an integer",
            ),
            (
                "base32+src,not",
                "character 12: binary cannot become a boolean",
            ),
        ] {
            let error = super::expression(expression).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{expression}: {error}");
        }
    }

    #[test]
    fn tables_are_refused_with_their_place() {
        for (expression, expected) in [
            (
                "src_get_gpc0(t)",
                "character 14: \"src_get_gpc0\" reads a stick table; tables are only known to",
            ),
            (
                "src,in_table",
                "character 5: \"in_table\" reads a stick table",
            ),
            (
                "src,lower,table_gpc(1,t)",
                "character 23: \"table_gpc\" reads a stick table",
            ),
            (
                "src_get_gpc(t)",
                "character 13: argument 1 of \"src_get_gpc\" is \"t\"; expected a number from 0",
            ),
            (
                "src_get_gpc(1)",
                "character 15: argument 2 of \"src_get_gpc\" is missing; expected the name",
            ),
            (
                "src,table_gpc(-1,t)",
                "character 15: argument 1 of \"table_gpc\" is \"-1\"; expected a number",
            ),
            (
                "src_conn_cnt(t,u)",
                "character 16: \"src_conn_cnt\" has no argument 2",
            ),
            (
                "src_inc_gpc0(t)",
                "character 1: the fetch \"src_inc_gpc0\" is not supported yet",
            ),
        ] {
            let error = super::expression(expression).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{expression}: {error}");
        }
    }

    fn read_of_table(text: &str) -> Option<super::Reference> {
        let mut references = Vec::new();
        super::read(text.as_bytes(), None, &mut references).ok()?;
        references.pop()
    }

    // The names are those of HAProxy 2.6.12.
    #[test]
    fn names_about_tables_are_those_of_haproxy() {
        const DATA: [&str; 18] = [
            "conn_cnt",
            "conn_cur",
            "conn_rate",
            "sess_cnt",
            "sess_rate",
            "http_req_cnt",
            "http_req_rate",
            "http_err_cnt",
            "http_err_rate",
            "http_fail_cnt",
            "http_fail_rate",
            "bytes_in_rate",
            "bytes_out_rate",
            "kbytes_in",
            "kbytes_out",
            "gpc0_rate",
            "gpc1_rate",
            "gpc_rate",
        ];
        let arguments = |name: &str| match name {
            "gpc" | "gpt" | "gpc_rate" => "(0,t)",
            _ => "(t)",
        };
        for name in DATA {
            let arguments = arguments(name);
            for text in [
                format!("src_{name}{arguments}"),
                format!("src,table_{name}{arguments}"),
            ] {
                assert!(read_of_table(&text).is_some(), "{text}");
            }
        }
        for name in ["gpc", "gpc0", "gpc1", "gpt", "gpt0"] {
            let arguments = arguments(name);
            for text in [
                format!("src_get_{name}{arguments}"),
                format!("src,table_{name}{arguments}"),
            ] {
                assert!(read_of_table(&text).is_some(), "{text}");
            }
            assert!(read_of_table(&format!("src_{name}{arguments}")).is_none());
        }
        for text in [
            "src_get_conn_cnt(t)",
            "src_get_gpc0_rate(t)",
            "src_bytes_in_cnt(t)",
            "src,table_bytes_in_cnt(t)",
            "src,table_get_gpc0(t)",
            "src_server_id(t)",
            "src_trackers(t)",
            "src,table_(t)",
            "src_(t)",
            "src_updt_conn_cnt(t)",
            "src_clr_gpc0(t)",
            "src,table_expire(t)",
            "src,table_idle(t)",
            "in_table(t)",
        ] {
            assert!(read_of_table(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_table_left_out_is_that_of_the_section() {
        for (text, position, table) in [
            ("src_conn_cnt", 0, None),
            ("src_conn_cnt()", 0, None),
            ("src,lower,in_table", 10, None),
            ("src,in_table( 't' )", 13, Some(" t ")),
            ("src_get_gpc(3,p/t)", 14, Some("p/t")),
        ] {
            let reference = read_of_table(text).expect(text);
            let found = (reference.position, reference.table.as_deref());
            assert_eq!(found, (position, table), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z0-9_.+(),'\"\\\\/ -]{0,40}") {
            let _ = super::expression(text);
        }

        #[test]
        fn no_converter_panics(value: Vec<u8>, which in 0_usize..12, number in -300_i64..300) {
            let converters = [
                format!("bytes({}),hex", number.unsigned_abs()), format!("field({number},/,2)"),
                format!("word({number},/ab,3)"), "url_dec,host_only".to_owned(),
                "b64dec,base64".to_owned(), format!("ipmask(24,64),add({number})"),
                format!("div({number}),mod({number})"), "hex2i,neg".to_owned(),
                "hex,hex2i,cpl".to_owned(), "url_enc,ltrim(/a),rtrim(b%)".to_owned(),
                "crc32(1),sdbm,djb2,wt6,xxh32,xxh64".to_owned(), "length,even,not".to_owned(),
            ];
            let converters = &converters[which];
            if let Ok(expression) = super::expression(format!("hdr(x),{converters}")) {
                let request = SimpleRequest::new("GET", "/").header("x", value);
                let _ = expression.on_request(&request);
            }
        }
    }
}
