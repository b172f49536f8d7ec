// Package faults breaks a deployment, one thing after another, and wants to see the right
// alert for each: soon, and gone when it is mended.
//
// The rules are those of production, with shorter times (rules.Shorten). Nothing is decided
// by the clock: what counts is at how many evaluations an alert was held back, as
// Prometheus itself has written them down.
//
// Only tests are here, and what judges for them.
package faults

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// every is how often Prometheus scrapes and evaluates.
const every = 2 * time.Second

// course is what became of the alerts from some moment on: the samples of the series
// ALERTS, which Prometheus writes at each evaluation.
type course model.Matrix

// fired are the alerts that fired at any time, each once, sorted.
func (c course) fired() (names []string) {
	for _, series := range c {
		if series.Metric["alertstate"] == "firing" && len(series.Values) > 0 {
			names = append(names, string(series.Metric[model.AlertNameLabel]))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// first is when an alert fired first, and at how many evaluations before it was held back
// although its condition held: in this row, not when it came and went before.
func (c course) first(alert string) (at time.Time, heldBack int, ok bool) {
	for _, series := range c {
		if series.Metric[model.AlertNameLabel] != model.LabelValue(alert) || series.Metric["alertstate"] != "firing" || len(series.Values) == 0 {
			continue
		}
		if begin := series.Values[0].Timestamp.Time(); !ok || begin.Before(at) {
			at, ok = begin, true
			heldBack = c.pending(series.Metric, series.Values[0].Timestamp)
		}
	}
	return at, heldBack, ok
}

// pending counts the samples of an alert's pending twin that lead to its first firing one
// without a break: its condition came and went before, if there is one.
func (c course) pending(firing model.Metric, until model.Time) int {
	for _, series := range c {
		twin := series.Metric.Clone()
		twin["alertstate"] = "firing"
		if series.Metric["alertstate"] != "pending" || !twin.Equal(firing) {
			continue
		}
		n, next := 0, until
		for _, sample := range slices.Backward(series.Values) {
			switch {
			case sample.Timestamp >= until:
				continue
			case next.Sub(sample.Timestamp) > every+every/2:
				return n
			}
			n, next = n+1, sample.Timestamp
		}
		return n
	}
	return 0
}

// verdict says what is wrong with how a fault was told: the right alerts have to fire at
// the second evaluation that sees their condition, and nothing else may that is not a
// known companion.
func (c course) verdict(right, companions []string) (wrong []string) {
	for _, alert := range right {
		switch _, heldBack, ok := c.first(alert); {
		case !ok:
			wrong = append(wrong, alert+" did not fire")
		case heldBack > 1:
			wrong = append(wrong, fmt.Sprintf("%s was held back at %d evaluations", alert, heldBack))
		}
	}
	for _, alert := range c.fired() {
		if !slices.Contains(right, alert) && !slices.Contains(companions, alert) {
			wrong = append(wrong, alert+" fired, too")
		}
	}
	return wrong
}
