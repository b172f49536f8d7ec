package audit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/internal/audit"
)

// parted splits the first era before a sale; the receipts of one side are gone, as if
// that had been said in time.
func parted(h *house, at int64, before bool) {
	h.t.Helper()
	first, past := int64(0), at
	if !before {
		first, past = at, 10_000_000
	}
	for _, statement := range []string{
		`delete from eras where first = 0`,
		fmt.Sprintf(`insert into eras (first, past) values (0, %d), (%[1]d, 10000000)`, at),
		fmt.Sprintf(`update eras set leaves_at = now(), dropped_at = now() where first = %d`, first),
		`update attendance set at = now() + interval '1 day'`, // the slots have begun
		fmt.Sprintf(`delete from receipts where sale >= %d and sale < %d`, first, past),
	} {
		_, err := h.pg.Exec(h.t.Context(), statement)
		h.must(err)
	}
}

// aboutEras is what the audit says of eras themselves: these are made up, and not all of
// their sales are over.
func aboutEras(f audit.Finding) bool {
	return strings.Contains(f.Detail, "era")
}

// TestWhatIsGoneIsNotMissed: wherever an era ends, and whichever side of it is gone, the
// books that stay agree with the receipts that stay: entries, orders, coupons, notices,
// bookings that were changed from one era to the other, the log.
func TestWhatIsGoneIsNotMissed(t *testing.T) {
	h, now := begin(t)
	h.kinds(now)
	b := h.backup()
	for at := int64(2); at <= later; at++ {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprint(at, map[bool]string{true: " gone before", false: " gone after"}[before]), func(t *testing.T) {
				h := b.restore(t)
				parted(h, at, before)
				report := h.audit()
				for _, f := range slices.DeleteFunc(report.Broken, aboutEras) {
					t.Errorf("%+v", f)
				}
			})
		}
	}
}

// TestAnEraGoneTooEarlyIsMissed is the known-bad twin: receipts go and nobody has said so,
// or their sales are not over, or the table is there no more, or sales have no era.
func TestAnEraGoneTooEarlyIsMissed(t *testing.T) {
	h, now := begin(t)
	h.kinds(now)
	if report := h.audit(); len(report.Broken) != 0 {
		t.Fatalf("%+v", report.Broken)
	}
	b := h.backup()
	b.suffer(t, []corruption{
		{"unsaid", all(func(h *house) { parted(h, later+1, true) }, sql(
			`delete from eras where first > 0 and first < 10000000`,
			`update eras set past = 10000000, leaves_at = null, dropped_at = null where first = 0`)),
			"continuity coupons notices orders orphans payouts projection record revenue units"},
		{"not over", sql(`update eras set leaves_at = now() where first = 0`), "orphans"},
		{"a gap", sql(`delete from eras where first = 10000000`), "orphans"},
		{"not there", sql(`drop table receipts_10000000`), "orphans"},
	})
}
