//! What of a request is hashed to choose a server, and how.
//!
//! Every rule is HAProxy's, down to the corners: which byte ends a URI, what counts
//! as an absent key, which comma ends a header element. Nothing here allocates.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use memchr::memchr_iter;

use super::hash_key::{domain_label, first_element, fold_address};
use crate::fetch::{Expression, path, rdp_cookie, url_param};
use crate::hash::{HashFunction, decimal, full_hash};
use crate::message::{Request, first_header};
use crate::short::find;

/// What of a request is hashed to choose its server.
///
/// A request without that key, a missing header for example, is no error: the
/// selector then falls back to a round robin of its own.
///
/// ```
/// use stickroute::HashInput;
///
/// let client = HashInput::source();
/// let user = HashInput::url_param("userid");
/// let page: HashInput = HashInput::uri().path_only().depth(2).into();
/// let site: HashInput = HashInput::header("host").use_domain_only().into();
/// # let _ = (client, user, page, site);
/// ```
#[derive(Clone, Debug)]
pub struct HashInput(Input);

impl HashInput {
    /// The client's IP address.
    ///
    /// An IPv4 address is its own hash and an IPv6 address the exclusive or of its
    /// four words, whatever [`HashFunction`] is set. An IPv4 address mapped into
    /// IPv6 is hashed as IPv6, so it may land elsewhere than the same IPv4 address.
    /// Absent where the client has no IP address. HAProxy: `balance source`.
    pub fn source() -> Self {
        Self(Input::Source)
    }

    /// The request target, by default up to its first `?`.
    ///
    /// Never absent: an empty target is hashed too. HAProxy: `balance uri`.
    pub fn uri() -> UriInput {
        UriInput::default()
    }

    /// The value of a parameter in the query of the request target.
    ///
    /// The name is compared exactly, parameters are separated by `&` alone, the
    /// first one of that name counts and nothing is decoded. An empty value is
    /// hashed; a parameter without `=` is absent. HAProxy: `balance url_param NAME`.
    pub fn url_param(name: impl AsRef<str>) -> Self {
        Self(Input::UrlParam(name.as_ref().as_bytes().into()))
    }

    /// The first element of the first header field of this name.
    ///
    /// The element ends at the first comma outside double quotes; blanks around it
    /// do not count. Absent without such a field, and when the element is empty.
    /// HAProxy: `balance hdr(NAME)`.
    pub fn header(name: impl Into<Arc<str>>) -> HeaderInput {
        HeaderInput {
            name: name.into(),
            domain_only: false,
        }
    }

    /// The value of an expression: text and bytes as they are, the 4 or 16 bytes of an
    /// address, 8 big-endian bytes of a number or a boolean.
    ///
    /// With [`HashFunction::Decimal`] the value is read as text instead. Absent where the
    /// expression has no value in a request. HAProxy: `balance hash EXPRESSION`.
    ///
    /// ```
    /// use stickroute::{Converter, Expression, Fetch, HashInput};
    ///
    /// let network = Expression::from(Fetch::src()).then(Converter::ipmask_both(24, 64))?;
    /// let by_network = HashInput::expression(network);
    /// # let _ = by_network;
    /// # Ok::<(), stickroute::TypeMismatch>(())
    /// ```
    pub fn expression(expression: impl Into<Expression>) -> Self {
        Self(Input::Expression(Arc::new(expression.into())))
    }

    /// The cookie with which an RDP connection begins (`mstshash` names the user), out of
    /// [`Request::payload`]. Absent without it, and when it is empty. HAProxy: `balance
    /// rdp-cookie(NAME)`, `mstshash` by default.
    pub fn rdp_cookie(name: impl Into<Vec<u8>>) -> Self {
        Self(Input::RdpCookie(name.into().into()))
    }

