package plan

// host is a machine whose processor computes for all who want it, all alike: each has a
// core, or where there are fewer cores than work, an equal share of them. That is how an
// operating system deals with it whose slices are short beside the work.
//
// Work is counted in shares: every piece of work has had as much since the last look as
// every other one, so the one with the least left ends first, and nobody's rest has to
// be touched when somebody comes or goes.
type host struct {
	clock *clock
	cores float64
	wake  float64 // seconds until a core that had nothing to do is awake

	had  float64 // what a piece of work that was always there would have had, in seconds
	seen float64 // when that was so
	work []share // a heap, by end
	no   int64
	turn int64 // of the alarm: an older one is void

	ended float64 // when some work ended last

	computed float64 // core seconds so far
}

type share struct {
	end  float64 // of had
	no   int64
	done func()
}

func (a share) before(b share) bool { return a.end < b.end || a.end == b.end && a.no < b.no }

func newHost(c *clock, cores float64) *host { return &host{clock: c, cores: cores, ended: -1} }

// compute calls done when so many seconds of one core have been computed.
func (h *host) compute(seconds float64, done func()) {
	h.look()
	h.no++
	if float64(len(h.work)) < h.cores && h.ended < h.clock.now { // whose work has just ended is awake
		seconds += h.wake
	}
	h.work = append(h.work, share{h.had + max(seconds, 0), h.no, done})
	for i := len(h.work) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.work[i].before(h.work[parent]) {
			break
		}
		h.work[i], h.work[parent] = h.work[parent], h.work[i]
		i = parent
	}
	h.alarm()
}

// pace is how fast each piece of work goes on.
func (h *host) pace() float64 { return min(1, h.cores/float64(len(h.work))) }

// look brings the account up to now.
func (h *host) look() {
	if n := float64(len(h.work)); n > 0 {
		passed := h.clock.now - h.seen
		h.had += passed * h.pace()
		h.computed += passed * min(n, h.cores)
	}
	h.seen = h.clock.now
}

// alarm sees to it that the next piece of work ends at its time.
func (h *host) alarm() {
	h.turn++
	if len(h.work) == 0 {
		return
	}
	turn := h.turn
	h.clock.after((h.work[0].end-h.had)/h.pace(), func() {
		if turn != h.turn {
			return
		}
		h.look()
		h.had = max(h.had, h.work[0].end) // whatever rounding has left
		end := h.had
		h.ended = h.clock.now
		for len(h.work) > 0 && h.work[0].end <= end {
			h.pop().done()
		}
		h.alarm()
	})
}

func (h *host) pop() share {
	first, last := h.work[0], len(h.work)-1
	h.work[0], h.work[last] = h.work[last], share{}
	h.work = h.work[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if h.work[child].before(h.work[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		h.work[i], h.work[least] = h.work[least], h.work[i]
		i = least
	}
}
