package inletotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/inlet-go/inlet/internal/metrics"
)

// buildCounters makes the instruments that are read when the SDK collects.
func (t *Telemetry) buildCounters() error {
	var instruments [metrics.Count]metric.Observable
	var made []metric.Observable
	var errs []error
	for m := range metrics.Count {
		if m.Kind() == metrics.Histogram {
			continue
		}
		instrument, err := t.buildObservable(m)
		instruments[m], made, errs = instrument, append(made, instrument), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := t.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		c := collection{to: to, instruments: &instruments}
		c.requests(t)
		t.watched.Read(&c)
		return nil
	}, made...)
	return err
}

// buildObservable makes an instrument that is read when the SDK collects.
func (t *Telemetry) buildObservable(m metrics.Metric) (metric.Observable, error) {
	unit, help := metric.WithUnit(m.Unit()), metric.WithDescription(m.Help())
	switch {
	case m.Kind() == metrics.Counter:
		return t.meter.Int64ObservableCounter(m.Name(), unit, help)
	case m.Unit() == metrics.Seconds:
		return t.meter.Float64ObservableGauge(m.Name(), unit, help)
	}
	return t.meter.Int64ObservableGauge(m.Name(), unit, help)
}

// A collection is one reading of everything that is counted and watched.
type collection struct {
	to          metric.Observer
	instruments *[metrics.Count]metric.Observable
}

// Set implements [metrics.Values].
func (c *collection) Set(m metrics.Metric, value int64, labels ...string) {
	c.observe(m, value, attributesOf(m, labels))
}

// SetTime implements [metrics.Values].
func (c *collection) SetTime(m metrics.Metric, value time.Duration, labels ...string) {
	if i, ok := c.instruments[m].(metric.Float64Observable); ok {
		c.to.ObserveFloat64(i, value.Seconds(), attributesOf(m, labels))
	}
}

// observe sets a number.
func (c *collection) observe(m metrics.Metric, value int64, of metric.ObserveOption) {
	if i, ok := c.instruments[m].(metric.Int64Observable); ok {
		c.to.ObserveInt64(i, value, of)
	}
}

// attributesOf returns the values of the labels of a metric as attributes.
func attributesOf(m metrics.Metric, labels []string) metric.MeasurementOption {
	attrs := make([]attribute.KeyValue, len(labels))
	for i, name := range m.Labels() {
		attrs[i] = attribute.String(name, labels[i])
	}
	return with(attrs...)
}

// requests reads what was counted of requests and of writes.
func (c *collection) requests(t *Telemetry) {
	all, bySource := t.series.copied()
	for _, s := range all {
		c.observe(metrics.Requests, s.requests.Load(), s.labels)
	}
	for _, s := range bySource {
		c.observe(metrics.Events, s.accepted.Load(), s.acceptedLabels)
		c.observe(metrics.Events, s.rejected.Load(), s.rejectedLabels)
		c.observe(metrics.RequestWire, s.wireBytes.Load(), s.labels)
		c.observe(metrics.RequestBytes, s.bytes.Load(), s.labels)
	}
	c.Set(metrics.Unrecorded, t.unrecorded.Load())
	if t.layered.Load() {
		c.Set(metrics.RequestsInFlight, t.inFlight.Load())
	}
	for _, s := range t.writes.copied() {
		for i := range s.events {
			c.observe(metrics.SinkEvents, s.events[i].Load(), s.labels[i])
		}
	}
}