    /// Anything else: `extract` is called with the request and a function that takes
    /// the bytes to hash.
    ///
    /// The bytes handed over first are the key; what is handed over later is ignored,
    /// and a closure that hands nothing over says that the key is absent. `name`
    /// appears in `Debug` output only.
    ///
    /// ```
    /// use stickroute::HashInput;
    ///
    /// let by_tenant = HashInput::custom("tenant", |request, key| {
    ///     // "/acme/orders/7" belongs to "acme".
    ///     if let Some(tenant) = request.target().split(|&byte| byte == b'/').nth(1) {
    ///         key(tenant);
    ///     }
    /// });
    /// # let _ = by_tenant;
    /// ```
    pub fn custom<F>(name: impl Into<Arc<str>>, extract: F) -> Self
    where
        F: Fn(&dyn Request, &mut dyn FnMut(&[u8])) + Send + Sync + 'static,
    {
        Self(Input::Custom(CustomInput {
            name: name.into(),
            extract: Arc::new(extract),
        }))
    }
}

/// [`HashInput::uri`] and its options.
///
/// They apply in this order: [`path_only`](Self::path_only), [`len`](Self::len),
/// then whichever of [`depth`](Self::depth) and the first `?` comes first.
///
/// ```
/// use stickroute::HashInput;
///
/// let by_directory: HashInput = HashInput::uri().depth(2).into();
/// # let _ = by_directory;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UriInput {
    len: Option<NonZeroUsize>,
    depth: Option<NonZeroUsize>,
    whole: bool,
    path_only: bool,
}

impl UriInput {
    /// Hashes at most this many bytes; 0, the default, is no limit. HAProxy: `len N`,
    /// from 1.
    #[must_use]
    pub fn len(mut self, bytes: usize) -> Self {
        self.len = NonZeroUsize::new(bytes);
        self
    }

    /// Stops before the slash after this many; 0, the default, is no limit.
    ///
    /// The slashes of `http://host` count, and with [`whole`](Self::whole) those of
    /// the query too. HAProxy: `depth N`, from 1.
    #[must_use]
    pub fn depth(mut self, slashes: usize) -> Self {
        self.depth = NonZeroUsize::new(slashes);
        self
    }

    /// Hashes the query too instead of stopping before the first `?`.
    /// HAProxy: `whole`.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// Starts at the path, so that `/a` and `http://host/a` are one; a target without
    /// a path is an empty key. HAProxy: `path-only`.
    #[must_use]
    pub fn path_only(mut self) -> Self {
        self.path_only = true;
        self
    }

    fn key(self, target: &[u8]) -> &[u8] {
        let uri = if self.path_only { path(target) } else { target };
        let uri = &uri[..uri
            .len()
            .min(self.len.map_or(usize::MAX, NonZeroUsize::get))];
        let slash = self
            .depth
            .and_then(|depth| memchr_iter(b'/', uri).nth(depth.get()));
        let query = if self.whole { None } else { find(b'?', uri) };
        let end = slash.unwrap_or(uri.len()).min(query.unwrap_or(uri.len()));
        &uri[..end]
    }
}

impl From<UriInput> for HashInput {
    fn from(uri: UriInput) -> Self {
        Self(Input::Uri(uri))
    }
}

/// [`HashInput::header`] and its option.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderInput {
    name: Arc<str>,
    domain_only: bool,
}

impl HeaderInput {
    /// Hashes only the label before the last dot, `example` of `www.example.com`;
    /// default the whole element.
    ///
    /// A value without a dot is hashed whole. HAProxy: `use_domain_only`, made for
    /// the field `Host`.
    #[must_use]
    pub fn use_domain_only(mut self) -> Self {
        self.domain_only = true;
        self
    }

    fn key<'a>(&self, request: &'a dyn Request) -> Option<&'a [u8]> {
        let element = first_element(first_header(request, &self.name)?);
        match element {
            [] => None,
            _ if self.domain_only => Some(domain_label(element)),
            _ => Some(element),
        }
    }
}

impl From<HeaderInput> for HashInput {
    fn from(header: HeaderInput) -> Self {
        Self(Input::Header(header))
    }
}

#[derive(Clone, Debug)]
enum Input {
    Source,
    Uri(UriInput),
    UrlParam(Arc<[u8]>),
    Header(HeaderInput),
    Expression(Arc<Expression>),
    RdpCookie(Arc<[u8]>),
    Custom(CustomInput),
}

type Extract = dyn Fn(&dyn Request, &mut dyn FnMut(&[u8])) + Send + Sync;

