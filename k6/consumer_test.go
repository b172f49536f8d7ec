//go:build knownbad

package k6

import "testing"

// crowd is the run that consumers die under. Takeovers take seconds.
var crowd = []string{"RATE=40", "DURATION=25", "VUS=500", "VERDICT_P95_MS=15000"}

const kills = 3

// TestHonestConsumerIsKilled: consumers that commit before anything is visible are
// killed under a crowd, and nobody can tell.
func TestHonestConsumerIsKilled(t *testing.T) {
	h := newHouse(t)
	r := h.begin(flashSale, h.api, h.ops, append([]string{"GIVE_UP=60", "QUIET_WITHIN=60"}, crowd...)...)
	killed := 0
	for ; killed < kills; killed++ {
		ops := freeAddress(t)
		c := h.start("consumer", nil, "SLUICE_OPS_LISTEN="+ops)
		if !r.until(func() bool { return settled(ops) > 150 }) {
			break
		}
		h.must(c.Process.Kill())
	}
	if killed != kills {
		t.Errorf("only %d of %d were killed", killed, kills)
	}
	h.start("consumer", nil, "SLUICE_OPS_LISTEN=127.0.0.1:0")
	h.passes(r.end())
}

// TestHastyConsumerIsKilled: so are consumers that make a batch visible first, right in
// between. Somebody has read that something is his which nobody has written down, and
// no owner, however honest, can go on with such a partition. The load test must see both.
func TestHastyConsumerIsKilled(t *testing.T) {
	h := newHouse(t)
	r := h.begin(flashSale, h.api, h.ops, append([]string{"GIVE_UP=15", "QUIET_WITHIN=10"}, crowd...)...)
	killed := 0
	for ; killed < kills; killed++ {
		says := &lines{awaited: "visible, not committed", said: make(chan struct{})}
		c := h.start("hasty/consumer", says, "SLUICE_OPS_LISTEN=127.0.0.1:0")
		if !r.until(func() bool { return isClosed(says.said) }) {
			break
		}
		h.must(c.Process.Kill())
	}
	if t.Logf("%d killed", killed); killed == 0 {
		t.Error("none was killed")
	}
	h.start("consumer", nil, "SLUICE_OPS_LISTEN=127.0.0.1:0")
	h.fails(r.end(), "prints_apart", "audits_passed", "unfinished")
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
