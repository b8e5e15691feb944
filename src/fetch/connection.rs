//! What is known of the client's connection.

use crate::message::Request;
use crate::sample::{Sample, SampleType};

#[derive(Clone, Copy, Debug)]
pub(super) enum Connection {
    Source,
    SourcePort,
    Destination,
    DestinationPort,
    Tls,
}

impl Connection {
    pub(super) fn of(self, request: &dyn Request) -> Option<Sample<'static>> {
        match self {
            Self::Source => request.source().map(Sample::from),
            Self::SourcePort => request.source_port().map(port),
            Self::Destination => request.destination().map(|to| to.ip().into()),
            Self::DestinationPort => request.destination().map(|to| port(to.port())),
            Self::Tls => Some(Sample::Bool(request.is_tls())),
        }
    }

    pub(super) fn output(self) -> SampleType {
        match self {
            Self::Source | Self::Destination => SampleType::Ipv4,
            Self::SourcePort | Self::DestinationPort => SampleType::Integer,
            Self::Tls => SampleType::Bool,
        }
    }
}

fn port(port: u16) -> Sample<'static> {
    Sample::Integer(port.into())
}
