package ledger

import (
	"errors"
	"testing"
	"time"

	"sluice/internal/sale"
)

// TestReceiptOfALaterRelease: one with a word that only a release to come knows cannot
// be told now, by this process.
func TestReceiptOfALaterRelease(t *testing.T) {
	id, at := sale.NewReceiptID(1), time.UnixMilli(1700000000000)
	scan := func(verb, status, reason string) error {
		_, err := scanReceipt(row{[16]byte(id), int64(7), int64(1001), verb, int64(2), int64(3), int64(4), status, reason, &at, int64(5),
			[16]byte{}, [16]byte{}, int64(6), int64(7), at})
		return err
	}
	for _, known := range [][3]string{{"bid", "confirmed", ""}, {"reserve", "rejected", "closed"}} {
		if err := scan(known[0], known[1], known[2]); err != nil {
			t.Errorf("%q: %v", known, err)
		}
	}
	for _, later := range [][3]string{{"swap_seats", "confirmed", ""}, {"bid", "parked", ""}, {"reserve", "rejected", "too_slow"}} {
		if err := scan(later[0], later[1], later[2]); !errors.Is(err, sale.ErrUnavailable) {
			t.Errorf("%q: %v", later, err)
		}
	}
}
