package httpapi

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"sluice/internal/accounts"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// TestETA: what is told is the rate that was seen last, and nothing where none was.
func TestETA(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		s    sale.Standing
		want time.Duration
	}{
		"next":                          {sale.Standing{Receipt: sale.Receipt{Status: sale.Queued}, Drain: 1000}, time.Millisecond},
		"a thousand behind":             {sale.Standing{Receipt: sale.Receipt{Status: sale.Queued}, Ahead: 999, Drain: 1000}, time.Second},
		"nobody knows how fast it goes": {sale.Standing{Receipt: sale.Receipt{Status: sale.Queued}, Ahead: 999}, 0},
		"a moment of rest":              {sale.Standing{Receipt: sale.Receipt{Status: sale.Queued}, Ahead: 999, Drain: 1000, Still: 500 * time.Millisecond}, time.Second},
		"it stands still":               {sale.Standing{Receipt: sale.Receipt{Status: sale.Queued}, Ahead: 999, Drain: 1000, Still: 3 * time.Second}, 4 * time.Second},
		"for ever":                      {sale.Standing{Receipt: sale.Receipt{Status: sale.Queued}, Ahead: sale.MaxPoints, Drain: 1e-300}, 24 * time.Hour},
		"and still":                     {sale.Standing{Receipt: sale.Receipt{Status: sale.Queued}, Drain: 1, Still: 1000 * time.Hour}, 24 * time.Hour},
		"third in a line that moves":    {sale.Standing{Receipt: sale.Receipt{Status: sale.Waiting}, Line: 3, LeaveLine: 0.5}, 6 * time.Second},
		"in a line that does not":       {sale.Standing{Receipt: sale.Receipt{Status: sale.Waiting}, Line: 3, Drain: 1000}, 0},
		"held":                          {sale.Standing{Receipt: sale.Receipt{Status: sale.Held}, Drain: 1000, LeaveLine: 1}, 0},
		"final":                         {sale.Standing{Receipt: sale.Receipt{Status: sale.Rejected}, Ahead: 7, Drain: 1000}, 0},
	} {
		if got := c.s.ETA(); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
	for want, d := range map[int64]time.Duration{0: 0, 1: 1, 2: 1001 * time.Microsecond, 1000: time.Second} {
		if got := roundUp(d).Milliseconds(); got != want {
			t.Errorf("%s is told as %d ms", d, got)
		}
	}
}

// forecasts are how many were compared, of how many seconds they were wrong together, how
// many were late and early, and how many are kept.
func (h *house) forecasts() (n uint64, wrong, late, early float64, kept int) {
	h.t.Helper()
	gathered, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, family := range gathered {
		if family.GetName() == "sluice_eta_error_seconds" {
			histogram := family.GetMetric()[0].GetHistogram()
			n, wrong = histogram.GetSampleCount(), histogram.GetSampleSum()
		}
	}
	f := h.api.foresight
	f.mu.Lock()
	defer f.mu.Unlock()
	return n, wrong, testutil.ToFloat64(f.late), testutil.ToFloat64(f.early), len(f.kept)
}

// TestForesight: a forecast is compared with what came, once, when it has come; that
// something may have been missed is no coming.
func TestForesight(t *testing.T) {
	t.Parallel()
	url := embeddedtest.Redis(t)
	h := openOn(t, url)
	redis := embeddedtest.Client(t, url)
	s := h.sale(-time.Second, time.Hour)
	_, token := h.account(accounts.Buyer, 50_000)
	part := fmt.Sprintf("{s%d}", s.Partition)
	if err := redis.HSet(t.Context(), part, "drain", 100).Err(); err != nil {
		t.Fatal(err)
	}
	told := h.bid(s, token, 1, 1000)
	if ms, err := strconv.Atoi(told.text("eta_ms")); err != nil || ms < 10 || ms > 100 {
		t.Errorf("told %s", told.raw)
	}
	if _, _, _, _, kept := h.forecasts(); kept != 1 {
		t.Fatalf("%d forecasts are kept", kept)
	}
	masters := embeddedtest.Masters(t, url)
	listening := func() bool {
		count := int64(0)
		for _, c := range masters {
			n, err := c.PubSubNumSub(t.Context(), part+":changed").Result()
			sharded, wrong := c.PubSubShardNumSub(t.Context(), part+":changed").Result()
			if err != nil || wrong != nil {
				return false
			}
			count += n[part+":changed"] + sharded[part+":changed"]
		}
		return count > 0
	}
	h.until("it listens", listening)
	deafen(t, url)
	woken := make(chan struct{})
	h.until("it listens no more", func() bool { return !listening() })
	stop := h.api.news.Sale(s.ID, func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	defer stop()
	<-woken // beside it; each at a moment of a second
	h.until("it listens again", listening)
	if n, _, _, _, kept := h.forecasts(); n != 0 || kept != 1 {
		t.Errorf("%d forecasts have come true, %d are kept", n, kept)
	}
	h.work()
	h.settled(token, told.text("receipt"))
	h.until("it is compared", func() bool { n, _, _, _, _ := h.forecasts(); return n == 1 })
	if n, wrong, late, early, kept := h.forecasts(); n != 1 || wrong <= 0 || late != 1 || early != 0 || kept != 0 {
		t.Errorf("%d forecasts, wrong by %g s, %g late, %g early, %d kept", n, wrong, late, early, kept)
	}

	// It has been settled before anybody listens: it is compared all the same.
	id := sale.NewReceiptID(s.Partition)
	h.api.foresight.note(sale.Standing{Receipt: sale.Receipt{ID: id, Status: sale.Queued, Seq: 1}, Drain: 1000, Ahead: 999})
	if n, _, _, early, kept := h.forecasts(); n != 2 || early != 1 || kept != 0 {
		t.Errorf("%d forecasts, %g early, %d kept", n, early, kept)
	}
}
