// Package bench measures Sluice from outside, beside what limits it, what it replaces
// and what else could carry its requests: in one run, on one machine, on the same servers.
//
//	sluice bench ──┬─▶ Stage       a fresh Redis (AOF everysec) and a fresh database (fsync on), or given servers
//	               ├─▶ contenders  Sluice itself (api, consumer, scheduler), rivals: each a process of its own
//	               ├─▶ generator   a process too: closed loop for capacity, open loop for latency
//	               └─▶ Report      docs/benchmarks.json, the tables of docs/benchmarks.md
//
//	a Scenario   warm-up of each, then  A B C  A B C  A B C …      one round each, interleaved
//	a round      CPU of everybody before ─▶ load ─▶ CPU of everybody after ─▶ what is in the database is proved
//
// All share the cores, so a rate alone says little: beside each stands what every process
// computed for one request. That explains a ratio on any machine. Ratios are those of
// medians, and the median of the ratios of each round: what disturbs the machine for a
// while hits both.
//
// Nothing here decides by time. A run fails when a contender dies, answers what it should
// not, sells too much, or when a scenario does not give what it names.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Scenario measures one thing and reports what it saw.
type Scenario struct {
	Name  string // one word, for --only
	Title string
	What  string // one paragraph: what is measured, and how
	Run   func(context.Context, *Run) error

	// Gives names the figures, ratios ("of/to") and curves that every run of it must
	// give; GivesBeside those that it gives only where the rivals are there.
	Gives, GivesBeside []string
	// Rivals says that without rivals there is nothing to measure.
	Rivals bool
}

// Scenarios are all there are, in the order in which they are run.
var Scenarios = []Scenario{
	machine, door, poll, verdict, lock, carry,
	settle, batch, trips, consumers, spread, fanout,
	sales, partitions, buyers, backlog, history,
	memory, waiters, flood,
	idle,
}

// Options says what to measure, and with what.
type Options struct {
	Only    []string      // names of scenarios; none: all
	Smoke   bool          // tiny numbers: does it work at all
	Rounds  int           // of each contender; 0: the scenario's own number
	Each    time.Duration // round is so long; 0: the scenario's own
	Flood   int           // rejections of the scenario flood; 0: its own number
	Rivals  string        // program of internal/bench/rivals; "": Sluice alone is measured
	Program []string      // runs a hidden command of `sluice`: worker, generate

	RedisURL, PostgresURL string // servers that are there; "": private ones

	Progress io.Writer // for a person to watch; nil: nothing
}

// Check tells what is wrong with o.
func (o Options) Check() error {
	for _, name := range o.Only {
		if !slices.ContainsFunc(Scenarios, func(s Scenario) bool { return s.Name == name }) {
			return fmt.Errorf("there is no scenario %q; --list names them", name)
		}
	}
	switch {
	case o.Rounds < 0 || o.Rounds > 100:
		return fmt.Errorf("rounds must be between 1 and 100, not %d", o.Rounds)
	case o.Each < 0 || o.Each > 10*time.Minute:
		return fmt.Errorf("seconds must be between 0 and 600, not %v", o.Each.Seconds())
	case o.Flood < 0 || o.Flood > 1_000_000_000:
		return fmt.Errorf("flood must be between 1 and a billion, not %d", o.Flood)
	case (o.RedisURL == "") != (o.PostgresURL == ""):
		return errors.New("name both servers, or none")
	}
	if o.Rivals != "" {
		if _, err := os.Stat(o.Rivals); err != nil {
			return fmt.Errorf("find the rivals: %w", err)
		}
	}
	return nil
}

// Measure runs the scenarios one after another. An error says what could not be
// measured, or what was wrong with what was measured; the report holds what was until then.
func Measure(ctx context.Context, o Options) (report Report, err error) {
	if err := o.Check(); err != nil {
		return Report{}, err
	}
	house, err := openHouse(ctx, o)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, house.close()) }()
	report = Report{Machine: house.machine, Config: house.config()}
	var wrong []error
	for _, s := range Scenarios {
		if len(o.Only) > 0 && !slices.Contains(o.Only, s.Name) {
			continue
		}
		told, err := house.measure(ctx, s)
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", s.Name, err)
			first, _, _ := strings.Cut(err.Error(), "\n")
			house.say("WRONG %s", first)
			wrong = append(wrong, err)
		}
		if told != nil {
			report.Scenarios = append(report.Scenarios, *told)
		}
	}
	return report, errors.Join(wrong...)
}

// measure runs one scenario; nil when there is nothing to measure.
func (h *house) measure(ctx context.Context, s Scenario) (*Told, error) {
	if s.Rivals && h.Rivals == "" {
		h.say("── %s: not measured, since the rivals are not there (make bench builds them)", s.Name)
		return nil, nil
	}
	h.say("── %s: %s", s.Name, s.Title)
	began := time.Now()
	r := &Run{Options: h.Options, house: h, Report: &Told{
		Name: s.Name, Title: s.Title, What: s.What, Command: "make bench ARGS='--only " + s.Name + "'",
		Measured: h.machine.Revision + ", " + h.machine.Date,
	}}
	err := s.Run(ctx, r)
	err = errors.Join(err, r.leave())
	r.Report.settle()
	if err == nil {
		err = s.lacks(*r.Report, h.Rivals != "")
	}
	if h.Progress != nil {
		r.Report.Table(h.Progress)
	}
	h.say("── %s: %s", s.Name, time.Since(began).Round(100*time.Millisecond))
	return r.Report, err
}

// lacks is an error that names what a scenario was to give and did not.
func (s Scenario) lacks(told Told, beside bool) error {
	names := slices.Clone(s.Gives)
	if beside {
		names = append(names, s.GivesBeside...)
	}
	var missing []string
	for _, name := range names {
		if !told.gave(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("it did not tell %s", strings.Join(missing, ", "))
	}
	return nil
}
