package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Run is one scenario being measured. A scenario tells all it sees through it.
type Run struct {
	Options
	Report *Told

	house  *house
	stages []*Stage
}

// Scale is full, or smoke where only the working is tried out.
func (r *Run) Scale(full, smoke int) int {
	if r.Smoke {
		return smoke
	}
	return full
}

// Length is how long a round is: what was asked for, else so many seconds.
func (r *Run) Length(seconds float64) time.Duration {
	switch {
	case r.Each > 0:
		return r.Each
	case r.Smoke:
		return 150 * time.Millisecond
	}
	return time.Duration(seconds * float64(time.Second))
}

// Times is how many rounds each contender has: what was asked for, else n.
func (r *Run) Times(n int) int {
	switch {
	case r.Rounds > 0:
		return r.Rounds
	case r.Smoke:
		return 1
	}
	return n
}

// Stage answers servers on which nothing is yet. The run closes them.
func (r *Run) Stage(ctx context.Context) (*Stage, error) {
	return r.stage(ctx, false)
}

// stage is Stage, on one Redis or on a cluster.
func (r *Run) stage(ctx context.Context, clustered bool) (*Stage, error) {
	s, err := r.house.stage(ctx, clustered)
	if err == nil {
		r.stages = append(r.stages, s)
	}
	return s, err
}

// leave closes the stages.
func (r *Run) leave() (err error) {
	for _, s := range r.stages {
		err = errors.Join(err, s.Close())
	}
	r.stages = nil
	return err
}

// Side is one of those that are measured side by side.
type Side struct {
	Name, What string
	// Round loads it for that long. The first one is for warming up, and not reported.
	Round func(ctx context.Context, length time.Duration) (Round, error)
}

// Interleave measures all sides by turns: a short round of each to warm up, then one
// each, so many times. What slows the machine for a while hits all of them.
func (r *Run) Interleave(ctx context.Context, times int, length time.Duration, sides ...Side) error {
	for _, side := range sides {
		r.Contender(side.Name, side.What)
		if _, err := side.Round(ctx, length/3); err != nil {
			return fmt.Errorf("warm up %s: %w", side.Name, err)
		}
	}
	for range times {
		for _, side := range sides {
			round, err := side.Round(ctx, length)
			if err != nil {
				return fmt.Errorf("a round of %s: %w", side.Name, err)
			}
			r.Round(side.Name, round)
		}
	}
	return nil
}

// Contender introduces somebody who is measured.
func (r *Run) Contender(name, what string) {
	r.Report.contender(name).What = what
}

// Round tells what a contender did in one round.
func (r *Run) Round(contender string, round Round) {
	c := r.Report.contender(contender)
	c.Rounds = append(c.Rounds, round)
	r.Say("   %-12s %s", contender, round)
}

// Compare tells the ratio of two contenders' rates.
func (r *Run) Compare(of, to string, t Target) {
	a, b := r.Report.contender(of), r.Report.contender(to)
	if len(a.Rounds) == 0 || len(b.Rounds) == 0 {
		return // which the run complains of, if it was to be told
	}
	ratio := Ratio{Of: of, To: to, Value: average(a.Rounds).Rate / average(b.Rounds).Rate}
	var each []float64
	for i := range min(len(a.Rounds), len(b.Rounds)) {
		each = append(each, a.Rounds[i].Rate/b.Rounds[i].Rate)
	}
	ratio.ByRound = Median(each)
	ratio.Target, ratio.Met = t, t.Met(ratio.Value)
	r.Report.Ratios = append(r.Report.Ratios, ratio)
}

// Ratio tells a ratio that was computed otherwise.
func (r *Run) Ratio(of, to string, value float64, t Target) {
	r.Report.Ratios = append(r.Report.Ratios, Ratio{Of: of, To: to, Value: value, Target: t, Met: t.Met(value)})
}

// Figure tells one number.
func (r *Run) Figure(name, unit string, value float64, t Target) {
	r.Report.Figures = append(r.Report.Figures, Figure{Name: name, Unit: unit, Value: value, Target: t, Met: t.Met(value)})
}

// Curve tells how something grows.
func (r *Run) Curve(c Curve) { r.Report.Curves = append(r.Report.Curves, c) }

// Note tells in words what a reader of the figures must know.
func (r *Run) Note(format string, args ...any) {
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf(format, args...))
}

// Say tells whoever watches how it goes.
func (r *Run) Say(format string, args ...any) { r.house.say(format, args...) }
