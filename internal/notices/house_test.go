package notices

import (
	"testing"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/housetest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// house is a Notices over real servers, with a consumer at work.
type house struct {
	*Notices
	*housetest.House
}

func open(t *testing.T) *house {
	h := housetest.Open(t)
	return &house{New(h.Ledger), h}
}
