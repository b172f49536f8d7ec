package partition

import (
	"testing"

	"sluice/internal/sale"
)

// TestABriefRecordStaysSmall: with sale IDs that begin another ten million each month, a
// rejection stays in the 32 bytes that Redis gives it: two are its string's own.
func TestABriefRecordStaysSmall(t *testing.T) {
	r := sale.Receipt{
		ID: sale.NewReceiptID(3), Verb: sale.Bid, Status: sale.Rejected, Reason: sale.SoldOut, Fingerprint: 1 << 63,
		Seq: 200_000_000, At: 2_000_000_000_000, Sale: 26 * 10_000_000, Buyer: 2_000_000, Quantity: 1,
	}
	if n := len(briefRecord(r)); n > 30 {
		t.Errorf("two years on it has %d bytes", n)
	}
	r.Sale = 1 << 53 // the known-bad twin
	if n := len(briefRecord(r)); n <= 30 {
		t.Errorf("with the greatest ID there can be it has %d bytes", n)
	}
}
