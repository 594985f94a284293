//! The text of a scrape, written by `prometheus-client` from snapshots taken for it.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeLabelValue,
    LabelSetEncoder, LabelValueEncoder, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;

/// What a label may say. There is no way from a packet to a value of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A word of this program.
    Word(&'static str),
    /// A shard's index or an error code.
    Number(u16),
}

impl EncodeLabelValue for Value {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => EncodeLabelValue::encode(word, encoder),
            Self::Number(number) => EncodeLabelValue::encode(number, encoder),
        }
    }
}

/// The labels of one sample: the shard, then what tells samples of a shard apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Labels<'a>(pub(super) &'a [(&'static str, Value)]);

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows; its samples end in `_total`.
    Counter,
    /// It moves both ways.
    Gauge,
}

/// What a family is called. Names carry the unit but not `_total`, as the format has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) unit: Option<&'static str>,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

impl Family {
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            unit: None,
            kind: Kind::Counter,
            help,
        }
    }

    pub(super) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            unit: None,
            kind: Kind::Gauge,
            help,
        }
    }

    /// With a unit, which is appended to the name.
    pub(super) const fn in_unit(self, unit: &'static str) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }

    /// Writes the family; `fill` gives each sample to the [`Samples`].
    pub(super) fn write(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        fill: impl FnOnce(&mut Samples<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let unit = self.unit.map(|unit| Unit::Other(unit.to_owned()));
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let encoder = encoder.encode_descriptor(self.name, self.help, unit.as_ref(), kind)?;
        fill(&mut Samples {
            encoder,
            kind: self.kind,
        })
    }
}

/// Where a family's samples go.
pub(super) struct Samples<'a> {
    encoder: MetricEncoder<'a>,
    kind: Kind,
}

impl Samples<'_> {
    /// A whole number.
    pub(super) fn add(&mut self, labels: &[(&'static str, Value)], value: u64) -> fmt::Result {
        self.add_number(labels, &value)
    }

    /// Nanoseconds, shown as seconds.
    pub(super) fn add_nanos(
        &mut self,
        labels: &[(&'static str, Value)],
        nanos: u64,
    ) -> fmt::Result {
        self.add_number(labels, &(nanos as f64 / 1e9))
    }

    fn add_number(
        &mut self,
        labels: &[(&'static str, Value)],
        value: &(impl EncodeCounterValue + EncodeGaugeValue),
    ) -> fmt::Result {
        let kind = self.kind;
        let encode = |encoder: &mut MetricEncoder<'_>| match kind {
            Kind::Counter => encoder.encode_counter(value, NO_EXEMPLAR),
            Kind::Gauge => encoder.encode_gauge(value),
        };
        if labels.is_empty() {
            return encode(&mut self.encoder);
        }
        encode(&mut self.encoder.encode_family(&Labels(labels))?)
    }
}

const NO_EXEMPLAR: Option<&Exemplar<Labels<'static>, f64>> = None;
