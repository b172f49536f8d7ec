package plan

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// station is one program with a core for each thread, to which requests come at random.
type station struct {
	rate    float64
	threads int
	cores   float64
	work    func(*rand.Rand) float64                       // seconds of one
	do      func(p *program, seconds float64, done func()) // nil: as it is; else a known-bad twin
}

// run has n of them come, and answers the program, how long all of it took, and the mean
// time from coming to the end.
func (s station) run(n int) (p *program, length, stayed float64, ended int) {
	c, random := &clock{}, rand.New(rand.NewPCG(7, 7))
	p = newProgram("station", newHost(c, s.cores), s.threads)
	do := s.do
	if do == nil {
		do = (*program).do
	}
	var come func(left int)
	come = func(left int) {
		if left == 0 {
			return
		}
		c.after(random.ExpFloat64()/s.rate, func() {
			came := c.now
			do(p, s.work(random), func() { stayed += c.now - came; ended++ })
			come(left - 1)
		})
	}
	come(n)
	for c.step() {
	}
	p.look()
	return p, c.now, stayed / float64(ended), ended
}

func fixed(seconds float64) func(*rand.Rand) float64 {
	return func(*rand.Rand) float64 { return seconds }
}

func exponential(mean float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return r.ExpFloat64() * mean }
}

// near says whether a value is what theory says, but for chance.
func near(got, want, within float64) bool { return math.Abs(got-want) <= within*want }

// TestWaitsAreThoseOfTheory holds the mean wait in line against the closed formulas.
func TestWaitsAreThoseOfTheory(t *testing.T) {
	const service = 0.001
	for _, load := range []float64{0.3, 0.5, 0.8} {
		rate := load / service
		for name, test := range map[string]struct {
			station
			want float64
		}{
			"M/M/1": {station{rate: rate, threads: 1, cores: 1, work: exponential(service)}, load * service / (1 - load)},
			"M/D/1": {station{rate: rate, threads: 1, cores: 1, work: fixed(service)}, load * service / (2 * (1 - load))},
			// Erlang's C formula for two servers: the chance to wait is 2ρ²/(1+ρ).
			"M/M/2": {station{rate: 2 * rate, threads: 2, cores: 2, work: exponential(service)}, 2 * load * load / (1 + load) * service / (2 * (1 - load))},
		} {
			p, _, _, _ := test.run(200_000)
			if got := p.waited / float64(p.begun); !near(got, test.want, 0.05) {
				t.Errorf("%s at %v: the mean wait is %v, and in theory %v", name, load, got, test.want)
			}
		}
		// Shared processor: whatever the work is like, one stays as in M/M/1 (a law that does not ask for the distribution).
		for name, work := range map[string]func(*rand.Rand) float64{"fixed": fixed(service), "exponential": exponential(service)} {
			_, _, stayed, _ := station{rate: rate, threads: 1 << 30, cores: 1, work: work}.run(200_000)
			if want := service / (1 - load); !near(stayed, want, 0.05) {
				t.Errorf("shared, %s, at %v: one stays %v, and in theory %v", name, load, stayed, want)
			}
		}
	}
}

// laws are what holds for every queue, however it works: what came is gone or there, the
// line is the rate times the wait (Little), and what is computed is the rate times the work.
func laws(p *program, came, ended int, length, work float64) (broken []string) {
	if p.begun != int64(ended+p.busy) || came != ended+p.busy+p.line.len() {
		broken = append(broken, "conservation")
	}
	if mean, want := p.stood/length, float64(p.begun)/length*(p.waited/float64(p.begun)); !near(mean, want, 1e-6) {
		broken = append(broken, "Little's law")
	}
	if used, want := p.host.computed/length, float64(ended)/length*work; !near(used, want, 1e-6) {
		broken = append(broken, "utilisation")
	}
	return broken
}

func TestLawsOfQueues(t *testing.T) {
	const n, work = 50_000, 0.001
	for name, s := range map[string]station{
		"one thread":                {rate: 800, threads: 1, cores: 1, work: fixed(work)},
		"four threads on two cores": {rate: 1500, threads: 4, cores: 2, work: fixed(work)},
		"more than it can":          {rate: 3000, threads: 2, cores: 2, work: fixed(work)},
	} {
		p, length, _, ended := s.run(n)
		if broken := laws(p, n, ended, length, work); len(broken) > 0 {
			t.Errorf("%s: broken are %q", name, broken)
		}
	}
	// Each of these is wrong in a way that the law must notice.
	asked := 0
	for law, do := range map[string]func(p *program, seconds float64, done func()){
		"conservation": func(p *program, seconds float64, done func()) { // forgets some
			if asked++; asked%1000 != 0 {
				p.do(seconds, done)
			}
		},
		"Little's law": func(p *program, seconds float64, done func()) { // does not look at the line when one comes
			p.line.add(task{seconds, p.host.clock.now, done})
			p.begin()
		},
		"utilisation": func(p *program, seconds float64, done func()) { // does half of the work
			p.do(seconds/2, done)
		},
	} {
		p, length, _, ended := station{rate: 800, threads: 1, cores: 1, work: fixed(work), do: do}.run(n)
		if broken := laws(p, n, ended, length, work); !slices.Contains(broken, law) {
			t.Errorf("broken are %q, and not %s", broken, law)
		}
	}
}
