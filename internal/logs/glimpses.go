package logs

import (
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	burst  = 10          // lines of a kind that are all written
	period = time.Second // in which
	every  = 1000        // and one of so many after them
)

// Glimpses is log for a kind of lines that come as often as a crowd wants: every line
// of a quiet hour, a few of a busy one, since a line costs more than a decision. A line
// says how many were left out before it, as left_out. Warnings and errors are all
// written.
func Glimpses(log zerolog.Logger) zerolog.Logger {
	g := &glimpses{few: &zerolog.BurstSampler{Burst: burst, Period: period, NextSampler: &zerolog.BasicSampler{N: every}}}
	return log.Sample(g).Hook(g)
}

// glimpses is a sampler that remembers, and the hook that tells.
type glimpses struct {
	few  zerolog.Sampler
	left atomic.Int64 // out, since the last line
}

// Sample says whether a line is written.
func (g *glimpses) Sample(level zerolog.Level) bool {
	if level >= zerolog.WarnLevel || g.few.Sample(level) {
		return true
	}
	g.left.Add(1)
	return false
}

// Run adds to a line that is written what was left out.
func (g *glimpses) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	if g.left.Load() == 0 { // most lines: nothing to write for
		return
	}
	if n := g.left.Swap(0); n > 0 {
		e.Int64("left_out", n)
	}
}