#[derive(Clone)]
struct CustomInput {
    name: Arc<str>,
    extract: Arc<Extract>,
}

impl CustomInput {
    fn hash(&self, request: &dyn Request, function: HashFunction) -> Option<u32> {
        let mut hash = None;
        (self.extract)(request, &mut |key| {
            hash.get_or_insert_with(|| function.hash(key));
        });
        hash
    }
}

impl fmt::Debug for CustomInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Custom").field(&self.name).finish()
    }
}

/// A complete recipe from a request to 32 bits.
#[derive(Clone, Debug)]
pub(crate) struct Hashing {
    input: HashInput,
    function: HashFunction,
    avalanche: bool,
}

impl Hashing {
    /// [`HashFunction::Sdbm`] of `input`, without avalanche.
    pub(crate) fn new(input: HashInput) -> Self {
        Self {
            input,
            function: HashFunction::default(),
            avalanche: false,
        }
    }

    pub(crate) fn function(mut self, function: HashFunction) -> Self {
        self.function = function;
        self
    }

    pub(crate) fn avalanche(mut self, avalanche: bool) -> Self {
        self.avalanche = avalanche;
        self
    }

    /// The hash of `request`, `None` when it lacks the key.
    ///
    /// With one server to choose from most inputs are not looked at: the hash is 0
    /// even without a key, and the selector's fallback does not move on.
    pub(crate) fn of(&self, request: &dyn Request, serving_count: u32) -> Option<u32> {
        if serving_count == 1 {
            match &self.input.0 {
                Input::UrlParam(_) => {}
                Input::RdpCookie(name) => return rdp_key(request, name).map(|_| 0),
                _ => return Some(0),
            }
        }
        let hash = self.plain(request)?;
        Some(if self.avalanche {
            full_hash(hash)
        } else {
            hash
        })
    }

    fn plain(&self, request: &dyn Request) -> Option<u32> {
        match &self.input.0 {
            Input::Source => request.source().map(fold_address),
            Input::Uri(uri) => Some(self.function.hash(uri.key(request.target()))),
            Input::UrlParam(name) => {
                url_param(request.target(), name).map(|value| self.function.hash(value))
            }
            Input::Header(header) => header.key(request).map(|value| self.function.hash(value)),
            Input::Expression(expression) => {
                let sample = expression.on_request(request)?;
                Some(match self.function {
                    HashFunction::Decimal => sample.with_text(decimal),
                    function => sample.with_bytes(|key| function.hash(key)),
                })
            }
            Input::RdpCookie(name) => rdp_key(request, name).map(|value| self.function.hash(value)),
            Input::Custom(custom) => custom.hash(request, self.function),
        }
    }
}

