package plan

// fitting is what costs are fitted to: loads, and what was seen under them.
type fitting struct {
	accepting, following, busyAPI float64 // µs of the API: for a POST; for one with its outcome; the same at 70 % load
	asking, waiting               float64 // µs of the generator: for a request, and for its outcome
	busy, quiet                   float64 // requests/s at 70 % load, and at the lowest
	quietP50                      float64 // ms
}

func (m *measured) fitting() fitting {
	f := fitting{
		accepting: m.cpu("door", "sluice", "api"), following: m.cpu("verdict", "capacity", "api"), busyAPI: m.cpu("verdict", "70 %", "api"),
		asking: m.cpu("door", "sluice", "generator"), busy: m.rate("verdict", "70 %"),
	}
	f.waiting = m.cpu("verdict", "capacity", "generator") - f.asking
	if points := m.points("verdict", "load", "p50"); len(points) > 0 {
		f.quiet, f.quietP50 = points[0][0], points[0][1]
	}
	return f
}

// ask adds what the generator of the benchmarks computes.
func (d *proved) ask(f fitting) { d.asking, d.following = f.asking, f.waiting }

// fit finds four costs that nobody measures alone. What the API computes for a request and
// for an answer that it holds is what it was seen to compute, less the trips to Redis, which
// the simulation has; what it computes when it is woken for each request is such that it
// computes at 70 % load what it was seen to compute there; and how long a core takes to wake
// up is such that half of all verdicts come, at the lowest load, when they were seen to come.
// Rates, and the times at other loads, are predictions then.
func (c Costs) fit(f fitting) {
	at := proved{costs: c, partitions: 1, consumers: 1, sales: 1}
	at.ask(f)
	door := at
	door.consumers = 0
	set := func(name string, value float64) {
		cost := c[name]
		cost.Name, cost.Value = name, max(value, 0)
		c[name] = cost
	}
	c["api_rouse"], c["wake"] = Cost{From: "fitted to verdict, the API at 70 %"}, Cost{From: "fitted to verdict, p50 at the lowest load"}
	set("api_rouse", 0)
	set("wake", 0)
	for range fitTimes {
		_, _, computed := door.closed(false, fitSeconds)
		set("api_request", c["api_request"].Value+f.accepting-computed)
	}
	for range fitTimes {
		_, _, computed := at.closed(true, fitSeconds)
		set("api_wait", c["api_wait"].Value+f.following-computed)
	}
	set("api_rouse", search(100, func(us float64) bool {
		set("api_rouse", us)
		_, computed := at.opened(f.busy, fitSeconds)
		return computed > f.busyAPI
	}))
	set("wake", search(400, func(us float64) bool {
		set("wake", us)
		return at.open(f.quiet, 4*fitSeconds).P50 > f.quietP50
	}))
}

const (
	fitTimes   = 3
	fitSeconds = 0.25 // that are simulated for each guess
)

// search finds, by halving, from which value below most something is too much.
func search(most float64, tooMuch func(float64) bool) float64 {
	low, high := 0.0, most
	for range 7 {
		if middle := (low + high) / 2; tooMuch(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return low
}
