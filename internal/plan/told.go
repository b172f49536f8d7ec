package plan

import "github.com/HdrHistogram/hdrhistogram-go"

// told is what is seen of a world.
type told struct {
	came, refused, admitted, settled int
	last                             float64 // when the last batch came into view
	accepts, verdicts                *hdrhistogram.Histogram
	batches                          int
	finished                         func(*request)
}

const (
	longest = int64(24 * 3600 * 1e6) // µs
	digits  = 3
)

func newTold() told {
	return told{accepts: hdrhistogram.New(1, longest, digits), verdicts: hdrhistogram.New(1, longest, digits)}
}

func (t *told) accept(seconds float64)  { _ = t.accepts.RecordValue(max(int64(seconds*1e6), 1)) }
func (t *told) verdict(seconds float64) { _ = t.verdicts.RecordValue(max(int64(seconds*1e6), 1)) }

func (t *told) settle(at float64, n int) {
	t.settled += n
	t.batches++
	t.last = at
}

// Times are in milliseconds.
type Times struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func times(h *hdrhistogram.Histogram) Times {
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return Times{P50: at(50), P99: at(99), Max: float64(h.Max()) / 1000}
}