fn rdp_key<'a>(request: &'a dyn Request, name: &[u8]) -> Option<&'a [u8]> {
    rdp_cookie(request.payload(), Some(name)).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::Fetch;
    use crate::hash::sdbm;
    use crate::message::SimpleRequest;

    const MANY: u32 = 2;

    fn uri_key(uri: UriInput, target: &str) -> &str {
        std::str::from_utf8(uri.key(target.as_bytes())).unwrap()
    }

    fn header_hash(values: &[&str]) -> Option<u32> {
        let request = values
            .iter()
            .fold(SimpleRequest::new("GET", "/"), |request, &value| {
                request.header("X-Key", value)
            });
        Hashing::new(HashInput::header("x-key").into()).of(&request, MANY)
    }

    #[test]
    fn the_uri_stops_before_the_query_unless_whole() {
        let uri = HashInput::uri();
        assert_eq!(uri_key(uri, "/a/b?c/d"), "/a/b");
        assert_eq!(uri_key(uri.whole(), "/a/b?c/d"), "/a/b?c/d");
        assert_eq!(uri_key(uri.whole().depth(2), "/a/b?c/d"), "/a/b?c");
        assert_eq!(uri_key(uri, "http://h/a?b"), "http://h/a");
        assert_eq!(uri_key(uri, ""), "");
    }

    #[test]
    fn depth_counts_the_slashes_and_len_comes_first() {
        let uri = HashInput::uri();
        assert_eq!(uri_key(uri.depth(1), "/a/b/c"), "/a");
        assert_eq!(uri_key(uri.depth(3), "http://h/a/b"), "http://h/a");
        assert_eq!(uri_key(uri.len(3).depth(3), "/ab/c/d"), "/ab");
        assert_eq!(uri_key(uri.len(99), "/ab"), "/ab");
        assert_eq!(uri_key(uri.len(0).depth(0), "/ab/c"), "/ab/c");
    }

    #[test]
    fn the_first_header_counts_and_an_empty_one_is_absent() {
        assert_eq!(header_hash(&["a, b", "c"]), Some(sdbm(b"a")));
        for values in [&[][..], &[""], &["", "z"], &[" ,q"]] {
            assert_eq!(header_hash(values), None, "{values:?}");
        }
    }

    #[test]
    fn a_source_is_its_own_hash_whatever_the_function() {
        let hash = |source: &str| {
            let request = SimpleRequest::default().source(source.parse().unwrap());
            Hashing::new(HashInput::source())
                .function(HashFunction::Crc32)
                .of(&request, MANY)
        };
        assert_eq!(hash("10.1.2.3"), Some(0x0a01_0203));
        assert_eq!(hash("2001:db8::1"), Some(0x2001_0db8 ^ 1));
        assert_eq!(hash("::ffff:10.1.2.3"), Some(0x0000_ffff ^ 0x0a01_0203));
    }

    #[test]
    fn avalanche_mixes_the_result() {
        let request = SimpleRequest::new("GET", "/a");
        let hashing = Hashing::new(HashInput::uri().into()).avalanche(true);
        assert_eq!(hashing.of(&request, MANY), Some(full_hash(sdbm(b"/a"))));
    }

    #[test]
    fn with_one_server_only_a_url_parameter_is_looked_at() {
        let request = SimpleRequest::default();
        let of = |input: HashInput| Hashing::new(input).avalanche(true).of(&request, 1);
        assert_eq!(of(HashInput::source()), Some(0));
        assert_eq!(of(HashInput::uri().into()), Some(0));
        assert_eq!(of(HashInput::header("x").into()), Some(0));
        assert_eq!(of(HashInput::custom("none", |_, _| {})), Some(0));
        assert_eq!(of(HashInput::url_param("x")), None);
    }

    #[test]
    fn an_rdp_cookie_is_asked_for_even_with_one_server() {
        let hashing = Hashing::new(HashInput::rdp_cookie("mstshash"));
        let request = |cookie: &str| {
            let packet = [&[0; 11], cookie.as_bytes()].concat();
            SimpleRequest::default().payload(packet)
        };
        let alice = request("Cookie: mstshash=alice\r\n");
        assert_eq!(hashing.of(&alice, MANY), Some(sdbm(b"alice")));
        assert_eq!(hashing.of(&alice, 1), Some(0));
        let nobody = request("Cookie: mstshash=\r\n");
        assert_eq!(hashing.of(&nobody, MANY), None);
        assert_eq!(hashing.of(&nobody, 1), None);
    }

    #[test]
    fn a_number_is_hashed_as_eight_bytes_and_read_as_text_without_a_function() {
        let request = SimpleRequest::new("GET", "/").header("x", "a,b,c");
        let of = |function| {
            Hashing::new(HashInput::expression(Fetch::header_count("x")))
                .function(function)
                .of(&request, MANY)
        };
        assert_eq!(of(HashFunction::Sdbm), Some(sdbm(&3_u64.to_be_bytes())));
        assert_eq!(of(HashFunction::Decimal), Some(3));
    }

    #[test]
    fn a_custom_key_is_the_first_one_handed_over() {
        let request = SimpleRequest::new("GET", "/acme/7");
        let twice = HashInput::custom("twice", |request, key| {
            key(request.method());
            key(b"ignored");
        });
        assert_eq!(Hashing::new(twice).of(&request, MANY), Some(sdbm(b"GET")));
        let never = HashInput::custom("never", |_, _| {});
        assert_eq!(Hashing::new(never).of(&request, MANY), None);
    }
}
