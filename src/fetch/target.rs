//! What is made of the request target.

use std::net::IpAddr;
use std::sync::Arc;

use memchr::memchr;

use crate::cookie::trim;
use crate::hash::{full_hash, sdbm, sdbm_from};
use crate::message::{Request, first_header};
use crate::sample::{Sample, SampleType};
use crate::text::leading_number;

use super::fields::element_end;
use super::url::{parameters, path, path_alone};

#[derive(Clone, Debug)]
pub(super) enum Target {
    Url,
    Path,
    PathAndQuery,
    Query,
    Base,
    Base32,
    Base32Source,
    Url32,
    Url32Source,
    Param(Arc<[u8]>),
    ParamInteger(Arc<[u8]>),
}

impl Target {
    pub(super) fn of<'a>(&self, request: &'a dyn Request) -> Option<Sample<'a>> {
        let target = request.target();
        Some(match self {
            Self::Url => super::non_empty(target)?.into(),
            Self::Path => super::non_empty(path_alone(target))?.into(),
            Self::PathAndQuery => super::non_empty(path(target))?.into(),
            Self::Query => target[memchr(b'?', target)? + 1..].into(),
            Self::Base => base(request),
            Self::Base32 => Sample::Integer(base32(request).into()),
            Self::Base32Source => with_source(base32(request), request)?,
            Self::Url32 => Sample::Integer(url32(request).into()),
            Self::Url32Source => with_source(url32(request), request)?,
            Self::Param(name) => parameters(target, name).next()?.into(),
            Self::ParamInteger(name) => {
                Sample::Integer(leading_number(parameters(target, name).next()?))
            }
        })
    }

    /// Every parameter of that name in turn.
    #[cfg(feature = "haproxy")]
    pub(super) fn any<'a>(
        &self,
        request: &'a dyn Request,
        test: &mut dyn FnMut(Sample<'a>) -> bool,
    ) -> bool {
        match self {
            Self::Param(name) => parameters(request.target(), name).any(|value| test(value.into())),
            Self::ParamInteger(name) => parameters(request.target(), name)
                .any(|value| test(Sample::Integer(leading_number(value)))),
            _ => self.of(request).is_some_and(test),
        }
    }

    pub(super) fn output(&self) -> SampleType {
        match self {
            Self::Base32 | Self::Url32 | Self::ParamInteger(_) => SampleType::Integer,
            Self::Base32Source | Self::Url32Source => SampleType::Binary,
            _ => SampleType::Str,
        }
    }
}

/// The first element of the first `Host` field, empty without one.
fn host(request: &dyn Request) -> &[u8] {
    let line = first_header(request, "host").unwrap_or_default();
    trim(&line[..element_end(line)])
}

fn base(request: &dyn Request) -> Sample<'_> {
    match (host(request), path_alone(request.target())) {
        ([], path) => path.into(),
        (host, path) => Sample::Str([host, path].concat().into()),
    }
}

fn base32(request: &dyn Request) -> u32 {
    full_hash(sdbm_from(sdbm(host(request)), path_alone(request.target())))
}

fn url32(request: &dyn Request) -> u32 {
    full_hash(sdbm_from(sdbm(host(request)), path(request.target())))
}

fn with_source(hash: u32, request: &dyn Request) -> Option<Sample<'static>> {
    let mut bytes = hash.to_be_bytes().to_vec();
    match request.source()? {
        IpAddr::V4(address) => bytes.extend(address.octets()),
        IpAddr::V6(address) => bytes.extend(address.octets()),
    }
    Some(Sample::Binary(bytes.into()))
}
