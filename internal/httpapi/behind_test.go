package httpapi

import (
	"strings"
	"testing"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
)

// record is how the house of a test reaches its Postgres.
func record(t *testing.T, postgres string) ledger.Options {
	t.Helper()
	if strings.HasPrefix(t.Name(), "TestDaysThroughPooler/") {
		return ledger.Options{URL: embeddedtest.Pooler(t, postgres, 3).URL, Pooler: true}
	}
	return ledger.Options{URL: postgres}
}

// TestDaysThroughPooler: a day of every kind, with Postgres behind PgBouncer, whose
// sessions are fewer than the connections to it.
func TestDaysThroughPooler(t *testing.T) {
	allDays(t)
}

func allDays(t *testing.T) {
	t.Helper()
	t.Run("auction", TestDay)
	t.Run("reservation", TestReservationDay)
	t.Run("coupon", TestCouponDay)
	t.Run("event", TestEventDay)
	t.Run("store", TestStoreDay)
	t.Run("notices", TestNotices)
}
